//! What stands outside of the sandbox to be reached from inside: listeners on loopback, sockets of every kind, shared
//! memory and queues of this machine, and secrets where a server has them. All of it is gone with the value.
#![allow(unsafe_code)] // System V and POSIX queues have no safe wrapper among the libraries here

use std::ffi::CString;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::thread;

use nix::libc;

use crate::support::{Root, marker};

/// The outside, while it is held.
pub struct Outside {
    arguments: Vec<String>,
    _listeners: (TcpListener, Option<TcpListener>, UnixListener, UnixDatagram, UnixListener),
    segment: i32,
    messages: i32,
    queue: CString,
    shared: PathBuf,
}

impl Outside {
    pub fn new(root: &Root) -> Self {
        let name = marker();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        // Not every machine has IPv6; then there is nothing to reach by it.
        let tcp6 = TcpListener::bind("[::1]:0").ok();
        let udp = echo();
        let stream = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let datagram_name = format!("{name}-datagram");
        let datagram = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&datagram_name).unwrap()).unwrap();
        // At the top, where the sandbox shows the root's own directory: below one that this machine has too lies an
        // overlay, which has sockets of its own.
        let service = UnixListener::bind(root.folder("/appliance").at("/appliance/socket")).unwrap();
        fs::set_permissions(root.at("/appliance/socket"), fs::Permissions::from_mode(0o666)).unwrap();

        let key = std::process::id() as i32;
        let flags = libc::IPC_CREAT | 0o666;
        // SAFETY: neither call takes a pointer.
        let (segment, messages) = unsafe { (libc::shmget(key, 4096, flags), libc::msgget(key, flags)) };
        let queue = CString::new(format!("/{name}")).unwrap();
        // SAFETY: the name lives through the call; no attributes are given.
        let opened = unsafe { libc::mq_open(queue.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o666, 0) };
        let shared = PathBuf::from("/dev/shm").join(&name);
        fs::write(&shared, "secret").unwrap();

        let mut arguments = vec![
            format!("tcp={}", tcp.local_addr().unwrap().port()),
            format!("udp={udp}"),
            format!("abstract={name}"),
            format!("datagram={datagram_name}"),
            "unix=/appliance/socket".to_owned(),
            format!("shared={name}"),
            format!("pid={}", std::process::id()),
            "channel=3".to_owned(),
            format!("machine={}", root.path().display()),
        ];
        arguments.extend(tcp6.as_ref().map(|listener| format!("tcp6={}", listener.local_addr().unwrap().port())));
        assert!(segment >= 0 && messages >= 0, "System V memory: {segment}, messages: {messages}");
        arguments.push(format!("key={key}"));
        if opened >= 0 {
            // The descriptor stays open for as long as the test runs; the name is removed when the value goes.
            arguments.push(format!("queue={name}"));
        }
        Self { arguments, _listeners: (tcp, tcp6, stream, datagram, service), segment, messages, queue, shared }
    }

    /// What `attempt` has to know of it.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(String::as_str)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // SAFETY: the ids and the name are those made above; no buffer is handed over.
        let removed = unsafe {
            libc::shmctl(self.segment, libc::IPC_RMID, std::ptr::null_mut())
                | libc::msgctl(self.messages, libc::IPC_RMID, std::ptr::null_mut())
                | libc::mq_unlink(self.queue.as_ptr())
        };
        if fs::remove_file(&self.shared).is_err() || removed != 0 {
            eprintln!("something of {} stays on this machine", self.shared.display());
        }
    }
}

// Answers every datagram for as long as the test program lives.
fn echo() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
    port
}

/// Secrets where a server has them.
pub fn plant_secrets(root: &Root) {
    for path in [
        "/etc/shadow",
        "/etc/ssl/private/server.key",
        "/etc/ssh/ssh_host_ed25519_key",
        "/root/.ssh/id_ed25519",
        "/home/somebody/secret",
        "/var/lib/updates/state/neighbour/secret",
        "/usr/local/lib/updates/modules/neighbour/index.json",
    ] {
        root.write(path, "{}");
    }
    // The usual mode of most of them would stop a user; the sandbox must not depend on it.
    for path in ["/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/var/lib/updates/state/neighbour/secret"] {
        fs::set_permissions(root.at(path), fs::Permissions::from_mode(0o644)).unwrap();
    }
}
