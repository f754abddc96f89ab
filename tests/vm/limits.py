"""Modules that take too much, run by the real updates.service below a tree that is version 2 alone.

Runs in the virtual machine, from tests/vm/cgroup2.job. Ends with 1 and says why, when a limit did not hold, was not
reported as the kernel's, or hurt anybody else.
"""

import json
import os
import subprocess
import sys

MODULES = "/usr/local/lib/updates/modules"
GROUP = "/sys/fs/cgroup/system.slice/updates.service/"
# Each with its limit, what the report says of it, and what it does.
GREEDY = {
    "memory": ({"memory_max": "64M"}, "memory.max 67108864", "return bool(b'x' * (200 << 20))"),
    "tasks": (
        {"tasks_max": 20},
        # Beside the module: pid 1 of its namespace, and the one that starts it.
        "pids.max 22",
        "import os, signal\n    while True:\n        if os.fork() == 0:\n            signal.pause()",
    ),
    # As long as it takes to use half a second of a processor: without a limit, about that.
    "cpu": (
        {"cpu_quota": "20%"},
        "cpu.max 20000 100000",
        "import time\n    began, used = time.monotonic(), time.process_time()\n    "
        "while time.process_time() - used < 0.5:\n        pass\n    "
        "return {'success': True, 'ratio': (time.monotonic() - began) / (time.process_time() - used)}",
    ),
    "other": ({}, "memory.max 1073741824", "return True"),
}


def main():
    """Install, start the unit, compare."""
    for name, (sandbox, _, body) in GREEDY.items():
        os.makedirs(os.path.join(MODULES, name))
        with open(os.path.join(MODULES, name, "index.json"), "w") as manifest:
            json.dump({"metadata": {"schema_version": "1", "name": name}, "sandbox": sandbox}, manifest)
        with open(os.path.join(MODULES, name, "index.py"), "w") as code:
            code.write("def main(args=None):\n    %s\n" % body)
    # Two modules failed, so the unit has as well.
    started = subprocess.run(["systemctl", "start", "updates.service"], capture_output=True)
    told = subprocess.run(["updates", "--json", "status"], stdout=subprocess.PIPE, text=True, check=True).stdout
    records = {record["module"]: record for record in json.loads(told)["last_run"]["modules"]}
    wrong = [] if started.returncode else ["updates.service succeeded, though modules failed"]
    for name, (sandbox, by, _) in GREEDY.items():
        record = records.get(name) or {"status": "absent", "attempts": [{}]}
        attempt = record["attempts"][-1] if record["attempts"] else {}
        restrictions = {each["name"]: each for each in attempt.get("enforcement", {}).get("restrictions", [])}
        key = next(iter(sandbox), "memory_max")
        limit = restrictions.get(key, {})
        if not (limit.get("enforced") and limit["by"].startswith("cgroup v2") and by in limit["by"]):
            wrong.append("%s: %s is reported as %s" % (name, key, limit))
        if not restrictions.get("cgroup", {}).get("by", "").startswith(GROUP):
            wrong.append("%s: it ran in %s" % (name, restrictions.get("cgroup")))
        fails = name in ("memory", "tasks")
        if record["status"] != ("rolled_back" if fails else "succeeded"):
            wrong.append("%s: %s, %s" % (name, record["status"], record.get("message")))
        if fails and not any(key in hit for hit in attempt.get("limits_hit", [])):
            wrong.append("%s: the limits that were reached are %s" % (name, attempt.get("limits_hit")))
    # Half of what the quota leaves: both clocks are the guest's own.
    result = records.get("cpu", {}).get("result") or {}
    if not result.get("ratio", 0) > 2.5:
        wrong.append("cpu: at 20%% of a processor it took %s times as long as it computed" % result.get("ratio"))
    if os.path.isdir(GROUP):
        wrong.append("%s is left" % os.listdir(GROUP))
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
