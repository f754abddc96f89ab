"""Whether what a cut left is right, in values and in words, and the page that tells of a whole run."""

import re

from .modules import MODULES

BEGIN, END = "<!-- begin of the last run: written by make test-vm -->", "<!-- end of the last run -->"
EXTRA = {"old": ["inactive", "disabled"], "new": ["active", "enabled"]}


def differs(state, version):
    """What keeps a machine from being in the old or the new state as a whole; nothing when it is in it."""
    wrong = torn(state)
    for name, module in state["modules"].items():
        # The new version of this one is taken back.
        expected = "old" if name == "broken" else version
        if not wrong and (module["code"], module["content"]) != (expected, expected):
            wrong.append("%s: code is %s and content %s, not %s" % (name, module["code"], module["content"], expected))
    if state["status"]["last"] not in ("success", "module_failed"):
        wrong.append("the run ended with %s" % state["status"]["last"])
    for name, (ended, message) in state["status"]["modules"].items():
        if ended not in ("succeeded", "updated") and name != "broken":
            wrong.append("%s ended as %s: %s" % (name, ended, message))
    return wrong


def torn(state):
    """What is neither done nor undone."""
    wrong = []
    for name, module in state["modules"].items():
        for part, found in module.items():
            if found not in ("old", "new"):
                wrong.append("%s: its %s is %s" % (name, part, found))
        if module["code"] == "old" and module["content"] == "new":
            wrong.append("%s: its code is back, and what it did is not" % name)
    if state["modules"]["broken"]["content"] != "old":
        wrong.append("broken: what the failed version did is there")
    content = state["modules"]["unit"]["content"]
    if state["units"]["cut-reader.service"] != ["active", "enabled"]:
        wrong.append("cut-reader.service is %s" % state["units"]["cut-reader.service"])
    elif state["read"] != content + "\n":
        wrong.append("cut-reader.service runs with %r, and its file is %s" % (state["read"], content))
    if content in EXTRA and state["units"]["cut-extra.service"] != EXTRA[content]:
        wrong.append("cut-extra.service is %s, its module %s" % (state["units"]["cut-extra.service"], content))
    # What a new version took the place of stays until that has run well.
    waiting = {".%s.previous" % name for name, module in state["modules"].items() if module["code"] == "new"}
    waiting -= {".%s.previous" % name for name, module in state["modules"].items() if module["content"] == "new"}
    if not set(MODULES) <= set(state["installed"]) <= waiting | set(MODULES):
        wrong.append("the modules' folder holds %s" % state["installed"])
    if state["status"]["interrupted"]:
        wrong.append("still interrupted: %s" % state["status"]["interrupted"])
    if state["status"]["unusable"]:
        wrong.append("unusable: %s" % state["status"]["unusable"])
    return wrong


def judge(before, after, said):
    """What became of each module, and everything that is wrong once settled or after the next run."""
    settled, final = said["settled"], said["state"]
    wrong = torn(settled) + ["after the next run: " + each for each in differs(final, "new")]
    if not wrong:
        for key in ("installed", "places", "units", "read", "program"):
            if final[key] != after[key]:
                wrong.append("after the next run: %s differ: %s" % (key, difference(final[key], after[key])))
    became = {name: "done" if module["content"] == "new" else "undone" for name, module in settled["modules"].items()}
    if settled["program"] not in (before["program"], after["program"]):
        wrong.append("the program in use is %r" % settled["program"])
    became["program"] = "done" if settled["program"] == after["program"] != before["program"] else "undone"
    if before["program"] == after["program"]:
        del became["program"]
    return {"wrong": wrong, "modules": became, "recovered": settled["status"]["recovered"]}


def difference(found, expected):
    """Two lists or values, without what they share."""
    if isinstance(found, list) and isinstance(expected, list):
        return "%s too many, %s missing" % (sorted(set(found) - set(expected)), sorted(set(expected) - set(found)))
    return "%s instead of %s" % (found, expected)


def line(result):
    """One cut in one line."""
    became = ", ".join("%s %s" % (name, what) for name, what in result["modules"].items() if name != "broken")
    return ("WRONG " if result["wrong"] else "right ") + (became or "nothing known")


def write(path, about, results, count):
    """Puts the table of a run between the markers of the page."""
    names = [name for name in results[0]["modules"] if name != "broken"]
    rows = ["| power cut at | unflushed writes, lost | " + " | ".join(names) + " |"]
    rows.append("|---" * (len(names) + 2) + "|")
    for result in results:
        cells = [result["moment"], "%d, %d" % (result["open"], result["lost"])]
        rows.append("| " + " | ".join(cells + [result["modules"][name] for name in names]) + " |")
    done = sum(result["modules"][name] == "done" for result in results for name in names)
    made = "%d" % count if len(results) == count else "%d of %d" % (len(results), count)
    head = "%s, Linux %s, CUT_SEED=%d: %s cuts of a cycle of %.0f s (in emulation), none wrong. " % (
        about["date"], about["kernel"], about["seed"], made, about["length"])
    head += "Of %d things in flight %d were done and %d undone." % (len(results) * len(names), done,
                                                                 len(results) * len(names) - done)
    with open(path) as page:
        text = page.read()
    part = "%s\n\n%s\n\n%s\n\n%s" % (BEGIN, head, "\n".join(rows), END)
    text, found = re.subn(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: part, text, flags=re.DOTALL)
    if not found:
        raise ValueError("%s has no markers for the table" % path)
    with open(path, "w") as page:
        page.write(text)
