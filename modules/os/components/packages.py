"""Read what apt and dpkg say about packages. The parsers are pure; only `installed`, `plan` and `held` run a tool."""

import re

# Debian Policy 5.6.1, with an architecture where apt names one.
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*(:[a-z0-9-]+)?")
# The package that runs this module. It refuses to be replaced from inside of a module, whose supervisor would be gone.
SUPERVISOR = "updates"


class PackageError(Exception):
    """A question that apt or dpkg did not answer."""


class Upgrade:
    """One package that apt would install: `old` is None when it is new."""

    def __init__(self, name, old, new, security):
        self.name = name
        self.old = old
        self.new = new
        self.security = security

    def __str__(self):
        return f"{self.name} {self.old or 'new'} -> {self.new}"


class Plan:
    """What apt would do. `supervisor` is an upgrade of what runs this module, which `arguments` keep apt from."""

    def __init__(self, upgrades, removals, kept_back):
        self.upgrades = upgrades
        self.removals = removals
        self.kept_back = kept_back
        self.supervisor = None
        self.arguments = []


def parse_plan(lines):
    """Read a simulation: `Inst name [old] (new origin [architecture])`, `Remv name [old]`, and what is kept back."""
    upgrades, removals, kept_back, section = [], [], [], False
    for line in lines:
        if line.startswith("Inst "):
            upgrades.append(parse_install(line))
        elif line.startswith("Remv "):
            removals.append(line.split()[1])
        elif line.endswith(":") and not line.startswith(" "):
            section = "kept back" in line or "deferred due to phasing" in line
        elif section and line.startswith("  "):
            kept_back += line.split()
        else:
            section = False
    return Plan([upgrade for upgrade in upgrades if upgrade is not None], removals, kept_back)


def parse_install(line):
    before, parenthesis, after = line[len("Inst "):].partition("(")
    fields = before.split()
    details = after.partition(")")[0].split()
    if not parenthesis or not fields or not details:
        return None
    old = fields[1].strip("[]") if len(fields) > 1 else None
    return Upgrade(fields[0], old, details[0], any("security" in word.lower() for word in details[1:]))


def plan(tools):
    """What a whole upgrade would do now, without the supervisor itself; raises PackageError."""
    arguments = upgrade_arguments(tools.configuration)
    found = simulate(tools, arguments)
    supervisor = next((item for item in found.upgrades if item.name == SUPERVISOR and item.old is not None), None)
    if supervisor is not None:
        # The version that is there, asked for by name, is apt's way to leave a package out of one upgrade.
        arguments = [*arguments, f"{SUPERVISOR}={supervisor.old}"]
        found = simulate(tools, arguments)
    found.supervisor, found.arguments = supervisor, arguments
    return found


def simulate(tools, arguments):
    finished = tools.simulate(*arguments)
    if finished.code != 0:
        raise PackageError(f"apt can't say what is to be upgraded: {finished.reason()}")
    return parse_plan(finished.lines)


def upgrade_arguments(configuration):
    mode = configuration.get("mode", "upgrade")
    if mode == "dist-upgrade":
        return ["dist-upgrade"]
    if mode != "upgrade":
        raise PackageError(f"mode must be \"upgrade\" or \"dist-upgrade\", not {mode!r}")
    return ["upgrade", "--with-new-pkgs"] if configuration.get("with_new_packages", True) else ["upgrade"]


def held(tools):
    finished = tools.apt_mark("showhold")
    return sorted(names(finished.lines)) if finished.code == 0 else []


def automatic(tools):
    """The packages that are installed only because others need them."""
    finished = tools.apt_mark("showauto")
    return set(names(finished.lines)) if finished.code == 0 else set()


def names(lines):
    """The lines that are a package's name, and not one of apt's warnings among them."""
    return [line for line in lines if NAME.fullmatch(line)]


class Installed:
    """What dpkg knows: versions and states by name and architecture."""

    def __init__(self, lines):
        self.entries = {}
        for line in lines:
            name, _, rest = line.partition(" ")
            fields = rest.split(" ")
            if len(fields) == 4 and fields[2] not in ("not-installed", "config-files"):
                self.entries.setdefault(name, []).append(fields)

    def has(self, upgrade):
        """Whether a planned version is there, and configured."""
        name, _, architecture = upgrade.name.partition(":")
        return any(
            version == upgrade.new and state == "installed"
            for found, version, state, _flag in self.entries.get(name, [])
            if architecture in ("", found)
        )

    def unfinished(self):
        """Packages that dpkg was interrupted in, or whose configuration failed."""
        return sorted(
            f"{name} ({state if flag == 'ok' else flag})"
            for name, entries in self.entries.items() for _architecture, _version, state, flag in entries
            # Pending triggers are taken care of by any later run of dpkg and harm nobody until then.
            if state not in ("installed", "triggers-pending", "triggers-awaited") or flag != "ok"
        )


def installed(tools):
    """Ask dpkg once for everything; raises PackageError."""
    query = tools.find("dpkg_query")
    if query is None:
        raise PackageError("dpkg-query is not installed")
    form = "${Package} ${Architecture} ${Version} ${db:Status-Status} ${db:Status-Eflag}\n"
    admin = f"--admindir={tools.configuration.get('dpkg_admin_dir', '/var/lib/dpkg')}"
    finished = tools.run([query, admin, "-W", "-f", form], 120, None, True)
    # 1 with no error line: not one package is installed.
    if finished.code not in (0, 1):
        raise PackageError(f"dpkg can't say what is installed: {finished.reason()}")
    return Installed(finished.lines)
