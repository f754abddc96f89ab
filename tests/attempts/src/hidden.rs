//! Lines 17, 18 and 25: what is hidden from a module, by each name that leads there: its own, through the roots of other
//! processes, and where the test keeps the machine itself.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;

use crate::Attempt;
use crate::context::Context;
use crate::files::{readable, writable};
use crate::outcome::Outcome;
use crate::raw;

pub const ATTEMPTS: &[Attempt] = &[
    ("17", "write into a hidden directory", hidden),
    ("18a", "read /etc/shadow", |context| secret(context, "/etc/shadow")),
    ("18b", "read a private key in /etc/ssl/private", |context| secret(context, "/etc/ssl/private/server.key")),
    ("18c", "read the SSH host key", |context| secret(context, "/etc/ssh/ssh_host_ed25519_key")),
    ("18d", "read a key of root's", |context| secret(context, "/root/.ssh/id_ed25519")),
    ("18e", "read a file in a home", |context| secret(context, "/home/somebody/secret")),
    ("18f", "connect to docker.sock", |_| {
        sockets(&[
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/run/containerd/containerd.sock",
            "/run/podman/podman.sock",
        ])
    }),
    ("18g", "connect to D-Bus or systemd", |_| {
        sockets(&[
            "/run/dbus/system_bus_socket",
            "/var/run/dbus/system_bus_socket",
            "/run/systemd/private",
            "/run/systemd/io.systemd.Manager",
        ])
    }),
    ("18h", "open the supervisor's lock", |_| writable("/run/updates/lock")),
    ("25a", "read the supervisor's database", |context| secret(context, "/var/lib/updates/updates.db")),
    ("25b", "list checkpoints", |context| listed(context, "/var/lib/updates/checkpoints")),
    ("25c", "read another module's state", |context| secret(context, "/var/lib/updates/state/neighbour/secret")),
    ("25d", "list slots", |context| listed(context, "/var/backups/updates")),
    ("25e", "write into another module's code", |context| into_neighbour(context)),
    ("25f", "read the mirror", |context| listed(context, "/var/lib/updates/source")),
];

fn hidden(context: &Context) -> Outcome {
    let mut directories: Vec<_> =
        ["/root", "/home", "/var/lib/updates", "/var/backups/updates"].iter().map(PathBuf::from).collect();
    directories.extend(context.paths("machine"));
    Outcome::worst(directories.iter().map(|directory| {
        let file = directory.join(format!(".attempt-{}", std::process::id()));
        let answer = raw::open(&file, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL);
        if answer.is_ok() {
            fs::remove_file(&file).ok();
        }
        (directory.display().to_string(), Outcome::of(answer, &[]))
    }))
}

/// The same file by all its names: through other processes' roots, and where the test keeps the machine itself.
fn names(context: &Context, path: &str) -> Vec<PathBuf> {
    let mut names = vec![PathBuf::from(path)];
    let below = path.trim_start_matches('/');
    let mut roots: Vec<_> =
        ["/proc/self/root", "/proc/1/root", "/proc/1/cwd/../../../../../../..", "/proc/self/task/1/root"]
            .iter()
            .map(PathBuf::from)
            .collect();
    roots.extend(context.paths("machine"));
    names.extend(roots.iter().map(|root| root.join(below)));
    names
}

fn secret(context: &Context, path: &str) -> Outcome {
    Outcome::worst(names(context, path).iter().map(|name| (name.display().to_string(), readable(name))))
}

fn listed(context: &Context, path: &str) -> Outcome {
    Outcome::worst(names(context, path).iter().map(|name| {
        let outcome = match fs::read_dir(name) {
            Ok(entries) => match entries.count() {
                0 => Outcome::absent("an empty directory in its place"),
                count => Outcome::open(format!("{count} entries")),
            },
            Err(error) => Outcome::of(Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))), &[]),
        };
        (name.display().to_string(), outcome)
    }))
}

fn into_neighbour(context: &Context) -> Outcome {
    let names = names(context, "/usr/local/lib/updates/modules/neighbour/index.json");
    Outcome::worst(names.iter().map(|name| (name.display().to_string(), writable(name))))
}

fn sockets(paths: &[&str]) -> Outcome {
    let roots = ["", "/proc/1/root"];
    Outcome::worst(roots.iter().flat_map(|root| {
        paths.iter().map(move |path| {
            let path = format!("{root}{path}");
            let outcome = match UnixStream::connect(&path) {
                Ok(_) => Outcome::open("connected"),
                Err(error) => Outcome::of(Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))), &[Errno::EAGAIN]),
            };
            (path, outcome)
        })
    }))
}
