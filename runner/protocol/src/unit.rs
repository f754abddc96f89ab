//! Which units a module may have the supervisor control, if it declares them: its own services, never what the machine or
//! the supervisor itself stands on. Whether a module declared a unit is for the supervisor to say.

use crate::{NameError, UnitName};

/// Unit types that a module may control. A target or a slice is many services at once, a mount is other people's files.
const TYPES: [&str; 4] = [".service", ".socket", ".timer", ".path"];

/// Units without their type: who controls these controls the machine, or everybody's way to it.
const ESSENTIAL: [&str; 8] =
    ["dbus", "dbus-broker", "debug-shell", "emergency", "rescue", "polkit", "updates", "updates-runner"];

/// What such units begin with. `dbus-org.freedesktop.login1` and its like are other names of systemd's own services.
const ESSENTIAL_PREFIXES: [&str; 11] = [
    "systemd-",
    "dbus-org.freedesktop.",
    "initrd-",
    "getty@",
    "serial-getty@",
    "console-getty",
    "container-getty@",
    "autovt@",
    "user@",
    "user-runtime-dir@",
    "session-",
];

impl UnitName {
    /// Why no module may control this unit, whatever it declares; `None` for a unit that may be declared.
    pub fn not_controllable(&self) -> Option<&'static str> {
        let full = self.with_suffix();
        let Some(stem) = TYPES.iter().find_map(|suffix| full.strip_suffix(suffix)) else {
            return Some(
                "is neither a service nor a socket, timer or path unit, which are all that a module may control",
            );
        };
        if stem == "updates" || stem == "updates-runner" {
            return Some("is the supervisor's own unit");
        }
        if ESSENTIAL.contains(&stem) || ESSENTIAL_PREFIXES.iter().any(|prefix| stem.starts_with(prefix)) {
            return Some("belongs to what keeps the machine itself running and reachable");
        }
        None
    }

    /// Reads the name of a unit that a module may control; the error says what is wrong with any other.
    pub(crate) fn controllable(text: &str) -> Result<Self, NameError> {
        let unit: UnitName = text.parse()?;
        match unit.not_controllable() {
            None => Ok(unit),
            Some(problem) => Err(NameError { kind: "unit name", given: text.to_owned(), problem }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> bool {
        UnitName::controllable(text).is_err()
    }

    #[test]
    fn what_the_machine_stands_on_can_not_be_declared() {
        for unit in [
            "updates",
            "updates.service",
            "updates.timer",
            "systemd-logind",
            "systemd-journald.socket",
            "dbus",
            "dbus.socket",
            "dbus-org.freedesktop.login1.service",
            "reboot.target",
            "multi-user.target",
            "system.slice",
            "var.mount",
            "user@0.service",
            "getty@tty1",
            "debug-shell",
        ] {
            assert!(refused(unit), "{unit} can be declared");
        }
    }

    #[test]
    fn services_of_people_can_be_declared() {
        for unit in ["nginx", "nginx.service", "wg-quick@home.service", "backup.timer", "cups.socket", "dbus-proxy"] {
            assert!(!refused(unit), "{unit} can't be declared");
        }
    }
}
