# make demo     build, and watch a real cycle in a temporary folder
# make test     everything that CI checks
# make bench    timings as ratios to peers, in one run
# make install  into PREFIX (default /usr/local), below DESTDIR

PREFIX  ?= /usr/local
CARGO   ?= cargo
TARGET  := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release

.PHONY: all build setup setup-test demo test bench install clean

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

demo: build
	@packaging/demo $(RELEASE)/updates

test: setup-test
	@packaging/test

bench: build
	@packaging/setup build bench
	@benches/run $(RELEASE)/updates

install: build
	install -D -m 0755 $(RELEASE)/updates $(DESTDIR)$(PREFIX)/bin/updates
	install -D -m 0755 $(RELEASE)/updates-runner $(DESTDIR)$(PREFIX)/lib/updates/updates-runner
	install -d $(DESTDIR)$(PREFIX)/lib/updates/sandbox-profiles $(DESTDIR)$(PREFIX)/lib/updates/python
	install -m 0644 sandbox-profiles/*.json $(DESTDIR)$(PREFIX)/lib/updates/sandbox-profiles/
	cp -R runner/python/host.py runner/python/updates runner/python/initialization $(DESTDIR)$(PREFIX)/lib/updates/python/
	find $(DESTDIR)$(PREFIX)/lib/updates/python -name __pycache__ -prune -exec rm -rf {} +

clean:
	$(CARGO) clean
