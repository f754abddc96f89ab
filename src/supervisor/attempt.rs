//! One attempt: the invocation is put together, a runner is started, and what it says becomes events and a record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use updates_protocol::{
    Enforcement, Entry, Invocation, Level, LogSource, ModuleInvocation, PROTOCOL, Phase, SandboxPlan, TracedCall, Usage,
};

use super::denials::{Rules, collect};
use super::event::Event;
use super::journal::Journal;
use super::limits;
use super::note::Notes;
use super::requests::{Grants, Trail};
use super::sandbox;
use super::target::Target;
use super::view::View;
use super::writable::Entry as Writable;
use super::{RunContext, modules};
use crate::process::{self, Deadline, LimitHit, NetworkNamespace, RunnerCommand, converse};
use crate::profile::Profile;
use crate::record::{Attempt, Denials, LogLine, Outcome, Verdict};

/// What an attempt is about.
pub(super) struct Scene<'a> {
    pub(super) target: &'a Target,
    pub(super) phase: Phase,
    /// 1, or 2 after a restart.
    pub(super) number: u32,
    pub(super) entry: &'a Entry,
    pub(super) writable: &'a [Writable],
    pub(super) journal: &'a Journal<'a>,
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
    let plan = &mut invocation.sandbox;
    let network = if plan.private_network { context.networks.take() } else { None };
    plan.network_namespace = network.as_ref().map(NetworkNamespace::path);
    let could_change_it =
        plan.capability_bounding_set.iter().any(|name| ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"].contains(&name.as_str()));
    let deadline = Deadline {
        runtime_max: Duration::from_secs(target.profile.runtime_max_sec),
        timeout_stop: Duration::from_secs(target.profile.timeout_stop_sec),
    };
    invocation.sandbox.trace = context.trace;
    let plan = context.trace.then(|| invocation.sandbox.clone());
    let mut calls = Vec::new();
    let writable = scene.writable.iter().map(|entry| entry.path.clone());
    let grants = match Grants::new(context.supervisor, target, writable, scene.journal, scene.phase, context.check) {
        Ok(grants) => grants,
        Err(error) => return not_started(scene, "plan", error.to_string(), &account),
    };
    let mut trail = Trail::default();
    let command = RunnerCommand { program: context.supervisor.installation.runner.clone() };
    let mut events = |event| match event {
        process::Event::Access(call) => calls.push(call),
        event => forward(event, scene, deadline, notes),
    };
    let mut requests = |operation: &str, arguments, left| {
        let asked = Trail::asked(operation, &arguments);
        let answer = grants.answer(operation, arguments, left);
        if let Some((level, message)) = trail.answered(operation, &asked, &answer) {
            notes.event(Event::Log(own_line(scene, level, message)));
        }
        answer.map_err(|denial| denial.to_string())
    };
    let talk = converse(&command, invocation, deadline, &context.supervisor.cancel, &mut events, &mut requests);
    for (level, message) in trail.rest() {
        notes.event(Event::Log(own_line(scene, level, message)));
    }
    // A runner that came to its end has waited for every process of the sandbox.
    let orderly = matches!(talk.outcome, Outcome::Reported { .. } | Outcome::Exited { .. });
    if let Some(network) = network.filter(|_| orderly && !could_change_it) {
        context.networks.give_back(network);
    }
    let mut enforcement = talk.enforcement;
    if let Some(throttled) = scope.throttled() {
        let quota = account.restrictions.iter_mut().filter(|restriction| restriction.name == "cpu_quota");
        quota.for_each(|restriction| restriction.by += &format!("; {throttled}"));
    }
    enforcement.restrictions.extend(account.restrictions);
    let denials = plan.map(|plan| denials(context, target, &plan, &calls));
    Attempt {
        number: scene.number,
        phase: scene.phase,
        limits_hit: limits_hit(&talk.outcome, &scope.hits(), &talk.full, &target.profile),
        outcome: talk.outcome,
        verdict: Verdict::Hold,
        usage: talk.usage,
        enforcement,
        log_bytes_dropped: talk.log_bytes_dropped,
        requests: trail.counts(),
        denials,
    }
}

fn denials(context: &RunContext<'_>, target: &Target, plan: &SandboxPlan, calls: &[TracedCall]) -> Denials {
    let choices = modules::profiles(context.supervisor).shipped();
    let rules = Rules { profile: &target.profile, plan, choices: &choices };
    let view = View::new(context.supervisor.layout.machine());
    collect(&rules, calls, &|path| view.look(path))
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
        requests: Vec::new(),
        denials: None,
    }
}

pub(super) fn invocation(
    context: &RunContext<'_>,
    scene: &Scene<'_>,
    cgroup_procs: Vec<PathBuf>,
) -> Result<Invocation, sandbox::PlanError> {
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
        turn: context.turn.clone(),
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
        process::Event::Log(entry) => Event::Log(log_line(entry, scene)),
        process::Event::Progress { step, current, total, unit } => {
            Event::Progress { module, step, current, total, unit }
        }
        process::Event::Terminating { reason } => Event::Stopping { module, reason },
    });
}

/// A line of the module's log as it is shown and kept.
pub(super) fn log_line(entry: process::LogEntry, scene: &Scene<'_>) -> LogLine {
    LogLine {
        module: scene.target.manifest.name.clone(),
        attempt: scene.number,
        phase: scene.phase,
        time: entry.time,
        level: entry.level,
        source: entry.source,
        message: entry.message,
    }
}

// What the supervisor has to say about a request stands in the module's log, under the supervisor's own name.
fn own_line(scene: &Scene<'_>, level: Level, message: String) -> LogLine {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    LogLine {
        module: scene.target.manifest.name.clone(),
        attempt: scene.number,
        phase: scene.phase,
        time,
        level,
        source: LogSource::Supervisor,
        message,
    }
}

// SIGXFSZ and SIGXCPU are sent at these limits and nowhere else, see setrlimit(2).
fn limits_hit(outcome: &Outcome, hits: &[LimitHit], full: &[String], profile: &Profile) -> Vec<String> {
    let mut limits: Vec<String> = hits.iter().map(ToString::to_string).collect();
    if let (Outcome::Signalled { signal, .. }, Some(bytes)) = (outcome, profile.limit_fsize)
        && *signal == Signal::SIGXFSZ as i32
    {
        limits.push(format!("limit_fsize {bytes} was reached"));
    }
    let tmp_size = match profile.tmp_size {
        bytes if bytes % (1 << 20) == 0 => format!("{}M", bytes >> 20),
        bytes => bytes.to_string(),
    };
    limits.extend(full.iter().map(|folder| format!("tmp_size {tmp_size} was reached in {folder}")));
    limits
}
