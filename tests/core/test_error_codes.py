"""The class of each error, its base, and its codes in the RDS API and in the engines."""

from __future__ import annotations

import re
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest

import clusterdb
from clusterdb import dbapi2, errors
from clusterdb.dbapi2.codes import TABLES, Codes, with_codes

ROOT = Path(__file__).parents[2]


# --- classes and codes ------------------------------------------------------------------------------------------------
ROWS: list[tuple[type[Exception], type[Exception], str | None]] = [
    (errors.BacktrackDisabledError, errors.OperationalError, "InvalidDBClusterStateFault"),
    (errors.ChangesetConflictError, errors.IntegrityError, None),
    (errors.CloneLimitError, errors.OperationalError, "DBClusterQuotaExceededFault"),
    (errors.ClosedError, errors.ProgrammingError, None),
    (errors.ClusterExistsError, errors.OperationalError, "DBClusterAlreadyExistsFault"),
    (errors.ClusterNotFoundError, errors.OperationalError, "DBClusterNotFoundFault"),
    (errors.ClusterStateError, errors.OperationalError, "InvalidDBClusterStateFault"),
    (errors.CorruptStoreError, errors.DatabaseError, None),
    (errors.DataError, errors.DataError, None),
    (errors.DatabaseDamagedError, errors.DatabaseError, None),
    (errors.DatabaseError, errors.DatabaseError, None),
    (errors.DeletionProtectedError, errors.OperationalError, "InvalidParameterCombination"),
    (errors.EndpointExistsError, errors.OperationalError, "DBClusterEndpointAlreadyExistsFault"),
    (errors.EndpointNotFoundError, errors.OperationalError, "DBClusterEndpointNotFoundFault"),
    (errors.Error, errors.Error, None),
    (errors.ExportTargetError, errors.OperationalError, None),
    (errors.ForkedStoreError, errors.ProgrammingError, None),
    (errors.ImportSourceError, errors.OperationalError, None),
    (errors.InstanceExistsError, errors.OperationalError, "DBInstanceAlreadyExists"),
    (errors.InstanceNotFoundError, errors.OperationalError, "DBInstanceNotFound"),
    (errors.InstanceRestartedError, errors.OperationalError, None),
    (errors.IntegrityError, errors.IntegrityError, None),
    (errors.InterfaceError, errors.InterfaceError, None),
    (errors.InternalError, errors.InternalError, None),
    (errors.InvalidArgumentError, errors.ProgrammingError, "InvalidParameterValue"),
    (errors.InvalidNameError, errors.ProgrammingError, "InvalidParameterValue"),
    (errors.InvalidRestoreTimeError, errors.OperationalError, "InvalidRestoreFault"),
    (errors.LimitExceededError, errors.OperationalError, None),
    (errors.NoReaderError, errors.OperationalError, "InvalidDBClusterStateFault"),
    (errors.NoSourceError, errors.OperationalError, "DBClusterNotFoundFault"),
    (errors.NotADatabaseError, errors.OperationalError, None),
    (errors.NotAStoreError, errors.OperationalError, None),
    (errors.NotAuthorizedError, errors.ProgrammingError, None),
    (errors.NotSupportedError, errors.NotSupportedError, None),
    (errors.OperationalError, errors.OperationalError, None),
    (errors.ProgrammingError, errors.ProgrammingError, None),
    (errors.QuorumError, errors.OperationalError, None),
    (errors.RemoteConflictError, errors.OperationalError, None),
    (errors.RemoteDamagedError, errors.DatabaseError, None),
    (errors.RemoteError, errors.OperationalError, None),
    (errors.RemoteFormatError, errors.OperationalError, None),
    (errors.RemoteNotFoundError, errors.OperationalError, None),
    (errors.RemoteUnavailableError, errors.OperationalError, None),
    (errors.SnapshotExistsError, errors.OperationalError, "DBClusterSnapshotAlreadyExistsFault"),
    (errors.SnapshotNotFoundError, errors.OperationalError, "DBClusterSnapshotNotFoundFault"),
    (errors.StoreBusyError, errors.OperationalError, None),
    (errors.StoreFailedError, errors.OperationalError, None),
    (errors.StoreFormatError, errors.OperationalError, None),
    (errors.StoreFullError, errors.OperationalError, "InsufficientStorageClusterCapacity"),
    (errors.StoreInUseError, errors.OperationalError, None),
    (errors.StoreReadOnlyError, errors.OperationalError, None),
    (errors.StoreUnreadableError, errors.OperationalError, None),
    (errors.StoreUnsafeError, errors.OperationalError, None),
    (errors.TooManyClustersError, errors.OperationalError, "DBClusterQuotaExceededFault"),
    (errors.TooManyConnectionsError, errors.OperationalError, None),
    (errors.TooManyReadersError, errors.OperationalError, "InstanceQuotaExceeded"),
    (errors.UnknownEngineError, errors.ProgrammingError, "InvalidParameterValue"),
    (errors.UnsupportedFileSystemError, errors.OperationalError, None),
    (errors.Warning, errors.Warning, None),
    (errors.WriterFencedError, errors.OperationalError, None),
]
"""Each public class, the class of PEP 249 that it is, or is caught as, and the RDS API's code."""
AWS_CODE = re.compile(r"(?:Invalid\w+|DB\w+|InstanceQuotaExceeded|InsufficientStorageClusterCapacity)")


@pytest.mark.parametrize(("error", "base", "code"), ROWS, ids=lambda value: getattr(value, "__name__", None))
def test_class_has_its_base_and_code(error: type[Exception], base: type[Exception], code: str | None) -> None:
    pep_249 = [kind for kind in error.__mro__ if getattr(dbapi2, kind.__name__, None) is kind]
    assert pep_249[0] is base
    assert getattr(clusterdb, error.__name__) is error
    if issubclass(error, errors.Error):
        assert (error.aws_code, error.sqlstate, error.errno) == (code, None, None)
        assert code is None or AWS_CODE.fullmatch(code)
    else:
        assert error is errors.Warning and code is None


def test_every_public_class_has_a_row() -> None:
    """A class without a row fails here: add one, and its code if the RDS API has the error."""
    assert [error.__name__ for error, _, _ in ROWS] == sorted(errors.__all__)
    defined = {kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__}
    assert defined == {error for error, _, _ in ROWS}


def test_reference_shows_the_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/reference/errors.md is generated from the classes and the tables of codes."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    error_tables = import_module("error_tables")
    tree = "\n".join(error_tables.error_tree())
    for error, _, code in ROWS:
        entry = tree.partition(f".. autoexception:: clusterdb.{error.__name__}\n")[2].partition("..")[0]
        assert entry, error
        assert ("aws_code" in entry) == (code is not None)
        assert code is None or f"``aws_code``: ``{code}``" in entry
    shown = [row[1:] for row in error_tables.code_rows()]
    for codes in (codes for table in TABLES.values() for codes in table.all()):
        assert any(codes.sqlstate in row and (codes.errno is None or str(codes.errno) in row) for row in shown)


# --- codes of other engines -------------------------------------------------------------------------------------------
TEXTS: dict[str, list[tuple[str, str, int | None]]] = {
    "aurora-postgresql": [
        ("no such table: t", "42P01", None),
        ('relation "nope" does not exist: ALTER TABLE nope RENAME TO z', "42P01", None),
        ("no such column: n", "42703", None),
        ('column "b" of relation "t" does not exist: ...', "42703", None),
        ("no such function: f", "42883", None),
        ('constraint "k" of relation "t" does not exist', "42704", None),
        ('type "mood" does not exist: DROP TYPE mood', "42704", None),
        ("table t already exists", "42P07", None),
        ('relation "s" already exists', "42P07", None),
        ('column "a" of relation "t" already exists: ...', "42701", None),
        ('constraint "k" for relation "t" already exists', "42710", None),
        ('multiple primary keys for table "t" are not allowed', "42P16", None),
        ("ambiguous column name: a", "42702", None),
        ('near "FORM": syntax error', "42601", None),
        ("table t has 1 columns but 2 values were supplied", "42601", None),
        ("2 values for 1 columns", "42601", None),
        ('column "id" of relation "t" is an identity column', "42601", None),
        ('column "id" of relation "t" is not an identity column', "55000", None),
        ('column "b" cannot be cast automatically to type INT', "42804", None),
        ('column "p.id" must appear in the GROUP BY clause or be used in an aggregate function', "42803", None),
        ('cannot insert a non-DEFAULT value into column "id"', "428C9", None),
        ("cannot drop table t because view v depends on it: drop that first", "2BP01", None),
        ("cannot truncate a table referenced in a foreign key constraint: c refers to p", "0A000", None),
        ('currval of sequence "s" is not yet defined in this session', "55000", None),
        ("START value (0) cannot be less than MINVALUE (1)", "22023", None),
        ("field position must not be zero", "22023", None),
        ("division by zero", "22012", None),
        ("integer out of range", "22003", None),
        ("numeric field overflow: 1000", "22003", None),
        ("date/time field value out of range: '2024-13-01'", "22008", None),
        ("invalid input syntax for type integer: 'abc'", "22P02", None),
        ("invalid regular expression '(': missing )", "2201B", None),
        ("LIKE pattern must not end with escape character", "22025", None),
        ("negative substring length not allowed", "22011", None),
        ("null values cannot be formatted as an SQL identifier", "22004", None),
        ("COPY t: missing data for column b: 1", "22P04", None),
        ("more than one row returned by a subquery used as an expression", "21000", None),
        ("null value in a serial column violates its not-null constraint", "23502", None),
        ("FOREIGN KEY constraint failed: rows of 'c' refer to no row of 'p'", "23503", None),
        ("string or blob too big", "54000", None),
        ("the statement is nested too deep: SELECT ((((", "54001", None),
        ("out of memory", "53200", None),
        ('missing FROM-clause entry for table "t"', "42P01", None),
        ("column u.n does not exist", "42703", None),
        ('cursor "c" does not exist', "34000", None),
        ('cursor "c" already exists', "42P03", None),
        ("cursor can only scan forward", "55000", None),
        ("DECLARE CURSOR can only be used in transaction blocks", "25P01", None),
        ('column reference "a" is ambiguous', "42702", None),
        ('column "a" specified more than once', "42701", None),
        ('syntax error at or near "FORM"', "42601", None),
        ("INSERT has more expressions than target columns", "42601", None),
        ("value too long for type character varying(5)", "22001", None),
        ('invalid input syntax for type date: "x"', "22007", None),
    ],
    "aurora-mysql": [
        ("no such table: t", "42S02", 1146),
        ("Unknown table 't'", "42S02", 1051),
        ("Unknown column 'n' in 'where clause': ...", "42S22", 1054),
        ("no such function: f", "42000", 1305),
        ("table t already exists", "42S01", 1050),
        ("Duplicate column name 'w'", "42S21", 1060),
        ("Duplicate key name 'k'", "42000", 1061),
        ('table "t" has more than one primary key', "42000", 1068),
        ("table t has 2 columns but 3 values were supplied", "21S01", 1136),
        ("FOREIGN KEY constraint failed: rows of 'c' refer to no row of 'p'", "23000", None),
        ("there can be only one auto column and it must be defined as a key", "42000", 1075),
        ("You can't delete all columns with ALTER TABLE: drop the table 't'", "42000", 1090),
        ("Can't DROP INDEX 'i'; check that it exists", "42000", 1091),
        ("Key 'i' doesn't exist in table 't'", "42000", 1176),
        ("Cannot drop column 'a': needed in a foreign key constraint", "HY000", 1828),
        ("Cannot drop table 'p' referenced by a foreign key constraint on table 'c'", "HY000", 3730),
        ("Invalid default value 'y': ...", "42000", 1067),
        ("Variable 'sql_mode' can't be set to the value of 'NULL'", "42000", 1231),
        ("Subquery returns more than 1 row", "21000", 1242),
        ("Failed to read auto-increment value from storage engine", "HY000", 1467),
        ("ambiguous column name: a", "23000", 1052),
        ('near "FORM": syntax error', "42000", 1064),
        ("Division by 0", "22012", 1365),
        ("BIGINT value is out of range", "22003", 1690),
        ("Out of range value for a YEAR: 3000", "22003", 1264),
        ("out of memory", "HY001", 1037),
        ("Table 'main.t' doesn't exist", "42S02", 1146),
        ("Table 't' already exists", "42S01", 1050),
        ("Column count doesn't match value count at row 1", "21S01", 1136),
        ("The used SELECT statements have a different number of columns", "21000", 1222),
        ("Duplicate entry '1' for key 't.PRIMARY'", "23000", 1062),
        ("Column 'a' cannot be null", "23000", 1048),
        ("Field 'a' doesn't have a default value", "HY000", 1364),
        ("Cannot add or update a child row: a foreign key constraint fails (...)", "23000", 1452),
        ("Cannot delete or update a parent row: a foreign key constraint fails (...)", "23000", 1451),
        ("You have an error in your SQL syntax; check the manual ...", "42000", 1064),
        ("Data too long for column 'b' at row 1", "22001", 1406),
        ("Data truncated for column 'e' at row 1", "01000", 1265),
        ("Incorrect date value: 'x' for column 'd' at row 1", "22007", 1292),
        ("Incorrect integer value: 'x' for column 'a' at row 1", "HY000", 1366),
        ("Column 'id' in field list is ambiguous", "23000", 1052),
    ],
}


@pytest.mark.parametrize(
    ("engine", "message", "sqlstate", "errno"),
    [(engine, *example) for engine, examples in TEXTS.items() for example in examples],
)
def test_message_has_its_codes(engine: str, message: str, sqlstate: str, errno: int | None) -> None:
    error = with_codes(errors.OperationalError(message), engine)
    assert isinstance(error, errors.Error)
    assert (error.sqlstate, error.errno) == (sqlstate, errno)


@pytest.mark.parametrize("engine", TABLES)
def test_every_text_of_the_table_has_an_example(engine: str) -> None:
    texts = TABLES[engine].texts
    used = {next(text for text in texts if re.match(text, message)) for message, _, _ in TEXTS[engine]}
    assert set(texts) - used == set()


@pytest.mark.parametrize(
    ("engine", "code", "codes"),
    [(engine, code, codes) for engine, table in TABLES.items() for code, codes in table.results.items()],
)
def test_result_code_has_its_codes(engine: str, code: int, codes: Codes) -> None:
    """By the extended code first, by the primary one for an extended code without a row."""
    for result, expected in ((code, codes), (code & 0xFF | 99 << 8, TABLES[engine].results.get(code & 0xFF))):
        error = errors.OperationalError("why")
        error.sqlite_errorcode = result
        with_codes(error, engine)
        assert (error.sqlstate, error.errno) == ((expected.sqlstate, expected.errno) if expected else (None, None))


@pytest.mark.parametrize(
    ("engine", "kind", "codes"),
    [(engine, kind, codes) for engine, table in TABLES.items() for kind, codes in table.classes.items()],
)
def test_error_class_has_its_codes(engine: str, kind: type[errors.Error], codes: Codes) -> None:
    derived = type("Derived", (kind,), {})
    for error in (kind("why"), derived("why")):
        with_codes(error, engine)
        assert (error.sqlstate, error.errno) == (codes.sqlstate, codes.errno)


@pytest.mark.parametrize("engine", TABLES)
def test_codes_have_their_form(engine: str) -> None:
    """PostgreSQL has no numbers."""
    for codes in TABLES[engine].all():
        assert re.fullmatch(r"[0-9A-Z]{5}", codes.sqlstate)
        assert codes.errno is None or (engine == "aurora-mysql" and 1000 <= codes.errno < 5000)


@pytest.mark.parametrize(
    ("engine", "sql", "sqlstate", "errno"),
    [
        ("sqlite", "INSERT INTO t VALUES (1, 1)", None, None),
        ("sqlite", "SELECT * FROM nowhere", None, None),
        ("aurora-mysql", "INSERT INTO t VALUES (1, 1)", "23000", 1062),
        ("aurora-mysql", "INSERT INTO t VALUES (2, NULL)", "23000", 1048),
        ("aurora-mysql", "SELECT * FROM nowhere", "42S02", 1146),
        ("aurora-mysql", "SELECT missing FROM t", "42S22", 1054),
        ("aurora-mysql", "CREATE PROCEDURE p() SELECT 1", "42000", 1235),
        ("aurora-mysql", "ALTER TABLE t DROP INDEX missing", "42000", 1091),
        ("aurora-postgresql", "INSERT INTO t VALUES (1, 1)", "23505", None),
        ("aurora-postgresql", "INSERT INTO t VALUES (2, NULL)", "23502", None),
        ("aurora-postgresql", "SELECT * FROM nowhere", "42P01", None),
        ("aurora-postgresql", "SELECT 1 / 0", "22012", None),
        ("aurora-postgresql", "LISTEN channel", "0A000", None),
        ("aurora-postgresql", "ALTER TABLE t DROP COLUMN missing", "42703", None),
    ],
)
def test_statement_raises_with_codes(
    store: clusterdb.Store, engine: str, sql: str, sqlstate: str | None, errno: int | None
) -> None:
    """When it is translated, prepared, executed, and read."""
    with closing(clusterdb.connect(store.create_cluster("c", engine=engine))) as connection:
        connection.execute("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL)")
        connection.execute("INSERT INTO t VALUES (1, 1)")
        with pytest.raises(clusterdb.Error) as caught:
            connection.execute(sql).fetchall()
        assert (caught.value.sqlstate, caught.value.errno) == (sqlstate, errno)


def test_commit_raises_with_codes(store: clusterdb.Store) -> None:
    """A deferred foreign key is checked by COMMIT."""
    with closing(clusterdb.connect(store.create_cluster("c", engine="aurora-postgresql"))) as connection:
        connection.execute("CREATE TABLE p (id INT PRIMARY KEY)")
        connection.execute("CREATE TABLE c (p INT REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
        connection.execute("INSERT INTO c VALUES (7)")
        with pytest.raises(clusterdb.IntegrityError) as caught:
            connection.commit()
        assert caught.value.sqlstate == "23503"
