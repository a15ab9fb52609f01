"""Differences between clusters of a store: each side is read through a temporary clone without a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import get_args

from clusterdb.clusters.connecting import connect
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import lent
from clusterdb.diff import Applied, Diff, OnConflict, Side, applied, difference
from clusterdb.diff.pages import Image
from clusterdb.errors import InvalidArgumentError
from clusterdb.flavours import collations
from clusterdb.past.find import find
from clusterdb.rules.points import Point
from vfs.format.layout import SLOT_BYTES
from vfs.storage.volume import Volume
from vfs.storage.volumes import pinned
from vfs.storage.walk import only_in

__all__ = ["apply", "compare"]

_PAGES_PER_CHANGED_MIN = 2
"""Pages narrow the search for changed rows if at most one in this many of them differs."""


def compare(
    context: Context,
    before: ClusterRef,
    after: ClusterRef,
    before_at: Point | None,
    after_at: Point | None,
    tables: Iterable[str] | None,
) -> Diff:
    """The changes from one cluster, or a point in its past, to another."""
    chosen = None if tables is None else list(tables)
    with _lent(context, before, before_at) as (old, old_pages), _lent(context, after, after_at) as (new, new_pages):
        changed = _changed(context, old_pages, new_pages, old.image, new.image)
        names = (_text(before, before_at), _text(after, after_at))
        return difference(names, old, new, changed, chosen)


def _text(cluster: ClusterRef, at: Point | None) -> str:
    return cluster.name if at is None else f"{cluster.name}@{at}"


@contextmanager
def _lent(context: Context, cluster: ClusterRef, at: Point | None) -> Iterator[tuple[Side, Volume]]:
    version = find(context, context.row_of(cluster), at)
    with lent(context, version) as (row, connection), pinned(context.pages, row) as volume:
        collations.install(connection)  # for keys with the collations of another engine
        yield Side(connection, Image(volume.read, volume.size_bytes)), volume


def _changed(context: Context, old: Volume, new: Volume, old_image: Image, new_image: Image) -> set[int] | None:
    """The numbers of the pages that differ; None if too many do, or the page sizes differ.

    A page that is free in one of the two differs, even if its bytes do not.
    """
    if old_image.page_size != new_image.page_size:
        return None
    changed = old_image.free_pages() ^ new_image.free_pages()
    read = context.pages.read_slot
    for version, other in ((old.version, new.version), (new.version, old.version)):
        for reached in only_in(read, version, [other]):
            if reached.level < 0:
                changed.update(new_image.numbers(reached.number * SLOT_BYTES, SLOT_BYTES))
    most = max(old_image.page_count, new_image.page_count) // _PAGES_PER_CHANGED_MIN
    return changed if len(changed) <= max(most, _PAGES_PER_CHANGED_MIN) else None


def apply(context: Context, cluster: ClusterRef, changeset: bytes, on_conflict: OnConflict) -> Applied:
    """Apply a changeset to a cluster, in one transaction."""
    if on_conflict not in get_args(OnConflict):
        raise InvalidArgumentError(f"on_conflict={on_conflict!r}: use {', '.join(get_args(OnConflict))}")
    with context.errors(), closing(connect(context, cluster, "writer", read_only=False)) as connection:
        engine = context.row_of(cluster).settings.engine
        if engine != "sqlite":
            from clusterdb.flavours import session_of

            session_of(engine, connection)
        return applied(connection, changeset, on_conflict, f"cluster '{cluster.name}' in store '{context.path}'")
