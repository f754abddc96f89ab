//! A machine with services: a program that answers and obeys like systemctl, and keeps its state in files.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::support::{Module, Root};

const SYSTEMCTL: &str = r#"#!/bin/sh
here=${0%/*}
echo "$@" >>$here/calls
verb=$1
[ $verb = daemon-reload ] && exit 0
while [ "$1" != -- ]; do shift; done
shift
if [ $verb = show ]; then
  separator=
  for unit; do
    printf '%sId=%s\nLoadState=loaded\n' "$separator" "$(cat $here/$unit.id 2>/dev/null || echo $unit)"
    [ -e $here/$unit.active ] && echo ActiveState=active || echo ActiveState=inactive
    [ -e $here/$unit.active ] && echo SubState=running || echo SubState=dead
    [ -e $here/$unit.enabled ] && echo UnitFileState=enabled || echo UnitFileState=disabled
    separator='
'
  done
  exit 0
fi
code=0
for unit; do
  [ -e $here/$unit.hangs ] && [ $verb != stop ] && exec sleep 1000
  [ -e $here/$unit.fails ] && {
    echo "Job for $unit failed because the control process exited with error code." >&2
    code=1
    continue
  }
  case $verb in
  start|restart) touch $here/$unit.active; cat $here/../../srv/app/conf >$here/$unit.read 2>/dev/null || : ;;
  stop) rm -f $here/$unit.active ;;
  enable) touch $here/$unit.enabled ;;
  disable) rm -f $here/$unit.enabled ;;
  reload) [ -e $here/$unit.active ] || exit 3; cat $here/../../srv/app/conf >$here/$unit.read ;;
  esac
done
exit $code
"#;

/// A root whose services are files in `/opt/units`: `web.service` runs and is enabled, `idle.service` neither.
pub fn machine() -> Root {
    let root = Root::new();
    root.write("/opt/units/systemctl", SYSTEMCTL);
    let program = root.at("/opt/units/systemctl");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    root.write("/etc/updates/config.toml", format!("[run]\nsystemctl = {:?}\n", program.to_str().unwrap()));
    root.write("/opt/units/web.service.active", "").write("/opt/units/web.service.enabled", "");
    root.write("/srv/app/conf", "before");
    root
}

/// A module that declares `/srv/app/`, `web` and `idle`, and whose `main` has this body.
pub fn module(body: &str) -> Module {
    let body = body.trim_matches('\n').replace('\n', "\n    ");
    let code = format!("import os\nfrom updates import service\n\n\ndef main(args=None):\n    {body}\n");
    Module::python("app", "1.0.0", &code).declares(&["/srv/app/"]).sandbox("services", json!(["web", "idle.service"]))
}

/// What systemctl was called with, without looks, as `verb unit`.
pub fn calls(root: &Root) -> Vec<String> {
    let text = std::fs::read_to_string(root.at("/opt/units/calls")).unwrap_or_default();
    let changes = text.lines().filter(|line| !line.starts_with("show"));
    changes.map(|line| line.split(' ').filter(|word| !word.starts_with('-')).collect::<Vec<_>>().join(" ")).collect()
}

/// The supervisor's own lines in the log of the last run, as `LEVEL: text`.
pub fn trail(root: &Root) -> Vec<String> {
    let lines: Value = root.updates(&["logs", "--json"]).json();
    let lines = lines.as_array().unwrap().iter().filter(|line| line["source"] == "supervisor");
    lines.map(|line| format!("{}: {}", line["level"].as_str().unwrap(), line["message"].as_str().unwrap())).collect()
}
