//! When each selected module may start: priority, then name; side by side only where nothing can get in each other's way.

use std::collections::VecDeque;

use updates_protocol::{DeclaredPath, ModuleName};

/// A selected module, with what decides when it may start.
#[derive(Debug, Clone)]
pub struct Task {
    /// Which module.
    pub module: ModuleName,
    /// Lower runs earlier; the next priority starts when the one before is done.
    pub priority: i64,
    /// Runs while nothing else runs.
    pub exclusive: bool,
    /// What it may write. Two modules that share a path never run side by side, since a rollback of one would take
    /// back what the other did.
    pub paths: Vec<DeclaredPath>,
    /// What of that is put back when it fails.
    pub saved: Vec<DeclaredPath>,
    /// What it asked to read. It never starts beside a module that may write there, which could lead it elsewhere by a
    /// link after the way was looked at.
    pub reads: Vec<DeclaredPath>,
    /// Full names of the units that it may control; shared ones keep modules apart for the same reason.
    pub units: Vec<String>,
    /// The kind and name of each database of a server that is put back when it fails. Wherever the server is said to be:
    /// one server has many addresses.
    pub databases: Vec<String>,
}

/// The order of a run, handed out task by task.
#[derive(Debug)]
pub struct Schedule {
    waiting: VecDeque<Task>,
    running: Vec<Task>,
    stuck: Vec<Task>,
    jobs: usize,
}

impl Schedule {
    /// An order for `tasks`, of which at most `jobs` run side by side.
    pub fn new(mut tasks: Vec<Task>, jobs: usize) -> Self {
        tasks.sort_by(|a, b| a.priority.cmp(&b.priority).then_with(|| a.module.cmp(&b.module)));
        Self { waiting: tasks.into(), running: Vec::new(), stuck: Vec::new(), jobs: jobs.max(1) }
    }

    /// The next module that may start now. `None` means: wait until one is [finished](Self::finished), or all are done.
    pub fn start(&mut self) -> Option<ModuleName> {
        let index = self.startable()?;
        let task = self.waiting.remove(index)?;
        let module = task.module.clone();
        self.running.push(task);
        Some(module)
    }

    fn startable(&self) -> Option<usize> {
        let first = self.waiting.front()?;
        if self.running.is_empty() {
            return Some(0);
        }
        if self.running.len() >= self.jobs || self.running.iter().any(|task| task.exclusive) {
            return None;
        }
        for (index, task) in self.waiting.iter().enumerate() {
            // An exclusive module is not overtaken, or it might wait for the whole priority.
            if task.exclusive || task.priority != first.priority || self.running[0].priority != task.priority {
                return None;
            }
            let led = |other: &Task| overlap(&other.paths, &task.reads) || overlap(&other.reads, &task.paths);
            let in_the_way = |other: &Task| task.shares(other) || led(other) || overlap(&other.paths, &task.paths);
            if !self.running.iter().any(in_the_way) {
                return Some(index);
            }
        }
        None
    }

    /// Says that a started module is done.
    pub fn finished(&mut self, module: &ModuleName) {
        self.running.retain(|task| task.module != *module);
    }

    /// Says that a started module is done and could not be put back.
    pub fn finished_stuck(&mut self, module: &ModuleName) {
        if let Some(at) = self.running.iter().position(|task| task.module == *module) {
            let task = self.running.swap_remove(at);
            self.stuck.push(task);
        }
    }

    /// Keeps in mind a module that an earlier run could not put back.
    pub fn stuck(&mut self, task: Task) {
        self.stuck.push(task);
    }

    /// Takes back the modules that have not started and may write what one that is not put back goes back to, each with
    /// the name of that one: putting it back later would take their work with it.
    pub fn withdraw(&mut self) -> Vec<(ModuleName, ModuleName)> {
        let mut withdrawn = Vec::new();
        for stuck in &self.stuck {
            self.waiting.retain(|task| {
                let shares = overlap(&stuck.saved, &task.paths) || task.shares(stuck);
                if shares {
                    withdrawn.push((task.module.clone(), stuck.module.clone()));
                }
                !shares
            });
        }
        withdrawn
    }

    /// Takes back every module that has not started.
    pub fn cancel(&mut self) -> Vec<ModuleName> {
        self.waiting.drain(..).map(|task| task.module).collect()
    }

    /// Whether any has not started yet.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        self.running.len()
    }
}

impl Task {
    /// Whether both have a unit or a database of the same name.
    fn shares(&self, other: &Task) -> bool {
        let any = |ours: &[String], theirs: &[String]| ours.iter().any(|name| theirs.contains(name));
        any(&self.units, &other.units) || any(&self.databases, &other.databases)
    }
}

fn overlap(left: &[DeclaredPath], right: &[DeclaredPath]) -> bool {
    left.iter().any(|l| right.iter().any(|r| l.is_within(r) || r.is_within(l)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, priority: i64, exclusive: bool, paths: &[&str]) -> Task {
        let paths: Vec<_> = paths.iter().map(|path| DeclaredPath::new(path).unwrap()).collect();
        let (reads, units, databases, saved) = (Vec::new(), Vec::new(), Vec::new(), paths.clone());
        Task { module: name.parse().unwrap(), priority, exclusive, paths, saved, reads, units, databases }
    }

    fn wave(schedule: &mut Schedule) -> Vec<String> {
        let wave: Vec<_> = std::iter::from_fn(|| schedule.start()).collect();
        wave.iter().for_each(|module| schedule.finished(module));
        wave.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn priority_comes_before_name_and_jobs_bound_the_width() {
        let tasks = ["d", "a", "c"].map(|name| task(name, 100, false, &[]));
        let mut schedule = Schedule::new([tasks.to_vec(), vec![task("z", 1, false, &[])]].concat(), 2);
        assert_eq!(wave(&mut schedule), ["z"]);
        assert_eq!(wave(&mut schedule), ["a", "c"]);
        assert_eq!(wave(&mut schedule), ["d"]);
        assert!(wave(&mut schedule).is_empty());
    }

    #[test]
    fn an_exclusive_module_runs_alone_and_is_not_overtaken() {
        let mut schedule =
            Schedule::new(vec![task("a", 1, false, &[]), task("b", 1, true, &[]), task("c", 1, false, &[])], 4);
        assert_eq!(wave(&mut schedule), ["a"]);
        assert_eq!(wave(&mut schedule), ["b"]);
        assert_eq!(wave(&mut schedule), ["c"]);
    }

    #[test]
    fn modules_that_share_a_unit_run_one_after_the_other() {
        let with = |name: &str, unit: &str| Task { units: vec![unit.to_owned()], ..task(name, 1, false, &[]) };
        let tasks = vec![with("a", "web.service"), with("b", "web.service"), with("c", "db.service")];
        let mut schedule = Schedule::new(tasks, 4);
        assert_eq!(wave(&mut schedule), ["a", "c"]);
        assert_eq!(wave(&mut schedule), ["b"]);
    }

    #[test]
    fn modules_that_share_a_database_run_one_after_the_other() {
        let with = |name: &str, held: &str| Task { databases: vec![held.to_owned()], ..task(name, 1, false, &[]) };
        let tasks = vec![with("a", "postgresql app"), with("b", "mysql app"), with("c", "postgresql app")];
        let mut schedule = Schedule::new(tasks, 4);
        assert_eq!(wave(&mut schedule), ["a", "b"]);
        assert_eq!(wave(&mut schedule), ["c"]);
    }

    #[test]
    fn a_module_never_starts_beside_one_that_may_write_what_it_asked_to_read() {
        let reader = |name: &str| Task {
            reads: vec![DeclaredPath::new("/srv/x/link/file").unwrap()],
            ..task(name, 1, false, &[])
        };
        for tasks in [
            vec![reader("a"), task("b", 1, false, &["/srv/x"]), reader("c")],
            vec![task("a", 1, false, &["/srv/x"]), reader("b"), task("c", 1, false, &["/etc"])],
        ] {
            let mut schedule = Schedule::new(tasks, 4);
            assert_eq!(wave(&mut schedule), ["a", "c"]);
            assert_eq!(wave(&mut schedule), ["b"]);
        }
    }

    #[test]
    fn modules_that_share_a_path_run_one_after_the_other() {
        let mut schedule = Schedule::new(
            vec![task("a", 1, false, &["/etc/x"]), task("b", 1, false, &["/etc/x/y"]), task("c", 1, false, &["/srv"])],
            4,
        );
        assert_eq!(wave(&mut schedule), ["a", "c"]);
        assert_eq!(wave(&mut schedule), ["b"]);
    }
}
