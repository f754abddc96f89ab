"""Keep Debian packages current: repair, refresh, upgrade in batches, tidy up, and say whether a reboot is due.

This file is the order of the steps and the report; each step has a file of its own in components/. Packages can't be
rolled back, so no step is begun that could not be left as it is afterwards: a batch is the unit in which this module
stops, also when it is told to end.
"""

import json
import os

from components import packages
from components.tools import Tools
from updates.index import log_message

HERE = os.path.dirname(os.path.abspath(__file__))


def main(args=None):
    """Upgrade what is to be upgraded; with --check only say what would be."""
    check = "--check" in (args or []) or os.environ.get("UPDATES_CHECK") == "1"
    with open(os.path.join(HERE, "index.json"), encoding="utf-8") as stream:
        configuration = json.load(stream).get("configuration", {})
    tools = Tools(configuration)
    if tools.apt_get_path is None or tools.dpkg_path is None:
        log_message("apt is not installed: nothing to do")
        return {"success": True, "updated": False, "skipped": "apt is not installed"}
    result = {"success": True, "updated": False}
    try:
        packages.upgrade_arguments(configuration)
        if check:
            import tempfile

            with tempfile.TemporaryDirectory(prefix="apt-") as scratch:
                look(Tools(configuration, scratch), result)
        else:
            work(tools, result)
    except packages.PackageError as error:
        fail(result, str(error))
    report_reboot(tools, result)
    return result


def fail(result, message):
    log_message(message, "ERROR")
    result["success"] = False
    result["error"] = f"{result['error']}; {message}" if "error" in result else message


def look(tools, result):
    """What would change, as far as the package lists of the last refresh tell."""
    from components import repair

    would = [f"repair: {reason}" for reason in repair.interrupted(tools)]
    try:
        plan = packages.plan(tools)
    except packages.PackageError as error:
        if not would:
            raise
        # apt plans nothing while dependencies are broken, which the repair comes first to mend.
        log_message(f"What would be upgraded is known only after the repair: {error}", "WARNING")
        plan = packages.Plan([], [], [])
    say_supervisor(plan, result)
    would += [f"upgrade {upgrade}" if upgrade.old else f"install {upgrade}" for upgrade in plan.upgrades]
    would += [f"remove {name}" for name in plan.removals]
    if tools.configuration.get("autoremove", True):
        would += [f"autoremove {name}" for name in autoremovable(tools)]
    for change in would:
        log_message(f"would {change}")
    if not would and plan.supervisor is None:
        log_message("Every package is current, as of the last refresh")
    result.update(would_change=would, security=[str(item) for item in plan.upgrades if item.security])
    result.update(kept_back=plan.kept_back, held=packages.held(tools))


def work(tools, result):
    from components import refresh, repair

    stopping = stop_between_batches()
    broken, problems = repair.interrupted(tools), []
    if broken:
        for reason in broken:
            log_message(f"{reason}; repairing", "WARNING")
        problems = repair.repair(tools)
        result.update(updated=True, repaired=broken)

    refreshed = refresh.refresh(tools)
    if refreshed.failed:
        result["failed_sources"] = refreshed.failed
        if not refreshed.reached and tools.configuration.get("require_refresh", True):
            reasons = "; ".join(f"{source}: {reason}" for source, reason in refreshed.failed.items())
            fail(result, f"no package source could be reached: {reasons}")
            return

    if problems:
        # What was missing may be found now: old lists name files that the servers have replaced since.
        repair.repair(tools)
    upgrade_all(tools, result, stopping)
    if not stopping():
        tidy(tools, result)
    result["held"] = packages.held(tools)
    unfinished = packages.installed(tools).unfinished()
    if unfinished:
        fail(result, "not fully installed: " + ", ".join(unfinished))
        result["unfinished"] = unfinished


def upgrade_all(tools, result, stopping):
    from components.upgrade import Upgrader

    plan = packages.plan(tools)
    result["kept_back"] = plan.kept_back
    if plan.kept_back:
        log_message("kept back: " + ", ".join(plan.kept_back))
    say_supervisor(plan, result)
    if not plan.upgrades and not plan.removals:
        log_message("Every other package is current" if plan.supervisor else "Every package is current")
        result["upgraded"] = []
        return
    security = sum(item.security for item in plan.upgrades)
    log_message(f"{len(plan.upgrades)} packages to upgrade, {security} for security")
    upgraded = Upgrader(tools, plan, stopping).run()
    result["upgraded"] = [str(upgrade) for upgrade in upgraded.done]
    result["security"] = [str(upgrade) for upgrade in upgraded.done if upgrade.security]
    result["updated"] = result["updated"] or bool(upgraded.done)
    if upgraded.failed:
        result["failed"] = upgraded.failed
        fail(result, "; ".join(f"{name}: {reason}" for name, reason in sorted(upgraded.failed.items())))
    if upgraded.left:
        result["left"] = [upgrade.name for upgrade in upgraded.left]
        fail(result, f"told to end with {len(upgraded.left)} packages to go; they come with the next run")


def say_supervisor(plan, result):
    if plan.supervisor is not None:
        result["supervisor"] = str(plan.supervisor)
        log_message(f"{plan.supervisor} waits: a module can't replace what runs it; apt does from a shell, as "
                    "`apt install updates`, or unattended-upgrades", "WARNING")


def tidy(tools, result):
    """Remove what nothing needs any more, and the downloaded packages. What fails here is a warning."""
    configuration = tools.configuration
    if configuration.get("autoremove", True):
        names = autoremovable(tools)
        if names:
            finished = tools.apt_get("autoremove")
            if finished.code == 0:
                result.update(updated=True, removed=names)
            else:
                log_message(f"autoremove: {finished.reason()}", "WARNING")
    if configuration.get("clean", True):
        finished = tools.apt_get("clean", quiet=True)
        if finished.code != 0:
            log_message(f"clean: {finished.reason()}", "WARNING")


def autoremovable(tools):
    finished = tools.simulate("autoremove")
    return packages.parse_plan(finished.lines).removals if finished.code == 0 else []


def report_reboot(tools, result):
    from components import reboot

    def newer(left, right):
        return tools.dpkg("--compare-versions", left, "gt", right, quiet=True).code == 0

    reasons, names = reboot.due(tools.configuration, newer)
    result["reboot_required"] = bool(reasons)
    if reasons:
        result["reboot_reasons"] = reasons
        result["reboot_packages"] = names
        wanted = f" (wanted by {', '.join(names)})" if names else ""
        log_message(f"A reboot is due: {'; '.join(reasons)}{wanted}", "WARNING")


def stop_between_batches():
    """Take SIGTERM as a wish to end after the batch at hand; what is returned tells whether it has come."""
    import signal

    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    return lambda: bool(told)
