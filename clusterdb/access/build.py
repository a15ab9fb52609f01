"""What this installation consists of: its data plane, SQLite and apsw."""

from __future__ import annotations

import apsw

from clusterdb.access.translate import of_store
from vfs import plane

__all__ = ["description", "implementation", "notice"]

notice = plane.notice


def implementation() -> str:
    """The name of the data plane with which stores are opened now.  Raises InvalidArgumentError."""
    with of_store(""):
        return plane.chosen().name


def description() -> str:
    """The parts with their versions, for ``clusterdb --version``.  Raises InvalidArgumentError."""
    return f"data plane: {implementation()}; SQLite {apsw.sqlite_lib_version()}; apsw {apsw.apsw_version()}"
