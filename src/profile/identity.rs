//! Whom a module runs as: users and groups of the machine that modules see, and the numbers of dynamic users.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use openssl::sha::sha256;
use updates_protocol::{Identity, ModuleName};

/// First and last number of a dynamic user. systemd's "Users, Groups, UIDs and GIDs on systemd Systems" calls 65,536 to
/// 99,999 unused: below lie users of the machine and `nobody`, above those of containers and systemd's own.
const DYNAMIC: (u32, u32) = (65_536, 99_999);
/// Larger files are no lists of users.
const MOST: u64 = 64 << 20;

/// Whom a module runs as, as its profile says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunAs {
    /// A user that no other module has, and that no file of the machine belongs to.
    Dynamic,
    /// A user of the machine, by name or number.
    User(String),
    /// User 0, with the capabilities of the bounding set.
    Root,
}

/// A user that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nobody of that name.
    #[error("user: {user:?} is not in {}; make the user first, or set dynamic_user", passwd.display())]
    Unknown {
        /// As the profile says it.
        user: String,
        /// Where it was looked for.
        passwd: PathBuf,
    },
    /// The user is root under another name.
    #[error("user: {user:?} has the number 0; write \"root\"")]
    Zero {
        /// As the profile says it.
        user: String,
    },
    /// A list of users or groups can't be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl RunAs {
    /// Reads a user's name or number, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "root" || text == "0" {
            return Ok(RunAs::Root);
        }
        // The rules of useradd(8), and numbers short of the two that mean "none".
        let first = text.bytes().next().unwrap_or(b'-');
        let name = text.len() <= 32
            && (first.is_ascii_lowercase() || first == b'_')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.'));
        let number = text.parse::<u32>().is_ok_and(|number| number != u32::MAX && number != u32::from(u16::MAX));
        if name || number {
            Ok(RunAs::User(text.to_owned()))
        } else {
            Err("is no user; write a name such as \"www-data\", or a number".to_owned())
        }
    }

    /// The ids that stand for it, `None` for root. `root` is where the machine that modules see has its files.
    pub fn resolve(&self, module: &ModuleName, root: &Path) -> Result<Option<Identity>, IdentityError> {
        match self {
            RunAs::Root => Ok(None),
            RunAs::Dynamic => {
                let id = dynamic(module);
                Ok(Some(Identity { uid: id, gid: id, groups: Vec::new() }))
            }
            RunAs::User(user) => look_up(user, root).map(Some),
        }
    }
}

impl fmt::Display for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RunAs::Dynamic => "a dynamic user",
            RunAs::User(user) => user,
            RunAs::Root => "root",
        })
    }
}

/// Whether a number is one that dynamic users have.
pub fn is_dynamic(uid: u32) -> bool {
    (DYNAMIC.0..=DYNAMIC.1).contains(&uid)
}

/// The same number for the same name, on every machine and for ever: what a module left in its state directory stays its
/// own. Two names may share a number; their files are still kept apart by what each sandbox shows.
fn dynamic(module: &ModuleName) -> u32 {
    let digest = sha256(module.as_str().as_bytes());
    let (first, last) = DYNAMIC;
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    first + number % (last - first + 1)
}

fn look_up(user: &str, root: &Path) -> Result<Identity, IdentityError> {
    let passwd = root.join("etc/passwd");
    let number = user.parse::<u32>().ok();
    // passwd(5): name, password, uid, gid.
    let found = read(&passwd)?.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        (fields[0] == user || number == Some(uid)).then(|| (fields[0].to_owned(), uid, gid))
    });
    let (name, uid, gid): (String, u32, u32) = match (found, number) {
        (Some(found), _) => found,
        // A number needs no entry, as in systemd; its group has the same.
        (None, Some(number)) => (String::new(), number, number),
        (None, None) => return Err(IdentityError::Unknown { user: user.to_owned(), passwd }),
    };
    if uid == 0 || gid == 0 {
        return Err(IdentityError::Zero { user: user.to_owned() });
    }
    // group(5): name, password, gid, members.
    let group = read(&root.join("etc/group"))?;
    let mut groups: Vec<u32> = group
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let member = !name.is_empty() && fields.get(3)?.split(',').any(|member| member == name);
            fields.get(2)?.parse().ok().filter(|other| member && *other != gid && *other != 0)
        })
        .collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(Identity { uid, gid, groups })
}

fn read(path: &Path) -> Result<String, IdentityError> {
    let refuse = |reason: String| IdentityError::Read { path: path.to_owned(), reason };
    match fs::metadata(path) {
        Ok(found) if found.len() > MOST => return Err(refuse(format!("it has {} bytes", found.len()))),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(refuse(error.to_string())),
    }
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|error| refuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(
            root.path().join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nwww:x:33:34::/:/bin/false\nbroken\n",
        )
        .unwrap();
        fs::write(root.path().join("etc/group"), "www:x:34:\nmedia:x:50:ann,www\nadm:x:4:ann\nwheel:x:0:www\n")
            .unwrap();
        root
    }

    fn of(user: &str) -> Result<Option<Identity>, IdentityError> {
        RunAs::parse(user).unwrap().resolve(&"app".parse().unwrap(), machine().path())
    }

    #[test]
    fn a_user_is_found_by_name_and_by_number_with_its_groups_but_not_roots() {
        let www = Some(Identity { uid: 33, gid: 34, groups: vec![50] });
        assert_eq!(of("www").unwrap(), www);
        assert_eq!(of("33").unwrap(), www);
        assert_eq!(of("1234").unwrap(), Some(Identity { uid: 1234, gid: 1234, groups: vec![] }));
        assert_eq!(of("root").unwrap(), None);
    }

    #[test]
    fn a_user_that_is_not_there_or_is_root_in_disguise_is_refused() {
        assert!(of("nobody-here").unwrap_err().to_string().contains("make the user first"));
        assert!(of("toor").unwrap_err().to_string().contains("has the number 0"));
        for text in ["", "A B", "-x", "../x", "4294967295", "65535"] {
            assert!(RunAs::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_dynamic_user_is_the_same_each_time_and_in_the_range_that_nobody_uses() {
        let of = |name: &str| dynamic(&name.parse().unwrap());
        assert_eq!(of("unbound"), of("unbound"));
        assert_ne!(of("unbound"), of("nginx"));
        for name in ["a", "b", "unbound", "nginx", "home-assistant"] {
            assert!((65_536..=99_999).contains(&of(name)), "{name}");
        }
    }
}
