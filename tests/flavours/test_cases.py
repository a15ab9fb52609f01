"""What the engines' flavours of SQL promise: each case of the table, on clusterdb and on the real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from tests.flavours import servers
from tests.flavours.cases.case import normalised
from tests.flavours.cases.table import MYSQL, POSTGRESQL, Case, matrix
from tests.support.stores import assert_clean

SUPPORT = Path(clusterdb.__file__).parent / "flavours" / "SUPPORT.md"
FLAVOURS = {"aurora-mysql": MYSQL, "aurora-postgresql": POSTGRESQL}
Execute = Callable[[str, Any], Any]


def _parameters(engine: str, wanted: Callable[[Case], bool]) -> list[Any]:
    """Cases as pytest's parameters, named by their place in the table and their feature."""
    cases = enumerate(FLAVOURS[engine])
    short = engine.removeprefix("aurora-")
    return [pytest.param(case, id=f"{short}-{number:03}-{case.feature}") for number, case in cases if wanted(case)]


def _both(wanted: Callable[[Case], bool]) -> list[Any]:
    """The cases of both engines, each with its engine."""
    return [
        pytest.param(engine, *parameter.values, id=parameter.id)
        for engine in FLAVOURS
        for parameter in _parameters(engine, wanted)
    ]


def _play(case: Case, execute: Execute) -> tuple[list[tuple[Any, ...]] | None, tuple[str, ...]]:
    """The rows that a case is about, None where it has none, and the names of their columns."""
    for statement in case.setup:
        execute(statement, ())
    cursor = execute(case.sql, case.parameters)
    if case.then:
        cursor = execute(case.then, ())
    if cursor.description is None:
        return None, ()
    return normalised(cursor.fetchall()), tuple(column[0] for column in cursor.description)


def _check(case: Case, execute: Execute, error: type[Exception]) -> None:
    """The rows, or the failure, that the table promises."""
    if case.fails:
        for statement in case.setup:
            execute(statement, ())
        with pytest.raises(error) as caught:
            execute(case.sql, case.parameters)
        assert not isinstance(caught.value, clusterdb.NotSupportedError)
        return
    rows, names = _play(case, execute)
    if case.rows is not None:
        assert rows == case.rows
    if case.names is not None:
        assert names == case.names


def _supported(case: Case) -> bool:
    return not case.unsupported


def _unsupported(case: Case) -> bool:
    return case.unsupported


# --- clusterdb --------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shared_store() -> Iterator[clusterdb.Store]:
    """One store in memory for all cases."""
    with clusterdb.open(":memory:") as store:
        yield store
        assert_clean(store)


@pytest.fixture
def connect(shared_store: clusterdb.Store) -> Iterator[Callable[[str], clusterdb.Connection]]:
    """What connects to a fresh cluster of an engine, as for SQL that is not trusted: the stricter of the two."""
    opened: list[clusterdb.Connection] = []

    def connect(engine: str) -> clusterdb.Connection:
        cluster = shared_store.create_cluster("fresh", engine=engine)
        opened.append(clusterdb.connect(cluster, autocommit=True, trusted=False))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()
        shared_store.cluster("fresh").delete()


def _executor(connection: clusterdb.Connection) -> Execute:
    return lambda sql, parameters: connection.execute(sql, parameters) if parameters else connection.execute(sql)


@pytest.mark.parametrize(("engine", "case"), _both(_supported))
def test_supported_case_has_the_result_of_the_server(
    engine: str, case: Case, connect: Callable[[str], clusterdb.Connection]
) -> None:
    """A supported statement has the result that it has on the engine's own server."""
    _check(case, _executor(connect(engine)), clusterdb.DatabaseError)


@pytest.mark.parametrize(("engine", "case"), _both(_unsupported))
def test_unsupported_case_raises_not_supported_error(
    engine: str, case: Case, connect: Callable[[str], clusterdb.Connection], caplog: pytest.LogCaptureFixture
) -> None:
    """An unsupported statement raises NotSupportedError, which quotes it; nothing else is said."""
    execute = _executor(connect(engine))
    for statement in case.setup:
        execute(statement, ())
    with pytest.raises(clusterdb.NotSupportedError) as caught:
        execute(case.sql, case.parameters)
    assert case.sql in str(caught.value)
    assert caplog.messages == []


def test_any_value_reads_columns_outside_group_by(connect: Callable[[str], clusterdb.Connection]) -> None:
    """MySQL has ANY_VALUE() for columns that GROUP BY does not determine; MariaDB 10 has it not."""
    connection = connect("aurora-mysql")
    connection.execute("CREATE TABLE t (a INT, b VARCHAR(9), c DECIMAL(5,2))")
    connection.execute("INSERT INTO t VALUES (1, 'x', 1.50), (1, 'y', 2.25), (2, NULL, NULL)")
    rows = connection.execute("SELECT a, ANY_VALUE(b), ANY_VALUE(c) FROM t GROUP BY a ORDER BY a").fetchall()
    assert rows[0] in ((1, "x", 1.5), (1, "y", 2.25))
    assert rows[1] == (2, None, None)


@pytest.mark.parametrize(
    "text", ["", " \n", ";", "-- one", "-- one\n;", "/* one */", "/* one */ -- two\n", "-- one\n-- two"]
)
@pytest.mark.parametrize("engine", FLAVOURS)
def test_statement_of_comments_does_nothing(
    engine: str, text: str, connect: Callable[[str], clusterdb.Connection]
) -> None:
    """An empty statement is one, too."""
    connection = connect(engine)
    assert connection.execute(text).fetchall() == []
    connection.executescript(f"CREATE TABLE t (a INT);\n{text}\n;INSERT INTO t VALUES (1) /* three */; {text}")
    assert connection.execute(f"{text.removesuffix(';')}\nSELECT a FROM t -- four").fetchall() == [(1,)]


_BLANKS = 20_000 * " "


@pytest.mark.parametrize(
    "text",
    [
        f"CREATE INDEX i ON t (a{_BLANKS}x",
        f"CREATE TABLE t{_BLANKS}LIKE{_BLANKS}u{_BLANKS}x",
        f"CREATE VIEW v AS SELECT 1{_BLANKS}WITH CHECK x",
        f"DROP INDEX i ON t{' LOCK' * 5_000} = x y",
        f"SET TRANSACTION{_BLANKS}ISOLATION{_BLANKS}LEVEL x",
        f"COMMIT{_BLANKS}AND{_BLANKS}CHAIN =",
        f"SAVEPOINT a{_BLANKS};{_BLANKS}x",
        f"ALTER TABLE t{_BLANKS}CONVERT{_BLANKS}TO x",
        "/*!40101 SET @a = " + "'a''b'" * 5_000,
    ],
    ids=lambda text: " ".join(text.split())[:20],
)
def test_invalid_statement_is_refused_in_linear_time(text: str, connect: Callable[[str], clusterdb.Connection]) -> None:
    """With steps that grow with a power of the blanks, this would not end."""
    with pytest.raises(clusterdb.DatabaseError):
        connect("aurora-mysql").execute(text)


def test_show_index_prints_the_engines_names_of_keys(connect: Callable[[str], clusterdb.Connection]) -> None:
    """Keys have the names of the engine, not those that are unique in SQLite; a server prints more columns."""
    connection = connect("aurora-mysql")
    connection.execute(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(9), UNIQUE KEY ub (b), KEY (a, b))"
    )
    assert connection.execute("SHOW INDEX FROM t").fetchall() == [
        ("t", 0, "PRIMARY", 1, "id"),
        ("t", 0, "ub", 1, "b"),
        ("t", 1, "a", 1, "a"),
        ("t", 1, "a", 2, "b"),
    ]


def test_set_autocommit_and_the_attribute_are_one_setting() -> None:
    """SET autocommit and the attribute of the DB-API read and write one setting."""
    with clusterdb.open(":memory:") as store:
        cluster = store.create_cluster("fresh", engine="aurora-mysql")
        connection = clusterdb.connect(cluster, autocommit=True)
        connection.execute("CREATE TABLE t (a INT)")
        connection.execute("SET autocommit = 0")
        assert connection.autocommit is False
        connection.execute("INSERT INTO t VALUES (1)")
        connection.rollback()
        connection.execute("INSERT INTO t VALUES (2)")
        connection.commit()
        connection.execute("CREATE TABLE u (a INT)")
        connection.execute("DELETE FROM t")
        assert connection.in_transaction
        connection.rollback()
        assert connection.execute("SELECT a, @@autocommit FROM t").fetchall() == [(2, 0)]
        connection.autocommit = True
        assert connection.execute("SELECT @@autocommit").fetchall() == [(1,)]
        connection.close()


def test_reader_of_a_split_connection_has_the_sessions_variables() -> None:
    """Queries on the reader see the variables that were set on the writer."""
    with clusterdb.open(":memory:") as store:
        cluster = store.create_cluster("fresh", engine="aurora-mysql")
        cluster.add_instance("w")
        cluster.add_instance("r")
        connection = clusterdb.connect(cluster, factory=clusterdb.SplitConnection, autocommit=True)
        connection.execute("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT)")
        connection.execute("SET @a = 5, sql_mode = 'ANSI_QUOTES'")
        connection.execute("INSERT INTO t VALUES (DEFAULT)")
        row = connection.execute("SELECT @a, @@sql_mode, LAST_INSERT_ID()").fetchone()
        assert row == (5, "ANSI_QUOTES", 1)
        connection.close()


# --- the real servers -------------------------------------------------------------------------------------------------
def _check_on_server(case: Case, server: servers.Server) -> None:
    connection = server.connect()
    try:
        _check(case, lambda sql, parameters: server.execute(connection, sql, parameters), Exception)
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("case", _parameters("aurora-mysql", _supported))
def test_mysql_case_has_the_rows_of_the_real_server(case: Case, mysql_server: servers.Server) -> None:
    """The real server gives the table's rows."""
    _check_on_server(case, mysql_server)


def _has_names(case: Case) -> bool:
    """Whether the columns of a case are named alike on every server: those of SHOW and its like are not."""
    about = (case.then or case.sql).split(None, 1)[0].upper()
    return not (
        case.unsupported or case.fails or case.parameters or about in ("SHOW", "EXPLAIN", "ANALYZE", "OPTIMIZE")
    )


@pytest.mark.slow
@pytest.mark.parametrize("case", _parameters("aurora-mysql", _has_names))
def test_result_columns_have_the_names_of_the_mysql_server(
    case: Case, mysql_server: servers.Server, connect: Callable[[str], clusterdb.Connection]
) -> None:
    """The names of a result are the server's, whatever becomes of its expressions."""
    connection = mysql_server.connect()
    try:
        _, names = _play(case, lambda sql, parameters: mysql_server.execute(connection, sql, parameters))
    finally:
        connection.close()
    assert _play(case, _executor(connect("aurora-mysql")))[1] == names


@pytest.mark.slow
@pytest.mark.parametrize("case", _parameters("aurora-postgresql", _supported))
def test_postgresql_case_has_the_rows_of_the_real_server(case: Case, postgresql_server: servers.Server) -> None:
    """The real server gives the table's rows."""
    _check_on_server(case, postgresql_server)


# --- the table --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("engine", FLAVOURS)
def test_cases_of_a_feature_are_all_supported_or_none(engine: str) -> None:
    """The matrix has no half-truths: all cases of a feature are supported, or none."""
    cases = FLAVOURS[engine]
    supported = {case.feature for case in cases if not case.unsupported}
    assert supported.isdisjoint(case.feature for case in cases if case.unsupported)


@pytest.mark.parametrize("engine", FLAVOURS)
def test_no_case_is_repeated(engine: str) -> None:
    """Each case says something of its own."""
    cases = [(case.setup, case.sql, repr(case.parameters), case.then) for case in FLAVOURS[engine]]
    assert [case for case in cases if cases.count(case) > 1] == []


def test_support_matrix_is_that_of_the_cases() -> None:
    """The documented matrix is the one that is tested."""
    assert SUPPORT.read_text(encoding="utf-8") == matrix()
