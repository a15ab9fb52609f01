"""Keys of templates and the parameters of seeding functions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

import clusterdb
import clusterdb.sqlalchemy
import clusterdb.testing.cases
import clusterdb.testing.fixtures
from clusterdb.testing import seeds


def seeding(connection: clusterdb.dbapi2.Connection) -> None:
    """A seed for the tests of keys."""
    connection.execute("CREATE TABLE t (n)")


def test_key_depends_on_content_and_order_not_on_paths(tmp_path: Path) -> None:
    """Content and order count, where a file lies does not."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "schema.sql").write_text("CREATE TABLE t (n)")

    def key(*given: object, folder: str = "one", **options: object) -> str:
        return seeds.recipe(given, folders=[tmp_path / folder], **options).key  # type: ignore[arg-type]

    same = key("schema.sql", seeding)
    assert same == key("schema.sql", seeding, folder="two") == key(Path("schema.sql"), seeding)
    others = [
        key(seeding, "schema.sql"),
        key("schema.sql"),
        key("schema.sql", seeding, "SELECT 1"),
        key("schema.sql", seeding, engine="aurora-mysql"),
        key("schema.sql", seeding, watched=["*.sql"]),
        key(seeding, base=seeds.recipe("schema.sql", folders=[tmp_path / "one"])),
    ]
    watched = key(seeding, watched=["*.sql"])
    (tmp_path / "one" / "schema.sql").write_text("CREATE TABLE t (m)")
    others += [key("schema.sql", seeding), key(seeding, watched=["*.sql"]), watched]
    assert len({same, *others}) == len(others) + 1


def test_key_of_a_function_includes_its_closure() -> None:
    """A value of the function around it counts; one that differs in every process is refused."""

    def made(value: object) -> Callable[[clusterdb.dbapi2.Connection], None]:
        def fill(connection: clusterdb.dbapi2.Connection) -> None:
            connection.execute("INSERT INTO t VALUES (?)", (value,))

        return fill

    assert seeds.recipe(made(1)).key == seeds.recipe(made(1)).key != seeds.recipe(made(2)).key
    with pytest.raises(seeds.SeedError, match="is bound to a value that differs in every process"):
        assert seeds.recipe(made(object())).key


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        (7, {}, "seed 7: use SQL, a path, a function"),
        ([], {"watched": ["*.nothing"]}, "no file matches"),
        (
            [],
            {"base": seeds.Recipe(engine="aurora-mysql"), "engine": "sqlite"},
            "the base of the template has the engine",
        ),
    ],
)
def test_invalid_recipes_are_refused_before_building(
    given: object, options: dict[str, object], text: str, tmp_path: Path
) -> None:
    """They are refused before anything is built."""
    with pytest.raises(seeds.SeedError, match=text):
        seeds.recipe(given, folders=[tmp_path], **options)  # type: ignore[arg-type]


def test_seeding_function_gets_arguments_by_parameter_name(tmp_path: Path) -> None:
    """URLs and the cluster; a transaction that is open at the end is committed."""
    seen: list[object] = []

    def several(
        connection: clusterdb.dbapi2.Connection, url: str, sqlalchemy_url: str, cluster: clusterdb.Cluster
    ) -> None:
        seen.extend([url, sqlalchemy_url, cluster])
        with clusterdb.connect(url) as other:
            other.execute("CREATE TABLE t (n)")
        connection.execute("INSERT INTO t VALUES (1)")

    store = clusterdb.open(tmp_path / "store")
    cluster = store.create_cluster("shop")
    seeds.Recipe((several,)).run(cluster)
    assert seen == [
        f"clusterdb:shop?store={tmp_path}/store",
        f"sqlite+clusterdb:///shop?store={tmp_path}/store",
        cluster,
    ]
    assert cluster.connect().execute("SELECT n FROM t").fetchall() == [(1,)]

    def wrong(one: object, two: object) -> None: ...

    with pytest.raises(seeds.SeedError, match="has the parameters one, two: use any of connection, cluster, url"):
        seeds.Recipe((wrong,)).run(cluster)
    store.close()


def test_seed_script_may_contain_transactions(tmp_path: Path) -> None:
    """A dump of sqlite3's runs as it is."""
    with sqlite3.connect(":memory:") as source:
        source.executescript("CREATE TABLE t (n, s); INSERT INTO t VALUES (1, 'a;\n b'), (2, NULL)")
        (tmp_path / "dump.sql").write_text("\n".join(source.iterdump()))
    with clusterdb.open(":memory:") as store:
        cluster = store.create_cluster("shop")
        seeds.recipe("dump.sql", folders=[tmp_path]).run(cluster)
        assert cluster.connect().execute("SELECT * FROM t").fetchall() == [(1, "a;\n b"), (2, None)]
