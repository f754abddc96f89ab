//! A real unbound on loopback ports of its own, which reads the list that the module writes below a root.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};

use super::support::Root;

/// The configuration of the one that runs, which sees this machine and not the root's.
const OUTSIDE: &str = "/srv/resolver/unbound.conf";
/// A port at which nothing listens.
const NOBODY: u16 = 1;

#[derive(Debug, Clone, Copy)]
struct Ports {
    service: u16,
    control: u16,
}

/// A running unbound, ended when dropped.
pub struct Resolver {
    process: Child,
    control: u16,
}

impl Resolver {
    /// Writes unbound's configuration as modules see it, for an unbound that is not running.
    pub fn configure(root: &Root) {
        assert!(
            std::path::Path::new("/usr/sbin/unbound-checkconf").exists(),
            "unbound is not installed: run packaging/setup test"
        );
        write(root, Ports { service: NOBODY, control: NOBODY });
    }

    /// Starts it with that configuration; returns when it serves.
    pub fn start(root: &Root) -> Self {
        Self::configure(root);
        let mut said = Vec::new();
        // A port that is free now may be taken by the time unbound asks for it.
        for _ in 0..5 {
            let ports = Ports { service: free_port(), control: free_port() };
            write(root, ports);
            match Self::launch(root) {
                Ok(process) => return Self { process, control: ports.control },
                Err(lines) => said = lines,
            }
        }
        panic!("unbound did not start: {said:#?}");
    }

    fn launch(root: &Root) -> Result<Child, Vec<String>> {
        let mut process = Command::new("/usr/sbin/unbound")
            .args(["-d", "-v", "-c"])
            .arg(root.at(OUTSIDE))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        for line in BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok) {
            if line.contains("start of service") {
                return Ok(process);
            }
            said.push(line);
        }
        process.wait().unwrap();
        Err(said)
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

fn write(root: &Root, ports: Ports) {
    root.folder("/etc/unbound/unbound.conf.d");
    root.write("/etc/unbound/unbound.conf", configuration("/etc/unbound", ports));
    // The same settings with the folder where this machine has it.
    root.write(OUTSIDE, configuration(&root.at("/etc/unbound").to_string_lossy(), ports));
}

fn configuration(folder: &str, Ports { service, control }: Ports) -> String {
    format!(
        r#"server:
    interface: 127.0.0.1
    port: {service}
    chroot: ""
    username: ""
    directory: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    num-threads: 1
    module-config: "iterator"
remote-control:
    control-enable: yes
    control-interface: 127.0.0.1
    control-port: {control}
    control-use-cert: no
include: "{folder}/unbound.conf.d/*.conf"
"#
    )
}

// Free for both protocols when asked.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
