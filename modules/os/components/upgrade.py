"""Upgrade in batches, and find out which package of a batch is the one that fails.

A batch is judged by what dpkg has installed afterwards and not by apt's exit code: one package that can't be
configured makes every later run of apt-get fail, also for packages that went in well.
"""

from components import packages
from updates.index import log_message, progress


class Upgraded:
    """`done` and `failed` are planned upgrades; `failed` maps each to its reason. `left` were not begun."""

    def __init__(self):
        self.done = []
        self.failed = {}
        self.left = []


class Upgrader:
    """One upgrade of everything that is planned."""

    def __init__(self, tools, plan, stopping):
        self.tools = tools
        self.plan = plan
        self.planned = plan.upgrades
        self.stopping = stopping
        self.seen = set()
        self.automatic = packages.automatic(tools)

    def run(self):
        result = Upgraded()
        waiting = [upgrade for upgrade in self.planned if upgrade.old is not None]
        size = max(1, int(self.tools.configuration.get("batch_size", 20)))
        self.show(None)
        for start in range(0, len(waiting), size):
            if self.stopping():
                break
            # A package of an earlier batch may have brought some of these with it.
            before = packages.installed(self.tools)
            batch = [upgrade for upgrade in waiting[start:start + size] if not before.has(upgrade)]
            if batch:
                result.failed.update(self.install(batch))
        if not self.stopping() and self.unfinished():
            # What goes in only together with others, and what a dist-upgrade removes.
            log_message("upgrading what the batches have left")
            sweep = self.tools.apt_get(*self.plan.arguments, on_line=self.show)
            if self.plan.supervisor is not None and packages.SUPERVISOR in self.automatic:
                # It was named as well.
                self.tools.apt_mark("auto", packages.SUPERVISOR)
            for upgrade in self.unfinished():
                result.failed.setdefault(upgrade.name, sweep.reason())
        self.settle(result)
        return result

    def install(self, batch):
        """Upgrade a batch, one by one if it fails as a whole: `{name: reason}` of those that stay behind."""
        names = [upgrade.name for upgrade in batch]
        finished = self.tools.apt_get(*self.arguments(), *names, on_line=self.show)
        # Naming a package makes apt take it for wanted by hand; then autoremove would never let it go again.
        automatic = [name for name in names if name in self.automatic]
        if automatic:
            self.tools.apt_mark("auto", *automatic)
        behind = missing(batch, packages.installed(self.tools))
        if not behind:
            return {}
        if len(batch) == 1:
            return {batch[0].name: finished.reason()}
        count = f"{len(behind)} of {len(batch)} packages"
        log_message(f"{count} stay behind, trying each alone: {finished.reason()}", "WARNING")
        self.tools.dpkg("--configure", "-a")
        failed = {}
        for upgrade in missing(behind, packages.installed(self.tools)):
            if self.stopping():
                break
            failed.update(self.install([upgrade]))
        return failed

    def arguments(self):
        # An upgrade never removes; only a dist-upgrade is allowed to.
        keep = [] if self.tools.configuration.get("mode") == "dist-upgrade" else ["--no-remove"]
        return ["install", "--only-upgrade", *keep]

    def unfinished(self):
        return missing(self.planned, packages.installed(self.tools))

    def settle(self, result):
        now = packages.installed(self.tools)
        for upgrade in self.planned:
            if now.has(upgrade):
                result.done.append(upgrade)
                result.failed.pop(upgrade.name, None)
            elif upgrade.name not in result.failed:
                result.left.append(upgrade)

    def show(self, line):
        """Count packages as dpkg sets them up: `Setting up name (version) ...`."""
        if line is not None and line.startswith("Setting up "):
            self.seen.add(line.split()[2].partition(":")[0])
        total = len(self.planned)
        progress("upgrade", sum(u.name.partition(":")[0] in self.seen for u in self.planned), total, "packages")


def missing(upgrades, installed):
    return [upgrade for upgrade in upgrades if not installed.has(upgrade)]
