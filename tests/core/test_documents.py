"""Documents of clusters that another process deletes meanwhile."""

from __future__ import annotations

import pytest

import clusterdb
from clusterdb.errors import ClusterNotFoundError
from tests.support.inside import catalog_of


def test_documents_are_kept_of_present_clusters_only(store: clusterdb.Store) -> None:
    cluster = store.create_cluster("prod")
    catalog = catalog_of(store)
    number = next(row.cluster for row in catalog.clusters.all())
    with catalog.transaction():
        catalog.documents.put(number, "kind", "", {"a": 1})
        catalog.documents.put(number, "kind", "", {"a": 2})
        catalog.documents.put(0, "kind", "", {"of": "the store"})
    assert catalog.documents.get(number, "kind") == {"a": 2}
    cluster.delete()
    with pytest.raises(ClusterNotFoundError, match="was deleted meanwhile"), catalog.transaction():
        catalog.documents.put(number, "kind", "", {"a": 3})
    assert [number for number, *_ in catalog.documents.all("kind")] == [0]
