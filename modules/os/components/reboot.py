"""Tell whether the machine should be restarted, and why. Only looks."""

import os


def due(configuration, compare):
    """`(reasons, packages)`; `compare(a, b)` says whether version a is newer than version b, as dpkg sees it."""
    reasons, names = [], []
    for marker in configuration.get("reboot_markers", []):
        if os.path.exists(marker) and not reasons:
            reasons.append(f"{marker} is there")
            names = packages_of(f"{marker}.pkgs")
    reason = kernel(configuration, os.uname().release, compare)
    if reason is not None:
        reasons.append(reason)
    return reasons, names


def packages_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return sorted(set(stream.read(65536).split()))
    except OSError:
        return []


def kernel(configuration, running, compare):
    """Why the running kernel is out of date, or None. A container has no kernel in /boot and no say in the matter."""
    try:
        names = os.listdir(configuration.get("boot_dir", "/boot"))
    except OSError:
        return None
    installed = [name[len("vmlinuz-"):] for name in names if name.startswith("vmlinuz-") and not name.endswith(".old")]
    # Another flavour (cloud, rt, another architecture) is another choice and not a newer version of this one.
    same = [version for version in installed if flavour(version) == flavour(running)]
    newest = None
    for version in same:
        if newest is None or compare(version, newest):
            newest = version
    if newest is not None and newest != running and compare(newest, running):
        return f"kernel {newest} is installed, {running} is running"
    modules = os.path.join(configuration.get("kernel_modules_dir", "/lib/modules"))
    if installed and os.path.isdir(modules) and not os.path.isdir(os.path.join(modules, running)):
        return f"the modules of the running kernel {running} are gone from {modules}"
    return None


def flavour(version):
    """`amd64` of `6.1.0-32-amd64`, `rpi-v8` of `6.1.0-rpi7-rpi-v8`: what follows the last part that is a number."""
    parts = version.split("-")
    for position in range(len(parts) - 1, -1, -1):
        if parts[position][:1].isdigit() or (parts[position].startswith("rpi") and parts[position][3:].isdigit()):
            return "-".join(parts[position + 1:])
    return version
