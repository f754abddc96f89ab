//! A real unbound on loopback ports of its own, which reads the list that the module writes below a root.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};

use super::support::Root;

/// A running unbound, ended when dropped.
pub struct Resolver {
    process: Child,
    control: u16,
}

impl Resolver {
    /// Writes unbound's configuration as modules see it, without starting anything. Its control port answers nobody.
    pub fn configure(root: &Root) -> u16 {
        assert!(
            std::path::Path::new("/usr/sbin/unbound-checkconf").exists(),
            "unbound is not installed: run packaging/setup test"
        );
        let control = free_port();
        root.write("/etc/unbound/unbound.conf", configuration("/etc/unbound", free_port(), control));
        root.folder("/etc/unbound/unbound.conf.d");
        control
    }

    /// Starts it with that configuration; returns when it serves.
    pub fn start(root: &Root) -> Self {
        let control = Self::configure(root);
        let place = root.at("/etc/unbound");
        // The same settings at the place where this machine has them.
        let own = configuration(&place.to_string_lossy(), free_port(), control);
        root.write("/srv/resolver/unbound.conf", own);
        let mut process = Command::new("/usr/sbin/unbound")
            .args(["-d", "-v", "-c"])
            .arg(root.at("/srv/resolver/unbound.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        for line in BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok) {
            if line.contains("start of service") {
                return Self { process, control };
            }
            said.push(line);
        }
        panic!("unbound did not start: {said:#?}");
    }

    /// The zones that it has in force with this action, sorted.
    pub fn zones(&self, action: &str) -> Vec<String> {
        let output = Command::new("/usr/sbin/unbound-control")
            .args(["-s", &format!("127.0.0.1@{}", self.control), "-c", "/dev/null", "list_local_zones"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let named = text.lines().filter_map(|line| line.strip_suffix(&format!(" {action}")));
        let mut zones: Vec<String> = named.map(str::to_owned).collect();
        zones.sort();
        zones
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn configuration(folder: &str, port: u16, control: u16) -> String {
    format!(
        "server:\n    interface: 127.0.0.1\n    port: {port}\n    chroot: \"\"\n    username: \"\"\n    directory: \"\"\n    \
         pidfile: \"\"\n    use-syslog: no\n    do-daemonize: no\n    num-threads: 1\n    module-config: \"iterator\"\n\
         remote-control:\n    control-enable: yes\n    control-interface: 127.0.0.1\n    control-port: {control}\n    \
         control-use-cert: no\ninclude: \"{folder}/unbound.conf.d/*.conf\"\n"
    )
}

// Free for both protocols when asked; nobody else on this machine is expected to take it in the moment after.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
