//! Commits signed with OpenPGP keys, by real gpg, and the keyrings that say whose count.

use super::keys::{Keys, commit, keyring, with_gpg};
use super::refusal;
use super::support::{Module, Root, Source};

struct World {
    root: Root,
    source: Source,
}

fn signed(settings: &[String]) -> World {
    let (root, source) = (Root::new(), Source::new());
    source.put(&Module::idle("app", "1.0.0"));
    commit(&source, settings);
    World { root, source }
}

impl World {
    #[track_caller]
    fn refused(&self, ring: &[u8], words: &str) {
        keyring(&self.root, &self.source, ring);
        let (_, record) = self.root.run(&[]);
        assert!(refusal(&record).contains(words), "{}", refusal(&record));
        assert!(!self.root.exists("/usr/local/lib/updates/modules/app"));
    }
}

#[test]
fn a_keyring_is_taken_binary_and_armored() {
    let keys = Keys::new();
    let key = keys.openpgp("Ann <ann@example.org>", "never", None);
    let settings = with_gpg(&keys.gpg_now(""), &key);
    for armored in [false, true] {
        let World { root, source } = signed(&settings);
        keyring(&root, &source, &keys.gpg(if armored { &["--armor", "--export"] } else { &["--export"] }));
        let (ran, record) = root.run(&[]);
        ran.expect(0);
        assert_eq!(root.installed_version("app"), "1.0.0");
        assert_eq!(record["sync"]["signer"], format!("Ann <ann@example.org> ({key})"));
        root.updates(&["config", "check"]).expect(0);
    }
}

// faults: 66
#[test]
fn unknown_revoked_and_expired_keys_and_weak_digests_are_refused_each_in_its_own_words() {
    let keys = Keys::new();
    let ann = keys.openpgp("Ann <ann@example.org>", "never", None);
    let ring = keys.gpg(&["--export", &ann]);
    let eve = keys.openpgp("Eve <eve@example.org>", "never", None);
    let now = keys.gpg_now("");
    signed(&with_gpg(&now, &eve)).refused(&ring, "is not in source.keyring");

    let weak = keys.gpg_now("--digest-algo SHA1");
    signed(&with_gpg(&weak, &ann)).refused(&ring, "can be forged");

    // Signed while the key was valid; who holds it today could have written that date.
    let old = keys.openpgp("Old <old@example.org>", "30d", Some("20200101T000000"));
    let then = keys.gpg_at("20200105T000000");
    signed(&with_gpg(&then, &old)).refused(&keys.gpg(&["--export"]), "has expired");

    let world = signed(&with_gpg(&now, &eve));
    let file = keys.path().join(format!("openpgp-revocs.d/{eve}.rev"));
    let text = std::fs::read_to_string(&file).unwrap().replace(":-----BEGIN", "-----BEGIN");
    std::fs::write(&file, text).unwrap();
    keys.gpg(&["--import", file.to_str().unwrap()]);
    world.refused(&keys.gpg(&["--export"]), "was revoked");
}

#[test]
fn a_keyring_that_holds_no_keys_is_said_and_an_ssh_signature_is_not_for_it() {
    let keys = Keys::new();
    let key = keys.ssh("ann");
    let world = signed(&super::keys::with_ssh(&key));
    world.refused(b"", "is empty");
    world.refused(b"words\n", "holds no OpenPGP keys");
    keys.openpgp("Ann <ann@example.org>", "never", None);
    world.refused(&keys.gpg(&["--export"]), "source.allowed_signers is not set");
}
