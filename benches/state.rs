//! One piece of work of the state engine as a whole process, for `benches/backup`: `seal`, `verify`, `plan` or `restore`.
//!
//!     state seal|verify|plan|restore STORE MACHINE PATH
//!
//! It prints what came of it and its peak memory in KiB. `cargo bench` starts it without arguments, and it then says so.

use std::path::Path;

use updates::config::Machine;
use updates::state::{Sealed, Store};
use updates_protocol::{DeclaredPath, ModuleName};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, store, machine, path] = arguments.as_slice() else {
        println!("usage: state seal|verify|plan|restore STORE MACHINE PATH; benches/backup calls it");
        return Ok(());
    };
    let store = Store::open(Path::new(store))?;
    let machine = Machine::Root(machine.into());
    let name: ModuleName = "bench".parse()?;
    let slot = || store.load(&name)?.ok_or_else(|| Box::<dyn std::error::Error>::from("there is no slot yet"));
    let said = match work.as_str() {
        "seal" => match store.begin(&name, &name, "").paths([DeclaredPath::new(path)?]).seal(&machine)? {
            Sealed::Written(..) => "written".to_owned(),
            Sealed::Reused(_) => "reused".to_owned(),
        },
        "verify" => slot()?.verify().map(|()| "sound".to_owned())?,
        "plan" => format!("{} differ", slot()?.plan(&machine)?.differences().len()),
        "restore" => format!("{} changed", slot()?.restore(&machine)?.changed.len()),
        other => return Err(format!("{other} is no work of this").into()),
    };
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    println!("{said}, {}", peak.trim());
    Ok(())
}
