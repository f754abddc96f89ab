"""Compare a target with the disk and change what differs.

Everything goes through descriptors opened without following symbolic links, one path component at a time: a service
that owns a folder could otherwise put a link there and have another file handed to it. Regular files and folders are
changed; links, devices, sockets and pipes are left alone.
"""

import errno
import grp
import os
import pwd
import stat

from updates.index import log_message

MAXIMUM_DEPTH = 64
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening must not wait, should a pipe have taken the place of the file since it was looked at.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def apply_target(target, check, changes, errors):
    """Bring one target in order; what was changed and what failed is appended to the two lists."""
    try:
        parent, name = open_parent(target.path)
    except FileNotFoundError:
        missing(target, errors)
        return
    except OSError as error:
        errors.append(explain(target.path, error))
        return
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            errors.append(f"{target.path}: is a symbolic link; declare the path that it leads to")
        elif not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            errors.append(f"{target.path}: is neither a file nor a folder")
        else:
            visit(target, parent, name, target.path, status, check, changes, errors, 0)
    except FileNotFoundError:
        missing(target, errors)
    except OSError as error:
        errors.append(explain(target.path, error))
    finally:
        os.close(parent)


def missing(target, errors):
    if target.optional:
        log_message(f"{target.path}: not there, skipped as optional")
    else:
        errors.append(f"{target.path}: not there (say \"optional\": true if that is fine)")


def open_parent(path):
    """Open the folder that holds `path`; a symbolic link on the way is an error that names it."""
    parts = path.strip("/").split("/")
    folder = os.open("/", DIRECTORY)
    walked = ""
    for part in parts[:-1]:
        walked += "/" + part
        try:
            inner = os.open(part, DIRECTORY, dir_fd=folder)
        except OSError as error:
            # Linux answers ENOTDIR for a link opened with O_DIRECTORY and O_NOFOLLOW, and for a plain file as well.
            if error.errno in (errno.ENOTDIR, errno.ELOOP) and os.path.islink(walked):
                raise OSError(errno.ELOOP, f"{walked} is a symbolic link; declare the path that it leads to") from None
            raise
        finally:
            os.close(folder)
        folder = inner
    return folder, parts[-1]


def visit(target, parent, name, path, status, check, changes, errors, depth):
    """Change one file or folder, then what is below it."""
    is_directory = stat.S_ISDIR(status.st_mode)
    if not is_directory and depth > 0 and status.st_nlink > 1 and not target.hard_links:
        # Another name of this file may lie outside the tree, put there by whoever may write in the tree.
        if differs(target, status, is_directory):
            links = status.st_nlink
            log_message(f"{path}: has {links} hard links, left alone (\"hard_links\": true allows it)", "WARNING")
        return
    try:
        descriptor = os.open(name, DIRECTORY if is_directory else FILE, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.ENOENT and depth > 0:
            return
        errors.append(explain(path, error))
        return
    try:
        current = os.fstat(descriptor)
        if (current.st_dev, current.st_ino) != (status.st_dev, status.st_ino):
            errors.append(f"{path}: was replaced while it was looked at")
            return
        try:
            settle(target, descriptor, path, current, is_directory, check, changes)
        except OSError as error:
            errors.append(explain(path, error))
            return
        if is_directory and target.recursive:
            descend(target, descriptor, path, current.st_dev, check, changes, errors, depth)
    finally:
        os.close(descriptor)


def descend(target, descriptor, path, device, check, changes, errors, depth):
    if depth >= MAXIMUM_DEPTH:
        errors.append(f"{path}: deeper than {MAXIMUM_DEPTH} folders, not followed further")
        return
    for name in sorted(os.listdir(descriptor)):
        below = f"{path}/{name}"
        try:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if status.st_dev != device:
            log_message(f"{below}: is another file system, not followed")
        elif stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            visit(target, descriptor, name, below, status, check, changes, errors, depth + 1)


def wanted(target, status, is_directory):
    mode = target.directory_mode if is_directory else target.file_mode
    return (
        status.st_uid if target.uid is None else target.uid,
        status.st_gid if target.gid is None else target.gid,
        stat.S_IMODE(status.st_mode) if mode is None else mode,
    )


def differs(target, status, is_directory):
    return wanted(target, status, is_directory) != (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def settle(target, descriptor, path, status, is_directory, check, changes):
    """Give one open file its owner and mode, and note the change once it has happened."""
    before = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    after = wanted(target, status, is_directory)
    if before == after:
        return
    if not check:
        # Less access first: a file that becomes private must not pass through a state where the new owner's
        # group reads it with the old, wider mode.
        narrowed = before[2] & after[2] & 0o777
        if narrowed != before[2] & 0o777 and before[:2] != after[:2]:
            os.fchmod(descriptor, narrowed)
        if before[:2] != after[:2]:
            os.fchown(descriptor, after[0], after[1])
        # After the owner, because changing the owner drops the setuid and setgid bits.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != after[2]:
            os.fchmod(descriptor, after[2])
        held = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if held != after[2]:
            raise OSError(errno.EPERM, f"the kernel kept mode {held:04o} instead of {after[2]:04o}")
    changes.append({"path": path, "before": describe(*before), "after": describe(*after)})


def describe(uid, gid, mode):
    """`root:www-data 0640`, with numbers where there is no name."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = str(gid)
    return f"{user}:{group} {mode:04o}"


def explain(path, error):
    """A sentence for a person, with what to do about it where that is known."""
    reason = error.strerror or str(error)
    if error.errno == errno.EROFS:
        reason += "; list it in backup_paths, or in the sandbox's volatile_paths"
    elif error.errno == errno.EPERM:
        reason += "; the file may be immutable, or outside what the sandbox may change"
    return f"{path}: {reason}"
