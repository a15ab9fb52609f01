"""Points in the past of a cluster, as they can be written after its name and an @."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from clusterdb.views.text import time_text

if TYPE_CHECKING:
    from clusterdb.past.find import Moment
    from clusterdb.past.snapshots import Snapshot

__all__ = ["PointText", "points"]

_AGO = {
    "1 minute ago": timedelta(minutes=1),
    "5 minutes ago": timedelta(minutes=5),
    "1 hour ago": timedelta(hours=1),
    "1 day ago": timedelta(days=1),
}


class PointText(NamedTuple):
    """A point in time as text, and what it is."""

    text: str
    what: str


def points(
    cluster: str, snapshots: Sequence[Snapshot], moments: Sequence[Moment], earliest: datetime, now: datetime
) -> list[PointText]:
    """Snapshots, those of the cluster first; its newest versions (``moments``); and times since ``earliest``."""
    texts = [
        PointText(snapshot.name, f"snapshot of {snapshot.cluster}, {time_text(snapshot.taken_at)}")
        for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.cluster != cluster)
    ]
    texts += [PointText(str(moment.version), time_text(moment.time)) for moment in moments]
    for what, span in _AGO.items():
        if now - span >= earliest:
            texts.append(PointText((now - span).astimezone().replace(tzinfo=None).isoformat(timespec="seconds"), what))
    return texts
