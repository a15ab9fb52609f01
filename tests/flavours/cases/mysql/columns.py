"""Columns as dumps and migrations write them: SET, ENUM, generated columns, timestamps, zero dates."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import SET_ROWS, SETS

LAX = "SET SESSION sql_mode = ''"
STAMPED = (
    "CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(9), at TIMESTAMP NULL DEFAULT NULL ON UPDATE "
    "CURRENT_TIMESTAMP)",
    "INSERT INTO t (id, a, b) VALUES (1, 5, 'x'), (2, 6, 'y')",
)
HIDDEN = (
    "CREATE TABLE t (a INT, b INT DEFAULT 7 INVISIBLE, c VARCHAR(5))",
    "INSERT INTO t VALUES (1, 'x')",
    "INSERT INTO t (a, b) VALUES (2, 3)",
)

_COLUMNS = [
    Case(
        "column types",
        (
            "CREATE TABLE t (a INT(10) UNSIGNED, b DECIMAL(10,2) UNSIGNED, c INT(5) UNSIGNED ZEROFILL, d VARCHAR(9) "
            "BINARY,"
            " e FLOAT UNSIGNED, f DOUBLE UNSIGNED)",
            "INSERT INTO t VALUES (4294967295, 1.50, 42, 'Abc', 0.5, 2.5)",
        ),
        "SELECT a, b, c, CONCAT(c), d = 'abc', e, f FROM t",
        rows=[(4294967295, 1.5, 42, "00042", 0, 0.5, 2.5)],
    ),
    Case("column types", ("CREATE TABLE t (a INT(10) UNSIGNED)",), "INSERT INTO t VALUES (-1)", fails=True),
    Case("column types", ("CREATE TABLE t (a DECIMAL(5,2) UNSIGNED)",), "INSERT INTO t VALUES (-1)", fails=True),
    Case("column types", ("CREATE TABLE t (a TINYINT(3) UNSIGNED)",), "INSERT INTO t VALUES (256)", fails=True),
    Case("column types", ("CREATE TABLE t (a FLOAT UNSIGNED)",), "INSERT INTO t VALUES (-0.5)", fails=True),
    Case(
        "column types",
        (
            "CREATE TABLE t (a INT8, b INT3, c MIDDLEINT, d NATIONAL VARCHAR(5), e CHARACTER VARYING(5), f LONG "
            "VARCHAR,"
            " g DEC(5,1), h FIXED(5,2), i REAL, j DOUBLE PRECISION, k INT SIGNED)",
            "INSERT INTO t VALUES (9007199254740993, 8388607, 1, 'abc', 'abc', 'long', 1.5, 2.25, 0.1, 0.1, -1)",
        ),
        "SELECT * FROM t",
        rows=[(9007199254740993, 8388607, 1, "abc", "abc", "long", 1.5, 2.25, 0.1, 0.1, -1)],
    ),
    Case(
        "column types",
        (
            "CREATE TABLE t (a DOUBLE(8,2), b CHAR(3) CHARACTER SET ascii COLLATE ascii_bin)",
            "INSERT INTO t VALUES (1.006, 'Ab')",
        ),
        "SELECT a, CONCAT(a), b = 'ab' FROM t",
        rows=[(1.01, "1.01", 0)],
    ),
    Case("arithmetic with DOUBLE(m,d)", ("CREATE TABLE t (a DOUBLE(8,2))",), "SELECT a * 2 FROM t", unsupported=True),
    Case("BIT columns", (), "CREATE TABLE t (a BIT(3))", unsupported=True),
    Case("geometry", (), "CREATE TABLE t (a GEOMETRY NOT NULL SRID 4326)", unsupported=True),
    Case("tables with the character set binary", (), "CREATE TABLE t (a TEXT CHARACTER SET binary)", unsupported=True),
    Case("invisible columns", HIDDEN, "SELECT * FROM t ORDER BY a", rows=[(1, "x"), (2, None)], names=("a", "c")),
    Case(
        "invisible columns",
        HIDDEN,
        "SELECT t.*, b, COUNT(*) OVER () FROM t ORDER BY a",
        rows=[(1, "x", 7, 2), (2, None, 3, 2)],
    ),
    Case(
        "invisible columns",
        HIDDEN,
        "INSERT INTO t SELECT * FROM t",
        then="SELECT a, b FROM t ORDER BY a, b",
        rows=[(1, 7), (1, 7), (2, 3), (2, 7)],
    ),
    Case(
        "generated columns",
        (
            "CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (a + 1) VIRTUAL, c INT AS (a * 2) PERSISTENT)",
            "INSERT INTO t (a) VALUES (3)",
        ),
        "SELECT b, c FROM t",
        rows=[(4, 6)],
    ),
    Case(
        "defaults",
        (
            "CREATE TABLE t (id INT, a INT DEFAULT '5', b DECIMAL(5,2) DEFAULT '1.50', c DATE DEFAULT '2024-1-2', d "
            "BINARY(3)"
            " DEFAULT 'x', e VARCHAR(5) DEFAULT N'n', f INT DEFAULT -1, g BOOL DEFAULT TRUE, h INT DEFAULT (1 + 1),"
            " i TIMESTAMP NULL DEFAULT '2024-01-02 03:04:05', j ENUM('q','r') NOT NULL, k TIMESTAMP(3) NULL DEFAULT"
            " current_timestamp(3))",
            "INSERT INTO t (id) VALUES (1)",
        ),
        "SELECT a, b, c, d, e, f, g, h, i, j, k > '2020-01-01' FROM t",
        rows=[(5, 1.5, "2024-01-02", b"x\0\0", "n", -1, 1, 2, "2024-01-02 03:04:05", "q", 1)],
    ),
    Case("defaults", (), "CREATE TABLE t (a DATE NOT NULL DEFAULT '2024-02-30')", fails=True),
    Case("defaults", (), "CREATE TABLE t (a ENUM('x') DEFAULT 'y')", fails=True),
    Case("primary keys", (), "CREATE TABLE t (a INT PRIMARY KEY, b INT, PRIMARY KEY (b))", fails=True),
    Case("primary keys", ("CREATE TABLE t (a VARCHAR(5) PRIMARY KEY)",), "INSERT INTO t VALUES (NULL)", fails=True),
    Case(
        "primary keys",
        ("CREATE TABLE t (a INT, b INT, PRIMARY KEY (a DESC, b))",),
        "INSERT INTO t VALUES (1, NULL)",
        fails=True,
    ),
]

_GENERATED = ("CREATE TABLE t (a INT, b INT AS (a + 1) VIRTUAL, c INT)",)
_COLUMNS += [
    Case(
        "generated columns", (*_GENERATED, "INSERT INTO t VALUES (1, DEFAULT, 3)"), "SELECT * FROM t", rows=[(1, 2, 3)]
    ),
    Case(
        "generated columns",
        (LAX, *_GENERATED, "INSERT INTO t VALUES (1, 99, 3), (4, NULL, 5)"),
        "SELECT * FROM t",
        rows=[(1, 2, 3), (4, 5, 5)],
    ),
    Case("generated columns", _GENERATED, "INSERT INTO t VALUES (1, 99, 3)", fails=True),
    Case(
        "BINARY columns",
        ("CREATE TABLE t (a VARBINARY(9), b BINARY(3))", "INSERT INTO t VALUES ('ä\\0', 'x')"),
        "SELECT a, b FROM t",
        rows=[("ä".encode() + b"\0", b"x\0\0")],
    ),
]

_MEMBERS = (
    "CREATE TABLE z (id INT, n INT(5) ZEROFILL, e ENUM('b','a'), s SET('q','p'))",
    "INSERT INTO z VALUES (1, 42, 'a', 'q,p'), (2, 7, 'b', 'p')",
)
_COLUMNS += [
    Case(
        "ENUM columns",
        (*_MEMBERS, "CREATE VIEW v AS SELECT * FROM z"),
        "SELECT id, CONCAT(n), e + 0, s + 0 FROM v ORDER BY e",
        rows=[(2, "00007", 1, 2), (1, "00042", 2, 3)],
    ),
    Case(
        "ENUM columns",
        (*_MEMBERS, "CREATE TABLE c AS SELECT e, s FROM z"),
        "SELECT e, s + 0 FROM c ORDER BY e",
        rows=[("b", 2), ("a", 3)],
    ),
    Case(
        "UPDATE with an alias",
        (*_MEMBERS, "UPDATE z AS q SET q.e = 'B' WHERE q.id = 1"),
        "SELECT e FROM z",
        rows=[("b",), ("b",)],
    ),
    Case("division by zero", _MEMBERS, "INSERT INTO z (id) VALUES (1 / 0)", fails=True),
    Case("division by zero", _MEMBERS, "INSERT INTO z (id) SELECT 7 % (id - 1) FROM z", fails=True),
    Case("division by zero", _MEMBERS, "UPDATE z SET id = 5 DIV (id - 1)", fails=True),
    Case(
        "division by zero",
        (*_MEMBERS, "SET sql_mode = 'STRICT_ALL_TABLES'", "UPDATE z SET id = 5 DIV (id - 1)"),
        "SELECT id FROM z",
        rows=[(None,), (5,)],
    ),
    Case("division by zero", (*_MEMBERS, "INSERT INTO z (id) VALUES (8 / 2)"), "SELECT MAX(id) FROM z", rows=[(4,)]),
]

_SETS = [
    Case(
        "SET columns",
        (*SETS, SET_ROWS),
        "SELECT s, e FROM t ORDER BY id",
        rows=[("a,c", "y"), ("", "It's"), ("a,c", "x"), (None, "It's"), ("b", "y")],
    ),
    Case(
        "SET columns",
        (*SETS, SET_ROWS),
        "SELECT s + 0, e + 0, s & 1 FROM t ORDER BY id",
        rows=[(5, 2, 1), (0, 3, 0), (5, 1, 1), (None, 3, None), (2, 2, 0)],
    ),
    Case(
        "SET columns", (*SETS, SET_ROWS), "SELECT id FROM t WHERE FIND_IN_SET('a', s) AND s = 'A,C'", rows=[(1,), (3,)]
    ),
    Case("SET columns", (*SETS, SET_ROWS), "SELECT id FROM t ORDER BY s DESC, id", rows=[(1,), (3,), (5,), (2,), (4,)]),
    Case(
        "SET columns",
        (*SETS, SET_ROWS),
        "UPDATE t SET s = 'c,b' WHERE id = 1",
        then="SELECT s FROM t WHERE id = 1",
        rows=[("b,c",)],
    ),
    Case("SET columns", SETS, "INSERT INTO t (s) VALUES ('a,z')", fails=True),
    Case("SET columns", SETS, "INSERT INTO t (s) VALUES (8)", fails=True),
    Case("ENUM columns", (*SETS, SET_ROWS), "SELECT id FROM t ORDER BY e, id", rows=[(3,), (1,), (5,), (2,), (4,)]),
    Case("ENUM columns", SETS, "INSERT INTO t (e) VALUES (4)", fails=True),
    Case("ENUM columns", SETS, "INSERT INTO t (e) VALUES (NULL)", fails=True),
]

_STAMPS = [
    Case(
        "ON UPDATE CURRENT_TIMESTAMP",
        (*STAMPED, "UPDATE t SET a = 7 WHERE id = 1"),
        "SELECT a, at > '2020-01-01' FROM t ORDER BY id",
        rows=[(7, 1), (6, None)],
    ),
    Case(
        "ON UPDATE CURRENT_TIMESTAMP",
        (*STAMPED, "UPDATE t SET a = 5, b = 'x'"),
        "SELECT at IS NULL FROM t ORDER BY id",
        rows=[(1,), (0,)],
    ),
    Case(
        "ON UPDATE CURRENT_TIMESTAMP",
        (*STAMPED, "UPDATE t SET b = 'X' WHERE id = 1"),
        "SELECT b, at IS NULL FROM t WHERE id = 1",
        rows=[("X", 0)],
    ),
    Case(
        "ON UPDATE CURRENT_TIMESTAMP",
        (*STAMPED, "UPDATE t SET a = 9, at = '2020-01-01'"),
        "SELECT at FROM t WHERE id = 1",
        rows=[("2020-01-01 00:00:00",)],
    ),
    Case(
        "ON UPDATE CURRENT_TIMESTAMP",
        (*STAMPED, "INSERT INTO t (id, a) VALUES (1, 8) ON DUPLICATE KEY UPDATE a = VALUES(a)"),
        "SELECT a, at IS NULL FROM t WHERE id = 1",
        rows=[(8, 0)],
    ),
    Case(
        "ON UPDATE CURRENT_TIMESTAMP",
        (
            "CREATE TABLE t (a INT, at DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE NOW(6))",
            "INSERT INTO t (a) VALUES (1)",
            "UPDATE t SET a = 2",
        ),
        "SELECT LENGTH(at), at > '2020-01-01' FROM t",
        rows=[(26, 1)],
    ),
]

_ZEROS = [
    Case(
        "sql_mode NO_ZERO_DATE",
        (
            LAX,
            "CREATE TABLE t (id INT, d DATE NOT NULL DEFAULT '0000-00-00', at DATETIME NOT NULL DEFAULT '0000-00-00 "
            "00:00:00')",
            "INSERT INTO t (id) VALUES (1)",
            "INSERT INTO t VALUES (2, '2024-05-00', '2024-00-00 10:00:00')",
        ),
        "SELECT CONCAT(d), CONCAT(at), d > '2000-01-01', d = '0000-00-00' FROM t ORDER BY id",
        rows=[("0000-00-00", "0000-00-00 00:00:00", 0, 1), ("2024-05-00", "2024-00-00 10:00:00", 1, 0)],
    ),
    Case("sql_mode NO_ZERO_DATE", (), "CREATE TABLE t (d DATE NOT NULL DEFAULT '0000-00-00')", fails=True),
    Case("sql_mode NO_ZERO_DATE", ("CREATE TABLE t (d DATE)",), "INSERT INTO t VALUES ('0000-00-00')", fails=True),
    Case(
        "sql_mode NO_ZERO_DATE",
        (
            "CREATE TABLE t (d DATE)",
            "SET sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE'",
            "INSERT INTO t VALUES ('2024-00-01')",
        ),
        "SELECT CONCAT(d) FROM t",
        rows=[("2024-00-01",)],
    ),
    Case(
        "sql_mode NO_ZERO_DATE",
        ("CREATE TABLE t (d DATE)", "SET sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE'"),
        "INSERT INTO t VALUES ('2024-00-01')",
        fails=True,
    ),
]

COLUMNS = [*_COLUMNS, *_SETS, *_STAMPS, *_ZEROS]
