"""The command line of this installation, as a hint has to print it so that it works when it is pasted.

Another program called ``clusterdb`` may be on PATH: that of PostgreSQL, which takes the word after it for a database.
Hints therefore use the command ``cldb``, which no other package has, if the one on PATH belongs to this Python; else
the path of this Python and ``-m clusterdb``.
"""

from __future__ import annotations

import os
import shlex
import sys

__all__ = ["NAMES", "command", "hint", "invoked", "is_own"]

NAMES = ("cldb", "clusterdb")
"""The commands that an installation has; hints use the first."""
_SCRIPT_BYTES = 1024


def command() -> str:
    """The command line up to the arguments, quoted for a shell."""
    return NAMES[0] if is_own(NAMES[0]) else shlex.join([sys.executable or "python3", "-m", "clusterdb"])


def hint(*arguments: str) -> str:
    """A command line to paste, quoted for a shell."""
    return f"{command()} {shlex.join(arguments)}"


def invoked() -> str:
    """The name under which this process was started, if the same name starts it again; else :func:`command`."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119 - imports nothing
    return name if name in NAMES and is_own(name) else command()


def is_own(name: str) -> bool:
    """Whether the first program of that name on PATH is a script of this package for this Python."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, name)  # noqa: PTH118
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113
            break
    else:
        return False
    try:
        with open(path, "rb") as file:
            script = file.read(_SCRIPT_BYTES)
    except OSError:
        return False
    own_folder = os.path.dirname(sys.executable or "") + os.sep  # noqa: PTH120
    return own_folder != os.sep and os.fsencode(own_folder) in script.partition(b"import")[0] and b"clusterdb" in script
