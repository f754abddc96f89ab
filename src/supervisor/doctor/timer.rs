//! Whether runs happen: the timer, the service that it starts, and the unit that settles what a power cut left.

use std::collections::BTreeMap;

use super::Finding;
use crate::config::Machine;
use crate::service::ServiceError;
use crate::supervisor::Supervisor;

const CHECK: &str = "timer";
const TIMER: &str = "updates.timer";
const SERVICE: &str = "updates.service";
const RECOVER: &str = "updates-recover.service";
const PROPERTIES: [&str; 6] =
    ["LoadState", "UnitFileState", "ActiveState", "NextElapseUSecRealtime", "Result", "ExecMainStatus"];

type Unit = BTreeMap<String, String>;

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    if supervisor.config.systemctl.is_none() && supervisor.layout.machine() != Machine::Host {
        return vec![Finding::ok(CHECK, "below --root no timer is looked for")];
    }
    let answer = supervisor
        .systemd()
        .map_err(|why| ServiceError::NotRunning { why })
        .and_then(|systemd| systemd.properties(&[TIMER, SERVICE, RECOVER], &PROPERTIES));
    match answer {
        Ok(units) => judge(&units),
        Err(ServiceError::NotRunning { why }) => vec![Finding::warning(
            CHECK,
            format!("no systemd runs here ({why}), so that no timer starts runs"),
            "start `updates run` each night by other means, such as cron(8)",
        )],
        Err(error) => vec![Finding::problem(
            CHECK,
            format!("systemd was asked for {TIMER}: {error}"),
            "`systemctl status` should answer at once; what keeps it is in `journalctl -b _PID=1`",
        )],
    }
}

/// What the three units say, in their order.
fn judge(units: &[Unit]) -> Vec<Finding> {
    let mut found = Vec::new();
    let of = |unit: &Unit, property: &str| unit.get(property).cloned().unwrap_or_default();
    let mut missing = |unit: &Unit, name: &str| match of(unit, "LoadState").as_str() {
        "loaded" => false,
        "masked" => {
            let text = format!("{name} is masked, so that it can't start");
            found.push(Finding::problem(CHECK, text, format!("systemctl unmask {name}")));
            true
        }
        state => {
            let text = format!("there is no usable {name} ({state})");
            let mend = format!("install the package again; `systemctl status {name}` says what is wrong");
            found.push(Finding::problem(CHECK, text, mend));
            true
        }
    };
    let absent = Unit::new();
    let unit = |number: usize| units.get(number).unwrap_or(&absent);
    let (timer, service, recover) = (unit(0), unit(1), unit(2));
    let (no_timer, no_service, no_recover) =
        (missing(timer, TIMER), missing(service, SERVICE), missing(recover, RECOVER));
    if !no_timer {
        found.push(judge_timer(
            &of(timer, "UnitFileState"),
            &of(timer, "ActiveState"),
            &of(timer, "NextElapseUSecRealtime"),
        ));
    }
    let result = of(service, "Result");
    if !no_service && !matches!(result.as_str(), "success" | "") {
        let status = of(service, "ExecMainStatus");
        found.push(Finding::warning(
            CHECK,
            format!("the last start of {SERVICE} ended with {result} (exit status {status})"),
            "`updates status` tells how the last run went, and `journalctl -u updates.service` all of it",
        ));
    }
    if !no_recover && !is_enabled(&of(recover, "UnitFileState")) {
        found.push(Finding::warning(
            CHECK,
            format!("{RECOVER} is not enabled: after a power cut, modules stay as they are until the next run"),
            format!("systemctl enable {RECOVER}"),
        ));
    }
    found
}

fn judge_timer(file: &str, active: &str, next: &str) -> Finding {
    match (is_enabled(file), active) {
        (true, "active") => {
            let next = if next.is_empty() { "systemd does not say when".to_owned() } else { format!("next on {next}") };
            Finding::ok(CHECK, format!("{TIMER} is enabled and active, {next}"))
        }
        (true, _) => Finding::problem(
            CHECK,
            format!("{TIMER} is enabled, but {active} now: no run is started before the next start of the machine"),
            format!("systemctl start {TIMER}"),
        ),
        (false, "active") => Finding::problem(
            CHECK,
            format!("{TIMER} is active, but {file}: after the next start of the machine there are no runs"),
            format!("systemctl enable {TIMER}"),
        ),
        (false, _) => Finding::problem(
            CHECK,
            format!("{TIMER} is {file} and {active}: no run is ever started"),
            format!("systemctl enable --now {TIMER}"),
        ),
    }
}

fn is_enabled(file: &str) -> bool {
    matches!(file, "enabled" | "enabled-runtime" | "static" | "alias" | "linked" | "generated")
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    fn unit(properties: &[(&str, &str)]) -> Unit {
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn worst(timer: &[(&str, &str)], service: &[(&str, &str)], recover: &[(&str, &str)]) -> (Health, String) {
        let found = judge(&[unit(timer), unit(service), unit(recover)]);
        let worst = found.into_iter().max_by_key(|finding| finding.health).unwrap();
        (worst.health, worst.mend.unwrap_or_default())
    }

    #[test]
    fn each_way_in_which_no_run_is_started_has_its_own_way_out() {
        let good = [("LoadState", "loaded"), ("UnitFileState", "enabled"), ("ActiveState", "active")];
        let timer = |file, active| [("LoadState", "loaded"), ("UnitFileState", file), ("ActiveState", active)];
        assert_eq!(worst(&good, &good, &good).0, Health::Ok);
        for (timer, way_out) in [
            (timer("disabled", "inactive"), "systemctl enable --now updates.timer"),
            (timer("disabled", "active"), "systemctl enable updates.timer"),
            (timer("enabled", "inactive"), "systemctl start updates.timer"),
            ([("LoadState", "masked"), ("", ""), ("", "")], "systemctl unmask updates.timer"),
        ] {
            assert_eq!(worst(&timer, &good, &good), (Health::Problem, way_out.to_owned()));
        }
        assert_eq!(worst(&[("LoadState", "not-found")], &good, &good).0, Health::Problem);
        let failed = [("LoadState", "loaded"), ("Result", "exit-code"), ("ExecMainStatus", "20")];
        assert_eq!(worst(&good, &failed, &good).0, Health::Warning);
        assert_eq!(worst(&good, &good, &timer("disabled", "inactive")).1, "systemctl enable updates-recover.service");
    }
}
