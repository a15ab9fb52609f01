"""asyncio: connections of ``aiosqlite`` to clusters.

async with clusterdb.aio.connect("prod", store="./store") as db:
    async with db.execute("SELECT ...") as cursor: ...
"""

from __future__ import annotations

from typing import Any

import aiosqlite

from clusterdb import dbapi2
from clusterdb.dbapi2.opening import Database

__all__ = ["connect"]


def connect(database: Database, *, iter_chunk_size: int = 64, **options: Any) -> aiosqlite.Connection:
    """Open a connection of aiosqlite (https://aiosqlite.omnilib.dev), with the arguments of :func:`clusterdb.connect`.

    ``iter_chunk_size``: the number of rows that ``async for`` fetches at once.
    """

    def connector() -> Any:  # aiosqlite expects a sqlite3.Connection
        return dbapi2.connect(database, **options)

    return aiosqlite.Connection(connector, iter_chunk_size)
