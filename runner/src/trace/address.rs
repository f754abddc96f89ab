//! Socket addresses and families in words: `tcp 192.0.2.1:443`, `AF_PACKET`.
//!
//! An address does not say what kind of socket it is for, so the socket itself is asked, through a copy of it that init
//! holds for that moment.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::libc;
use rustix::net::{SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::memory;

/// What an address is: in words, or a path of the file system.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    Words(String),
    Path(PathBuf),
}

/// The largest `sockaddr`, in bytes; see `sockaddr_storage` in socket(7).
const LONGEST: usize = 128;

/// The address at `at`, of `length` bytes, for the socket `descriptor` of `pid`.
pub(super) fn address(pid: Pid, descriptor: u64, at: u64, length: u64) -> Option<Address> {
    if at == 0 {
        return None;
    }
    let bytes = memory::bytes(pid, at, (length as usize).min(LONGEST))?;
    decode(&bytes, || kind(pid, descriptor as i32))
}

/// The family of a socket, by its name in socket(2).
pub(super) fn family(number: u64) -> String {
    let name = match number as i32 {
        libc::AF_UNIX => "AF_UNIX",
        libc::AF_INET => "AF_INET",
        libc::AF_INET6 => "AF_INET6",
        libc::AF_NETLINK => "AF_NETLINK",
        libc::AF_PACKET => "AF_PACKET",
        libc::AF_VSOCK => "AF_VSOCK",
        libc::AF_ALG => "AF_ALG",
        libc::AF_BLUETOOTH => "AF_BLUETOOTH",
        libc::AF_CAN => "AF_CAN",
        libc::AF_XDP => "AF_XDP",
        libc::AF_KEY => "AF_KEY",
        other => return format!("AF_{other}"),
    };
    name.to_owned()
}

fn decode(bytes: &[u8], kind: impl FnOnce() -> &'static str) -> Option<Address> {
    let family = u16::from_ne_bytes(bytes.first_chunk::<2>().copied()?);
    let port = || bytes.get(2..4).and_then(|port| port.try_into().ok()).map(u16::from_be_bytes);
    let words = match i32::from(family) {
        libc::AF_INET => {
            let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            format!("{} {}", kind(), SocketAddr::new(Ipv4Addr::from(ip).into(), port()?))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            format!("{} {}", kind(), SocketAddrV6::new(Ipv6Addr::from(ip), port()?, 0, 0))
        }
        libc::AF_UNIX => match bytes.get(2..)? {
            [] => return None,
            [0, name @ ..] => format!("unix @{}", String::from_utf8_lossy(name)),
            path => {
                let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
                return Some(Address::Path(Path::new(OsStr::from_bytes(&path[..end])).to_owned()));
            }
        },
        libc::AF_UNSPEC => return None,
        other => family_of(other),
    };
    Some(Address::Words(words))
}

fn family_of(number: i32) -> String {
    family(number as u64)
}

fn kind(pid: Pid, descriptor: i32) -> &'static str {
    let socket = pidfd_open(pid, PidfdFlags::empty())
        .and_then(|process| pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty()))
        .and_then(sockopt::socket_type);
    match socket {
        Ok(SocketType::STREAM) => "tcp",
        Ok(SocketType::DGRAM) => "udp",
        Ok(SocketType::RAW) => "raw",
        _ => "ip",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_people_write_them() {
        let v4 = [&2_u16.to_ne_bytes()[..], &443_u16.to_be_bytes(), &[192, 0, 2, 1], &[0; 8]].concat();
        assert_eq!(decode(&v4, || "tcp"), Some(Address::Words("tcp 192.0.2.1:443".to_owned())));
        let v6 = [&10_u16.to_ne_bytes()[..], &53_u16.to_be_bytes(), &[0; 4], &[0; 15], &[1], &[0; 4]].concat();
        assert_eq!(decode(&v6, || "udp"), Some(Address::Words("udp [::1]:53".to_owned())));
        let unix = [&1_u16.to_ne_bytes()[..], b"/run/x\0rest"].concat();
        assert_eq!(decode(&unix, || "tcp"), Some(Address::Path("/run/x".into())));
        let hidden = [&1_u16.to_ne_bytes()[..], b"\0bus"].concat();
        assert_eq!(decode(&hidden, || "tcp"), Some(Address::Words("unix @bus".to_owned())));
    }

    #[test]
    fn half_an_address_is_none() {
        for half in [&[][..], &[2], &[2, 0, 1], &[2, 0, 1, 187, 127], &[10, 0, 0, 53, 0], &[1, 0]] {
            assert_eq!(decode(half, || "tcp"), None);
        }
    }
}
