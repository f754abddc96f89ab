# make demo     build, and watch a real cycle in a temporary folder
# make test     everything that CI checks
# make bench    timings as ratios to peers, in one run
# make escape-comparison  the attempts to get out, under this sandbox and others; writes docs/protection.md
# make fuzz     random input for whatever reads bytes from outside, FUZZ_SECONDS (60) for each target
# make test-vm  version 2 cgroup limits and CUTS (20) power cuts, in a virtual machine; writes docs/power-cuts.md
# make test-cgroup2   the limits alone; `make setup-vm` installs what both need
# make test-systemd   services put back by a real systemd, in a container; `make setup-systemd` installs what that needs
# make install  into PREFIX (default /usr/local), below DESTDIR

PREFIX  ?= /usr/local
CARGO   ?= cargo
TARGET  := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release

# Where rustup puts cargo, for a shell that has not heard of it.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

.PHONY: all build setup setup-test setup-vm setup-systemd demo test test-vm test-cgroup2 test-systemd bench escape-comparison fuzz install clean

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
	install -D -m 0755 $(RELEASE)/updates $(DESTDIR)$(PREFIX)/bin/updates
	install -D -m 0755 $(RELEASE)/updates-runner $(DESTDIR)$(PREFIX)/lib/updates/updates-runner
	install -d $(DESTDIR)$(PREFIX)/lib/updates/sandbox-profiles $(DESTDIR)$(PREFIX)/lib/updates/python
	install -m 0644 sandbox-profiles/*.json $(DESTDIR)$(PREFIX)/lib/updates/sandbox-profiles/
	cp -R runner/python/host.py runner/python/updates runner/python/initialization $(DESTDIR)$(PREFIX)/lib/updates/python/
	# Nothing is compiled inside a sandbox; done here once, it halves the start of every Python module.
	find $(DESTDIR)$(PREFIX)/lib/updates/python -name __pycache__ -prune -exec rm -rf {} +
	/usr/bin/python3 -m compileall -q $(DESTDIR)$(PREFIX)/lib/updates/python/updates
	install -m 0644 README.md $(DESTDIR)$(PREFIX)/lib/updates/README.md
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local|$(PREFIX)|' packaging/systemd/updates.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/updates.service
	install -m 0644 packaging/systemd/updates.timer $(DESTDIR)$(PREFIX)/lib/systemd/system/updates.timer

clean:
	$(CARGO) clean
