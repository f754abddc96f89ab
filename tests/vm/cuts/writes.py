"""What a disk holds after a power cut: a log of all writes, and the part of them that survives.

qemu's blklogwrites driver writes down every write and every flush, in the format of the kernel's dm-log-writes
(Documentation/admin-guide/device-mapper/log-writes.rst). A disk with a volatile cache promises what was written before
the last flush, and nothing of what came after: any part of that may be there, in any order.
"""

import random
import struct

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
# What a disk writes whole or not at all.
SECTOR = 512


class Write:
    """One entry of the log: a write at an offset of the disk, whose data lies at an offset of the log, or a flush."""

    __slots__ = ("data", "flags", "offset", "size")

    def __init__(self, offset, size, flags, data):
        self.offset, self.size, self.flags, self.data = offset, size, flags, data


def read(path):
    """All writes of a log, up to its end or to where qemu was killed while it wrote."""
    writes = []
    with open(path, "rb") as log:
        size = log.seek(0, 2)
        log.seek(0)
        magic, _version, _entries, sector = struct.unpack("<QQQI", log.read(28))
        if magic != MAGIC:
            raise ValueError("%s is no log of writes" % path)
        # The number of entries is that of the last flush; each entry says itself how long it is.
        place = sector
        while place + sector <= size:
            log.seek(place)
            offset, count, flags, _length = struct.unpack("<QQQQ", log.read(32))
            if not (count or flags):
                break
            place += sector
            length = 0 if flags & DISCARD else count * sector
            if place + length > size:
                break
            writes.append(Write(offset * sector, count * sector, flags, place))
            place += length
    return writes


def find(path, writes, text):
    """The index of the write that holds `text`, by which the guest marked a moment; None when none does."""
    with open(path, "rb") as log:
        for index, write in enumerate(writes):
            if write.size and not write.flags & DISCARD:
                log.seek(write.data)
                if log.read(len(text)) == text:
                    return index
    return None


class Disk:
    """A disk that is made to hold what a cut left, again and again, from one that is never written."""

    def __init__(self, before, path):
        self.before, self.path = before, path
        self.touched = {}

    def touch(self, writes):
        """Notes where writes went, so that this is undone before the next cut."""
        for write in writes:
            if write.size:
                self.touched[write.offset] = max(write.size, self.touched.get(write.offset, 0))

    def restore(self):
        """Makes the disk equal to the one before again."""
        with open(self.before, "rb") as before, open(self.path, "r+b") as disk:
            for offset, size in self.touched.items():
                before.seek(offset)
                disk.seek(offset)
                disk.write(before.read(size))
        self.touched = {}

    def cut(self, log, writes, chance):
        """Holds what survives when the power goes after the last of `writes`; says how many writes were lost.

        `chance` decides about each sector behind the last flush. The loss is a whole write, a part of one, or none.
        """
        self.restore()
        self.touch(writes)
        flushed = max((index for index, write in enumerate(writes) if write.flags & FLUSH), default=-1)
        # Now and then a cache happens to be written out whole, or not at all.
        survives = chance.choice((0.0, 0.5, 0.9, 1.0))
        lost = 0
        with open(log, "rb") as source, open(self.path, "r+b") as disk:
            for index, write in enumerate(writes):
                if write.flags & DISCARD or not write.size:
                    continue
                source.seek(write.data)
                data = source.read(write.size)
                kept = [(0, write.size)]
                if index > flushed and not write.flags & FUA and chance.random() >= survives:
                    lost += 1
                    kept = torn(write.size, chance)
                for start, end in kept:
                    disk.seek(write.offset + start)
                    disk.write(data[start:end])
        return lost, sum(1 for write in writes[flushed + 1 :] if write.size)


def torn(size, chance):
    """What is left of a write that was cut off: mostly nothing, else its beginning or its end, in whole sectors."""
    if chance.random() < 0.7 or size == SECTOR:
        return []
    middle = chance.randrange(1, size // SECTOR) * SECTOR
    return [(0, middle)] if chance.random() < 0.5 else [(middle, size)]


def moments(count, first, last, seed):
    """`count` indices of writes between two, spread over the whole, each random within its share."""
    chance = random.Random(seed)
    share = (last - first) / count
    return [first + int((number + chance.random()) * share) for number in range(count)]
