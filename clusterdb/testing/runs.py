"""A run of tests in one process: its store, its templates, its clones, and what earlier runs left behind.

Clones carry the tag ``owner``: one whose owner has ended without dropping it is dropped by whoever opens the store
next.  If nobody can tell (another container made it), it expires (``ttl_s``).  A kept clone has lost that tag and the
expiry; it goes when the same test is kept again, when a hundred newer ones are, or when somebody deletes it.

Nothing in the store is synced.  What a power failure may have done to it shows when it is first opened in another boot:
then all of it is checked (a second a gigabyte).
"""

from __future__ import annotations

import os
import shlex
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
from clusterdb.testing.owners import boot_id, is_gone, myself
from clusterdb.testing.seeds import Recipe
from clusterdb.testing.stats import Stats
from clusterdb.testing.templates import Templates

__all__ = ["Run"]

CLONE_TTL_S = 2 * 86_400
KEPT_MAX = 100
_KIND = "clusterdb-testing"
_TAG_CHARS = 256


class Run:
    """What one process needs for its tests.  Close it."""

    def __init__(
        self, path: str | Path, *, run: str | None = None, rebuilds: bool = False, measures_bytes: bool = False
    ) -> None:
        """Open the store, creating it; ``":memory:"`` for one in memory.

        ``run`` is what the processes of a run have in common.  ``rebuilds``: templates are built once more in this run.
        ``measures_bytes``: look at what each clone wrote before it is dropped.  Raises as :func:`clusterdb.open`.
        """
        run = run or os.urandom(8).hex()
        self.stats = Stats()
        self.store = _opened(path)
        self.templates = Templates(self.store, run=run, rebuilds=rebuilds, stats=self.stats)
        self._measures_bytes = measures_bytes
        self._prefix = f"test-{os.urandom(4).hex()}"
        self._count = 0
        self._tags = {_KIND: "clone", "owner": myself()}
        self._drop_left_behind()

    # --- clones -----------------------------------------------------------------------------------------------------
    def clone(self, template: Cluster | Recipe, settings: Mapping[str, Any] | None = None, label: str = "") -> Clone:
        """A clone of a template; ``settings`` of :class:`ClusterSettings`."""
        source = self.templates.cluster(template) if isinstance(template, Recipe) else template
        given = dict(settings or {})
        tags = {**given.pop("tags", {}), **self._tags}
        self._count += 1
        begin = time.perf_counter()
        cluster = self.templates.clone(
            source, f"{self._prefix}-{self._count}", {"ttl_s": CLONE_TTL_S, **given, "tags": tags}
        )
        self.stats.clone_ms.append((time.perf_counter() - begin) * 1e3)
        return Clone(cluster, source, label)

    def drop(self, clone: Clone) -> None:
        """Drop a clone and what it gave out."""
        self._measure(clone)
        clone.drop()

    def keep(self, clones: Iterable[Clone], test: str) -> list[str]:
        """Keep the clones of a test for a person to look at, in place of those that were kept of it before.

        The commands that open them, or why that cannot be.
        """
        if self.store.path == ":memory:":
            return [
                f"no, {each.name} is gone with this process: have the store on disk to look at it" for each in clones
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
        with suppress(ClusterNotFoundError):  # the test's doing
            clone.cluster.modify(ttl_s=None, tags=tags)
        label = f"  # {clone.label}" if clone.label else ""
        return f"clusterdb --store {shlex.quote(self.store.path)} shell {clone.name}{label}"

    def _measure(self, clone: Clone) -> None:
        if self._measures_bytes:
            with suppress(Error):
                self.stats.clone_bytes.append(clone.cluster.stats().own_bytes)

    # --- what others left behind ------------------------------------------------------------------------------------
    def _drop_left_behind(self) -> None:
        for cluster in self._with_tags({_KIND: "clone"}):
            with suppress(ClusterNotFoundError, StoreBusyError):
                if is_gone(cluster.settings.tags.get("owner", "")):
                    self._delete(cluster)

    def _delete(self, cluster: Cluster) -> None:
        """Delete a clone with its snapshots, unless another process is doing it."""
        for snapshot in self.store.snapshots():
            if snapshot.cluster == cluster.name:
                with suppress(SnapshotNotFoundError):
                    self.store.delete_snapshot(snapshot.name)
        with suppress(ClusterNotFoundError, DeletionProtectedError):
            cluster.delete()

    def _with_tags(self, tags: Mapping[str, str]) -> list[Cluster]:
        found = []
        for cluster in self.store.clusters():
            with suppress(ClusterNotFoundError):
                if tags.items() <= cluster.settings.tags.items():
                    found.append(cluster)
        return found

    def close(self) -> None:
        """Close the store; one in memory is the process's, and stays."""
        self.templates.close()
        if self.store.path != ":memory:":
            with suppress(Error):  # somebody still has a connection: the end of the process closes it
                self.store.close()


def _opened(path: str | Path) -> Store:
    if str(path) == ":memory:":
        return shared_store(":memory:", create=True)
    try:
        store = stores.open(Path(path).absolute(), synchronous="OFF", disposable=True)
    except CorruptStoreError as error:
        raise CorruptStoreError(f"{error}; it holds nothing but test data: delete the directory '{path}'") from error
    _check_after_boot(store)
    share(store)
    return store


def _check_after_boot(store: Store) -> None:
    """Raises CorruptStoreError if a power failure has damaged the store."""
    note = Path(store.path) / "testing" / "boot"
    boot = boot_id()
    if note.exists() and note.read_text() == boot:
        return
    report = store.check() if note.exists() else None
    if report is not None and not report.ok:
        store.close()
        raise CorruptStoreError(
            f"store '{store.path}' was damaged when the system went down ({report.problems[0]}); it holds nothing but "
            "test data: delete the directory"
        )
    note.parent.mkdir(mode=0o700, exist_ok=True)
    note.write_text(boot)
