"""A cluster, its clone and a neighbour, and processes that die while they work on them."""

from __future__ import annotations

from collections.abc import Callable

import apsw

import clusterdb
from tests.support.mishaps import (
    filled,
    letters_of,
    names,
    rewrite,
)
from tests.support.points import COMMIT_POINTS

Opener = Callable[..., clusterdb.Store]


UNPUBLISHED = [point for point, state in COMMIT_POINTS.items() if state == "a"]


PROD, DEV = "prod", "dev"

COMMIT = "c = store.cluster('prod').connect(); kill(); c.execute(\"UPDATE t SET v = replace(v, 'a', 'b')\")"
WORKS = {
    "commit": COMMIT,
    "many commits": """
c = store.cluster('prod').connect()
kill()
for letter in 'cdefghijb' * 2:
    c.execute("UPDATE t SET v = replace(v, substr(v, 1, 1), ?)", (letter,))
""",
    "clone": "kill(); store.cluster('prod').clone('new')",
    "delete": "kill(); store.cluster('dev').delete()",
    "reclaim": "kill(); store.reclaim()",
    "shrink": "kill(); store.shrink()",
}
"""What a process may be doing when it dies."""


def make_family(store: clusterdb.Store) -> apsw.Connection:
    """'prod' with 60 rows 'a', its clone 'dev' from when it had 'd', 40 of which became 'e' there; and 'neighbour'.

    Returns a connection to the neighbour.
    """
    connection = filled(store, PROD, 60, "d")
    clone = store.cluster(PROD).clone(DEV).connect()
    rewrite(clone, "e", below=40)
    clone.close()
    rewrite(connection, "a")
    connection.close()
    return filled(store, "neighbour", 30, "n")


def assert_family(store: clusterdb.Store, prod: set[str], clusters: set[str]) -> None:
    """Every cluster is whole, and is what it was before or after what the dead process did."""
    assert set(names(store)) == clusters | {"neighbour"}
    ((letter, count),) = letters_of(store, PROD).items()
    assert count == 60 and letter in prod
    if DEV in clusters:
        assert letters_of(store, DEV) == {"d": 20, "e": 40}
