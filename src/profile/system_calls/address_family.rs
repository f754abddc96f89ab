//! Socket address families, as address_families(7) and systemd's `RestrictAddressFamilies=` name them.

use std::fmt;

use updates_protocol::nearest;

/// A family of sockets that a profile may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressFamily(&'static str);

// Numbers from linux/socket.h. Families that only kernel developers and fuzzers reach for have no name here, so that no
// profile opens them.
const FAMILIES: [(&str, u32); 12] = [
    ("AF_UNIX", 1),
    ("AF_INET", 2),
    ("AF_AX25", 3),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("AF_PACKET", 17),
    ("AF_CAN", 29),
    ("AF_TIPC", 30),
    ("AF_BLUETOOTH", 31),
    ("AF_ALG", 38),
    ("AF_VSOCK", 40),
    ("AF_QIPCRTR", 42),
];

impl AddressFamily {
    /// The family called `text`, or a sentence that says why there is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let names = FAMILIES.map(|(name, _)| name);
        match names.iter().find(|name| **name == text) {
            Some(name) => Ok(Self(name)),
            None => Err(match nearest(text, &names) {
                Some(nearest) => format!("is no address family; did you mean {nearest:?}?"),
                None => format!("is no address family; there are {}", names.join(", ")),
            }),
        }
    }

    /// An entry of `restrict_address_families`: a family, and whether a `~` before it takes it away.
    pub fn entry(text: &str) -> Result<(bool, Self), String> {
        match text.strip_prefix('~') {
            Some(name) => Ok((true, Self::parse(name)?)),
            None => Ok((false, Self::parse(text)?)),
        }
    }

    /// Adds a family to a list, or takes it away.
    pub fn apply(list: &mut Vec<Self>, taken_away: bool, family: Self) {
        list.retain(|known| *known != family);
        if !taken_away {
            list.push(family);
        }
    }

    /// The name.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// The number that socket(2) takes.
    pub(super) fn number(self) -> u32 {
        FAMILIES.iter().find(|(name, _)| *name == self.0).map_or(0, |(_, number)| *number)
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}
