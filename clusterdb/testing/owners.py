"""Who made a clone, as a text for its tags, and whether that process is alive.

A process is named by boot, PID namespace, PID and start time, so that neither a reboot nor a PID that is used again
makes a dead one look alive.  Of a process in another PID namespace (a container's) nothing can be said: it counts as
alive, and what it leaves behind expires.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["boot_id", "is_gone", "myself"]

_START_TIME = 19
"""Field 22 of /proc/PID/stat is the 20th behind the command in parentheses, see proc(5)."""


def myself() -> str:
    """This process."""
    return f"{_world()} {os.getpid()} {_started(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Whether a process has certainly ended."""
    boot, namespace, pid, started = (*owner.split(), "", "", "", "")[:4]
    own_boot, own_namespace = _world().split()
    if boot != own_boot:
        return True
    return namespace == own_namespace and _started(int(pid) if pid.isdecimal() else 0) != started


def boot_id() -> str:
    """What is another one after every start of the system."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _world() -> str:
    return f"{boot_id()} {Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "-"
    fields = stat.rpartition(")")[2].split()
    return "-" if fields[0] in "ZX" else fields[_START_TIME]
