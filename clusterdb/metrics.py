"""Metrics of clusters: :meth:`clusterdb.Store.metrics` returns them, :func:`prometheus` prints them."""

from __future__ import annotations

from clusterdb.clusters.metrics import Metric
from clusterdb.store import Store
from clusterdb.views.prometheus import prometheus

__all__ = ["Metric", "metrics", "prometheus"]


def metrics(store: Store) -> list[Metric]:
    """All present metrics of a store; the cost does not grow with the sizes of the clusters."""
    return store.metrics()
