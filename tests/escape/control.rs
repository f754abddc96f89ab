//! The control: where nothing stands in the way, the attempts go through. A row that is refused everywhere would say
//! nothing about a sandbox.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::host::in_place_of_the_machine;
use crate::outside::{Outside, plant_secrets};
use crate::support::Root;
use crate::table::program;

/// Rows that every kernel since 5.15 lets user 0 do. Others depend on what is built in or switched on, or, as a hard link
/// into the writable directory, on how this test lays out its file systems.
const GO_THROUGH: &str = "1a 1b 1c 1d 2 3a 3b 3d 4a 4b 4c 4d 4e 4f 5a 5b 5c 6 11a 11b 12a 12b 12d 12e 13 14a 14d 17 \
    18a 18b 18c 18d 18e 18f 19a 19d 20b 22 23a 24a 24b 25a 25b 25c 25d 25e 34a 34c 34d 35a 35b 36a 36b 37 38 39a \
    39b 39c 39d 40a 40b 40c 40d 40e 40f 41a 41b 43 53a 54a 55a 56f 56g 57a 57b 57c 57d 58a 63a 63b 63c 63d 63e 64a 64c \
    65c 65d 65f 66a 66d 66e 67 68b 69a 69c 70a 70b 71a 71b 72a 72b 72d 73a 73b 77";

#[test]
fn attempts_go_through_where_nothing_stands_in_the_way() {
    let root = Root::new();
    plant_secrets(&root);
    for planted in ["lib/updates/updates.db", "lib/updates/checkpoints/one", "backups/updates/one"] {
        root.write(&format!("/var/{planted}"), "secret");
    }
    let docker = root.folder("/run").at("/run/docker.sock");
    let _listener = std::os::unix::net::UnixListener::bind(docker).unwrap();
    let outside = Outside::new(&root);
    // A shell stays as pid 1, so that the program has a parent and a pid 1 to attack; another process is there to be seen,
    // and a descriptor to be inherited: whoever started this test may have left none open.
    let keep = "exec 7</dev/null; sleep 1000 </dev/null >/dev/null 2>&1 & \"$@\"; exit $?";
    let output = in_place_of_the_machine(&root, &["--pid", "--fork", "--kill-child"])
        .args(["sh", "-c", keep, "sh"])
        .arg(program())
        .arg("all")
        // The socket's path and the channel are those of a sandbox.
        .args(outside.arguments().filter(|argument| !argument.starts_with("unix=") && *argument != "channel=3"))
        .arg(format!("unix={}", root.at("/appliance/socket").display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let open: BTreeSet<_> =
        rows.iter().filter(|row| row["verdict"] == json!("open")).map(|row| row["attempt"].as_str().unwrap()).collect();
    let closed: Vec<_> = GO_THROUGH.split_whitespace().filter(|row| !open.contains(row)).collect();
    let why: Vec<_> = rows.iter().filter(|row| closed.contains(&row["attempt"].as_str().unwrap())).collect();
    assert!(closed.is_empty(), "{why:#?}\n{}", String::from_utf8_lossy(&output.stderr));
}
