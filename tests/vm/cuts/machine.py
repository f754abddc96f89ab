"""The virtual machine: one start of qemu with a task for the guest, to its end or to the moment the power goes."""

import json
import os
import subprocess
import time


class Machine:
    """Kernel and initrd of tests/vm/image, the disk of the job, and a folder for what is said."""

    def __init__(self, image, job, work, seconds):
        self.image, self.job, self.work, self.seconds = image, job, work, seconds

    def start(self, task, disk):
        """Starts the guest with the options of its disk."""
        for name in ("console", "output"):
            open(os.path.join(self.work, name), "w").close()
        # The kernel takes a timer for broken where the host is too busy to let it tick.
        words = "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"
        words += " systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"
        command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"]
        command += ["-m", "1024", "-nodefaults", "-display", "none", "-no-reboot"]
        command += ["-kernel", os.path.join(self.image, "kernel"), "-initrd", os.path.join(self.image, "initrd")]
        command += ["-append", "%s cuts=%s" % (words, task), *disk]
        command += ["-drive", "file=%s,format=raw,if=virtio,read-only=on" % self.job]
        for name in ("console", "output"):
            command += ["-serial", "file:" + os.path.join(self.work, name)]
        return subprocess.Popen(command)

    def run(self, task, disk):
        """Lets the guest do a task; returns what it said, by kind."""
        qemu = self.start(task, disk)
        try:
            qemu.wait(self.seconds)
        except subprocess.TimeoutExpired:
            raise HungError(self.tail()) from None
        finally:
            qemu.kill()
            qemu.wait()
        if "job: success" not in self.read("output"):
            raise HungError(self.tail())
        return self.said()

    def cut(self, task, disk, mark, after):
        """Lets the guest begin a task, and takes its power `after` seconds past a mark."""
        qemu = self.start(task, disk)
        try:
            limit = time.monotonic() + self.seconds
            while '"%s"' % mark not in self.read("output"):
                if qemu.poll() is not None or time.monotonic() > limit:
                    raise HungError(self.tail())
                time.sleep(0.05)
            time.sleep(after)
        finally:
            qemu.kill()
            qemu.wait()

    def said(self):
        """The lines of JSON in the output."""
        said = {}
        for line in self.read("output").splitlines():
            if line.startswith("{"):
                found = json.loads(line)
                said[found.pop("what")] = found
        return said

    def read(self, name):
        """What went to one of the serial lines."""
        with open(os.path.join(self.work, name), errors="replace") as file:
            return file.read().replace("\r", "")

    def tail(self):
        """The ends of both lines, for a person."""
        return "\n".join("\n".join(self.read(name).splitlines()[-40:]) for name in ("console", "output"))


class HungError(Exception):
    """The guest did not end its task."""


def kept(path):
    """A disk whose writes stay; the host's own flushes do not matter, since its power does not go."""
    return ["-drive", "file=%s,format=raw,if=virtio,cache=unsafe" % path]


def dropped(path):
    """A disk whose writes are gone with qemu."""
    return ["-drive", "file=%s,format=raw,if=virtio,snapshot=on,cache=unsafe" % path]


def logged(path, log):
    """A disk with a volatile cache, all of whose writes and flushes are written down in a new `log`."""
    open(log, "w").close()
    below = "driver=blklogwrites,node-name=disk,log-super-update-interval=1"
    below += ",file.driver=raw,file.file.driver=file,file.file.filename=%s,file.file.cache.no-flush=on" % path
    below += ",log.driver=raw,log.file.driver=file,log.file.filename=%s,log.file.cache.no-flush=on" % log
    return ["-blockdev", below, "-device", "virtio-blk-pci,drive=disk,write-cache=on"]
