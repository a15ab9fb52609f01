"""The directories of the nodes of a store in a test, and what can be recovered from them."""

from __future__ import annotations

from pathlib import Path

import clusterdb
from tests.support.stores import assert_clean
from tests.zones.sql import execute

__all__ = ["nodes", "recovered", "series", "take_away"]


def series(first: int, last: int, length: int) -> str:
    """Inserts rows with random texts."""
    return (
        f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
        f"INSERT INTO t SELECT i, hex(randomblob({length})) FROM n"
    )


def nodes(tmp_path: Path, *names: str) -> list[str]:
    """The paths of nodes, for a recovery."""
    return [str(tmp_path / "store-zones" / name) for name in names]


def take_away(tmp_path: Path, *names: str) -> None:
    """Put files in the places of nodes: no request reaches them."""
    for name in names:
        (tmp_path / "store-zones" / name).rename(tmp_path / f"gone-{name}")
        (tmp_path / "store-zones" / name).write_bytes(b"")


def recovered(path: Path, urls: list[str], sql: str = "SELECT id FROM t ORDER BY id") -> list[object]:
    """What a new store recovers of the only cluster of nodes."""
    with clusterdb.open(path, create=True) as store:
        (cluster,) = store.recover(urls)
        assert execute(cluster, "PRAGMA integrity_check") == [("ok",)]
        assert_clean(store)
        return [value for (value,) in execute(cluster, sql)]
