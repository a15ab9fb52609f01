"""Templates: built once for all workers and runs, and reused by name.

The life of a template
    1. A process that needs a missing template takes the lock of its key (a byte of ``testing/locks`` in the store's
       directory); others wait for the lock, and then reuse the template.
    2. It is built as the cluster ``building-KEY``.  An existing cluster of that name was left by a killed builder,
       whose lock ended with it, and is deleted.
    3. The rename to ``template-KEY`` publishes it atomically.
    4. The store deletes it after two weeks without use (``idle_s``).  Its clones remain.

A template with a repository (``remote=``) is looked up there by a key that is the same on every machine, and cloned: on
disk its pages come when they are read.  If it is not there, it is built and pushed.  A name in a repository only moves
to descendants, so the first push wins; who is second deletes what it has built, and clones.  A repository that cannot
be used is a warning, and the template is built here.

A seed that failed is not run again in the same run: the error is noted beside the locks for the other workers.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clusterdb.errors import (
    ClusterNotFoundError,
    NotSupportedError,
    RemoteConflictError,
    RemoteDamagedError,
    RemoteError,
    RemoteNotFoundError,
)
from clusterdb.store import Cluster, Store
from clusterdb.testing.seeds import Recipe, SeedError
from clusterdb.testing.stats import Stats

__all__ = ["Templates"]

IDLE_S = 14 * 86_400
FAILURE_NOTE_S = 86_400
_TAG_CHARS = 256


class Templates:
    """The templates of one process in a run."""

    def __init__(self, store: Store, *, run: str, rebuilds: bool, stats: Stats) -> None:
        self._store = store
        self._run = run
        self._rebuilds = rebuilds
        self._stats = stats
        self._clusters: dict[str, Cluster] = {}
        self._recipes: dict[int, Recipe] = {}
        self._failed: dict[str, Exception] = {}
        self._unusable: set[str] = set()
        self._directory = None if store.path == ":memory:" else Path(store.path) / "testing"
        self._locks = _Locks(self._directory)

    def cluster(self, recipe: Recipe) -> Cluster:
        """The template, built if it is missing.  Raises SeedError, also if it failed in another worker."""
        name = recipe.name
        if name in self._clusters:
            return self._clusters[name]
        if name in self._failed:
            raise self._failed[name].with_traceback(None)
        try:
            cluster = self._existing(name) or self._built(recipe)
        except Exception as error:
            self._failed[name] = error
            raise
        self._clusters[name] = cluster
        self._recipes[cluster.id] = recipe
        return cluster

    def clone(self, template: Cluster, name: str, settings: Mapping[str, Any]) -> Cluster:
        """A clone of a template, or of any cluster; a template that was deleted is built again."""
        try:
            return template.clone(name, **settings)
        except ClusterNotFoundError:
            recipe = self._recipes.pop(template.id, None)
            if recipe is None:
                raise
        self._clusters.pop(recipe.name, None)
        return self.cluster(recipe).clone(name, **settings)

    def close(self) -> None:
        """Close the file of the locks."""
        self._locks.close()

    def _existing(self, name: str) -> Cluster | None:
        """The template if it need not be built; None otherwise.  Notes its use."""
        try:
            cluster = self._store.cluster(name)
            settings = cluster.settings
            if self._rebuilds and settings.tags.get("run") != self._run:
                return None
            cluster.connect(read_only=True).close()  # a use: restarts its idle time
        except ClusterNotFoundError:
            return None
        self._stats.reused.append(settings.tags.get("seeds", name))
        return cluster

    def _built(self, recipe: Recipe) -> Cluster:
        if recipe.remote is not None and not self._rebuilds:
            with self._locks.held(recipe.key):
                cluster = self._existing(recipe.name)
                if cluster is not None:
                    return cluster
                cluster = self._cloned(recipe)
                if cluster is not None:
                    _delete(self._store, recipe.name)
                    cluster.rename(recipe.name)
                    return cluster
        base = self.cluster(recipe.base) if recipe.base is not None else None  # before the lock: locks are never nested
        with self._locks.held(recipe.key):
            cluster = self._existing(recipe.name)
            if cluster is not None:
                return cluster
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

    def _tags(self, recipe: Recipe) -> dict[str, str]:
        return {"clusterdb-testing": "template", "seeds": recipe.title[:_TAG_CHARS], "run": self._run}

    def _build(self, recipe: Recipe, base: Cluster | None) -> Cluster:
        store, name = self._store, f"building-{recipe.key[:20]}"
        tags = self._tags(recipe)
        _delete(store, name)
        if base is not None:
            cluster = self.clone(base, name, {"idle_s": IDLE_S, "tags": tags})
        else:
            cluster = store.create_cluster(
                name, from_file=recipe.database, engine=recipe.engine, idle_s=IDLE_S, tags=tags
            )
        try:
            recipe.run(cluster)
            if recipe.remote is not None:
                cluster = self._shared(recipe, cluster)
            _delete(store, recipe.name)  # the one of another run, if templates are rebuilt
            cluster.rename(recipe.name)
        except BaseException:
            with suppress(ClusterNotFoundError):
                cluster.delete()
            raise
        return cluster

    # --- repositories -----------------------------------------------------------------------------------------------
    def _cloned(self, recipe: Recipe) -> Cluster | None:
        """The template as its repository has it, named ``cloning-KEY``; None if it cannot be had there."""
        if recipe.remote in self._unusable:
            return None
        name = f"cloning-{recipe.key[:20]}"
        place, mark, settings = str(recipe.remote).partition("?")
        url = f"{place.rstrip('/')}/{recipe.shared_name}{mark}{settings}"
        _delete(self._store, name)
        begin = time.perf_counter()
        with suppress(RemoteNotFoundError), self._in_repository(recipe, RemoteNotFoundError):
            cluster = self._store.clone(url, name, idle_s=IDLE_S, tags=self._tags(recipe))
            self._stats.cloned[recipe.title] = time.perf_counter() - begin
            return cluster
        return None

    def _shared(self, recipe: Recipe, cluster: Cluster) -> Cluster:
        """Push a template that was built here; the one that another machine has pushed first, if there is one."""
        if recipe.remote in self._unusable:
            return cluster
        try:
            with self._in_repository(recipe, RemoteConflictError):
                cluster.push(str(recipe.remote), name=recipe.shared_name, force=self._rebuilds)
            return cluster
        except RemoteConflictError as error:
            conflict = error
        other = self._cloned(recipe)
        if other is None:
            _warn(f"a template was not pushed: {conflict}")
            return cluster
        cluster.delete()
        return other

    @contextmanager
    def _in_repository(self, recipe: Recipe, passed: type[RemoteError]) -> Iterator[None]:
        """Use the repository of a recipe in the body; warn if it cannot be used, and remember that.

        Raises errors of the class ``passed``, and InvalidArgumentError if the URL is wrong.
        """
        try:
            yield
        except passed:
            raise
        except (RemoteError, RemoteDamagedError, NotSupportedError) as error:
            self._unusable.add(str(recipe.remote))
            _warn(f"templates are built here, since their repository cannot be used: {error}")


def _warn(text: str) -> None:
    """Warn; a warning that is turned into an error is printed, since no test fails for a repository."""
    try:
        warnings.warn(text, stacklevel=2)
    except UserWarning:
        print(f"clusterdb: {text}", file=sys.stderr)


def _delete(store: Store, name: str) -> None:
    with suppress(ClusterNotFoundError):
        store.cluster(name).delete()


class _Locks:
    """A lock for each key: POSIX record locks, which end with their process and are not inherited."""

    def __init__(self, directory: Path | None) -> None:
        self._fd = -1
        if directory is not None:
            directory.mkdir(mode=0o700, exist_ok=True)
            self._fd = os.open(directory / "locks", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Hold the lock of a key; waits while another process holds it."""
        if self._fd < 0:
            yield  # the store belongs to this process
            return
        offset = int(key[:12], 16)
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, offset)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, offset)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _FailureNote:
    """The note of a failed seed for the other workers of a run; written and read under the lock of its key."""

    def __init__(self, directory: Path | None, name: str, run: str) -> None:
        self._path = directory / f"{name}.failed" if directory is not None else None
        self._run = run

    def require_none(self) -> None:
        """Raises SeedError if the seeds have failed in this run."""
        if self._path is None or not self._path.exists():
            return
        try:
            note = json.loads(self._path.read_text())
        except ValueError:
            return  # of a worker that was killed by a power failure
        if note["run"] == self._run:
            raise SeedError(f"{note['text']}\n\n(in another worker of this run)")

    def leave(self, error: Exception) -> None:
        if self._path is None:
            return
        text = error.report() if isinstance(error, SeedError) else f"{type(error).__name__}: {error}"
        whole = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        whole.write_text(json.dumps({"run": self._run, "text": text}))
        whole.replace(self._path)  # at once: a process may be killed while it writes
        for old in self._path.parent.glob("*.failed*"):
            with suppress(OSError):
                if old.stat().st_mtime < time.time() - FAILURE_NOTE_S:
                    old.unlink()

    def remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
