#!/bin/sh
# Answers and obeys like systemctl. Each unit is a folder beside this file with one file a property; a unit without a folder
# is not found. `Fails`, `Hangs` and `Refuses` in it spoil its start, hang it, and refuse any other change.
here=${0%/*}
echo "$*" >>"$here/calls"
verb=$1
property() { # unit property default
  cat "$here/$1/$2" 2>/dev/null || printf '%s' "$3"
}
put() { # unit property value
  printf '%s' "$3" >"$here/$1/$2"
}
[ "$verb" = daemon-reload ] && {
  for file in "$here"/*/on-disk; do
    [ -e "$file" ] || continue
    unit=${file%/on-disk}
    put "${unit##*/}" UnitFileState "$(cat "$file")"
    put "${unit##*/}" NeedDaemonReload no
  done
  exit 0
}
runtime=
while [ "$1" != -- ]; do
  [ "$1" = --runtime ] && runtime=-runtime
  shift
done
shift
[ -e "$here/one" ] && set -- "$1"
status=0
separator=
for unit; do
  unit=${unit##*/}
  if [ "$verb" = show ]; then
    printf '%sId=%s\n' "$separator" "$(property "$unit" Id "$unit")"
    separator='
'
    if [ -d "$here/$unit" ]; then
      file=$(property "$unit" UnitFileState disabled)
      case $file in masked*) echo LoadState=masked ;; *) echo LoadState=loaded ;; esac
      printf 'ActiveState=%s\nSubState=%s\nUnitFileState=%s\n' "$(property "$unit" ActiveState inactive)" \
        "$(property "$unit" SubState x)" "$file"
    else
      printf 'LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n'
    fi
    [ -e "$here/plain" ] && continue
    for name in InvocationID FragmentPath TriggeredBy Type RemainAfterExit Result Job NeedDaemonReload; do
      [ -e "$here/$unit/$name" ] && printf '%s=%s\n' "$name" "$(property "$unit" "$name")"
    done
    continue
  fi
  [ -e "$here/$unit/Hangs" ] && [ "$verb" != stop ] && exec sleep 1000
  [ -d "$here/$unit" ] || { [ "$verb" = unmask ] || { echo "Unit $unit not found." >&2; status=5; }; continue; }
  [ -e "$here/$unit/Refuses" ] && { echo "Access to $unit denied." >&2; status=1; continue; }
  case $verb in
  start)
    case $(property "$unit" UnitFileState) in masked*) echo "Unit $unit is masked." >&2; status=1; continue ;; esac
    count=$(($(property "$unit" count 0) + 1))
    put "$unit" count "$count"
    [ -e "$here/$unit/InvocationID" ] && put "$unit" InvocationID "run-$count"
    if [ -e "$here/$unit/Fails" ]; then
      put "$unit" ActiveState failed
      put "$unit" SubState failed
      put "$unit" Result exit-code
      echo "Job for $unit failed because the control process exited with error code." >&2
      status=1
      continue
    fi
    put "$unit" ActiveState active
    cat "$here/../machine/etc/app/conf" >"$here/$unit/read" 2>/dev/null || :
    ;;
  stop) put "$unit" ActiveState inactive ;;
  reset-failed) [ "$(property "$unit" ActiveState)" = failed ] && put "$unit" ActiveState inactive ;;
  enable | mask | link) put "$unit" before-mask "$(property "$unit" UnitFileState disabled)"; put "$unit" UnitFileState "${verb}ed$runtime" ;;
  disable) put "$unit" UnitFileState disabled ;;
  unmask) put "$unit" UnitFileState "$(property "$unit" before-mask disabled)" ;;
  *) echo "Unknown operation $verb." >&2; exit 1 ;;
  esac
  case $(property "$unit" UnitFileState) in
  enableed*) put "$unit" UnitFileState "enabled$runtime" ;;
  esac
done
exit $status
