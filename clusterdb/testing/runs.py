"""A run of tests in one process: its store, its templates, its clones, and the clones that earlier runs left behind.

A clone has the tag ``owner``.  If its owner has ended without dropping it, the next process that opens the store drops
it.  If the owner cannot be examined (it ran in another container), the clone expires (``ttl_s``).  A kept clone has
neither the tag nor the expiry; it is deleted when a clone of the same test is kept again, when a hundred newer clones
are kept, or by the user.

Nothing in the store is synced.  When the store is first opened after a boot, it is checked as a whole (a second per
gigabyte), since a power failure may have damaged it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from clusterdb import store as stores
from clusterdb.dbapi2.opening import share, shared_store
from clusterdb.errors import (
    ClusterNotFoundError,
    CorruptStoreError,
    DeletionProtectedError,
    Error,
    SnapshotNotFoundError,
    StoreBusyError,
)
from clusterdb.store import Cluster, Store
from clusterdb.testing.clones import Clone
from clusterdb.testing.owners import boot_id, has_ended, this_process
from clusterdb.testing.seeds import Recipe
from clusterdb.testing.stats import Stats
from clusterdb.testing.templates import Templates

__all__ = ["Run"]

CLONE_TTL_S = 2 * 86_400
KEPT_MAX = 100
_KIND = "clusterdb-testing"
_TAG_CHARS = 256


class Run:
    """The store, templates and clones of one process's tests.  Close it at the end."""

    def __init__(
        self, path: str | Path, *, run: str | None = None, rebuilds: bool = False, measures_bytes: bool = False
    ) -> None:
        """Open or create the store; ``":memory:"`` for a store in memory.

        ``run``: an id that all processes of a run share.  ``rebuilds``: build every template anew, once in this run.
        ``measures_bytes``: record the bytes that each clone has written.  Raises what :func:`clusterdb.open` raises.
        """
        run = run or os.urandom(8).hex()
        self.stats = Stats()
        self.store = _opened(path)
        self.templates = Templates(self.store, run=run, rebuilds=rebuilds, stats=self.stats)
        self._measures_bytes = measures_bytes
        self._prefix = f"test-{os.urandom(4).hex()}"
        self._count = 0
        self._tags = {_KIND: "clone", "owner": this_process()}
        self._drop_left_behind()

    # --- clones -----------------------------------------------------------------------------------------------------
    def clone(self, template: Cluster | Recipe, settings: Mapping[str, object] | None = None, label: str = "") -> Clone:
        """A clone of a template; ``settings`` as for :class:`ClusterSettings`."""
        source = self.templates.cluster(template) if isinstance(template, Recipe) else template
        given_settings: dict[str, Any] = dict(settings or {})
        tags = {**given_settings.pop("tags", {}), **self._tags}
        self._count += 1
        begin = time.perf_counter()
        cluster = self.templates.clone(
            source, f"{self._prefix}-{self._count}", {"ttl_s": CLONE_TTL_S, **given_settings, "tags": tags}
        )
        self.stats.clone_ms.append((time.perf_counter() - begin) * 1e3)
        return Clone(cluster, source, label)

    def drop(self, clone: Clone) -> None:
        """Drop a clone, and close its connections."""
        self._measure(clone)
        clone.drop()

    def keep(self, clones: Iterable[Clone], test: str) -> list[str]:
        """Keep the clones of a test for inspection, and delete those that were kept of the same test before.

        Returns the command that opens each clone; for a store in memory, the reason that there is none.
        """
        if self.store.path == ":memory:":
            return [
                f"{clone.name} is in memory and ends with this process: use a store on disk to keep it"
                for clone in clones
            ]
        tags = {_KIND: "kept", "test": test[-_TAG_CHARS:]}
        for cluster in self._with_tags(tags):
            self._delete(cluster)
        commands = [self._keep(clone, tags) for clone in clones]
        kept = sorted(self._with_tags({_KIND: "kept"}), key=lambda cluster: cluster.id)
        for cluster in kept[:-KEPT_MAX]:
            self._delete(cluster)
        return commands

    def _keep(self, clone: Clone, tags: Mapping[str, str]) -> str:
        if not clone.is_kept:
            self._measure(clone)
            self.stats.kept.append(clone.name)
        clone.is_kept = True
        with suppress(ClusterNotFoundError):  # the test has deleted it
            clone.cluster.modify(ttl_s=None, tags=tags)
        label = f"  # {clone.label}" if clone.label else ""
        return f"{self.store.context.hint('shell', clone.name)}{label}"

    def _measure(self, clone: Clone) -> None:
        if self._measures_bytes:
            with suppress(Error):
                self.stats.clone_bytes.append(clone.cluster.stats().own_bytes)

    # --- clones that others left behind -----------------------------------------------------------------------------
    def _drop_left_behind(self) -> None:
        for cluster in self._with_tags({_KIND: "clone"}):
            with suppress(ClusterNotFoundError, StoreBusyError):
                if has_ended(cluster.settings.tags.get("owner", "")):
                    self._delete(cluster)

    def _delete(self, cluster: Cluster) -> None:
        """Delete a clone with its snapshots; another process may be deleting it too."""
        for snapshot in self.store.snapshots():
            if snapshot.cluster == cluster.name:
                with suppress(SnapshotNotFoundError):
                    self.store.delete_snapshot(snapshot.name)
        with suppress(ClusterNotFoundError, DeletionProtectedError):
            cluster.delete()

    def _with_tags(self, tags: Mapping[str, str]) -> list[Cluster]:
        clusters = []
        for cluster in self.store.clusters():
            with suppress(ClusterNotFoundError):
                if tags.items() <= cluster.settings.tags.items():
                    clusters.append(cluster)
        return clusters

    def close(self) -> None:
        """Close the store; a store in memory stays until the end of the process."""
        self.templates.close()
        if self.store.path != ":memory:":
            with suppress(Error):  # a connection is open: the end of the process closes it
                self.store.close()


def _opened(path: str | Path) -> Store:
    if str(path) == ":memory:":
        return shared_store(":memory:", create=True)
    try:
        store = stores.open(Path(path).absolute(), synchronous="OFF", disposable=True)
    except CorruptStoreError as error:
        raise CorruptStoreError(f"{error}; it holds test data only: delete the directory '{path}'") from error
    _check_after_boot(store)
    share(store)
    return store


def _check_after_boot(store: Store) -> None:
    """Raises CorruptStoreError if a power failure has damaged the store."""
    note = Path(store.path) / "testing" / "boot"
    note.parent.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(note, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the other workers of a run wait: a store that is worked on seems damaged
        noted, boot = file.read(), boot_id()
        if noted == boot:
            return
        report = store.check() if noted else None
        if report is not None and not report.ok:
            store.close()
            raise CorruptStoreError(
                f"store '{store.path}' was damaged when the system went down ({report.problems[0]}); it holds test "
                "data only: delete the directory"
            )
        file.seek(0)
        file.write(boot)
