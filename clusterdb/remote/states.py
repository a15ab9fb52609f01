"""The past of a repository: the state in which a database had a version, or that was the newest at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from time import time_ns
from urllib.parse import urlsplit, urlunsplit

from clusterdb.errors import InvalidArgumentError, InvalidRestoreTimeError, RemoteNotFoundError
from clusterdb.remote.manifest import Manifest, Ref
from clusterdb.remote.repository import Repository
from clusterdb.rules.points import Point, time_ns_of, time_text
from clusterdb.rules.urls import plain_url

__all__ = ["require_ref", "split_url", "state_at"]

_STATES_MAX = 1000


def split_url(url: str) -> tuple[str, str]:
    """The URL of a repository and the name of a database in it, from ``s3://BUCKET/PATH/NAME``.

    Raises InvalidArgumentError.
    """
    parts = urlsplit(url)
    path, _, name = parts.path.rstrip("/").rpartition("/")
    if not name or not (parts.netloc or path):
        raise InvalidArgumentError(f"'{plain_url(url)}' names no database: use {parts.scheme}://.../NAME")
    return urlunsplit(parts._replace(path=path)), name


def require_ref(repository: Repository, manifest: Manifest, name: str) -> Ref:
    """A database of a state.  Raises RemoteNotFoundError."""
    ref = manifest.refs.get(name)
    if ref is None:
        known = ", ".join(sorted(manifest.refs)) or "no database"
        raise RemoteNotFoundError(f"{repository.url} has no database '{name}': it has {known}")
    return ref


def state_at(repository: Repository, name: str, point: Point | None) -> Manifest:
    """The newest state, or the one at a point: a version of the database, a time, or a time span before now.

    A search among the numbers of manifests: their times grow with them, and so do the versions of a database, since it
    only moves to descendants, unless a push was forced.

    Raises RemoteNotFoundError, InvalidRestoreTimeError, InvalidArgumentError.
    """
    newest = repository.require_newest()
    if point is None:
        return newest
    if isinstance(point, datetime | timedelta):
        at_ns = time_ns_of(point, time_ns())
        if at_ns > newest.time_ns:
            return newest
        last = _last(repository, newest, lambda state: state.time_ns <= at_ns)
        if last is None or name not in last.refs:
            raise InvalidRestoreTimeError(
                f"{repository.url} has no database '{name}' at {_text(at_ns)}: its newest state is of "
                f"{_text(newest.time_ns)}; the first ones may have expired"
            )
        return last
    if isinstance(point, int):
        return _with_version(repository, newest, name, point)
    raise InvalidArgumentError(f"'{point}': a repository keeps no snapshots: use a version or a time")


def _with_version(repository: Repository, newest: Manifest, name: str, version: int) -> Manifest:
    """The newest state with a version of a database: by a search, since versions grow from push to push, else among the
    newest states, since those of a clone that is pushed in place of its source count anew.
    """
    require_ref(repository, newest, name)
    last = _last(repository, newest, lambda state: _version(state, name) <= version)
    if last is not None and _version(last, name) == version:
        return last
    state: Manifest | None = newest
    for number in range(newest.number, max(newest.oldest - 1, newest.number - _STATES_MAX), -1):
        state = repository.state(number) if number != newest.number else newest
        if state is None:
            break
        if _version(state, name) == version:
            return state
    before = f": the one pushed before it is {_version(last, name)}" if last is not None else ""
    raise InvalidRestoreTimeError(f"'{name}' in {repository.url} has no version {version}{before or ', or it expired'}")


def _version(state: Manifest, name: str) -> int:
    ref = state.refs.get(name)
    return ref.record.version if ref is not None else 0


def _last(repository: Repository, newest: Manifest, holds: Callable[[Manifest], bool]) -> Manifest | None:
    """The newest state for which a condition holds that holds for all states before; expired ones count as such."""
    low, high, last = newest.oldest, newest.number, None
    while low <= high:
        middle = (low + high) // 2
        state = repository.state(middle) if middle != newest.number else newest
        if state is None or holds(state):
            last, low = state, middle + 1
        else:
            high = middle - 1
    return last


def _text(at_ns: int) -> str:
    return time_text(datetime.fromtimestamp(at_ns / 1e9, timezone.utc))
