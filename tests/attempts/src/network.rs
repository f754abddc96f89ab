//! Lines 66 to 73: the network and the means of talking between processes. What can be reached is put up by the test on
//! loopback addresses; nothing is sent to any other machine.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;

use crate::Attempt;
use crate::context::Context;
use crate::files::readable;
use crate::outcome::{Outcome, worst};
use crate::raw::{Answer, at, close, into, sys, text};

const STREAM: i32 = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
const DATAGRAM: i32 = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
const RAW: i32 = libc::SOCK_RAW | libc::SOCK_CLOEXEC;

pub const ATTEMPTS: &[Attempt] = &[
    ("66a", "connect to 127.0.0.1 of the host", |context| {
        tcp(context, 0, &v4(Ipv4Addr::LOCALHOST, port(context, "tcp")))
    }),
    ("66b", "connect to ::1 of the host", |context| tcp6(Ipv6Addr::LOCALHOST, context.number("tcp6"))),
    ("66c", "connect to the host by a mapped address", |context| {
        tcp6(Ipv4Addr::LOCALHOST.to_ipv6_mapped(), context.number("tcp"))
    }),
    ("66d", "connect to 0.0.0.0", |context| tcp(context, 0, &v4(Ipv4Addr::UNSPECIFIED, port(context, "tcp")))),
    ("66e", "a route to the world", |_| route()),
    ("67", "a question over UDP", |context| udp(context)),
    ("68a", "MPTCP", |context| tcp(context, 262, &v4(Ipv4Addr::LOCALHOST, port(context, "tcp")))),
    ("68b", "TCP fast open", |context| fast_open(context)),
    ("68c", "SCTP", |context| tcp(context, 132, &v4(Ipv4Addr::LOCALHOST, port(context, "tcp")))),
    ("68d", "SMC", |_| socket(43, STREAM, 0)),
    ("69a", "a RAW socket", |_| socket(libc::AF_INET, RAW, 1)),
    ("69b", "a RAW socket of IPv6", |_| socket(libc::AF_INET6, RAW, 58)),
    ("69c", "a PACKET socket", |_| socket(libc::AF_PACKET, RAW, 0x0300)),
    ("69d", "a PACKET socket without the link's header", |_| socket(libc::AF_PACKET, DATAGRAM, 0)),
    ("70a", "NETLINK: routes", |_| socket(libc::AF_NETLINK, RAW, 0)),
    ("70b", "NETLINK: every other kind", |_| {
        Outcome::worst((1..24).map(|kind| (kind.to_string(), socket(libc::AF_NETLINK, RAW, kind))))
    }),
    ("70c", "VSOCK", |_| worst([("stream", socket(40, STREAM, 0)), ("datagram", socket(40, DATAGRAM, 0))])),
    ("70d", "ALG", |_| socket(38, libc::SOCK_SEQPACKET, 0)),
    ("70e", "any other family", |_| any_family()),
    ("71a", "an abstract socket of the host", |context| abstract_socket(context, STREAM, "abstract")),
    ("71b", "an abstract datagram socket of the host", |context| abstract_socket(context, DATAGRAM, "datagram")),
    ("72a", "System V shared memory of the host", |context| keyed(context, |key| sys!(libc::SYS_shmget, key, 0, 0))),
    ("72b", "a System V message queue of the host", |context| keyed(context, |key| sys!(libc::SYS_msgget, key, 0))),
    ("72c", "a POSIX message queue of the host", |context| match context.get("queue") {
        Some(name) => {
            let name = text(name);
            Outcome::of(sys!(libc::SYS_mq_open, name.as_ptr(), libc::O_RDONLY, 0, 0), &[])
        }
        None => Outcome::not_applicable("no queue= was given"),
    }),
    ("72d", "shared memory of the host in /dev/shm", |context| match context.get("shared") {
        Some(name) => readable(&PathBuf::from("/dev/shm").join(name)),
        None => Outcome::not_applicable("no shared= was given"),
    }),
    ("73a", "smuggle a descriptor out over an abstract socket", |context| smuggle(context)),
    ("73b", "smuggle a descriptor out over a socket of the host's", |context| host_socket(context)),
];

fn port(context: &Context, key: &str) -> u16 {
    context.number(key).unwrap_or(0)
}

fn v4(address: Ipv4Addr, port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    }
}

fn socket(family: i32, kind: i32, protocol: i32) -> Outcome {
    match sys!(libc::SYS_socket, family, kind, protocol) {
        // Not known to this kernel, which may still learn it by loading a module.
        Err(error @ (Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT)) => {
            Outcome::refused(format!("{error:?}"))
        }
        other => Outcome::of(other, &[]),
    }
}

fn any_family() -> Outcome {
    let known = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET, 38, 40, 43];
    let kinds = [STREAM, DATAGRAM, RAW, libc::SOCK_SEQPACKET];
    let others = (1..47).filter(|family| !known.contains(family));
    Outcome::worst(others.flat_map(|family| {
        kinds.map(|kind| (format!("family {family}"), socket(family, kind, if family == 15 { 2 } else { 0 })))
    }))
}

// Refused or unreachable is as good as any other refusal; going on in the background is not.
fn connected(answer: Answer) -> Outcome {
    Outcome::of(answer, &[Errno::EINPROGRESS, Errno::EAGAIN])
}

fn tcp(context: &Context, protocol: i32, address: &libc::sockaddr_in) -> Outcome {
    if context.get("tcp").is_none() {
        return Outcome::not_applicable("no tcp= was given");
    }
    match sys!(libc::SYS_socket, libc::AF_INET, STREAM, protocol) {
        Ok(socket) => connected(sys!(libc::SYS_connect, socket, at(address), size_of_val(address))),
        error => Outcome::of(error, &[]),
    }
}

fn tcp6(address: Ipv6Addr, port: Option<u16>) -> Outcome {
    let Some(port) = port else { return Outcome::not_applicable("no port was given") };
    let address = libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as u16,
        sin6_port: port.to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: address.octets() },
        sin6_scope_id: 0,
    };
    match sys!(libc::SYS_socket, libc::AF_INET6, STREAM, 0) {
        Ok(socket) => connected(sys!(libc::SYS_connect, socket, at(&address), size_of_val(&address))),
        error => Outcome::of(error, &[]),
    }
}

fn route() -> Outcome {
    // Connecting a datagram socket sends nothing: it looks for the way there. The address is one of documentation.
    let address = v4(Ipv4Addr::new(192, 0, 2, 1), 53);
    match sys!(libc::SYS_socket, libc::AF_INET, DATAGRAM, 0) {
        Ok(socket) => connected(sys!(libc::SYS_connect, socket, at(&address), size_of_val(&address))),
        error => Outcome::of(error, &[]),
    }
}

fn udp(context: &Context) -> Outcome {
    if context.get("udp").is_none() {
        return Outcome::not_applicable("no udp= was given");
    }
    let address = v4(Ipv4Addr::LOCALHOST, port(context, "udp"));
    let socket = match sys!(libc::SYS_socket, libc::AF_INET, DATAGRAM, 0) {
        Ok(socket) => socket,
        error => return Outcome::of(error, &[]),
    };
    // Long enough for an echo over loopback; reached only where the question went out and nothing came back.
    let patience = libc::timeval { tv_sec: 5, tv_usec: 0 };
    let (level, option) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO);
    sys!(libc::SYS_setsockopt, socket, level, option, at(&patience), size_of_val(&patience)).ok();
    let size = size_of_val(&address);
    let mut buffer = [0_u8; 16];
    let answer = sys!(libc::SYS_connect, socket, at(&address), size)
        .and_then(|_| sys!(libc::SYS_sendto, socket, at(&buffer), 4, 0, 0, 0))
        .and_then(|_| sys!(libc::SYS_recvfrom, socket, into(&mut buffer), 16, 0, 0, 0));
    Outcome::of(answer, &[])
}

fn fast_open(context: &Context) -> Outcome {
    if context.get("tcp").is_none() {
        return Outcome::not_applicable("no tcp= was given");
    }
    let address = v4(Ipv4Addr::LOCALHOST, port(context, "tcp"));
    let size = size_of_val(&address);
    match sys!(libc::SYS_socket, libc::AF_INET, STREAM, 0) {
        // Connects without connect(2), which is all that some filters watch.
        Ok(socket) => connected(sys!(libc::SYS_sendto, socket, at(b"x"), 1, libc::MSG_FASTOPEN, at(&address), size)),
        error => Outcome::of(error, &[]),
    }
}

fn unix(kind: i32, name: &[u8]) -> Result<i64, Errno> {
    let mut address = libc::sockaddr_un { sun_family: libc::AF_UNIX as u16, sun_path: [0; 108] };
    for (place, byte) in address.sun_path.iter_mut().zip(name) {
        *place = *byte as libc::c_char;
    }
    let socket = sys!(libc::SYS_socket, libc::AF_UNIX, kind, 0)?;
    let connected = sys!(libc::SYS_connect, socket, at(&address), 2 + name.len().min(108));
    if connected.is_err() {
        close(socket);
    }
    connected.map(|_| socket)
}

fn abstract_name(context: &Context, key: &str) -> Option<Vec<u8>> {
    Some([b"\0", context.get(key)?.as_bytes()].concat())
}

fn abstract_socket(context: &Context, kind: i32, key: &str) -> Outcome {
    match abstract_name(context, key) {
        // Nobody of that name is what a network namespace of its own makes of it.
        Some(name) => Outcome::of(unix(kind, &name), &[]),
        None => Outcome::not_applicable(format!("no {key}= was given")),
    }
}

fn keyed(context: &Context, get: impl Fn(i32) -> Answer) -> Outcome {
    match context.number("key") {
        Some(key) => Outcome::of(get(key), &[Errno::EACCES]),
        None => Outcome::not_applicable("no key= was given"),
    }
}

fn smuggle(context: &Context) -> Outcome {
    match abstract_name(context, "abstract") {
        Some(name) => sent(unix(STREAM, &name)),
        None => Outcome::not_applicable("no abstract= was given"),
    }
}

fn host_socket(context: &Context) -> Outcome {
    match context.get("unix") {
        Some(path) => sent(unix(STREAM, path.as_bytes())),
        None => Outcome::not_applicable("no unix= was given"),
    }
}

// Sends a descriptor of this process's root over the connection.
fn sent(connection: Answer) -> Outcome {
    let socket = match connection {
        Ok(socket) => socket,
        error => return Outcome::of(error, &[]),
    };
    let Ok(root) = fs::File::open("/") else { return Outcome::not_applicable("no descriptor to send") };
    // struct cmsghdr: its length, SOL_SOCKET and SCM_RIGHTS; the descriptor; padding.
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&root) as u64;
    let control = [20_u64, (libc::SOL_SOCKET as u64) | ((libc::SCM_RIGHTS as u64) << 32), descriptor];
    let byte = [b'x'];
    let vector = [at(&byte), 1];
    let message = [0_usize, 0, at(&vector), 1, at(&control), size_of_val(&control), 0];
    Outcome::of(sys!(libc::SYS_sendmsg, socket, at(&message), libc::MSG_NOSIGNAL), &[])
}
