"""asyncio: connections of ``aiosqlite`` to clusters.

async with clusterdb.aio.connect("prod", store="./store") as db:
    async with db.execute("SELECT ...") as cursor: ...
"""

from __future__ import annotations

from typing import Any

import aiosqlite

from clusterdb import dbapi2

__all__ = ["connect"]


def connect(database: Any, *, iter_chunk_size: int = 64, **options: Any) -> aiosqlite.Connection:
    """A connection of aiosqlite's (https://aiosqlite.omnilib.dev), with the arguments of :func:`clusterdb.connect`.

    ``iter_chunk_size``: how many rows ``async for`` fetches at once.
    """

    def connector() -> Any:
        return dbapi2.connect(database, **options)

    return aiosqlite.Connection(connector, iter_chunk_size)
