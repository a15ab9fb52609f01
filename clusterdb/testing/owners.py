"""The owner of a clone: the process that created it, as a text for the clone's tags, and whether it has ended.

A process is identified by boot, PID namespace, PID and start time, so that an ended process never looks alive after a
reboot or when its PID is reused.  A process in another PID namespace (a container's) cannot be examined: it counts as
alive, and its clones expire.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["boot_id", "has_ended", "this_process"]

_START_TIME = 19
"""The index of field 22 of /proc/PID/stat after the command in parentheses, see proc(5)."""


def this_process() -> str:
    """The text that identifies this process."""
    return f"{_boot_and_namespace()} {os.getpid()} {_start_time(os.getpid())}"


def has_ended(owner: str) -> bool:
    """Whether a process has ended for certain."""
    boot, namespace, pid, started = (*owner.split(), "", "", "", "")[:4]
    own_boot, own_namespace = _boot_and_namespace().split()
    if boot != own_boot:
        return True
    return namespace == own_namespace and _start_time(int(pid) if pid.isdecimal() else 0) != started


def boot_id() -> str:
    """An id that changes with every boot of the system."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _boot_and_namespace() -> str:
    return f"{boot_id()} {Path('/proc/self/ns/pid').readlink()}"


def _start_time(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "-"
    fields = stat.rpartition(")")[2].split()
    return "-" if fields[0] in "ZX" else fields[_START_TIME]
