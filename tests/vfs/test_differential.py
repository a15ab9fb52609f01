"""Random SQL gives the same answers on a clone as on a plain file with the same content, and leaves the source alone.

Every statement runs on both; results, errors and what a second connection sees must agree.  The statements are built
from numbers that Hypothesis draws, so a failure shrinks to a short script, printed as the list ``script``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clusterdb
from tests.support.dbhash import dbhash
from tests.support.stores import assert_clean

PAGE_SIZES = [512, 4096, 65536]
TABLES = ["t0", "t1", "t2"]
CLAUSES = ["id % 2", "a > 40", "b < 'k'", "id BETWEEN 10 AND 30", "c IS NULL", "a = 7", "1"]
SETTERS = ["a = a + 1", "b = b || 'x'", "c = zeroblob(3000)", "c = NULL", "id = id + 1000", "a = -a, b = upper(b)"]

table = st.sampled_from(TABLES)
small = st.integers(0, 5)


def mix(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One of the strategies, each as likely as often it is named (one_of would flatten them)."""
    return st.sampled_from(strategies).flatmap(lambda strategy: strategy)


def statement(template: str, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Statements of one form."""
    return st.fixed_dictionaries(values).map(lambda drawn: template.format(**drawn))


inserts = statement(
    "INSERT OR {conflict} INTO {table} (id, a, b, c) WITH RECURSIVE n(x) AS (VALUES ({first}) UNION ALL "
    "SELECT x + 1 FROM n LIMIT {count}) SELECT x, x * {factor} % 91, printf('%c%d', 97 + x % 26, x), "
    "CASE x % 3 WHEN 0 THEN zeroblob(x * {size} % 7000) WHEN 1 THEN x / 7.0 END FROM n",
    conflict=st.sampled_from(["REPLACE", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK"]),
    table=table,
    first=st.sampled_from([500, 1, 60, 200, 900]),
    count=st.sampled_from([1, 1, 3, 20, 150]),
    factor=st.integers(1, 90),
    size=st.integers(0, 900),
)
changes = mix(
    inserts,
    inserts,
    statement(
        "UPDATE {table} SET {set} WHERE {where}",
        table=table,
        set=st.sampled_from(SETTERS),
        where=st.sampled_from(CLAUSES),
    ),
    statement("DELETE FROM {table} WHERE {where}", table=table, where=st.sampled_from(CLAUSES)),
    statement("INSERT INTO {table} SELECT NULL, a, b, c FROM {other}", table=table, other=table),
)
schema_changes = st.one_of(
    statement("CREATE TABLE {table} (id INTEGER PRIMARY KEY, a, b, c)", table=table),
    statement("CREATE TABLE {table} (a, b, c, id, PRIMARY KEY (id, a)) WITHOUT ROWID", table=table),
    statement("DROP TABLE {table}", table=table),
    statement(
        "CREATE {kind} INDEX i{n} ON {table} ({columns})",
        kind=st.sampled_from(["", "UNIQUE"]),
        n=small,
        table=table,
        columns=st.sampled_from(["a", "b, a", "c", "b DESC"]),
    ),
    statement("DROP INDEX i{n}", n=small),
    statement("ALTER TABLE {table} ADD COLUMN d{n} DEFAULT {n}", table=table, n=small),
    st.sampled_from(["ANALYZE", "REINDEX", "PRAGMA user_version = 5", "PRAGMA user_version = 6"]),
)
savepoints = statement(
    "{verb} s{n}", verb=st.sampled_from(["SAVEPOINT", "SAVEPOINT", "RELEASE", "ROLLBACK TO"]), n=st.integers(0, 2)
)
upkeep = st.one_of(
    st.sampled_from(["VACUUM", "REINDEX"]),
    statement("PRAGMA cache_size = {n}", n=st.sampled_from([1, 5, 10, 2000])),
    statement("PRAGMA auto_vacuum = {n}", n=st.integers(0, 2)),
    statement("PRAGMA incremental_vacuum({n})", n=small),
    statement("PRAGMA page_size = {n}", n=st.sampled_from([512, 1024, 4096, 16384, 65536])),
    st.sampled_from(["PRAGMA secure_delete = 1", "PRAGMA secure_delete = 0", "PRAGMA shrink_memory"]),
)
questions = st.one_of(
    statement("SELECT * FROM {table} WHERE {where} ORDER BY id, a", table=table, where=st.sampled_from(CLAUSES)),
    statement("SELECT b, count(*), total(a) FROM {table} GROUP BY b ORDER BY b LIMIT 9", table=table),
    st.sampled_from(["PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA integrity_check", "PRAGMA page_size"]),
    st.just("SELECT name, sql FROM sqlite_schema ORDER BY name"),
)

singles = mix(questions, changes, changes, changes, schema_changes, upkeep)
within = mix(questions, changes, changes, changes, savepoints, savepoints, schema_changes, upkeep)
transactions = st.tuples(
    st.sampled_from(["BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "SAVEPOINT s0"]),
    st.lists(within, min_size=1, max_size=10),
    st.sampled_from(["COMMIT", "ROLLBACK"]),
).map(lambda drawn: [drawn[0], *drawn[1], drawn[2]])
scripts = st.lists(mix(singles.map(lambda one: [one]), transactions), min_size=5, max_size=20).map(
    lambda parts: [sql for part in parts for sql in part]
)


class World(NamedTuple):
    """One store with a source cluster, the plain file it came from, and a place for copies."""

    store: clusterdb.Store
    source: clusterdb.Cluster
    source_hash: str
    plain: Path
    scratch: Path


@contextmanager
def new_world(page_size: int, scratch: Path) -> Iterator[World]:
    """A source of one page size; in the end it is what it was, and its store is clean."""
    with closing(apsw.Connection(str(scratch / "plain.db"))) as plain:
        plain.execute(f"PRAGMA page_size = {page_size}; CREATE TABLE t0 (id INTEGER PRIMARY KEY, a, b, c)")
        plain.execute("CREATE TABLE t1 (a, b, c, id, PRIMARY KEY (id, a)) WITHOUT ROWID; CREATE INDEX i0 ON t0 (a)")
        plain.execute(
            "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n LIMIT 120) "
            "INSERT INTO t0 SELECT x, x % 50, printf('%c%d', 97 + x % 26, x), zeroblob(x * 10) FROM n;"
            "INSERT INTO t1 SELECT a, b, id / 3.0, id FROM t0"
        )
        source_hash = dbhash(plain)
    with clusterdb.open(":memory:") as store:
        source = store.create_cluster("source", from_file=scratch / "plain.db")
        yield World(store, source, source_hash, scratch / "plain.db", scratch)
        assert hash_of(source) == source_hash
        assert_clean(store)


@pytest.fixture(scope="module", params=PAGE_SIZES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of each page size."""
    with new_world(request.param, tmp_path_factory.mktemp("differential")) as world:
        yield world


def hash_of(cluster: clusterdb.Cluster) -> str:
    """The content hash that a new connection computes."""
    with closing(cluster.connect(read_only=True)) as connection:
        return dbhash(connection)


def answer(connection: apsw.Connection, sql: str) -> object:
    """All rows, or the kind and text of the error."""
    try:
        return connection.execute(sql).fetchall()
    except apsw.Error as error:
        return type(error).__name__, str(error)


def run_script(world: World, script: list[str]) -> None:
    """Run a script on a new clone and on a new copy of the plain file, comparing all the way."""
    copy = Path(shutil.copy(world.plain, world.scratch / "copy.db"))
    clone = world.store.cluster("source").clone("clone")
    ours, ours_other = clone.connect(), clone.connect(read_only=True)
    theirs, theirs_other = apsw.Connection(str(copy)), apsw.Connection(str(copy))
    try:
        theirs.pragma("synchronous", 0)
        theirs.pragma("journal_mode", "MEMORY")
        for at, sql in enumerate(script):
            assert answer(ours, sql) == answer(theirs, sql), f"statement {at}: {sql}"
            assert ours.in_transaction == theirs.in_transaction, f"after statement {at}: {sql}"
            if not ours.in_transaction:
                assert dbhash(ours_other) == dbhash(theirs_other), f"after statement {at}: {sql}"
        for connection in (ours, theirs):
            if connection.in_transaction:
                connection.execute("ROLLBACK" if len(script) % 2 else "COMMIT")
        assert dbhash(ours) == dbhash(theirs) == dbhash(ours_other)
        assert answer(ours_other, "PRAGMA integrity_check") == [("ok",)]
    finally:
        for connection in (ours, ours_other, theirs, theirs_other):
            connection.close()
        clone.delete()
    assert hash_of(world.source) == world.source_hash


# one world serves many examples: every example makes its own clone and its own copy
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@settings(relaxed, max_examples=40)
@given(script=scripts)
def test_random_sql_answers_alike_on_clone_and_plain_file(world: World, script: list[str]) -> None:
    """Same statements, same answers, same content; the source does not change."""
    run_script(world, script)


@pytest.mark.slow
@settings(relaxed, max_examples=400)
@given(script=scripts)
def test_random_sql_answers_alike_on_clone_and_plain_file_at_length(world: World, script: list[str]) -> None:
    """More examples of the test above."""
    run_script(world, script)


@pytest.mark.parametrize(
    "max_examples", [pytest.param(15, id="short"), pytest.param(300, id="long", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_random_sql_answers_alike_with_pages_written_ahead(
    page_size: int, max_examples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transactions are larger than the pages that are staged in memory."""
    monkeypatch.setattr("vfs.storage.writer.STAGED_PAGES_MAX", 4)

    @settings(relaxed, max_examples=max_examples)
    @given(script=scripts)
    def run(script: list[str]) -> None:
        run_script(small_world, script)

    with new_world(page_size, tmp_path) as small_world:
        run()
