"""Differences between clusters of a store: both sides are lent as they are at one moment, as clones without a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, get_args

from clusterdb import backups
from clusterdb.diff import Applied, Diff, OnConflict, Side, applied, difference
from clusterdb.diff.pages import Image
from clusterdb.errors import InvalidArgumentError
from clusterdb.flavours import collations
from clusterdb.points import Point
from vfs.layout import SLOT_BYTES
from vfs.table import only_in
from vfs.volume import Volume

if TYPE_CHECKING:
    from clusterdb.cluster import Cluster
    from clusterdb.store import Store

__all__ = ["apply", "compare"]

_FEW = 2
"""Pages tell where rows differ while at most one of so many does."""


def compare(
    store: Store,
    before: Cluster,
    after: Cluster,
    before_at: Point | None,
    after_at: Point | None,
    tables: Iterable[str] | None,
) -> Diff:
    """What made of one cluster (or a point in its past) what the other is."""
    chosen = None if tables is None else list(tables)
    with _lent(store, before, before_at) as (old, old_pages), _lent(store, after, after_at) as (new, new_pages):
        changed = _changed(store, old_pages, new_pages, old.image, new.image)
        names = (_text(before, before_at), _text(after, after_at))
        return difference(names, old, new, changed, chosen)


def _text(cluster: Cluster, at: Point | None) -> str:
    return cluster.name if at is None else f"{cluster.name}@{at}"


@contextmanager
def _lent(store: Store, cluster: Cluster, at: Point | None) -> Iterator[tuple[Side, Volume]]:
    found = backups.find(store, store._row_of(cluster), at)
    with store._lent(found) as (row, connection), store._pages.pinned(row) as volume:
        collations.install(connection)  # the keys of another engine's tables may be texts
        yield Side(connection, Image(volume.read, volume.size_bytes)), volume


def _changed(store: Store, old: Volume, new: Volume, old_image: Image, new_image: Image) -> set[int] | None:
    """The pages that differ, by SQLite's numbers; None if most do, or pages are of two sizes.

    A page that is free in one of them differs, though SQLite may have left the bytes of it alone.
    """
    if old_image.page_size != new_image.page_size:
        return None
    found = old_image.free_pages() ^ new_image.free_pages()
    read = store._pages.read_slot
    for version, other in ((old.version, new.version), (new.version, old.version)):
        for reached in only_in(read, version, [other]):
            if reached.level < 0:
                found.update(new_image.numbers(reached.number * SLOT_BYTES, SLOT_BYTES))
    most = max(old_image.page_count, new_image.page_count) // _FEW
    return found if len(found) <= max(most, _FEW) else None


def apply(store: Store, cluster: Cluster, changeset: bytes, on_conflict: OnConflict) -> Applied:
    """Apply a changeset to a cluster, in one transaction."""
    if on_conflict not in get_args(OnConflict):
        raise InvalidArgumentError(f"on_conflict {on_conflict!r}: use {', '.join(get_args(OnConflict))}")
    with store._errors(), closing(cluster.connect()) as connection:
        engine = cluster.settings.engine
        if engine != "sqlite":
            from clusterdb.flavours import session_of

            session_of(engine, connection)
        return applied(connection, changeset, on_conflict, f"cluster '{cluster.name}' in store '{store.path}'")
