"""Differences: that they are all found, that nothing else is, and that script and changeset make one of the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clusterdb
from clusterdb.cli import cli
from clusterdb.diff import compare
from clusterdb.flavours import collations
from tests.support.dbhash import dbhash

SCHEMA = """
CREATE TABLE plain (a, b TEXT);
CREATE TABLE numbered (id INTEGER PRIMARY KEY, n INTEGER, body TEXT, twice AS (n * 2) STORED);
CREATE INDEX numbered_n ON numbered (n);
CREATE TABLE named (name TEXT COLLATE NOCASE PRIMARY KEY, v, u UNIQUE);
CREATE TABLE pairs (x INTEGER, y TEXT, v, PRIMARY KEY (y, x)) WITHOUT ROWID;
CREATE TABLE blobs (id INTEGER PRIMARY KEY, data BLOB);
CREATE VIEW few AS SELECT id, n FROM numbered WHERE n < 10;
CREATE TRIGGER told AFTER UPDATE ON numbered BEGIN INSERT INTO plain VALUES (new.id, 'updated'); END;
"""
FILL = """
WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c WHERE i < 400)
INSERT INTO plain SELECT i, 'plain ' || i FROM c;
WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c WHERE i < 900)
INSERT INTO numbered (id, n, body) SELECT i, i % 50, 'body ' || i FROM c;
INSERT INTO named SELECT 'Name' || id, n, id FROM numbered WHERE id < 300;
INSERT INTO pairs SELECT id, 'y' || n, body FROM numbered;
INSERT INTO blobs SELECT id, zeroblob(id * 50) FROM numbered WHERE id < 60;
"""


def made(store: clusterdb.Store, name: str = "before", *pragmas: str) -> clusterdb.Cluster:
    """A cluster with one table of each kind."""
    cluster = store.create_cluster(name)
    db = cluster.connect()
    for pragma in pragmas:
        db.execute(f"PRAGMA {pragma}")
    db.execute(SCHEMA + FILL)
    db.close()
    return cluster


def run(cluster: clusterdb.Cluster, sql: str) -> None:
    db = cluster.connect()
    db.execute(sql)
    db.close()


def hash_of(cluster: clusterdb.Cluster) -> str:
    db = cluster.connect()
    try:
        return dbhash(db)
    finally:
        db.close()


@pytest.fixture
def before(store: clusterdb.Store) -> clusterdb.Cluster:
    return made(store)


@pytest.fixture
def after(before: clusterdb.Cluster) -> clusterdb.Cluster:
    return before.clone("after")


@pytest.fixture
def only_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may look at all rows of a table."""

    def refuse(_: object) -> Iterator[Any]:
        raise AssertionError("all rows of a table were looked at")

    monkeypatch.setattr(compare._Rows, "all", refuse)


def changes(diff: clusterdb.Diff, table: str) -> list[tuple[str, tuple[Any, ...]]]:
    return [
        (change.kind, change.key)
        for table_diff in diff.tables
        if table_diff.name == table
        for change in table_diff.changes
    ]


@pytest.mark.usefixtures("only_pages")
@pytest.mark.parametrize(
    ("sql", "table", "expected"),
    [
        ("UPDATE numbered SET n = 7 WHERE id = 500", "numbered", [("update", (500,))]),
        ("DELETE FROM numbered WHERE id = 1", "numbered", [("delete", (1,))]),
        ("INSERT INTO numbered (id, n) VALUES (-5, 1)", "numbered", [("insert", (-5,))]),
        ("UPDATE plain SET b = NULL WHERE rowid = 17", "plain", [("update", (17,))]),
        ("UPDATE plain SET a = 17.0 WHERE rowid = 17", "plain", [("update", (17,))]),
        ("UPDATE named SET name = 'NAME7' WHERE name = 'name7'", "named", [("update", ("Name7",))]),
        ("UPDATE named SET rowid = 9999 WHERE name = 'name7'", "named", []),
        ("INSERT INTO named VALUES (NULL, 1, 'x')", "named", [("insert", (None, 300))]),
        ("UPDATE pairs SET v = 1 WHERE x = 77", "pairs", [("update", ("y27", 77))]),
        ("DELETE FROM pairs WHERE x = 77", "pairs", [("delete", ("y27", 77))]),
        ("INSERT INTO pairs VALUES (1, 'new', NULL)", "pairs", [("insert", ("new", 1))]),
        ("UPDATE blobs SET data = zeroblob(100000) WHERE id = 3", "blobs", [("update", (3,))]),
        ("UPDATE blobs SET data = x'01' WHERE id = 59", "blobs", [("update", (59,))]),
        ("REINDEX", "numbered", []),
        ("DELETE FROM blobs WHERE id > 40", "blobs", [("delete", (at,)) for at in range(41, 60)]),
    ],
)
def test_diff_reads_no_row_of_shared_pages(
    store: clusterdb.Store,
    before: clusterdb.Cluster,
    after: clusterdb.Cluster,
    sql: str,
    table: str,
    expected: list[tuple[str, tuple[Any, ...]]],
) -> None:
    """A change is found without a look at rows on pages that both have."""
    run(after, f"DROP TRIGGER told; {sql}")
    assert changes(store.diff(before, after), table) == expected
    backwards = [({"insert": "delete", "delete": "insert"}.get(kind, kind), key) for kind, key in expected]
    if "NAME7" not in sql:
        assert changes(store.diff(after, before), table) == backwards


def test_blob_written_in_place_is_found(
    store: clusterdb.Store, before: clusterdb.Cluster, after: clusterdb.Cluster
) -> None:
    """Only an overflow page of it changes, which nothing leads back from: all rows are looked at."""
    run(before, "UPDATE blobs SET data = zeroblob(100000) WHERE id = 30")
    after.reset()
    db = after.connect()
    with db.blob_open("main", "blobs", "data", 30, True) as blob:
        blob.seek(50_000)
        blob.write(b"changed")
    db.close()
    assert changes(store.diff(before, after), "blobs") == [("update", (30,))]


def test_tables_that_swap_names_are_compared_by_name(store: clusterdb.Store) -> None:
    """Renamed tables have other pages, though no row's page has changed."""
    before = store.create_cluster("p")
    run(before, "CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INTEGER PRIMARY KEY, v);")
    run(before, "INSERT INTO a VALUES (1, 'a'); INSERT INTO b VALUES (1, 'b');")
    after = before.clone("q")
    run(after, "ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a; ALTER TABLE c RENAME TO b")
    diff = store.diff(before, after)
    assert changes(diff, "a") == [("update", (1,))] and changes(diff, "b") == [("update", (1,))]
    run(before, diff.sql())
    assert hash_of(before) == hash_of(after)


def test_unrelated_clusters_can_be_compared(store: clusterdb.Store, before: clusterdb.Cluster) -> None:
    """They are compared all the same."""
    other = made(store, "other", "page_size = 1024")
    run(other, "UPDATE pairs SET v = 1 WHERE x = 77; DELETE FROM plain WHERE rowid = 5")
    diff = store.diff(before, other)
    assert {table.name: len(table.changes) for table in diff.tables} == {"pairs": 1, "plain": 1}


def test_diff_of_equal_clusters_is_false_and_an_empty_script(
    store: clusterdb.Store, before: clusterdb.Cluster, after: clusterdb.Cluster
) -> None:
    """A difference of nothing is false, and an empty script."""
    diff = store.diff(before, after)
    assert not diff and diff.sql() == "" and diff.text() == "before and after are the same"
    run(after, "VACUUM")
    assert not store.diff(before, after)


def test_versions_and_snapshots_can_be_compared(store: clusterdb.Store) -> None:
    """A version and a snapshot can be either side."""
    prod = store.create_cluster("prod", backup_retention_days=1)
    run(prod, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)")
    first = prod.stats().version
    prod.snapshot("then")
    run(prod, "UPDATE t SET v = 2")
    for at in (first, "then"):
        diff = store.diff("prod", "prod", before_at=at)
        assert changes(diff, "t") == [("update", (1,))] and diff.before == f"prod@{at}"
    assert [cluster.name for cluster in store.clusters()] == ["prod"]


# --- all changes, by a model ---
def contents(cluster: clusterdb.Cluster) -> dict[str, dict[Any, list[tuple[Any, ...]]]]:
    """Every table's rows by key."""
    db = cluster.connect(read_only=True)
    content = {}
    for name, key in (("plain", "rowid"), ("numbered", "id"), ("named", "name"), ("pairs", "y, x"), ("blobs", "id")):
        key_count = key.count(",") + 1
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchall():
            continue
        columns = [str(column[1]) for column in db.execute(f"PRAGMA table_info({name})").fetchall()]
        rows: dict[Any, list[tuple[Any, ...]]] = {}
        for row in db.execute(f"SELECT {key}, {', '.join(columns)} FROM {name}"):
            at = tuple(value.lower() if name == "named" and value else value for value in row[:key_count])
            rows.setdefault(at, []).append(tuple((type(value), value) for value in row[key_count:]))
        content[name] = rows
    db.close()
    return content


row_changes = st.one_of(
    st.builds("UPDATE numbered SET n = {} WHERE id = {}".format, st.integers(0, 60), st.integers(1, 1000)),
    st.builds(
        "DELETE FROM numbered WHERE id BETWEEN {0} AND {0} + {1}".format, st.integers(1, 900), st.integers(0, 50)
    ),
    st.builds("INSERT OR REPLACE INTO numbered (id, n) VALUES ({}, 1)".format, st.integers(-3, 1200)),
    st.builds(
        "UPDATE plain SET b = printf('%.{}c', 'x') WHERE rowid = {}".format, st.integers(1, 9000), st.integers(1, 9)
    ),
    st.builds("DELETE FROM plain WHERE rowid = {}".format, st.integers(1, 420)),
    st.builds("INSERT INTO plain VALUES ({0}, {0} + 0.5)".format, st.integers(0, 9)),
    st.builds("UPDATE named SET u = u + 1000 WHERE v = {}".format, st.integers(0, 49)),
    st.builds("UPDATE OR IGNORE named SET name = upper(name) || '{}' WHERE v = 3".format, st.sampled_from(["", "x"])),
    st.builds("INSERT OR REPLACE INTO named VALUES ('name{}', 1, {})".format, st.integers(1, 400), st.integers(1, 400)),
    st.builds("UPDATE pairs SET v = {} WHERE x % 50 = {}".format, st.integers(0, 3), st.integers(0, 49)),
    st.builds("DELETE FROM pairs WHERE x = {}".format, st.integers(1, 900)),
    st.builds(
        "INSERT OR IGNORE INTO pairs VALUES ({}, printf('%.{}c', 'k'), 1)".format,
        st.integers(1, 9),
        st.integers(1, 3000),
    ),
    st.builds(
        "UPDATE blobs SET data = randomblob({}) WHERE id = {}".format, st.integers(1, 70_000), st.integers(1, 60)
    ),
    st.builds("DELETE FROM blobs WHERE id > {}".format, st.integers(1, 70)),
    st.sampled_from(
        ["VACUUM", "REINDEX", "PRAGMA incremental_vacuum", "ANALYZE", "DELETE FROM numbered", "DELETE FROM pairs"]
    ),
)
schema_changes = st.sampled_from(
    [
        "ALTER TABLE numbered ADD COLUMN extra DEFAULT 'extra'",
        "ALTER TABLE pairs ADD COLUMN extra",
        "ALTER TABLE plain RENAME COLUMN b TO c",
        "ALTER TABLE blobs ADD COLUMN size INTEGER NOT NULL DEFAULT 5; UPDATE blobs SET size = length(data)",
        "ALTER TABLE named DROP COLUMN v",
        "DROP VIEW few; DROP INDEX numbered_n",
        "DROP TABLE blobs",
        "CREATE TABLE more (a PRIMARY KEY, b); INSERT INTO more VALUES (1, 'x'), (NULL, 2), (NULL, 3)",
        "CREATE UNIQUE INDEX numbered_twice ON numbered (n, id); DROP TRIGGER told",
        "CREATE TABLE again (id INTEGER PRIMARY KEY, n REAL); INSERT INTO again SELECT id, n FROM numbered;"
        "DROP TRIGGER told; DROP VIEW few; DROP TABLE numbered; ALTER TABLE again RENAME TO numbered",
        "PRAGMA user_version = 7",
        "CREATE VIRTUAL TABLE words USING fts5(w); INSERT INTO words VALUES ('one two'), ('three')",
    ]
)
pragmas = st.lists(
    st.sampled_from(["page_size = 512", "page_size = 65536", "auto_vacuum = 1", "auto_vacuum = 2"]), max_size=2
)
thorough = settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))


def tried(cluster: clusterdb.Cluster, statements: list[str]) -> None:
    db = cluster.connect()
    for statement in statements:
        try:
            db.execute(statement)
        except apsw.SQLError:  # a table or column is gone already
            continue
    db.close()


def test_many_rows_without_a_key_are_each_changed_once(before: clusterdb.Cluster, after: clusterdb.Cluster) -> None:
    """VACUUM numbers the rows of a table without a key anew."""
    run(after, "DELETE FROM plain WHERE rowid = 1; VACUUM")
    diff = before.store.diff(before, after)
    applied = before.apply(diff.changeset())
    assert applied == clusterdb.Applied(applied_count=400, skipped_count=0)
    assert contents(before) == contents(after)


def test_changeset_is_refused_where_sqlite_would_take_a_column_for_the_rowid(store: clusterdb.Store) -> None:
    cluster = store.create_cluster("odd")
    run(cluster, "CREATE TABLE odd (_rowid_ TEXT, v)")
    other = cluster.clone("other")
    run(other, "INSERT INTO odd VALUES ('x', 1)")
    with pytest.raises(clusterdb.NotSupportedError, match="a column '_rowid_' and no key"):
        store.diff(cluster, other).changeset()
    run(cluster, store.diff(cluster, other).sql())
    assert not store.diff(cluster, other)


@thorough
@given(pragmas, st.lists(row_changes, max_size=3), st.lists(row_changes, min_size=1, max_size=8))
def test_every_changed_row_is_found(first: list[str], both: list[str], then: list[str]) -> None:
    """As a model that compares everything finds it; script and changeset make the one what the other is."""
    with clusterdb.open(":memory:") as store:
        before = made(store, "before", *first)
        tried(before, both)
        after = before.clone("after")
        tried(after, then)
        old, new = contents(before), contents(after)
        diff = store.diff(before, after)
        for name in old:
            keys = {
                tuple(key.lower() if name == "named" and isinstance(key, str) else key for key in change.key)
                for table in diff.tables
                if table.name == name
                for change in table.changes
            }
            expected = {key for key in {**old[name], **new[name]} if old[name].get(key) != new[name].get(key)}
            assert keys == expected
        changeset = diff.changeset()
        target, scripted = before.clone("target"), before.clone("scripted")
        target.apply(changeset)
        assert contents(target) == new
        run(scripted, diff.sql())
        assert contents(scripted) == new
        assert not store.diff(scripted, after)
        assert store.check().ok


@thorough
@given(st.lists(st.one_of(row_changes, schema_changes, schema_changes), min_size=1, max_size=6))
def test_script_turns_one_cluster_into_the_other(then: list[str]) -> None:
    """The script has all changes of definitions and rows."""
    with clusterdb.open(":memory:") as store:
        before = made(store)
        after = before.clone("after")
        tried(after, then)
        scripted = before.clone("scripted")
        diff = store.diff(before, after)
        run(scripted, diff.sql())
        assert not store.diff(scripted, after), diff.text()
        assert contents(scripted) == contents(after)
        json.dumps(diff.json())


# --- changesets ---
@pytest.fixture
def changeset(store: clusterdb.Store, before: clusterdb.Cluster, after: clusterdb.Cluster) -> bytes:
    run(after, "UPDATE numbered SET n = 7 WHERE id = 5; INSERT INTO blobs VALUES (100, x'01')")
    return store.diff(before, after, tables=["numbered", "blobs"]).changeset()


def test_conflicts_are_refused_skipped_or_replaced(
    store: clusterdb.Store, before: clusterdb.Cluster, changeset: bytes
) -> None:
    """Conflicts are an equal change, an equal key and a missing row."""
    run(before, "UPDATE numbered SET n = 8 WHERE id = 5; INSERT INTO blobs VALUES (100, x'02')")
    was = hash_of(before)
    with pytest.raises(clusterdb.ChangesetConflictError, match=r"cluster 'before'.*nothing was applied"):
        before.apply(changeset)
    assert hash_of(before) == was
    assert before.apply(changeset, on_conflict="skip") == clusterdb.Applied(0, 2)
    assert hash_of(before) == was
    assert before.apply(changeset, on_conflict="replace") == clusterdb.Applied(2, 0)
    db = before.connect()
    assert db.execute("SELECT n, (SELECT data FROM blobs WHERE id = 100) FROM numbered WHERE id = 5").fetchall() == [
        (7, b"\x01")
    ]
    run(before, "DELETE FROM numbered WHERE id = 5")
    assert before.apply(changeset, on_conflict="replace") == clusterdb.Applied(1, 1)


def test_applying_a_changeset_runs_no_trigger(before: clusterdb.Cluster, changeset: bytes) -> None:
    """The changes that triggers made are in the changeset already."""
    before.apply(changeset)
    assert before.connect().execute("SELECT count(*) FROM plain").fetchall() == [(400,)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DROP TABLE blobs", "has no table 'blobs'"),
        ("ALTER TABLE blobs ADD COLUMN more", "table 'blobs' has other columns"),
        ("DROP TABLE blobs; CREATE TABLE blobs (id, data)", "table 'blobs' has other columns"),
    ],
)
def test_changeset_for_missing_tables_is_refused(
    before: clusterdb.Cluster, changeset: bytes, sql: str, message: str
) -> None:
    """SQLite would leave out such tables without a word."""
    run(before, sql)
    was = hash_of(before)
    with pytest.raises(clusterdb.InvalidArgumentError, match=message):
        before.apply(changeset)
    assert hash_of(before) == was


def test_invalid_changeset_is_refused_before_any_change(before: clusterdb.Cluster, changeset: bytes) -> None:
    """Refused before anything changes."""
    was = hash_of(before)
    for damaged in (b"nonsense", changeset[:-3]):
        with pytest.raises(clusterdb.InvalidArgumentError, match="not a changeset"):
            before.apply(damaged)
    with pytest.raises(clusterdb.InvalidArgumentError, match="use abort, skip, replace"):
        before.apply(changeset, on_conflict="ignore")  # type: ignore[arg-type]
    assert hash_of(before) == was


def test_definitions_and_null_keys_need_a_script(
    store: clusterdb.Store, before: clusterdb.Cluster, after: clusterdb.Cluster
) -> None:
    """Definitions, and keys that are NULL: the script can."""
    run(after, "INSERT INTO named VALUES (NULL, 1, 'x')")
    with pytest.raises(clusterdb.NotSupportedError, match="a NULL in its key"):
        store.diff(before, after).changeset()
    run(after, "DELETE FROM named WHERE name IS NULL; ALTER TABLE pairs ADD COLUMN z; UPDATE pairs SET z = 1")
    with pytest.raises(clusterdb.NotSupportedError, match="table 'pairs' has other columns or another key in the two"):
        store.diff(before, after).changeset()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tables": ["numberd"]}, "has a table 'numberd'; did you mean 'numbered'"),
        ({"before_at": "nowhere"}, "no snapshot 'nowhere'"),
        ({"after_at": 99_999}, "99999"),
    ],
)
def test_invalid_arguments_are_named_and_leave_nothing(
    store: clusterdb.Store, before: clusterdb.Cluster, after: clusterdb.Cluster, arguments: Any, message: str
) -> None:
    """An error that says which, and nothing left behind."""
    with pytest.raises(clusterdb.Error, match=message):
        store.diff(before, after, **arguments)
    with pytest.raises(clusterdb.ClusterNotFoundError, match="did you mean 'before'"):
        store.diff("befor", after)


def test_tables_with_unusual_keys_are_compared(store: clusterdb.Store) -> None:
    """Columns called rowid, a key with a collation of its own, a huge key, nothing to go by."""
    before = store.create_cluster("odd")
    run(
        before,
        "CREATE TABLE a (rowid TEXT, v); INSERT INTO a VALUES ('x', 1), ('y', 2);"
        "CREATE TABLE b (k TEXT COLLATE NOCASE, v, PRIMARY KEY (k COLLATE BINARY));"
        "INSERT INTO b VALUES ('A', 1), ('a', 1);"
        "CREATE TABLE c (k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
        "INSERT INTO c VALUES (printf('%.9000c', 'k'), 1), ('l', 2);"
        "CREATE TABLE d (rowid, oid, _rowid_ PRIMARY KEY); INSERT INTO d VALUES (1, 2, 3);"
        'CREATE TABLE "e ""f" ("g "" h" INTEGER PRIMARY KEY, "select" REAL); INSERT INTO "e ""f" VALUES (1, 1e999);',
    )
    after = before.clone("odder")
    run(
        after,
        "UPDATE a SET v = 3 WHERE rowid = 'y'; UPDATE b SET v = 2 WHERE k = 'a' COLLATE BINARY; UPDATE c SET v = 9;"
        'UPDATE d SET oid = 9; UPDATE "e ""f" SET "select" = -1e999; INSERT INTO a VALUES (\'zero\' || char(0), NULL)',
    )
    diff = store.diff(before, after)
    assert {table.name: len(table.changes) for table in diff.tables} == {"a": 2, "b": 1, "c": 2, "d": 1, 'e "f': 1}
    run(before, diff.sql())
    assert not store.diff(before, after)
    assert "Infinity" not in json.dumps(diff.json())
    nothing = before.clone("nothing")
    run(nothing, "CREATE TABLE n (rowid, oid, _rowid_); INSERT INTO n VALUES (1, 2, 3)")
    with pytest.raises(clusterdb.NotSupportedError, match="table 'n' cannot be compared"):
        store.diff(before, nothing)


def test_invalid_utf8_is_refused_with_its_place(
    store: clusterdb.Store, before: clusterdb.Cluster, after: clusterdb.Cluster
) -> None:
    """Invalid UTF-8 cannot be compared, and says where."""
    run(after, "INSERT INTO plain VALUES (1, CAST(x'ff' AS TEXT))")
    with pytest.raises(clusterdb.DataError, match=r"table 'plain'.*not valid UTF-8"):
        store.diff(before, after)


@pytest.fixture
def texts(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster of MySQL's whose keys are texts, which its own collations compare."""
    cluster = store.create_cluster("texts", engine="aurora-mysql")
    connection = clusterdb.connect(cluster, autocommit=True)
    connection.execute("CREATE TABLE t (k VARCHAR(9) PRIMARY KEY, v INT, n VARCHAR(9), UNIQUE (n))")
    connection.execute("CREATE TABLE b (k VARCHAR(9) COLLATE utf8mb4_bin PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES ('a', 1, 'x'), ('b', 2, 'y')")
    connection.execute("INSERT INTO b VALUES ('a'), ('A')")
    connection.close()
    return cluster


def test_keys_under_another_engine_s_collation_are_compared_and_applied(
    store: clusterdb.Store, texts: clusterdb.Cluster
) -> None:
    """A key in other letters is the same key, where the collation says so."""
    changed, third = texts.clone("changed"), texts.clone("third-texts")
    connection = clusterdb.connect(changed, autocommit=True)
    connection.execute("UPDATE t SET v = 5 WHERE k = 'A'")
    connection.execute("UPDATE t SET k = 'B' WHERE k = 'b'")
    connection.execute("INSERT INTO t VALUES ('c', 3, 'z')")
    connection.execute("DELETE FROM b WHERE k = 'A'")
    diff = store.diff(texts, changed)
    kinds = [(change.kind, change.key) for table in diff.tables for change in table.changes]
    assert kinds == [("delete", ("A",)), ("update", ("a",)), ("update", ("b",)), ("insert", ("c",))]
    third.apply(diff.changeset())
    assert not store.diff(third, changed)
    connection.close()


def test_exported_file_that_needs_collations_says_so(
    store: clusterdb.Store, texts: clusterdb.Cluster, before: clusterdb.Cluster, tmp_path: Path
) -> None:
    """With them registered it is a database as others are."""
    assert before.export(tmp_path / "plain.db") == ()
    assert texts.export(tmp_path / "texts.db") == ("utf8mb4_bin", "utf8mb4_unicode_ci")
    file = apsw.Connection(str(tmp_path / "texts.db"))
    with pytest.raises(apsw.SQLError, match="no such collation sequence"):
        file.execute("SELECT v FROM t WHERE k = 'A'").fetchall()
    collations.install(file)
    assert file.execute("SELECT v FROM t WHERE k = 'A'").get == 1
    file.close()


# --- the command line ---
@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Any]:
    """``clusterdb`` with a store that has a cluster and a changed clone."""
    with clusterdb.open(tmp_path / "store") as store:
        before = store.create_cluster("prod")
        run(
            before,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, d BLOB);INSERT INTO t VALUES (1, 'a', x'ff'), (2, 'b', 0)",
        )
        run(
            before.clone("dev"),
            "UPDATE t SET v = 'it''s' WHERE id = 1; DELETE FROM t WHERE id = 2; PRAGMA user_version = 3",
        )
        before.clone("third")

    def invoke(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["--store", str(tmp_path / "store"), *arguments])

    return invoke


def test_diff_command_prints_text_json_sql_and_changesets(command: Callable[..., Any], tmp_path: Path) -> None:
    """Text, numbers, JSON, SQL, a changeset that another cluster takes."""
    assert command("diff", "prod", "dev").output == (
        "prod -> dev\n~ user_version 0 -> 3\nt: 1 updated, 1 deleted\n"
        "  - id 2: v 'b', d 0\n  ~ id 1: v 'a' -> 'it''s'\n"
    )
    assert command("diff", "prod", "dev", "--summary").output.endswith("t: 1 updated, 1 deleted\n")
    report = json.loads(command("diff", "prod", "dev", "--json").output)
    assert report["tables"][0]["changes"][1]["old"] == {"id": 1, "v": "a", "d": {"blob": "ff"}}
    assert 'UPDATE "t" SET "v" = \'it\'\'s\' WHERE "id" = 1;\n' in command("diff", "prod", "dev", "--sql").output
    file = tmp_path / "changes"
    assert command("diff", "prod", "dev", "--changeset", str(file)).output == ""
    assert command("apply", "third", str(file)).output == "2 changes applied\n"
    assert command("diff", "third", "dev", "--summary").output == "third -> dev\n~ user_version 0 -> 3\n"
    assert command("apply", "third", str(file), "--on-conflict", "skip").output == "0 changes applied, 2 skipped\n"
    assert isinstance(command("apply", "third", str(file)).exception, clusterdb.ChangesetConflictError)


def test_diff_command_exits_0_1_or_2(command: Callable[..., Any], tmp_path: Path) -> None:
    """0, 1 for a difference if asked, 2 for a file that cannot be written."""
    assert command("diff", "prod", "dev").exit_code == 0
    assert command("diff", "prod", "dev", "--exit-code").exit_code == 1
    assert command("diff", "prod", "third", "--exit-code").exit_code == 0
    assert command("diff", "prod", "dev", "--changeset", str(tmp_path / "no" / "file")).exit_code == 1
    assert command("apply", "prod", str(tmp_path / "nothing")).exit_code == 2
