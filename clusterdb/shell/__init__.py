"""``clusterdb shell``: SQL and dot commands on the clusters of a store, typed, piped, or from files.

    output.py        apsw's shell with tables that fit the screen, a pager (pager.py), .once, and footers
    session.py       ... on a cluster: the cluster in use, prompts, running SQL
    conversation.py  reading statements, Ctrl-C, reporting errors
    dotted.py        dot commands in general
    commands.py      the dot commands for clusters
    plain_terminal.py, full_terminal.py
                     typed lines, with readline or with prompt_toolkit; both share history.py

Each of the first five is a class that extends the one before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from clusterdb.shell.commands import ClusterShell

if TYPE_CHECKING:
    from clusterdb.shell.conversation import Terminal

__all__ = ["ClusterShell", "run"]


def run(shell: ClusterShell, files: Sequence[Path] = (), commands: Sequence[str] = (), *, plain: bool = False) -> int:
    """Run files and commands, else standard input; the exit code.  Raises KeyboardInterrupt, SystemExit."""
    try:
        if files or commands:
            shell.interactive = False
            for path in files:
                with path.open(encoding="utf8") as file:
                    shell.read_all(file)
            for text in commands:
                shell.read_text(text, "-c")
        else:
            if shell.interactive:
                shell.terminal = _terminal(shell, plain=plain)
            shell.cmdloop(_intro(shell))
        shell.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards buffered output
        return 1
    except Exception as error:
        if not getattr(error, "_handle_exception_saw_this", False):
            raise
        return 1
    return int(shell.has_failed and not shell.interactive)


def _terminal(shell: ClusterShell, *, plain: bool) -> Terminal:
    if not plain and os.environ.get("TERM", "dumb") != "dumb" and find_spec("prompt_toolkit") and find_spec("pygments"):
        from clusterdb.shell.full_terminal import FullTerminal

        return FullTerminal(shell)
    from clusterdb.shell.plain_terminal import PlainTerminal

    return PlainTerminal(shell)


def _intro(shell: ClusterShell) -> str:
    from clusterdb import __version__

    return (
        f"clusterdb {__version__}, SQLite {apsw.sqlite_lib_version()}, store {shell.store.path}\n"
        "End SQL with a semicolon; .help lists commands, .clusters the clusters; Ctrl-D leaves.\n"
    )
