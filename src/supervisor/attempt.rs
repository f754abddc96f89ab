//! One attempt: the invocation is put together, a runner is started, and what it says becomes events and a record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use updates_protocol::{Enforcement, Entry, Invocation, ModuleInvocation, PROTOCOL, Phase, Usage};

use super::RunContext;
use super::event::Event;
use super::grants::Grants;
use super::limits;
use super::note::Notes;
use super::sandbox;
use super::target::Target;
use super::writable::Entry as Writable;
use crate::fs::PathError;
use crate::process::{self, Deadline, RunnerCommand, converse};
use crate::record::{Attempt, LogLine, Outcome, Verdict};

/// What an attempt is about.
pub(super) struct Scene<'a> {
    pub(super) target: &'a Target,
    pub(super) phase: Phase,
    /// 1, or 2 after a restart.
    pub(super) number: u32,
    pub(super) entry: &'a Entry,
    pub(super) writable: &'a [Writable],
}

/// Runs it to its end. The verdict is the caller's to set.
pub(super) fn run(context: &RunContext<'_>, scene: &Scene<'_>, notes: &Notes) -> Attempt {
    let target = scene.target;
    let name = &target.manifest.name;
    let bounds = sandbox::cgroup_limits(&target.profile);
    let scope = context.cgroups.scope(name, bounds);
    let mut account = scope.account().clone();
    let mut invocation = match invocation(context, scene, scope.procs()) {
        Ok(invocation) => invocation,
        Err(error) => return not_started(scene, "plan", error.to_string(), &account),
    };
    let unprivileged = !rustix::process::geteuid().is_root() || invocation.sandbox.identity.is_some();
    limits::substitute(&mut account, bounds, &mut invocation.sandbox, unprivileged);
    if let Some(lacking) = account.restrictions.iter().find(|r| !r.enforced && !target.profile.may_lack(&r.name)) {
        let reason = format!("{}; the profile {} does not list it under best_effort", lacking.by, target.profile.name);
        return not_started(scene, &lacking.name, reason, &account);
    }
    let deadline = Deadline {
        runtime_max: Duration::from_secs(target.profile.runtime_max_sec),
        timeout_stop: Duration::from_secs(target.profile.timeout_stop_sec),
    };
    let mut declared = target.declared();
    declared.extend(scene.writable.iter().map(|entry| entry.path.clone()));
    let grants = Grants::new(&context.supervisor.layout, name, declared, context.check);
    let command = RunnerCommand { program: context.supervisor.installation.runner.clone() };
    let mut events = |event| forward(event, scene, deadline, notes);
    let mut requests = |operation: &str, arguments| grants.answer(operation, arguments);
    let talk = converse(&command, invocation, deadline, &context.supervisor.cancel, &mut events, &mut requests);
    let mut enforcement = talk.enforcement;
    if let Some(throttled) = scope.throttled() {
        let quota = account.restrictions.iter_mut().filter(|restriction| restriction.name == "cpu_quota");
        quota.for_each(|restriction| restriction.by += &format!("; {throttled}"));
    }
    enforcement.restrictions.extend(account.restrictions);
    let hits = scope.hits();
    Attempt {
        number: scene.number,
        phase: scene.phase,
        outcome: explain(talk.outcome, &hits),
        limits_hit: hits.iter().map(ToString::to_string).collect(),
        verdict: Verdict::Hold,
        usage: talk.usage,
        enforcement,
        log_bytes_dropped: talk.log_bytes_dropped,
    }
}

fn not_started(scene: &Scene<'_>, step: &str, reason: String, account: &Enforcement) -> Attempt {
    Attempt {
        number: scene.number,
        phase: scene.phase,
        outcome: Outcome::NotStarted { step: step.to_owned(), reason },
        limits_hit: Vec::new(),
        verdict: Verdict::Hold,
        usage: Usage::default(),
        enforcement: account.clone(),
        log_bytes_dropped: 0,
    }
}

fn invocation(
    context: &RunContext<'_>,
    scene: &Scene<'_>,
    cgroup_procs: Vec<PathBuf>,
) -> Result<Invocation, PathError> {
    let target = scene.target;
    let name = &target.manifest.name;
    let mut arguments = context.arguments.clone();
    if context.check {
        arguments.insert(0, "--check".to_owned());
    }
    Ok(Invocation {
        module: ModuleInvocation {
            protocol: PROTOCOL,
            module: name.clone(),
            run_id: context.run_id.clone(),
            attempt: scene.number,
            phase: scene.phase,
            check: context.check,
            arguments,
            directory: target.inside.clone(),
            state_directory: sandbox::state_directory(context, name).target,
            manifest: target.manifest.raw.clone(),
        },
        entry: scene.entry.clone(),
        environment: environment(context, scene),
        sandbox: sandbox::plan(context, target, scene.writable, cgroup_procs)?,
    })
}

// Nothing of the supervisor's own environment is passed on.
fn environment(context: &RunContext<'_>, scene: &Scene<'_>) -> BTreeMap<String, String> {
    let name = &scene.target.manifest.name;
    let state = sandbox::state_directory(context, name).target;
    let mut environment: BTreeMap<String, String> = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("LANG", "C.UTF-8"),
        ("HOME", "/tmp"),
        ("TMPDIR", "/tmp"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    environment.extend(scene.target.profile.environment.clone());
    environment.insert("STATE_DIRECTORY".to_owned(), state.display().to_string());
    environment.insert("UPDATES_MODULE".to_owned(), name.to_string());
    environment.insert("UPDATES_RUN_ID".to_owned(), context.run_id.to_string());
    environment.insert("UPDATES_ATTEMPT".to_owned(), scene.number.to_string());
    if context.check {
        environment.insert("UPDATES_CHECK".to_owned(), "1".to_owned());
    }
    environment
}

fn forward(event: process::Event, scene: &Scene<'_>, deadline: Deadline, notes: &Notes) {
    let module = scene.target.manifest.name.clone();
    notes.event(match event {
        process::Event::Started { .. } | process::Event::Access(_) => return,
        process::Event::Slow { .. } => Event::Slow { module, limit: deadline.runtime_max },
        process::Event::Log(entry) => Event::Log(LogLine {
            module,
            attempt: scene.number,
            phase: scene.phase,
            time: entry.time,
            level: entry.level,
            source: entry.source,
            message: entry.message,
        }),
        process::Event::Progress { step, current, total, unit } => {
            Event::Progress { module, step, current, total, unit }
        }
        process::Event::Terminating { reason } => Event::Stopping { module, reason },
    });
}

// Which limit was hit is worth more than the signal that it ended in.
fn explain(outcome: Outcome, hits: &[process::LimitHit]) -> Outcome {
    if hits.is_empty() {
        return outcome;
    }
    let limits = hits.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    match outcome {
        Outcome::Signalled { signal, name } => Outcome::Signalled { signal, name: format!("{name} ({limits})") },
        other => other,
    }
}
