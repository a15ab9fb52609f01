"""A verb, and a step of somebody else at every single look that the verb has at the catalog."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any

import pytest

import clusterdb
from clusterdb.catalog.database import Database
from tests.support.stores import assert_clean

Act = Callable[[clusterdb.Store], Any]
LOOKS_MAX = 300

VERBS: dict[str, Act] = {
    "clone": lambda store: store.cluster("dev").clone("new"),
    "clone at base": lambda store: store.cluster("dev").clone("new", at="base"),
    "clone at snapshot": lambda store: store.cluster("prod").clone("new", at="snap"),
    "clone at time": lambda store: store.cluster("dev").clone("new", at=timedelta(0)),
    "connect": lambda store: store.cluster("dev").connect().close(),
    "delete": lambda store: store.cluster("dev").delete(),
    "modify": lambda store: store.cluster("dev").modify(backtrack_window_s=0, backup_retention_days=0),
    "backtrack": lambda store: store.cluster("dev").backtrack(store.cluster("dev").versions(2)[-1].version),
    "reset": lambda store: store.cluster("dev").reset(),
    "log": lambda store: list(store.cluster("dev").log()),
    "restorable": lambda store: store.cluster("dev").restorable(),
    "stats": lambda store: store.cluster("dev").stats(),
    "snapshot": lambda store: store.cluster("dev").snapshot("other"),
    "snapshot of base": lambda store: store.cluster("dev").snapshot("other", at="base"),
    "snapshots": lambda store: store.snapshots(),
    "restore snapshot": lambda store: store.restore_snapshot("snap", "new"),
    "expire": lambda store: store.expire(),
    "reclaim": lambda store: store.reclaim(),
}

STEPS: dict[str, Act] = {
    "delete": lambda store: store.cluster("dev").delete(),
    "delete source": lambda store: store.cluster("prod").delete(),
    "delete snapshot": lambda store: store.delete_snapshot("snap"),
    "reset": lambda store: store.cluster("dev").reset(),
    "give past up": lambda store: store.cluster("dev").modify(backtrack_window_s=0, backup_retention_days=0),
    "create": lambda store: store.create_cluster("filler", backup_retention_days=0),
}


def _filled(store: clusterdb.Store) -> None:
    """'prod' with a snapshot, and its clone 'dev', which is at its third version."""
    prod = store.create_cluster("prod", backtrack_window_s=3600)
    with closing(prod.connect()) as connection:
        connection.execute("CREATE TABLE t (a)")
    prod.snapshot("snap")
    with closing(prod.clone("dev", backtrack_window_s=3600).connect()) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("INSERT INTO t VALUES (2)")


def _done_with_step(verb: Act, step: Act, look: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Do a verb with a step at this look at the catalog; False if the verb looks less often."""
    looks = 0
    with clusterdb.open(":memory:") as store:
        _filled(store)

        def at_look(database: Database) -> None:
            nonlocal looks
            if not database.is_in_transaction:  # else others have to wait
                looks += 1
                if looks == look:
                    with monkeypatch.context() as patch, suppress(clusterdb.StoreBusyError):  # it waits for the verb
                        patch.setattr("vfs.storage.device.LOCK_PATIENCE_S", 0)
                        step(store)

        with monkeypatch.context() as patch:
            for name in ("query", "row"):
                whole = getattr(Database, name)
                patch.setattr(Database, name, lambda self, *a, whole=whole: (at_look(self), whole(self, *a))[1])
            try:
                verb(store)
            except clusterdb.CorruptStoreError:
                raise
            except clusterdb.Error:
                pass  # it is refused, since what it needs is gone
        for cluster in store.clusters():
            with closing(cluster.connect()) as connection:
                assert connection.execute("PRAGMA integrity_check").get == "ok"
        assert_clean(store)
    return looks >= look


@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize("verb", list(VERBS))
def test_verb_beside_a_step_at_any_look(verb: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb succeeds, or is refused with an error that a user understands; the store stays whole."""
    if (verb, step) == ("delete", "delete"):
        pytest.skip("the step is refused then")
    for look in range(1, LOOKS_MAX):
        if not _done_with_step(VERBS[verb], STEPS[step], look, monkeypatch):
            return
    raise AssertionError("the verb does not end")
