//! A server with the package: installed by apt from a local repository, with a git source of its own, and a service that
//! modules take care of.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::archive;
use super::container::{Container, Ran};
use super::support::{Module, Source};

/// A container that knows the local apt repository.
pub struct Machine(Container);

impl Deref for Machine {
    type Target = Container;

    fn deref(&self) -> &Container {
        &self.0
    }
}

impl DerefMut for Machine {
    fn deref_mut(&mut self) -> &mut Container {
        &mut self.0
    }
}

impl Machine {
    /// A fresh Debian that is on, with the package in its repository and not installed.
    pub fn fresh() -> Self {
        let mut container = Container::new(&std::env::var("UPDATES_TEST_BASE").unwrap());
        container.boot();
        // As on a server: the journal outlives the machine being off.
        container.ok("mkdir -p /var/log/journal && journalctl --flush && rm -f /etc/apt/sources.list");
        container.write("/etc/apt/sources.list.d/local.list", "deb [trusted=yes] file:/srv/shared/apt ./\n");
        let machine = Self(container);
        machine.offer(&archive::version());
        machine
    }

    /// A Debian that is on, and has had the package installed before it was last switched off.
    pub fn installed() -> Self {
        static LAYERS: Mutex<Option<(String, Container)>> = Mutex::new(None);
        let layers = LAYERS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| {
                let mut machine = Self::fresh();
                machine.ok(&apt("install updates"));
                machine.power_off();
                (machine.layers(), machine.0)
            })
            .0
            .clone();
        let mut container = Container::new(&layers);
        container.boot();
        let machine = Self(container);
        machine.offer(&archive::version());
        machine
    }

    /// An installed one that follows a git repository of its own by `file:`, and has the service `shop`.
    pub fn with_source(modules: &[&Module]) -> (Self, Source) {
        let machine = Self::installed();
        let source = Source::of(modules);
        machine.publish(&source);
        machine.write("/etc/updates/config.d/source.toml", "[source]\nurl = \"file:///srv/shared/modules.git\"\n");
        machine.set_up_shop();
        (machine, source)
    }

    /// Puts a version of the package into the repository, and has apt read it.
    pub fn offer(&self, version: &str) {
        archive::publish(&self.shared().join("apt"), version);
        self.ok("apt-get -qq update");
    }

    /// Pushes what is committed to where the machine fetches from.
    pub fn publish(&self, source: &Source) {
        let bare = self.shared().join("modules.git");
        if !bare.exists() {
            source.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
        }
        source.git(&["push", "--quiet", "--force", "--tags", bare.to_str().unwrap(), "main"]);
    }

    /// A service with a file and a database, which is on and starts at boot.
    fn set_up_shop(&self) {
        self.write("/srv/shop/conf", "before\n");
        self.write(
            "/etc/systemd/system/shop.service",
            "[Service]\nExecStart=/bin/sh -c 'cat /srv/shop/conf; exec sleep infinity'\n[Install]\nWantedBy=multi-user.target\n",
        );
        self.write(
            "/etc/systemd/system/idle.service",
            "[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
        );
        self.sql("CREATE TABLE note (text); INSERT INTO note VALUES ('before')");
        self.ok("systemctl daemon-reload && systemctl --quiet enable --now shop");
    }

    pub fn sql(&self, statements: &str) -> String {
        self.ok(&format!(
            "python3 -c \"import sqlite3; d = sqlite3.connect('/srv/shop/shop.db', timeout=60)
for s in '''{statements}'''.split(';'): r = d.execute(s).fetchall()
d.commit(); print(r)\""
        ))
    }

    /// What of the shop a module may change: it is the same after whatever was taken back.
    pub fn shop(&self) -> Value {
        json!({
            "conf": self.ok("cat /srv/shop/conf"),
            "note": self.sql("SELECT text FROM note"),
            "shop": self.show("shop", "ActiveState,SubState,UnitFileState"),
            "idle": self.show("idle", "ActiveState,SubState,UnitFileState"),
            "links": self.ok("ls /etc/systemd/system/multi-user.target.wants"),
        })
    }

    /// Runs updates as a person would.
    pub fn updates(&self, arguments: &[&str]) -> Ran {
        self.unit(&[&["updates"], arguments].concat())
    }

    #[track_caller]
    pub fn updates_json(&self, arguments: &[&str]) -> Value {
        let ran = self.updates(&[arguments, &["--json"]].concat());
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{ran:?}"))
    }

    /// Starts the service and waits for its end.
    pub fn run_service(&self) -> String {
        self.sh("systemctl start updates.service");
        self.show("updates.service", "Result,ExecMainStatus")
    }

    /// Waits until the service has been started and has come to its end.
    #[track_caller]
    pub fn until_idle(&self) {
        self.until("case $(systemctl show --property ActiveState --value updates.service) in inactive|failed) ;; *) false ;; esac");
    }
}

/// What apt is called with where nobody answers it.
pub fn apt(arguments: &str) -> String {
    format!("DEBIAN_FRONTEND=noninteractive apt-get --yes -qq -o Dpkg::Use-Pty=0 {arguments} </dev/null 2>&1")
}

/// A module that changes everything of the shop by requests, and then goes on as `end` says.
pub fn shopkeeper(version: &str, end: &str) -> Module {
    let code = format!(
        "import os, sqlite3, time
from updates import service
from updates.index import log_message


def main(args=None):
    if '--check' in (args or []):
        return {{'success': True}}
    log_message('the shop is being changed', 'WARNING')
    assert service.stop('shop')
    open('/srv/shop/conf', 'w').write('after\\n')
    with sqlite3.connect('/srv/shop/shop.db') as database:
        database.execute(\"UPDATE note SET text = 'after'\")
    assert service.disable('shop')
    assert service.enable('idle')
    assert service.start('idle')
    assert service.start('shop')
    log_message('the shop is changed')
    {end}
"
    );
    Module::python("shop", version, &code)
        .declares(&["/srv/shop/"])
        .configuration("databases", json!([{"type": "sqlite", "database": "/srv/shop/shop.db"}]))
        .sandbox("services", json!(["shop", "idle"]))
}
