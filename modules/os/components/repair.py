"""Finish what an interrupted dpkg has left behind, before anything else is asked of it."""

import os

from components import packages
from updates.index import log_message


def interrupted(tools):
    """Why a repair is needed, as a list of sentences; empty when dpkg is whole."""
    reasons = []
    folder = os.path.join(tools.configuration.get("dpkg_admin_dir", "/var/lib/dpkg"), "updates")
    try:
        # dpkg notes each step here, in files named by number, and merges them into `status` when it ends well.
        journal = [name for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        journal = []
    if journal:
        reasons.append(f"dpkg was interrupted: {len(journal)} entries in {folder}")
    unfinished = packages.installed(tools).unfinished()
    if unfinished:
        reasons.append("not fully installed: " + ", ".join(unfinished))
    return reasons


def repair(tools):
    """Configure what is unpacked, then complete missing dependencies; what still failed, as sentences."""
    problems = []
    configured = tools.dpkg("--configure", "-a")
    if configured.code != 0:
        problems.append(f"dpkg --configure -a: {configured.reason()}")
    # Without --no-remove apt takes the shortest way: with old lists it removes the package whose dependency it misses.
    fixed = tools.apt_get("install", "-f", "--no-remove")
    if fixed.code != 0:
        problems.append(f"apt-get -f install: {fixed.reason()}")
    elif problems:
        # What was missing has been installed: what could not be configured before may be configured now.
        problems = []
    for problem in problems:
        log_message(problem, "WARNING")
    return problems
