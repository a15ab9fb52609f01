"""SQL that is not trusted: what it cannot touch, what it cannot use up, and what goes on working."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from clusterdb.access.sqlite import results
from clusterdb.dbapi2 import SplitConnection

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
ENGINES = ("sqlite", "aurora-mysql", "aurora-postgresql")


@pytest.fixture
def cluster(disk_store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster with a table, beside another one."""
    cluster = disk_store.create_cluster("prod")
    cluster.connect().execute("CREATE TABLE t (n, body); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    disk_store.create_cluster("other").connect().execute("CREATE TABLE secret (x)")
    return cluster


def few(**changes: Any) -> clusterdb.Limits:
    """Limits that a test comes to soon, by steps and never by time."""
    return clusterdb.Limits(**{"steps": 100_000, "seconds": None, **changes})


@pytest.fixture
def untrusted(cluster: clusterdb.Cluster) -> Iterator[clusterdb.Connection]:
    """A connection for SQL that is not trusted."""
    connection = clusterdb.connect(cluster, trusted=False, limits=few())
    yield connection
    connection.close()


# --- what is not allowed ----------------------------------------------------------------------------------------------
REFUSED = {
    "attach a file": ("ATTACH '{tmp}/x.db' AS x", "ATTACH, DETACH and VACUUM are not allowed"),
    "attach a parameter": ("ATTACH ('{tmp}' || '/x.db') AS x", "ATTACH, DETACH and VACUUM are not allowed"),
    "attach a cluster": ("ATTACH 'other' AS x", "ATTACH, DETACH and VACUUM are not allowed"),
    "attach the catalog": ("ATTACH '{store}/catalog.db' AS cat", "ATTACH, DETACH and VACUUM are not allowed"),
    "attach by another VFS": ("ATTACH 'file:{store}/catalog.db?vfs=unix' AS c", "ATTACH, DETACH and VACUUM are not"),
    "attach memory": ("ATTACH ':memory:' AS x", "ATTACH, DETACH and VACUUM are not allowed"),
    "explain attach": ("EXPLAIN ATTACH '{tmp}/x.db' AS x", "ATTACH, DETACH and VACUUM are not allowed"),
    "detach": ("DETACH main", "ATTACH, DETACH and VACUUM are not allowed"),
    "vacuum": ("VACUUM", "ATTACH, DETACH and VACUUM are not allowed"),
    "vacuum into": ("VACUUM INTO '{tmp}/x.db'", "ATTACH, DETACH and VACUUM are not allowed"),
    "load_extension": ("SELECT load_extension('{tmp}/x.so')", r"the function load_extension\(\) is not allowed"),
    "in a trigger": (
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT load_extension('x'); END; INSERT INTO t VALUES (3, '')",
        r"the function load_extension\(\) is not allowed",
    ),
    "tokenizer": ("SELECT fts3_tokenizer('x', x'00')", r"the function fts3_tokenizer\(\) is not allowed"),
    "dbstat": ("CREATE VIRTUAL TABLE x USING dbstat", "a virtual table of the module dbstat is not allowed"),
    **{
        f"pragma {name}": (f"PRAGMA {name}", f"PRAGMA {name} is not allowed on an untrusted connection")
        for name in (
            *("writable_schema = 1", "journal_mode = OFF", "synchronous = OFF", "trusted_schema = 1"),
            *("schema_version = 7", "temp_store_directory = '/tmp'", "query_only = 0", "ignore_check_constraints = 1"),
            *("mmap_size = 1000000", "cache_size = 1000000", "temp_store = 2", "busy_timeout = 1000000"),
            *("hard_heap_limit = 1", "locking_mode = exclusive", "cell_size_check = 0", "max_page_count = 9"),
            *("page_size = 512", "case_sensitive_like = 1", "threads = 8", "anything", "anything = 1"),
            *("temp_store_directory", "incremental_vacuum", "shrink_memory"),
        )
    },
}


@pytest.mark.parametrize("what", REFUSED)
def test_untrusted_sql_reaches_no_files_and_no_settings(
    untrusted: clusterdb.Connection, disk_store: clusterdb.Store, tmp_path: Path, what: str
) -> None:
    """A DB-API error says what is not allowed; no file is created."""
    sql, text = REFUSED[what]
    before = set(tmp_path.rglob("*"))
    with pytest.raises(clusterdb.NotAuthorizedError, match=text.replace("'", ".?")) as caught:
        untrusted.executescript(sql.format(tmp=tmp_path, store=disk_store.path))
    assert caught.value.sqlite_errorname == "SQLITE_AUTH"
    assert isinstance(caught.value, clusterdb.ProgrammingError)
    assert set(tmp_path.rglob("*")) <= before | {Path(disk_store.path, "catalog.db-journal")}
    untrusted.rollback()
    assert untrusted.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_attach_of_a_parameter_is_refused(untrusted: clusterdb.Connection, tmp_path: Path) -> None:
    """The authorizer does not see it, and need not."""
    with pytest.raises(clusterdb.NotAuthorizedError, match="ATTACH"):
        untrusted.execute("ATTACH ? AS x", (str(tmp_path / "x.db"),))
    with pytest.raises(clusterdb.NotAuthorizedError, match="VACUUM"):
        untrusted.execute("VACUUM INTO ?", (str(tmp_path / "x.db"),))
    assert not (tmp_path / "x.db").exists()


def test_table_valued_pragmas_are_restricted_like_pragmas(untrusted: clusterdb.Connection) -> None:
    """Those that only answer work, in any spelling."""
    assert untrusted.execute("SELECT name FROM pragma_table_info('t')").fetchall() == [("n",), ("body",)]
    assert untrusted.execute("PRAGMA MAIN.Table_Info(t)").fetchall()[0][1] == "n"
    with pytest.raises(clusterdb.NotAuthorizedError, match="PRAGMA case_sensitive_like = 1 is not allowed"):
        untrusted.execute('PRAGMA "case_sensitive_like"(1)')


def test_schema_cannot_be_written(untrusted: clusterdb.Connection) -> None:
    """The shadow tables of virtual tables cannot be written, either."""
    untrusted.execute("CREATE VIRTUAL TABLE f USING fts5(body)")
    untrusted.execute("INSERT INTO f VALUES ('some words')")
    assert untrusted.execute("SELECT body FROM f('words')").fetchall() == [("some words",)]
    for sql in ("UPDATE sqlite_schema SET sql = ''", "DELETE FROM f_data", "UPDATE f_config SET v = 9"):
        with pytest.raises(clusterdb.OperationalError, match="may not be modified"):
            untrusted.execute(sql)


def test_views_cannot_call_the_programs_own_functions(cluster: clusterdb.Cluster) -> None:
    """A view that somebody has prepared does not run the program's own functions."""
    cluster.connect().execute("CREATE VIEW trap AS SELECT transfer(n) FROM t")
    untrusted = clusterdb.connect(cluster, trusted=False)
    calls: list[int] = []
    untrusted.create_function("transfer", 1, calls.append)
    with pytest.raises(clusterdb.OperationalError, match=r"unsafe use of transfer\(\)"):
        untrusted.execute("SELECT * FROM trap")
    assert calls == []
    untrusted.execute("SELECT transfer(n) FROM t").fetchall()
    assert calls == [1, 2]


def test_views_and_triggers_can_be_switched_off(cluster: clusterdb.Cluster) -> None:
    """For databases that need none."""
    cluster.connect().execute("CREATE VIEW v AS SELECT 1; CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END")
    untrusted = clusterdb.connect(cluster, trusted=False, limits=few(triggers=False, views=False))
    with pytest.raises(clusterdb.OperationalError, match=r"access to view .*prohibited"):
        untrusted.execute("SELECT * FROM v")
    untrusted.execute("INSERT INTO t VALUES (3, 'c')")
    assert untrusted.execute("SELECT count(*) FROM t").fetchall() == [(3,)]


def test_faults_cannot_be_injected(cluster: clusterdb.Cluster) -> None:
    """They would concern all others."""
    cluster.add_instance("a")
    connection = clusterdb.connect(cluster, trusted=False)
    for sql in ("ALTER SYSTEM CRASH", "SELECT aurora_inject_disk_failure(100, 0, 0, 1000)"):
        with pytest.raises(clusterdb.NotAuthorizedError, match=r"aurora_inject_\w+\(\) is not allowed"):
            connection.execute(sql)
    assert len(connection.execute("SELECT * FROM aurora_replica_status()").fetchall()) == 1
    clusterdb.connect(cluster).execute("SELECT * FROM t").fetchall()


# --- what the program sets --------------------------------------------------------------------------------------------
def test_authorizer_of_the_program_can_only_restrict(untrusted: clusterdb.Connection) -> None:
    """It cannot allow what is forbidden, can forbid more, and can be removed."""
    untrusted.set_authorizer(lambda *_: apsw.SQLITE_OK)
    with pytest.raises(clusterdb.NotAuthorizedError):
        untrusted.execute("ATTACH ':memory:' AS x")
    untrusted.execute("SELECT n FROM t").fetchall()
    untrusted.set_authorizer(lambda action, *_: apsw.SQLITE_DENY if action == apsw.SQLITE_READ else apsw.SQLITE_OK)
    with pytest.raises(clusterdb.DatabaseError, match=r"prohibited|not authorized"):
        untrusted.execute("SELECT n FROM t")
    untrusted.set_authorizer(None)
    assert untrusted.execute("SELECT n FROM t").fetchall() == [(1,), (2,)]
    with pytest.raises(clusterdb.NotAuthorizedError):
        untrusted.execute("ATTACH ':memory:' AS x")


def test_authorizer_of_apsw_can_only_restrict(cluster: clusterdb.Cluster) -> None:
    """Connections of Cluster.connect() keep their restrictions, too."""
    with pytest.raises(clusterdb.NotAuthorizedError):
        cluster.connect(trusted=False).execute("ATTACH ':memory:' AS x")
    connection = cluster.connect(trusted=False)
    asked: list[int] = []

    def allow(action: int, *_: Any) -> int:
        asked.append(action)
        return apsw.SQLITE_OK

    connection.authorizer = allow
    assert connection.authorizer is allow
    assert connection.execute("SELECT n FROM t").fetchall() == [(1,), (2,)]
    assert apsw.SQLITE_READ in asked
    connection.authorizer = None
    with pytest.raises(clusterdb.NotAuthorizedError):
        connection.execute("PRAGMA writable_schema = 1")


def test_progress_handler_of_the_program_does_not_lift_limits(untrusted: clusterdb.Connection) -> None:
    """Setting it, or taking it off, lets nothing run on."""
    calls: list[None] = []
    untrusted.set_progress_handler(lambda: calls.append(None), 1000)
    with pytest.raises(clusterdb.LimitExceededError):
        untrusted.execute(f"{ENDLESS} SELECT count(*) FROM c").fetchall()
    assert calls
    untrusted.set_progress_handler(None, 0)
    with pytest.raises(clusterdb.LimitExceededError):
        untrusted.execute(f"{ENDLESS} SELECT count(*) FROM c").fetchall()


# --- what is used up --------------------------------------------------------------------------------------------------
EXHAUSTING = {
    "endless query": (f"{ENDLESS} SELECT count(*) FROM c", "more than 100,000 steps"),
    "endless rows": (f"{ENDLESS} SELECT x FROM c", "more than 100,000 steps"),
    "cross join": ("SELECT count(*) FROM t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t", "more than 100,000"),
    "endless insert": (f"INSERT INTO t {ENDLESS} SELECT x, x FROM c", "more than 100,000 steps"),
    "endless table": (f"CREATE TABLE copy AS {ENDLESS} SELECT x FROM c", "more than 100,000 steps"),
    "endless sort": (f"{ENDLESS} SELECT x FROM c ORDER BY -x", "more than 100,000 steps"),
    "huge blob": ("SELECT zeroblob(1000000000)", "too big"),
    "huge random blob": ("SELECT length(randomblob(1000000000))", "too big"),
    "huge text": ("SELECT printf('%1000000000d', 1)", "too big|limit"),
    "huge concatenation": (
        "WITH RECURSIVE c(x) AS (SELECT 'xxxxxxxx' UNION ALL SELECT x || x FROM c) SELECT max(length(x)) FROM c",
        "too big",
    ),
    "huge group": (f"{ENDLESS} SELECT length(group_concat(hex(zeroblob(100000)), '')) FROM c", "too big|100,000 steps"),
    "huge replacement": ("SELECT replace(hex(zeroblob(4000000)), '0', 'xxxxxxxxxx')", "too big"),
    "deep expression": ("SELECT " + "(" * 3000 + "1" + ")" * 3000, "too large|overflow|[Rr]ecursion limit"),
    "long expression": ("SELECT " + "+".join("1" * 5000), "Expression tree is too large"),
    "many terms": (" UNION ALL ".join(["SELECT 1"] * 500), "too many terms in compound SELECT"),
    "many columns": ("SELECT " + ",".join("1" * 3000), "too many columns"),
    "many arguments": (f"SELECT max({','.join('1' * 500)})", "too many arguments"),
    "many variables": ("SELECT ?40000", "variable number must be between"),
    "long statement": ("SELECT '" + "x" * 2_000_000 + "'", "too large|too big"),
    "long pattern": (f"SELECT 'a' LIKE '{'%a' * 1000}'", "pattern too complex"),
    "many instructions": (
        "INSERT INTO t VALUES " + ",".join(f"({n}, {n})" for n in range(90_000)),
        "more than 250,000 instructions|too large",
    ),
}


@pytest.mark.parametrize("what", EXHAUSTING)
def test_statements_beyond_a_limit_are_stopped(untrusted: clusterdb.Connection, what: str) -> None:
    """Every statement that is too much ends with a DB-API error that says why; the connection goes on."""
    sql, text = EXHAUSTING[what]
    with pytest.raises(clusterdb.DatabaseError, match=text):
        for _ in untrusted.execute(sql):
            pass
    untrusted.rollback()
    assert untrusted.execute("SELECT n FROM t").fetchall() == [(1,), (2,)]


def test_recursive_triggers_are_stopped(untrusted: clusterdb.Connection) -> None:
    """One that fires itself, too."""
    untrusted.execute("PRAGMA recursive_triggers = 1")
    untrusted.execute("CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO t VALUES (new.n + 1, ''); END")
    with pytest.raises(clusterdb.OperationalError, match=r"too many levels of trigger recursion|nested too deep"):
        untrusted.execute("INSERT INTO t VALUES (3, '')")


def test_time_limit_stops_a_statement(cluster: clusterdb.Cluster) -> None:
    """Time counts while SQLite works, whatever the steps."""
    connection = clusterdb.connect(cluster, trusted=False, limits=clusterdb.Limits(steps=None, seconds=1e-6))
    with pytest.raises(clusterdb.LimitExceededError, match="it took longer than 1e-06 s") as caught:
        connection.execute(f"{ENDLESS} SELECT count(*) FROM c").fetchall()
    assert caught.value.sqlite_errorname == "SQLITE_INTERRUPT"


def test_every_statement_has_its_own_budget(untrusted: clusterdb.Connection) -> None:
    """Other statements on the same connection do not use up the budget of a statement."""
    part = f"{ENDLESS} SELECT x FROM c LIMIT 4000"  # some 60,000 steps
    first, second = untrusted.execute(part), untrusted.execute(part)
    for _ in range(3):
        assert len(untrusted.execute(part).fetchall()) == 4000
    assert len(list(zip(first, second, strict=True))) == 4000


def test_statements_of_functions_count_for_the_running_statement(cluster: clusterdb.Cluster) -> None:
    """A function that asks the database begins no new budget."""
    connection = cluster.connect(trusted=False, limits=few())

    def asks(*arguments: apsw.SQLiteValue) -> apsw.SQLiteValue:
        answer: apsw.SQLiteValue = connection.execute("SELECT 1").get
        return answer

    connection.create_scalar_function("asks", asks)
    with pytest.raises(clusterdb.LimitExceededError):
        connection.execute(f"{ENDLESS} SELECT count(asks()) FROM c").fetchall()
    with pytest.raises(clusterdb.LimitExceededError):
        connection.execute(f"{ENDLESS} SELECT count(asks()) FROM c").get  # noqa: B018
    with pytest.raises(clusterdb.LimitExceededError):
        connection.execute(f"{ENDLESS} SELECT count(asks()) FROM c").fetchone()


def test_limits_can_be_chosen_by_the_caller(cluster: clusterdb.Cluster) -> None:
    """Each one; SQLite's own maximum stays."""
    connection = clusterdb.connect(cluster, trusted=False, limits=clusterdb.Limits(steps=None, length=100, column=2))
    assert connection.execute(f"{ENDLESS} SELECT x FROM c LIMIT 1 OFFSET 100000").fetchall() == [(100001,)]
    with pytest.raises(clusterdb.DataError, match="too big"):
        connection.execute("SELECT zeroblob(101)").fetchall()
    with pytest.raises(clusterdb.OperationalError, match="too many columns"):
        connection.execute("SELECT 1, 2, 3")


@pytest.mark.parametrize(
    "options",
    [
        {"limits": clusterdb.Limits()},
        {"trusted": True, "limits": clusterdb.Limits()},
        {"trusted": "no"},
        {"trusted": False, "limits": 7},
    ],
    ids=str,
)
def test_invalid_options_are_refused_before_opening(cluster: clusterdb.Cluster, options: dict[str, Any]) -> None:
    """Before anything is opened."""
    for connect in (cluster.connect, lambda **options: clusterdb.connect(cluster, **options)):
        with pytest.raises(clusterdb.InvalidArgumentError, match=r"trusted|limits"):
            connect(**options)


@pytest.mark.parametrize(
    "limits", [{"steps": 0}, {"steps": True}, {"seconds": -1}, {"length": None}, {"column": 1.5}, {"views": 1}], ids=str
)
def test_invalid_limits_are_refused(limits: dict[str, Any]) -> None:
    """A limit is a positive number, a switch is a switch."""
    with pytest.raises(clusterdb.InvalidArgumentError, match=f"Limits: {next(iter(limits))}="):
        clusterdb.Limits(**limits)


# --- what goes on working ---------------------------------------------------------------------------------------------
def test_ordinary_sql_works_untrusted(untrusted: clusterdb.Connection) -> None:
    """Reading, writing, definitions, transactions, settings that only answer."""
    untrusted.executescript(
        """
        CREATE TABLE u (id INTEGER PRIMARY KEY, t_n REFERENCES t (n), d DEFAULT CURRENT_TIMESTAMP, CHECK (id > 0));
        CREATE INDEX u_t ON u (t_n); CREATE VIEW v AS SELECT id, json_extract('{"a": 1}', '$.a') AS a FROM u;
        CREATE TEMP TABLE w (x); ALTER TABLE u ADD COLUMN extra; ANALYZE; REINDEX;
        INSERT INTO u (t_n) VALUES (1), (2); SAVEPOINT s; DELETE FROM u; ROLLBACK TO s; RELEASE s;
        CREATE TRIGGER g AFTER DELETE ON u BEGIN INSERT INTO w VALUES (old.id); END;
        PRAGMA user_version = 7; PRAGMA foreign_keys = ON; DROP TABLE w;
        """
    )
    assert untrusted.execute("SELECT id, a FROM v ORDER BY id DESC").fetchall() == [(2, 1), (1, 1)]
    assert untrusted.execute("PRAGMA user_version").fetchall() == [(7,)]
    assert untrusted.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    assert untrusted.execute("PRAGMA journal_mode").fetchall() == [("memory",)]
    assert untrusted.execute("SELECT * FROM json_each('[1, 2]')").fetchall()
    assert list(untrusted.iterdump())
    for name in ("x", "y"):
        untrusted.executemany("INSERT INTO t VALUES (?, ?)", [(n, name) for n in range(100)])
    assert untrusted.execute("SELECT count(*) FROM t").fetchall() == [(202,)]


@pytest.mark.parametrize("engine", ENGINES)
def test_sql_of_other_engines_works_untrusted(disk_store: clusterdb.Store, engine: str) -> None:
    """Flavours have the settings, functions in definitions, numbers and temporary tables that they need."""
    cluster = disk_store.create_cluster("prod", engine=engine)
    connection = clusterdb.connect(cluster, trusted=False, autocommit=True)
    number = {"sqlite": "INTEGER PRIMARY KEY", "aurora-mysql": "INT AUTO_INCREMENT PRIMARY KEY"}
    connection.execute(
        f"CREATE TABLE t (id {number.get(engine, 'SERIAL PRIMARY KEY')}, name VARCHAR(20) NOT NULL, "
        "price DECIMAL(10,2) DEFAULT 1.5, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, CHECK (length(name) > 1))"
    )
    connection.execute("INSERT INTO t (name) VALUES ('ada'), ('bob')")
    connection.execute("CREATE VIEW v AS SELECT id, upper(name) AS name, concat(name, '!') AS loud FROM t")
    assert connection.execute("SELECT id, name, loud FROM v ORDER BY id").fetchall() == [
        (1, "ADA", "ada!"),
        (2, "BOB", "bob!"),
    ]
    connection.execute("CREATE TEMPORARY TABLE w (x INT)")
    connection.execute("INSERT INTO w VALUES (1)")
    with pytest.raises(clusterdb.IntegrityError):
        connection.execute("INSERT INTO t (name) VALUES ('x')")
    with pytest.raises(clusterdb.Error, match=r"not allowed|do not understand"):
        connection.execute("ATTACH 'x.db' AS x")
    connection.close()


def test_sequences_and_series_of_postgresql_work_untrusted(disk_store: clusterdb.Store) -> None:
    """They work in views, too, which call only functions known to be harmless."""
    connection = clusterdb.connect(
        disk_store.create_cluster("prod", engine="aurora-postgresql"),
        trusted=False,
        limits=few(steps=10_000),
        autocommit=True,
    )
    connection.execute("CREATE SEQUENCE s")
    connection.execute("CREATE VIEW v AS SELECT n FROM generate_series(1, 3) AS g(n)")
    assert connection.execute("SELECT nextval('s'), nextval('s')").fetchall() == [(1, 2)]
    assert connection.execute("SELECT sum(n) FROM v").fetchall() == [(6,)]
    with pytest.raises(clusterdb.LimitExceededError):
        connection.execute("SELECT count(nextval('s')) FROM generate_series(1, 1000000000)").fetchall()
    with pytest.raises(clusterdb.LimitExceededError):
        connection.execute("SELECT count(*) FROM generate_series(1, 1000000000)").fetchall()


@pytest.mark.parametrize("engine", ENGINES[1:])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT length(repeat('x', 1000000000000))",
        "SELECT length(lpad('x', 1000000000000, 'y'))",
        "SELECT length(rpad('x', 1000000000000, 'y'))",
        "SELECT length(repeat(repeat('x', 100000), 100000))",
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "SELECT " + " + ".join("1" * 5000),
        "SELECT '" + "x" * 2_000_000 + "'",
    ],
    ids=["repeat", "lpad", "rpad", "repeat twice", "deep", "long", "large"],
)
def test_sql_of_other_engines_is_limited(disk_store: clusterdb.Store, engine: str, sql: str) -> None:
    """Functions in Python, and the translation, have limits too."""
    connection = clusterdb.connect(disk_store.create_cluster("prod", engine=engine), trusted=False, limits=few())
    with pytest.raises(clusterdb.DatabaseError, match=r"too large|too big|too deep|Expression tree|exceed"):
        connection.execute(sql).fetchall()


def test_readers_of_an_untrusted_split_connection_are_untrusted(cluster: clusterdb.Cluster) -> None:
    """Both of its connections are limited."""
    cluster.add_instance("a")
    cluster.add_instance("b")
    split = clusterdb.connect(cluster, factory=SplitConnection, trusted=False, limits=few())
    cursor = split.execute("SELECT count(*) FROM t")
    assert (cursor.fetchall(), cursor.endpoint) == ([(2,)], "reader")
    cursor = split.cursor()
    with pytest.raises(clusterdb.LimitExceededError):
        cursor.execute(f"{ENDLESS} SELECT count(*) FROM c, t").fetchall()
    assert cursor.endpoint == "reader"


def test_untrusted_connections_to_the_past_are_restricted(
    disk_store: clusterdb.Store, cluster: clusterdb.Cluster
) -> None:
    """They are read-only besides."""
    cluster.snapshot("then")
    connection = cluster.connect(at="then", trusted=False, limits=few())
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    with pytest.raises(clusterdb.NotAuthorizedError):
        connection.execute("ATTACH ':memory:' AS x")
    connection.close()


@pytest.mark.parametrize("database", [":memory:", "plain"])
def test_plain_files_and_anonymous_clusters_can_be_untrusted(tmp_path: Path, database: str) -> None:
    """A plain file, an anonymous cluster."""
    sqlite3.connect(tmp_path / "plain.db").execute("CREATE TABLE p (x)")
    name = str(tmp_path / "plain.db") if database == "plain" else database
    connection = clusterdb.connect(name, trusted=False, limits=few())
    connection.execute("CREATE TABLE t (n)")
    with pytest.raises(clusterdb.NotAuthorizedError):
        connection.execute(f"ATTACH '{tmp_path}/x.db' AS x")
    with pytest.raises(clusterdb.LimitExceededError):
        connection.execute(f"{ENDLESS} SELECT count(*) FROM c").fetchall()
    connection.close()


def test_trusted_connections_are_not_restricted(cluster: clusterdb.Cluster, tmp_path: Path) -> None:
    """They attach, vacuum and take as long as they like."""
    connection = clusterdb.connect(cluster, autocommit=True)
    connection.execute(f"ATTACH '{tmp_path}/x.db' AS x")
    connection.execute("ATTACH 'other' AS o")
    connection.execute(f"VACUUM INTO '{tmp_path}/copy.db'")
    assert connection.execute(f"{ENDLESS} SELECT x FROM c LIMIT 1 OFFSET 100000").fetchall() == [(100001,)]
    assert list(results(cluster.connect(), "SELECT 1")) == [(["1"], [(1,)])]
