# make demo     build, and watch a real cycle in a temporary folder
# make test     everything that CI checks
# make bench    timings as ratios to peers, in one run
# make escape-comparison  the attempts to get out, under this sandbox and others; writes docs/protection.md
# make fuzz     random input for whatever reads bytes from outside, FUZZ_SECONDS (60) for each target
# make test-vm  version 2 cgroup limits and CUTS (20) power cuts, in a virtual machine; writes docs/power-cuts.md
# make test-cgroup2   the limits alone; `make setup-vm` installs what both need
# make test-systemd   services put back by a real systemd, in a container; `make setup-systemd` installs what that needs
# make test-machine   the package installed by apt, its timer, upgrade and purge, in containers; installs what that needs
# make deb      the Debian package, into target/deb
# make artifact what self-update takes: target/artifact/updates-VERSION-ARCH-linux.tar.gz and its stanza, docs/self-update.md
# make install  into PREFIX (default /usr/local), below DESTDIR

PREFIX  ?= /usr/local
CARGO   ?= cargo
TARGET  := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release

# Where rustup puts cargo, for a shell that has not heard of it.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

.PHONY: all build setup setup-test setup-vm setup-systemd demo test test-vm test-cgroup2 test-systemd test-machine bench escape-comparison fuzz install deb artifact clean

all: build

setup:
	@packaging/setup build

setup-test:
	@packaging/setup build test

# The runner is linked statically: its start is most of what a module costs, and the dynamic loader most of that.
build: setup
	$(CARGO) build --release --locked --bin updates
	$(CARGO) rustc --release --locked -p updates-runner --bin updates-runner -- \
		-C target-feature=+crt-static -C relocation-model=static
	/usr/bin/python3 -m compileall -q runner/python/updates

setup-vm:
	@packaging/setup build vm

demo: build
	@packaging/demo $(RELEASE)/updates

setup-systemd:
	@packaging/setup build systemd

test: setup-test
	@packaging/test

test-vm: setup-vm
	@tests/vm/test

test-cgroup2: setup-vm
	@tests/vm/cgroup2

test-systemd: setup-systemd
	@tests/systemd/run

test-machine: setup-systemd
	@tests/machine/run

# Everything is kept below target/; what a target finds is in target/fuzz/artifacts/.
fuzz: setup
	@packaging/setup fuzz
	@packaging/fuzz

bench: build
	@packaging/setup build bench
	@benches/run $(RELEASE)/updates
	@benches/backup $$($(CARGO) bench --locked --bench state --no-run --message-format=json | \
		sed -n 's/.*"name":"state".*"executable":"\([^"]*\)".*/\1/p')

# Says what is, and fails for nothing: the gate is tests/escape.
escape-comparison: setup
	@packaging/setup build bench
	$(CARGO) build --workspace --locked
	@benches/escape $(TARGET)/debug/updates $(TARGET)/debug/attempt --write docs/protection.md

install: build
	@DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) packaging/install $(RELEASE)

# debian/ is where dpkg-buildpackage looks as well; the package goes to target/deb.
deb: build
	@packaging/setup package
	@mkdir -p target/deb
	BUILT=yes DEB_DESTINATION=$(CURDIR)/target/deb debian/rules binary

# The same parts as an installation has, below nothing.
artifact: build
	@packaging/artifact $(RELEASE)/updates $(TARGET)/artifact

clean:
	$(CARGO) clean
