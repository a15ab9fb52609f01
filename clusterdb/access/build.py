"""What this installation consists of: its data plane, SQLite and apsw, and the library for other programs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import apsw

from clusterdb.access.translate import of_store
from vfs import plane

__all__ = ["description", "implementation", "library_commands", "notice"]

notice = plane.notice


def implementation() -> str:
    """The name of the data plane with which stores are opened now.  Raises InvalidArgumentError."""
    with of_store(""):
        return plane.chosen().name


def description() -> str:
    """The parts with their versions, for ``clusterdb --version``.  Raises InvalidArgumentError."""
    return f"data plane: {implementation()}; SQLite {apsw.sqlite_lib_version()}; apsw {apsw.apsw_version()}"


def library_commands(store: str, cluster: str) -> list[str]:
    """The dot commands with which SQLite's shell opens a cluster, read-only.

    None if the loadable extension was not built, or the store is in memory.
    """
    library = plane.library()
    if library is None or store == ":memory:":
        return []
    directory = quote(str(Path(store).absolute()))
    return [f'.load "{library}"', f".open file:{cluster}?vfs=clusterdb&store={directory}"]
