"""Every call that only some operating systems have, each with what stands in for it elsewhere."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

IDENTITY = re.compile(r"(?P<host>.+):(?P<pid>\d{1,10}):(?P<start>[^:#]+)(#.*)?$")
PR_SET_PDEATHSIG = 1
IDLE_NICENESS = 19
WINDOWS_IDLE_PRIORITY_CLASS = 0x40
WINDOWS_QUERY_LIMITED = 0x1000


def process_identity() -> str:
    """``host:pid:start`` of this process; no other process, earlier or later, has the same."""
    return _identity_of(os.getpid())


@cache
def _identity_of(pid: int) -> str:
    return f"{socket.gethostname()[:64]}:{pid}:{process_start(pid) or 'unknown'}"


def process_start(pid: int) -> str | None:
    """A token that tells apart two processes which had the same ``pid``; None where there is no such process."""
    if sys.platform == "linux":
        return _linux_start(pid)
    if sys.platform == "win32":
        return _windows_start(pid)
    return _posix_start(pid)


def _linux_start(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    return None if state in {"Z", "X"} else f"{_linux_scope()}-{started}"


@cache
def _linux_scope() -> str:
    """Boot and process namespace: only within both do process ids and start times compare."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"


def _posix_start(pid: int) -> str | None:
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return answer.strip().replace(" ", "_").replace(":", ".") or None


def _windows_start(pid: int) -> str | None:
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009
    handle = kernel.OpenProcess(WINDOWS_QUERY_LIMITED, False, pid)
    if not handle:
        return None
    times = [ctypes.c_uint64() for _ in range(4)]
    known = kernel.GetProcessTimes(handle, *(ctypes.byref(moment) for moment in times))
    kernel.CloseHandle(handle)
    return str(times[0].value) if known and not times[1].value else None


def pid_alive(pid: int) -> bool:
    """Whether a process with this id runs on this machine; a dead one nobody waited for does not."""
    return process_start(pid) is not None


def is_gone(identity: str) -> bool | None:
    """Whether the process of that ``process_identity`` has ended; None where this machine cannot know.

    What follows a ``#`` names a part of the process and is left out.
    """
    match = IDENTITY.match(identity)
    own = IDENTITY.match(process_identity())
    if match is None or own is None or match["host"] != own["host"]:
        return None
    start, own_start = match["start"], own["start"]
    if start.rpartition("-")[0] != own_start.rpartition("-")[0]:
        return None
    return process_start(int(match["pid"])) != start


def same_host(identity: str) -> bool:
    """Whether that process ran on a machine of this name."""
    match = IDENTITY.match(identity)
    return match is not None and match["host"] == socket.gethostname()[:64]


def lower_priority() -> None:
    """Give way to everything else that wants the processor."""
    if sys.platform == "win32":
        kernel = getattr(ctypes, "windll").kernel32  # noqa: B009
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), WINDOWS_IDLE_PRIORITY_CLASS)
    else:
        os.nice(IDLE_NICENESS)


def die_with_parent(parent_pid: int) -> None:
    """On Linux: ask to be killed when the parent dies; elsewhere the caller's end of input tells.

    A parent that died before the request is noticed too: the process ends at once.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent_pid:
        os._exit(1)


def link_new(existing: Path, new: Path) -> None:
    """Make ``new`` a second name of ``existing``, at once and whole; FileExistsError where it is taken.

    Where a file system has no second names, ``existing`` is renamed.
    """
    try:
        new.hardlink_to(existing)
    except FileExistsError:
        raise
    except OSError:
        if new.exists():
            raise FileExistsError(str(new)) from None
        existing.rename(new)


def sync_folder(folder: Path) -> None:
    """Make the folder's new names survive a power cut; Windows does that by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[bool]:
    """Hold an exclusive lock on ``path`` while inside; yields whether it was free. It ends with the process."""
    with path.open("a+b") as handle:
        taken = _try_lock(handle.fileno())
        try:
            yield taken
        finally:
            if taken:
                _unlock(handle.fileno())


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
