"""Differences between clusters of a store: each side is read through a temporary clone without a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import get_args

from clusterdb.clusters.connecting import connect
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import VersionRef, lent
from clusterdb.diff import Applied, Diff, OnConflict, Side, applied, difference
from clusterdb.diff.compare import compare_schemas
from clusterdb.diff.pages import Image
from clusterdb.errors import InvalidArgumentError
from clusterdb.flavours import collations
from clusterdb.past.find import find
from clusterdb.rules.points import Point
from vfs.format.layout import SLOT_BYTES, Version
from vfs.storage.volume import Volume
from vfs.storage.volumes import pinned
from vfs.storage.walk import only_in

__all__ = ["Change", "apply", "change_between", "compare"]

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
    with _opened(context, find(context, context.row_of(cluster), at)) as opened:
        yield opened


@contextmanager
def _opened(context: Context, version: VersionRef) -> Iterator[tuple[Side, Volume]]:
    with lent(context, version) as (row, connection), pinned(context.pages, row) as volume:
        collations.install(connection)  # for keys with the collations of another engine
        yield Side(connection, Image(volume.read, volume.size_bytes)), volume


def _changed(context: Context, old: Volume, new: Volume, old_image: Image, new_image: Image) -> set[int] | None:
    """The numbers of the pages that differ; None if too many do, or the page sizes differ."""
    if old_image.page_size != new_image.page_size:
        return None
    changed = _differing(_stored_pages(context, old.version, new.version), old_image, new_image)
    most = max(old_image.page_count, new_image.page_count) // _PAGES_PER_CHANGED_MIN
    return changed if len(changed) <= max(most, _PAGES_PER_CHANGED_MIN) else None


def _stored_pages(context: Context, old: Version, new: Version) -> set[int]:
    """The numbers of the stored pages that two versions do not share."""
    read = context.pages.read_slot
    return {
        reached.number
        for version, other in ((old, new), (new, old))
        for reached in only_in(read, version, [other])
        if reached.level < 0
    }


def _differing(stored_pages: set[int], old: Image, new: Image) -> set[int]:
    """The numbers of the pages of two databases, with the same page size, that differ as these stored pages do.

    A page that is free in one of the two differs, even if its bytes do not.
    """
    changed = old.free_pages() ^ new.free_pages()
    for page in stored_pages:
        changed.update(new.numbers(page * SLOT_BYTES, SLOT_BYTES))
    return changed


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between two versions, as far as their pages tell it.

    ``page_count``: pages of 4096 bytes; ``tables``: the tables whose rows are on these pages, None if the pages do not
    tell it; ``definitions``: the schema entries that were created, dropped or altered.
    """

    page_count: int
    tables: tuple[str, ...] | None
    definitions: tuple[str, ...]


def change_between(context: Context, before: VersionRef, after: VersionRef) -> Change:
    """What differs between two versions; the time depends on the size of the difference.

    Raises ClusterNotFoundError, InvalidRestoreTimeError.
    """
    with _opened(context, before) as (old, old_pages), _opened(context, after) as (new, new_pages):
        pages = _stored_pages(context, old_pages.version, new_pages.version)
        definitions = tuple(change.name for change in compare_schemas(old.schema, new.schema))
        if old.image.page_size != new.image.page_size:
            return Change(len(pages), None, definitions)
        changed = _differing(pages, old.image, new.image)
        suspects = [(side, side.suspects(changed)) for side in (old, new)]
        names: set[str] = set()
        for side, by_table in suspects:
            if by_table is None:
                return Change(len(pages), None, definitions)
            names |= {side.schema.tables[name].name for name in by_table if name in side.schema.tables}
        return Change(len(pages), tuple(sorted(names)), definitions)


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
