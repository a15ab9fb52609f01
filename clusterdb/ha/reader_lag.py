"""The lag that readers have at this moment, with its jitter, and whether a fault cuts them off from their writer."""

from __future__ import annotations

from dataclasses import dataclass

from clusterdb.core.context import ClusterRef, Context
from clusterdb.ha.instances import state_to_connect

__all__ = ["ReaderLag", "reader_lags"]


@dataclass(frozen=True, slots=True)
class ReaderLag:
    """A reader: ``lag_ms`` is the age of the state that it shows to a transaction that begins now."""

    name: str
    lag_ms: float
    is_cut_off: bool


def reader_lags(context: Context, cluster: ClusterRef) -> list[ReaderLag]:
    """The lags of the readers of a cluster.  Raises ClusterNotFoundError."""
    lags = []
    with context.errors():
        for instance in context.catalog.instances.of(context.row_of(cluster).cluster):
            if not instance.is_writer:
                state = state_to_connect(context, instance)
                lag_ns = context.pages.clock.now_ns() - state.visible_ns()
                lags.append(ReaderLag(instance.name, max(lag_ns, 0) / 1e6, state.is_cut_off()))
    return lags
