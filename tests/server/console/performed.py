"""The actions of the console on the shop: the fields of each, what it answers, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import clusterdb

__all__ = ["CASES", "PERFORMED", "Check", "Fields", "count", "names", "orders", "prepare", "snapshots"]

Fields = list[tuple[str, str]]
Check = Callable[[clusterdb.Store], bool]


def names(store: clusterdb.Store) -> list[str]:
    return [cluster.name for cluster in store.clusters()]


def count(store: clusterdb.Store, name: str, sql: str) -> Any:
    with closing(store.cluster(name).connect()) as connection:
        return connection.execute(sql).fetchall()[0][0]


def instance(store: clusterdb.Store, name: str) -> Any:
    return next((item for item in store.cluster("prod").instances() if item.name == name), None)


def snapshots(store: clusterdb.Store) -> list[str]:
    return [snapshot.name for snapshot in store.snapshots()]


def orders(store: clusterdb.Store, name: str = "prod") -> int:
    return int(count(store, name, "SELECT count(*) FROM orders"))


def endpoints(store: clusterdb.Store) -> list[str]:
    return [endpoint.name for endpoint in store.cluster("prod").endpoints()]


def lost(store: clusterdb.Store) -> list[int]:
    return [node.number for node in store.cluster("kept").nodes() if node.status == "lost"]


PERFORMED: dict[str, list[tuple[Fields, str, Check]]] = {
    "create": [
        ([("name", "new"), ("engine", "aurora-mysql"), ("ttl", "2h")], "created new", lambda s: "new" in names(s)),
    ],
    "clone": [
        ([("source", "prod"), ("name", "c1")], "cloned prod as c1, at version 5", lambda s: orders(s, "c1") == 300),
        (
            [("source", "prod"), ("name", "c2"), ("from", "version"), ("version", "3"), ("tags", "for=Ada\nwhy=test")],
            "cloned prod as c2, at version 3",
            lambda s: orders(s, "c2") == 0 and dict(s.cluster("c2").settings.tags) == {"for": "Ada", "why": "test"},
        ),
        (
            [("source", "prod"), ("name", "c3"), ("from", "snapshot"), ("snapshot", "monday"), ("ttl", "1h")],
            "restored snapshot monday as c3",
            lambda s: count(s, "c3", "SELECT count(*) FROM customers") == 0 and s.cluster("c3").settings.ttl_s == 3600,
        ),
        (
            [("source", "prod"), ("name", "c4"), ("full_copy", "1")],
            "copied prod as c4",
            lambda s: s.cluster("c4").stats().shared_bytes == 0,
        ),
    ],
    "modify": [
        (
            [("cluster", "dev"), ("retention", "2"), ("flags", "protection"), ("protection", "1"), ("note", "mine")],
            "modified dev: Days that the past is kept 1 -> 2",
            lambda s: (
                s.cluster("dev").settings.deletion_protection and s.cluster("dev").settings.tags["note"] == "mine"
            ),
        ),
        (
            [("cluster", "dev"), ("retention", "1"), ("retained", "300 MiB")],
            "modified dev: Size that the past may take none -> 314572800",
            lambda s: s.cluster("dev").settings.backup_retention_bytes == 300 << 20,
        ),
        (
            [("cluster", "dev"), ("retention", "2"), ("retained", "")],
            "modified dev: Days that the past is kept 1 -> 2",
            lambda s: s.cluster("dev").settings.backup_retention_bytes is None,
        ),
    ],
    "rename": [([("cluster", "dev"), ("name", "old")], "renamed dev to old", lambda s: "old" in names(s))],
    "stop": [([("cluster", "dev")], "stopped dev", lambda s: s.cluster("dev").status == "stopped")],
    "start": [([("cluster", "orphan")], "started orphan", lambda s: s.cluster("orphan").status == "available")],
    "delete": [
        ([("cluster", "dev"), ("typed", "dev")], "deleted dev", lambda s: "dev" not in names(s)),
        (
            [("cluster", "dev"), ("cluster", "orphan"), ("typed", "dev")],
            "deleted dev, orphan",
            lambda s: names(s) == ["prod"],
        ),
    ],
    "snapshot": [
        ([("cluster", "prod"), ("name", "s1")], "took snapshot s1", lambda s: "s1" in snapshots(s)),
        ([("cluster", "prod"), ("name", "s1"), ("at", "3")], "at version 3", lambda s: s.snapshot("s1").version == 3),
    ],
    "copy-snapshot": [
        ([("snapshot", "monday"), ("name", "s2")], "copied snapshot monday as s2", lambda s: "s2" in snapshots(s)),
    ],
    "delete-snapshot": [
        ([("snapshot", "monday"), ("typed", "monday")], "deleted snapshot monday", lambda s: not snapshots(s)),
    ],
    "back": [
        (
            [("cluster", "prod"), ("kind", "version"), ("to", "3")],
            "backtracked prod from version 5 to 3",
            lambda s: orders(s) == 0 and snapshots(s) == ["monday"],
        ),
        (
            [("cluster", "prod"), ("kind", "snapshot"), ("to", "monday"), ("keep", "1")],
            "what was there before is the snapshot before-reset-prod-1",
            lambda s: count(s, "prod", "SELECT count(*) FROM customers") == 0 and len(snapshots(s)) == 2,
        ),
        (
            [("cluster", "dev"), ("kind", "source"), ("keep", "1")],
            "reset dev from version 8 to prod",
            lambda s: orders(s, "dev") == 300,
        ),
        (
            [("cluster", "dev"), ("kind", "version"), ("to", "6")],
            "reset dev from version 8 to its version 6",
            lambda s: (
                count(s, "dev", "SELECT country FROM customers WHERE name = 'customer 1'") == "NO"
                and snapshots(s) == ["monday"]
            ),
        ),
    ],
    "apply": [
        (
            [("before", "dev"), ("after", ""), ("target", "prod"), ("on_conflict", "abort")],
            "applied 11 changed rows to prod",
            lambda s: orders(s) == 290,
        ),
    ],
    "add-instance": [
        (
            [("cluster", "prod"), ("name", "prod-3"), ("tier", "0"), ("lag", "5")],
            "added instance prod-3 to prod as a reader",
            lambda s: instance(s, "prod-3").replica_lag_ms == 5,
        ),
    ],
    "modify-instance": [
        (
            [("cluster", "prod"), ("instance", "prod-2"), ("tier", "3"), ("lag", "7"), ("jitter", "1")],
            "modified instance prod-2",
            lambda s: instance(s, "prod-2").promotion_tier == 3,
        ),
    ],
    "delete-instance": [
        (
            [("cluster", "prod"), ("instance", "prod-2")],
            "deleted instance prod-2",
            lambda s: instance(s, "prod-2") is None,
        ),
    ],
    "failover": [
        (
            [("cluster", "prod"), ("target", "prod-2")],
            "promoted prod-2 to writer of prod in place of prod-1",
            lambda s: instance(s, "prod-2").role == "writer",
        ),
        ([("cluster", "prod"), ("target", "")], "promoted prod-2", lambda s: instance(s, "prod-2").role == "writer"),
    ],
    "crash": [
        (
            [("cluster", "prod"), ("instance", "prod-1")],
            "crashed prod-1 of prod; the writer is prod-2",
            lambda s: instance(s, "prod-2").role == "writer",
        ),
    ],
    "fault": [
        (
            [("cluster", "prod"), ("fault", "replica"), ("percent", "100"), ("seconds", "1")],
            "Readers stop receiving changes in prod for 1 s",
            lambda s: True,
        ),
        ([("cluster", "prod"), ("fault", "disk"), ("percent", "0"), ("seconds", "1")], "block in prod", lambda s: True),
        (
            [("cluster", "prod"), ("fault", "congestion"), ("percent", "0"), ("seconds", "1"), ("instance", "prod-2")],
            "slow in prod",
            lambda s: True,
        ),
    ],
    "add-endpoint": [
        (
            [("cluster", "prod"), ("name", "reports"), ("type", "READER"), ("member", "prod-2")],
            "added endpoint reports to prod, which leads to prod-2",
            lambda s: "reports" in endpoints(s),
        ),
    ],
    "delete-endpoint": [
        (
            [("cluster", "prod"), ("endpoint", "custom")],
            "deleted endpoint custom of prod",
            lambda s: "custom" not in endpoints(s),
        ),
    ],
}
PERFORMED |= {
    "lose-node": [
        ([("cluster", "kept"), ("zone", "b")], "zone b of kept is lost", lambda s: lost(s) == [1, 3, 4]),
        ([("cluster", "kept"), ("node", "5")], "node 5 of kept is lost", lambda s: lost(s) == [1, 5]),
    ],
    "return-node": [
        ([("cluster", "kept"), ("zone", "a")], "zone a of kept is back", lambda s: lost(s) == []),
        ([("cluster", "kept"), ("node", "1")], "node 1 of kept is back", lambda s: lost(s) == []),
    ],
    "repair-nodes": [
        ([("cluster", "kept")], "5 of 6 nodes have every commit of kept", lambda s: lost(s) == [1]),
    ],
}
CASES = [(action, *case) for action, cases in PERFORMED.items() for case in cases]


def prepare(store: clusterdb.Store, action: str) -> None:
    """What an action needs in the shop."""
    if action == "start":
        store.cluster("orphan").stop()
    if action == "delete-endpoint":
        store.cluster("prod").add_endpoint("custom")
    if action.endswith(("-node", "-nodes")):
        store.create_cluster("kept", zones=3).lose_node(1)
