"""Templates: built once over all workers and runs, found again by name.

The life of a template
    1. Whoever needs one that is not there takes the lock of its key (a byte of ``testing/locks`` in the store's
       directory); the others wait for it, and find the template when they have it.
    2. It is built as the cluster ``building-KEY``.  One of that name that is there already is what a killed builder
       left (the lock died with it), and is deleted.
    3. The rename to ``template-KEY`` publishes it, whole or not at all.
    4. When nobody has used it for two weeks the store deletes it (``idle_s``).  Clones of it live on.

A seed that failed is not run again in the same run: the error's text is left for the other workers beside the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clusterdb.errors import ClusterNotFoundError
from clusterdb.store import Cluster, Store
from clusterdb.testing.seeds import Recipe, SeedError
from clusterdb.testing.stats import Stats

__all__ = ["Templates"]

IDLE_S = 14 * 86_400
FAILURE_NOTE_S = 86_400
_TAG_CHARS = 256


class Templates:
    """The templates that one process uses in a run."""

    def __init__(self, store: Store, *, run: str, rebuilds: bool, stats: Stats) -> None:
        self._store = store
        self._run = run
        self._rebuilds = rebuilds
        self._stats = stats
        self._found: dict[str, Cluster] = {}
        self._recipes: dict[int, Recipe] = {}
        self._failed: dict[str, Exception] = {}
        self._directory = None if store.path == ":memory:" else Path(store.path) / "testing"
        self._locks = _Locks(self._directory)

    def cluster(self, recipe: Recipe) -> Cluster:
        """The template, built if it is not there.  Raises SeedError, also if another worker's attempt failed."""
        name = recipe.name
        if name in self._found:
            return self._found[name]
        if name in self._failed:
            raise self._failed[name].with_traceback(None)
        try:
            found = self._there(name) or self._built(recipe)
        except Exception as error:
            self._failed[name] = error
            raise
        self._found[name] = found
        self._recipes[found.id] = recipe
        return found

    def clone(self, template: Cluster, name: str, settings: Mapping[str, Any]) -> Cluster:
        """A clone of a template, or of any cluster.  A template that was deleted meanwhile is built again."""
        try:
            return template.clone(name, **settings)
        except ClusterNotFoundError:
            recipe = self._recipes.pop(template.id, None)
            if recipe is None:
                raise
        self._found.pop(recipe.name, None)
        return self.cluster(recipe).clone(name, **settings)

    def close(self) -> None:
        """Let go of the locks."""
        self._locks.close()

    def _there(self, name: str) -> Cluster | None:
        """A template that need not be built any more; noted as used."""
        try:
            cluster = self._store.cluster(name)
            settings = cluster.settings
            if self._rebuilds and settings.tags.get("run") != self._run:
                return None
            cluster.connect(read_only=True).close()  # used again: its idle time begins anew
        except ClusterNotFoundError:
            return None
        self._stats.reused.append(settings.tags.get("seeds", name))
        return cluster

    def _built(self, recipe: Recipe) -> Cluster:
        base = self.cluster(recipe.base) if recipe.base is not None else None  # before the lock: they are never nested
        with self._locks.held(recipe.key):
            found = self._there(recipe.name)
            if found is not None:
                return found
            note = _FailureNote(self._directory, recipe.name, self._run)
            note.require_none()
            begin = time.perf_counter()
            try:
                cluster = self._build(recipe, base)
            except Exception as error:
                note.leave(error)
                raise
            note.remove()
            self._stats.built[recipe.title] = time.perf_counter() - begin
            return cluster

    def _build(self, recipe: Recipe, base: Cluster | None) -> Cluster:
        store, name = self._store, f"building-{recipe.key[:20]}"
        tags = {"clusterdb-testing": "template", "seeds": recipe.title[:_TAG_CHARS], "run": self._run}
        _delete(store, name)
        if base is not None:
            cluster = self.clone(base, name, {"idle_s": IDLE_S, "tags": tags})
        else:
            cluster = store.create_cluster(
                name, from_file=recipe.database, engine=recipe.engine, idle_s=IDLE_S, tags=tags
            )
        try:
            recipe.run(cluster)
            _delete(store, recipe.name)  # of another run, when it is to be built anew
            cluster.rename(recipe.name)
        except BaseException:
            with suppress(ClusterNotFoundError):
                cluster.delete()
            raise
        return cluster


def _delete(store: Store, name: str) -> None:
    with suppress(ClusterNotFoundError):
        store.cluster(name).delete()


class _Locks:
    """One lock for each key; POSIX record locks, which die with their process and are no child's."""

    def __init__(self, directory: Path | None) -> None:
        self._fd = -1
        if directory is not None:
            directory.mkdir(mode=0o700, exist_ok=True)
            self._fd = os.open(directory / "locks", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Hold the lock of a key; waits for whoever has it."""
        if self._fd < 0:
            yield  # nobody else sees the store
            return
        at = int(key[:12], 16)
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, at)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, at)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _FailureNote:
    """What other workers of the same run are told of a seed that failed; written and read under the key's lock."""

    def __init__(self, directory: Path | None, name: str, run: str) -> None:
        self._path = directory / f"{name}.failed" if directory is not None else None
        self._run = run

    def require_none(self) -> None:
        """Raises SeedError if the seeds failed in this run already."""
        if self._path is None or not self._path.exists():
            return
        note = json.loads(self._path.read_text())
        if note["run"] == self._run:
            raise SeedError(f"{note['text']}\n\n(in another worker of this run)")

    def leave(self, error: Exception) -> None:
        if self._path is None:
            return
        text = error.told() if isinstance(error, SeedError) else f"{type(error).__name__}: {error}"
        self._path.write_text(json.dumps({"run": self._run, "text": text}))
        for old in self._path.parent.glob("*.failed"):
            with suppress(OSError):
                if old.stat().st_mtime < time.time() - FAILURE_NOTE_S:
                    old.unlink()

    def remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
