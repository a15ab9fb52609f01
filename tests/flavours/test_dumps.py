"""Dumps of the real servers, loaded: every row is the server's, and every row of the server's is there."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from clusterdb.errors import Error, InvalidArgumentError, NotADatabaseError, NotSupportedError
from clusterdb.flavours.loaded import LoadedDump
from tests.flavours import servers
from tests.flavours.cases.case import normalised

DATA = Path(__file__).parents[1] / "data" / "dumps"
MYSQL_TABLES = ["an order", "counts", "hollow", "line", "paid", "part", "zeta_kind", "zeta_user"]
POSTGRESQL_TABLES = ["always", "an order", "counts", "hollow", "line", "orders", "part", "zeta_kind", "zeta_user"]
MYSQL_OPTIONS = {
    "plain": (),
    "everything": ("--databases", "--routines", "--events"),
    "one row a statement": ("--skip-extended-insert", "--complete-insert", "--hex-blob"),
    "without comments": ("--compact", "--add-locks", "--default-character-set=utf8mb4"),
    "in a transaction": ("--single-transaction", "--no-autocommit", "--add-drop-trigger", "--order-by-primary"),
}
POSTGRESQL_OPTIONS = {
    "copy": (),
    "inserts": ("--inserts",),
    "columns, clean": ("--column-inserts", "--create", "--clean", "--if-exists"),
    "rows per insert": ("--rows-per-insert=2", "--no-owner", "--no-privileges"),
    "by the root of partitions": ("--load-via-partition-root", "--no-comments", "--quote-all-identifiers"),
}


def statements(name: str) -> list[str]:
    """The statements of a schema with its rows, a line each."""
    return [line.removesuffix(";") for line in (DATA / name).read_text().splitlines() if line]


@pytest.fixture
def shop(mysql_server: servers.Server) -> Iterator[tuple[servers.Server, Any]]:
    """MariaDB with a schema that has something of everything."""
    with mysql_server.connect() as connection:
        for sql in statements("mysql.sql"):
            connection.cursor().execute(sql)
        yield mysql_server, connection


@pytest.fixture
def pg_shop(postgresql_server: servers.Server) -> Iterator[tuple[servers.Server, Any]]:
    """PostgreSQL with a schema that has something of everything."""
    with postgresql_server.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        for sql in statements("postgresql.sql"):
            connection.execute(sql)
        yield postgresql_server, connection


@pytest.fixture
def load(store: clusterdb.Store) -> Iterator[Callable[..., tuple[clusterdb.Connection, LoadedDump]]]:
    """Loads a dump into a new cluster, and connects to it."""
    connections: list[clusterdb.Connection] = []

    def into_new(dump: bytes, **options: Any) -> tuple[clusterdb.Connection, LoadedDump]:
        name = f"loaded{len(connections)}"
        loaded = store.import_dump(name, io.BytesIO(dump), **options)
        connections.append(clusterdb.connect(name, store=store))
        return connections[-1], loaded

    yield into_new
    for connection in connections:
        connection.close()


def content(connection: Any, table: str, quote: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of a table's columns, and its rows."""
    cursor = connection.cursor()
    cursor.execute(f"SELECT * FROM {quote}{table}{quote}")
    return [column[0] for column in cursor.description], sorted(normalised(cursor.fetchall()), key=repr)


def require_same(server: Any, loaded: Any, tables: list[str], quote: str) -> None:
    """Both have the same columns and rows."""
    for table in tables:
        assert content(loaded, table, quote) == content(server, table, quote), table


@pytest.fixture(autouse=True)
def plain_json(request: pytest.FixtureRequest) -> None:
    """psycopg gives JSON as it is written."""
    if "postgresql_server" in request.fixturenames:
        from psycopg.types.json import set_json_loads

        set_json_loads(lambda data: data.decode() if isinstance(data, bytes) else str(data))
        request.addfinalizer(lambda: set_json_loads(__import__("json").loads))


# --- whole ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", MYSQL_OPTIONS)
def test_mysql_dump_is_loaded_completely(name: str, shop: tuple[servers.Server, Any], load: Any) -> None:
    """All rows are there, both ways; keys hold, numbers go on, and what was skipped is told."""
    server, connection = shop
    loaded, result = load(server.dump(*MYSQL_OPTIONS[name]), engine="aurora-mysql")
    require_same(connection, loaded, MYSQL_TABLES, "`")
    assert result.skipped["trigger"] == 2
    assert result.skipped["partitioned table"] == 1
    if name == "everything":
        assert {kind: result.skipped[kind] for kind in ("database", "function", "procedure", "event")} == dict.fromkeys(
            ("database", "function", "procedure", "event"), 1
        )
    assert result.dangling == {}
    with pytest.raises(clusterdb.IntegrityError):
        loaded.execute("INSERT INTO zeta_kind VALUES (3, 'plain')")
    with pytest.raises(clusterdb.IntegrityError):
        loaded.execute("INSERT INTO line VALUES (77, 1, 'of no order')")
    loaded.execute("INSERT INTO zeta_user (email) VALUES ('new')")
    assert loaded.execute("SELECT LAST_INSERT_ID()").fetchone() == (100,)
    loaded.execute("DELETE FROM `an order` WHERE id = 1")
    assert loaded.execute("SELECT count(*) FROM line WHERE order_id = 1").fetchone() == (0,)


@pytest.mark.parametrize("name", POSTGRESQL_OPTIONS)
def test_postgresql_dump_is_loaded_completely(name: str, pg_shop: tuple[servers.Server, Any], load: Any) -> None:
    """All rows are there, both ways; keys hold, numbers go on, and what was skipped is told."""
    server, connection = pg_shop
    loaded, result = load(server.dump(*POSTGRESQL_OPTIONS[name]))
    require_same(connection, loaded, POSTGRESQL_TABLES, '"')
    counts = {kind: result.skipped[kind] for kind in ("trigger", "function", "rule", "partition")}
    assert counts == {"trigger": 1, "function": 2, "rule": 1, "partition": 2}
    assert "type" not in result.skipped
    assert ("owner" in result.skipped) is ("--no-owner" not in POSTGRESQL_OPTIONS[name])
    assert result.dangling == {}
    assert loaded.execute("INSERT INTO zeta_user (email) VALUES ('new') RETURNING id").fetchone() == (100,)
    assert loaded.execute("INSERT INTO always (v) VALUES ('z') RETURNING id").fetchone() == (3,)
    for refused in (
        "INSERT INTO zeta_kind VALUES (3, 'plain')",
        "INSERT INTO zeta_user (email) VALUES ('a@b.c')",
        "INSERT INTO zeta_user (email) VALUES ('')",
        "INSERT INTO line VALUES (77, 1, 'of no order')",
        "INSERT INTO zeta_kind (kind_id) VALUES (NULL)",
    ):
        with pytest.raises(clusterdb.IntegrityError):
            loaded.execute(refused)
    loaded.execute('DELETE FROM "an order" WHERE id = 1')
    assert loaded.execute("SELECT count(*) FROM line WHERE order_id = 1").fetchone() == (0,)


# --- random rows ------------------------------------------------------------------------------------------------------
def texts(rng: random.Random, most: int) -> str:
    """A text with all that could be mistaken for something else."""
    parts = [
        "'",
        '"',
        "`",
        "\\",
        "\\.",
        "\\N",
        "\t",
        "\n",
        "\r",
        ";",
        "--",
        "/*",
        "*/",
        "%s",
        "?",
        "$1",
        "$$",
        "é",
        "😀",
    ]
    parts += ["DELETE FROM t;", "a", "Z", "0", " ", "NULL", "\x1a", "\x7f", "(", ")", ","]
    return "".join(rng.choice(parts) for _ in range(rng.randint(0, most)))[:most]


def moments(rng: random.Random) -> datetime:
    at = datetime(1971, 1, 1) + timedelta(seconds=rng.randint(0, 2_000_000_000))
    return at.replace(microsecond=rng.choice([0, 1000, 123456]))


def random_row(rng: random.Random, number: int) -> tuple[Any, ...]:
    def perhaps(value: Any) -> Any:
        return None if rng.random() < 0.2 else value

    return (
        number,
        perhaps(texts(rng, 60)),
        perhaps(texts(rng, 20)),
        perhaps(rng.choice([0, 1, -1, 2**31 - 1, -(2**31), rng.randint(-1000, 1000)])),
        perhaps(rng.choice([0, 2**63 - 1, -(2**63), rng.randint(-(2**40), 2**40)])),
        perhaps(f"{rng.randint(-(10**9), 10**9)}.{rng.randint(0, 99):02}"),
        perhaps(rng.choice([0.1, -1e300, 1e-300, 3.0, rng.random(), rng.uniform(-1e6, 1e6), 2.0**60])),
        perhaps(bytes(rng.choices(range(256), k=rng.randint(0, 40)))),
        perhaps(date(1000, 1, 1) + timedelta(days=rng.randint(0, 3_000_000))),
        perhaps(moments(rng)),
        rng.random() < 0.5,
    )


@pytest.mark.parametrize("options", [(), ("--hex-blob", "--skip-extended-insert")], ids=["bytes", "hex"])
def test_random_rows_of_mysql_are_loaded_exactly(
    options: tuple[str, ...], mysql_server: servers.Server, load: Any
) -> None:
    """Texts with every quote, all bytes, numbers at their ends."""
    rng = random.Random(len(options))
    with mysql_server.connect() as connection:
        cursor = connection.cursor()
        cursor.execute(
            "CREATE TABLE t (id INT PRIMARY KEY, x TEXT, v VARCHAR(80), i INT, b BIGINT, d DECIMAL(12,2), f DOUBLE, "
            "o BLOB, da DATE, dt DATETIME(6), bo BOOLEAN NOT NULL)"
        )
        marks = ", ".join(["%s"] * 11)
        cursor.executemany(f"INSERT INTO t VALUES ({marks})", [random_row(rng, number) for number in range(300)])
        loaded, _ = load(mysql_server.dump(*options))
        require_same(connection, loaded, ["t"], "`")


@pytest.mark.parametrize("options", [(), ("--inserts",)], ids=["copy", "inserts"])
def test_random_rows_of_postgresql_are_loaded_exactly(
    options: tuple[str, ...], postgresql_server: servers.Server, load: Any
) -> None:
    """Texts with every quote, all bytes, numbers at their ends."""
    rng = random.Random(len(options))
    with postgresql_server.connect() as connection:
        connection.execute(
            "CREATE TABLE t (id INT PRIMARY KEY, x TEXT, v VARCHAR(80), i INT, b BIGINT, d NUMERIC(12,2), "
            "f DOUBLE PRECISION, o BYTEA, da DATE, dt TIMESTAMP, bo BOOLEAN NOT NULL)"
        )
        marks = ", ".join(["%s"] * 11)
        connection.cursor().executemany(
            f"INSERT INTO t VALUES ({marks})", [random_row(rng, number) for number in range(300)]
        )
        loaded, _ = load(postgresql_server.dump(*options))
        require_same(connection, loaded, ["t"], '"')


# --- other doors ------------------------------------------------------------------------------------------------------
def _doors(store: clusterdb.Store, engine: str, script: bytes) -> Iterator[clusterdb.Connection]:
    """The script, run by each door, each time in a new cluster."""
    for door in ("executescript", "sql", "shell"):
        name = f"{engine.removeprefix('aurora-')}-{door}"
        store.create_cluster(name, engine=engine)
        if door == "executescript":
            connection = clusterdb.connect(name, store=store)
            connection.executescript(script.decode())
        else:
            command = [sys.executable, "-m", "clusterdb", "--store", str(store.path), door, name]
            done = subprocess.run(command, input=script, capture_output=True, check=False)
            assert (done.returncode, done.stderr) == (0, b"")
            connection = clusterdb.connect(name, store=store)
        yield connection
        connection.close()


def test_executescript_sql_and_shell_load_a_mysql_dump(
    shop: tuple[servers.Server, Any], disk_store: clusterdb.Store
) -> None:
    """Of tables, keys, indexes, views and rows: nothing in it is refused by executescript, sql and the shell."""
    server, connection = shop
    connection.cursor().execute("ALTER TABLE `an order` DROP COLUMN twice")
    dump = server.dump("--skip-triggers", "--hex-blob", "--ignore-table=fresh.part")
    tables = [table for table in MYSQL_TABLES if table != "part"]
    for loaded in _doors(disk_store, "aurora-mysql", dump):
        require_same(connection, loaded, tables, "`")


def test_executescript_sql_and_shell_load_a_postgresql_dump(
    pg_shop: tuple[servers.Server, Any], disk_store: clusterdb.Store
) -> None:
    """Of tables, keys, indexes, views and rows: nothing in it is refused by executescript, sql and the shell."""
    server, connection = pg_shop
    for sql in ("DROP TRIGGER on_gone ON line", "DROP FUNCTION clear_all", "DROP FUNCTION gone", "DROP TABLE part"):
        connection.execute(sql)
    for sql in ("DROP RULE keep ON always", "REVOKE ALL ON line FROM PUBLIC"):
        connection.execute(sql)
    tables = [table for table in POSTGRESQL_TABLES if table != "part"]
    dump = server.dump("--no-privileges")
    for loaded in _doors(disk_store, "aurora-postgresql", dump):
        require_same(connection, loaded, tables, '"')


# --- all or nothing ---------------------------------------------------------------------------------------------------
HEAD = "-- MySQL dump 10.13\nCREATE TABLE t (a INT, b BLOB);\nINSERT INTO t VALUES (1, 'x');\n"
END = "-- Dump completed on 2026-01-31\n"
TRIGGER = "DELIMITER ;;\nCREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN\nDELETE FROM t;\nEND;;\nDELIMITER ;\n"


def test_bodies_of_skipped_routines_are_not_run(load: Any) -> None:
    """The statements of triggers, routines and rules belong to them."""
    loaded, result = load((HEAD + TRIGGER + END).encode())
    assert loaded.execute("SELECT * FROM t").fetchall() == [(1, b"x")]
    assert result.summary() == ["skipped: 1 trigger"]
    loaded, result = load(
        b"CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);\n"
        b"CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM t; DELETE FROM t);\n"
        b"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM t; SELECT 1; END;\n"
        b"CREATE FUNCTION g() RETURNS int LANGUAGE sql AS $_$ DELETE FROM t; SELECT 1; $_$;\n"
        b"CREATE POLICY p ON t USING (true); GRANT SELECT ON t TO a; GRANT SELECT ON t TO b;\n",
        engine="aurora-postgresql",
    )
    assert loaded.execute("SELECT * FROM t").fetchall() == [(1,)]
    assert result.summary() == ["skipped: 1 rule, 2 functions, 1 policy, 2 grants"]


REFUSALS: list[tuple[str, dict[str, Any], type[Error], str]] = [
    (HEAD, {}, NotADatabaseError, "truncated: the line '-- Dump completed'"),
    (HEAD + END, {"engine": "aurora-postgresql"}, InvalidArgumentError, "a dump of aurora-mysql"),
    (HEAD.removeprefix("--") + END, {}, InvalidArgumentError, "has no comment that names its engine"),
    ("SELECT 1;", {"engine": "sqlite"}, InvalidArgumentError, "cannot load dumps for engine 'sqlite'"),
    (HEAD + TRIGGER + END, {"strict": True}, NotSupportedError, "line 5: a trigger is not supported"),
    (HEAD + "INSERT INTO nope VALUES (1);\n" + END, {}, clusterdb.OperationalError, "line 4: no such table: nope"),
    (HEAD + "CREATE SPATIAL NONSENSE;\n" + END, {}, NotSupportedError, "line 4: "),
    (HEAD + "INSERT INTO t VALUES ('x\n" + END, {}, Error, "line 4: "),
    ("PGDMP\1\2", {}, NotADatabaseError, "custom format"),
    ("SQLite format 3\0", {}, NotADatabaseError, "import it without --dump"),
    ("\x1f\x8b\x08nonsense", {"engine": "aurora-mysql"}, NotADatabaseError, "cannot be read"),
]


@pytest.mark.parametrize(("script", "options", "kind", "text"), REFUSALS)
def test_refused_dump_leaves_no_cluster(
    script: str, options: dict[str, Any], kind: type[Error], text: str, store: clusterdb.Store
) -> None:
    """The message has the line; the name is free afterwards."""
    with pytest.raises(kind) as refusal:
        store.import_dump("x", io.BytesIO(script.encode("latin-1")), **options)
    assert text in str(refusal.value)
    assert [cluster.name for cluster in store.clusters()] == []
    store.create_cluster("x")


def test_invalid_utf8_is_refused_in_texts_and_loaded_in_bytes(store: clusterdb.Store, load: Any) -> None:
    """A quoted value of a column of bytes is loaded unchanged."""
    dump = HEAD.encode() + b"INSERT INTO t VALUES (2, 'a\\0\xff\\'\xc3\xa9'), (3, _binary '\xff\\\\');\n" + END.encode()
    loaded, _ = load(dump)
    assert loaded.execute("SELECT b FROM t").fetchall() == [(b"x",), (b"a\0\xff'\xc3\xa9",), (b"\xff\\",)]
    latin = "CREATE TABLE t (a VARCHAR(9));\nINSERT INTO t VALUES ('é');\n".encode("latin-1")
    with pytest.raises(clusterdb.DataError, match="line 2: text is not UTF-8"):
        store.import_dump("x", io.BytesIO(latin), engine="aurora-mysql")


def test_rows_with_dangling_references_are_counted_or_refused(load: Any, store: clusterdb.Store) -> None:
    """MySQL has such rows where foreign_key_checks was off."""
    dump = (
        b"SET FOREIGN_KEY_CHECKS=0;\nCREATE TABLE c (a INT, p INT, FOREIGN KEY (p) REFERENCES p (id));\n"
        b"INSERT INTO c VALUES (1, 1), (2, 7), (3, 8);\nCREATE TABLE p (id INT PRIMARY KEY);\n"
        b"INSERT INTO p VALUES (1);\n"
    )
    _, result = load(dump, engine="aurora-mysql")
    assert result.dangling == {"c": 2}
    assert result.summary() == ["rows whose foreign keys refer to missing rows: 2 of c"]
    with pytest.raises(clusterdb.IntegrityError, match="2 rows of c refer to missing rows"):
        store.import_dump("x", io.BytesIO(dump), engine="aurora-mysql", strict=True)


# --- the command ------------------------------------------------------------------------------------------------------
def command(store: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "clusterdb", "--store", str(store), *arguments]
    return subprocess.run(line, input=stdin, capture_output=True, check=False)


def test_load_command_prints_skipped_statements(tmp_path: Path) -> None:
    """From a file, a compressed one, and standard input."""
    script = (HEAD + TRIGGER + END).encode()
    (tmp_path / "shop.sql").write_bytes(script)
    (tmp_path / "zipped.sql.gz").write_bytes(gzip.compress(script))
    store = tmp_path / "store"
    runs = [
        command(store, "import", "--dump", str(tmp_path / "shop.sql")),
        command(store, "import", "--dump", str(tmp_path / "zipped.sql.gz"), "--engine", "aurora-mysql"),
        command(store, "import", "--dump", "-", "piped", "--tag", "a=b", stdin=script),
    ]
    assert [(run.returncode, run.stdout) for run in runs] == [(0, b"")] * 3
    assert all(run.stderr.startswith(b"skipped: 1 trigger\nimported ") for run in runs)
    for name in ("shop", "zipped", "piped"):
        assert command(store, "sql", name, "SELECT a FROM t", "--csv").stdout == b"a\n1\n"
    strict = command(store, "import", "--dump", str(tmp_path / "shop.sql"), "strict", "--strict")
    assert strict.returncode == 1
    assert b"line 5: a trigger is not supported" in strict.stderr
    assert command(store, "sql", "strict", "SELECT 1").returncode == 1
    for arguments in (("-", "--dump"), (str(tmp_path / "shop.sql"), "--strict")):
        assert command(store, "import", *arguments).returncode == 2


def test_progress_is_reported_in_bytes(tmp_path: Path, store: clusterdb.Store) -> None:
    """It grows to the size of the file."""
    path = tmp_path / "long.sql"
    path.write_text(HEAD + "INSERT INTO t VALUES (1, 'x');\n" * 100_000 + END)
    result: list[tuple[int, int]] = []
    store.import_dump("long", path, progress=lambda done, total: result.append((done, total)))
    assert result == sorted(result)
    assert {total for _, total in result} == {path.stat().st_size}
    assert result[-1][0] == path.stat().st_size
