//! A source that is reached over ssh from the service, which has neither an agent nor a person to ask.

use super::is_there;
use super::machine::{Machine, shopkeeper};

/// A server on the loopback with keys of its own, and a key for updates that it lets in.
const SERVER: &str = "set -e
mkdir -p /run/sshd /root/.ssh /etc/updates/keys
ssh-keygen -q -t ed25519 -N '' -f /etc/updates/keys/source
cp /etc/updates/keys/source.pub /root/.ssh/authorized_keys
chmod -R go= /root/.ssh /etc/updates/keys
systemctl unmask --quiet ssh
printf 'Port 2222\\nListenAddress 127.0.0.1\\nPermitRootLogin prohibit-password\\n' >/etc/ssh/sshd_config.d/test.conf
systemctl restart ssh
printf '[127.0.0.1]:2222 %s\\n' \"$(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)\" >/etc/updates/known_hosts
";

const SETTINGS: &str = "[source]
url = \"ssh://root@127.0.0.1:2222/srv/shared/modules.git\"
ssh_key = \"/etc/updates/keys/source\"
known_hosts = \"/etc/updates/known_hosts\"
";

fn machine() -> Machine {
    let (machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True}")]);
    machine.ok(SERVER);
    machine.write("/etc/updates/config.d/source.toml", SETTINGS);
    machine
}

#[test]
fn the_service_fetches_over_ssh_from_a_server_that_it_knows() {
    if !is_there() {
        return;
    }
    let machine = machine();
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
    assert_eq!(machine.ok("cat /srv/shop/conf"), "after");
}

#[test]
fn the_service_fetches_nothing_from_an_ssh_server_that_it_does_not_know() {
    if !is_there() {
        return;
    }
    let machine = machine();
    machine.ok("ssh-keygen -q -t ed25519 -N '' -f /run/other
        printf '[127.0.0.1]:2222 %s\\n' \"$(cut -d' ' -f1,2 /run/other.pub)\" >/etc/updates/known_hosts");
    // Nothing is installed yet, so nothing runs; it is told, and it is not waited for an answer.
    machine.run_service();
    assert_eq!(machine.ok("cat /srv/shop/conf"), "before");
    let run = machine.updates_json(&["show", "last"]);
    let error = run["sync"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("known_hosts"), "{run:#}");
}
