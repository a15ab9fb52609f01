"""The tree of clones, from records that no store has."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from clusterdb.clusters.figures import ClusterStats, ListedCluster, StoreStats
from clusterdb.rules.settings import ClusterSettings
from clusterdb.views.filters import is_wanted
from clusterdb.views.tree import ASCII_MARKS, tree

TIME = datetime(2026, 1, 31, tzinfo=timezone.utc)


def cluster(
    id: int, own: int, shared: int = 0, source: int | None = None, *, has_source: bool = True, test: str = ""
) -> ListedCluster:
    name = None if source is None else f"c{source}"
    stats = ClusterStats(f"c{id}", 1, own + shared, own, shared, TIME, name)
    tags = {"test": test} if test else {}
    return ListedCluster(stats, ClusterSettings(tags=tags), "available", id, source, has_source and source is not None)


def drawn(*listed: ListedCluster, width: int | None = None) -> list[str]:
    store = StoreStats("x", len(listed), 8192, 4096)
    return tree(listed, store, marks=ASCII_MARKS, width=width).splitlines()


def test_clones_stand_below_their_sources() -> None:
    assert drawn(cluster(1, 4096), cluster(2, 0, 4096, 1), cluster(3, 1024, 1024, 2), cluster(4, 1, 0, 1)) == [
        "cluster     own and shared        own      shared",
        "----------  --------------------  -------  --------",
        "c1          ####################  4.0 KiB  0 bytes",
        "|-- c2      ....................  0 bytes  4.0 KiB",
        "|   `-- c3  #####.....            1.0 KiB  1.0 KiB",
        "`-- c4      #                     1 bytes  0 bytes",
        "",
        "4 clusters, 4.0 KiB in use, 8.0 KiB on disk",
    ]


def test_clones_of_a_deleted_cluster_stand_below_its_name() -> None:
    lines = drawn(cluster(2, 5, source=1, has_source=False), cluster(3, 5, source=1, has_source=False), cluster(4, 5))
    assert [line.split("  ")[0].rstrip() for line in lines[2:-2]] == ["c1 (deleted)", "|-- c2", "`-- c3", "c4"]


def test_deleted_clusters_of_one_name_are_apart() -> None:
    other = replace(cluster(4, 5, source=2, has_source=False), source_id=9)
    same = replace(other, stats=replace(other.stats, source="c1"))
    lines = drawn(cluster(3, 5, source=1, has_source=False), same)
    assert [line.split("  ")[0].rstrip() for line in lines[2:-2]] == [
        "c1 (deleted)",
        "`-- c3",
        "c1 (deleted)",
        "`-- c4",
    ]


def test_clone_whose_source_is_filtered_out_is_a_root() -> None:
    assert drawn(cluster(2, 5, source=1))[2].startswith("c2 ")


def test_chain_of_many_clones_is_drawn() -> None:
    lines = drawn(cluster(0, 1), *(cluster(number, 1, source=number - 1) for number in range(1, 3000)))
    assert lines[-3].split("  #")[0].endswith("`-- c2999")


def test_tests_of_clones_are_shown_and_cut() -> None:
    lines = drawn(cluster(1, 5, test="tests/test_shop.py::test_price_of_everything"), width=70)
    assert lines[2] == f"c1         {'#' * 20}  5 bytes  0 bytes   tests/test_shop.p…"
    assert max(map(len, lines[:3])) <= 70


def test_store_without_clusters_is_its_total() -> None:
    assert drawn() == ["0 clusters, 4.0 KiB in use, 8.0 KiB on disk"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], True),
        (["prod"], True),
        (["p*"], True),
        (["rod"], False),
        (["p*", "*x"], False),
        (["team=red"], True),
        (["team=r*"], True),
        (["team=blue"], False),
        (["source="], True),
        (["source=x"], False),
        (["nothing="], True),
    ],
)
def test_filters_are_globs_of_names_and_fields(filters: list[str], expected: bool) -> None:
    assert is_wanted("prod", {"team": "red", "source": None}, filters) is expected
