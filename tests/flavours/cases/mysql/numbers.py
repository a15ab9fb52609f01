"""Numbers of new rows: AUTO_INCREMENT and LAST_INSERT_ID()."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import NUMBERED

PARENTS = (
    "CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, n INT UNIQUE)",
    "CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, p INT, n INT)",
    "INSERT INTO p (n) VALUES (1), (2), (3)",
    "INSERT INTO p (n) VALUES (4)",
)

NUMBERED_ROWS = [
    Case(
        "LAST_INSERT_ID / lastval",
        (*PARENTS, "INSERT INTO c (p, n) VALUES (LAST_INSERT_ID(), 1), (LAST_INSERT_ID(), 2)"),
        "SELECT id, p, n, LAST_INSERT_ID() FROM c ORDER BY id",
        rows=[(1, 4, 1, 1), (2, 4, 2, 1)],
    ),
    Case(
        "LAST_INSERT_ID / lastval",
        (*PARENTS, "INSERT INTO p VALUES (15, 5), (NULL, 6)"),
        "SELECT LAST_INSERT_ID()",
        rows=[(16,)],
    ),
    Case(
        "LAST_INSERT_ID / lastval",
        (*PARENTS, "INSERT IGNORE INTO p (n) VALUES (4)", "INSERT INTO c (id, n) VALUES (100, 5)"),
        "SELECT LAST_INSERT_ID()",
        rows=[(4,)],
    ),
    Case("LAST_INSERT_ID / lastval", (*PARENTS, "INSERT INTO c () VALUES ()"), "SELECT LAST_INSERT_ID()", rows=[(1,)]),
    Case(
        "LAST_INSERT_ID / lastval",
        (*PARENTS, "INSERT INTO p (id, n) VALUES (7, 8)"),
        "SELECT LAST_INSERT_ID()",
        rows=[(4,)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            *NUMBERED,
            "BEGIN",
            "INSERT INTO t (a) VALUES (3)",
            "ROLLBACK",
            "INSERT INTO t () VALUES ()",
            "INSERT INTO t VALUES ()",
        ),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(2, None), (3, None)],
    ),
    Case(
        "AUTO_INCREMENT",
        (*NUMBERED, "INSERT INTO t VALUES (DEFAULT, 1), (DEFAULT, 2)"),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 1), (2, 2)],
    ),
    Case(
        "AUTO_INCREMENT",
        (*NUMBERED, "INSERT INTO t VALUES ('00', 1), (0, 2)"),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 1), (2, 2)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            *(*NUMBERED, "BEGIN", "INSERT INTO t (a) VALUES (1), (2)", "ROLLBACK", "DROP TABLE t", *NUMBERED),
            "INSERT INTO t (a) VALUES (3)",
        ),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 3)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */",
            *(*NUMBERED, "INSERT INTO t VALUES (0, 7), (1, 8)", "/*!40101 SET SQL_MODE=@OLD_SQL_MODE */"),
            "INSERT INTO t VALUES (0, 9)",
        ),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(0, 7), (1, 8), (2, 9)],
    ),
    Case(
        "AUTO_INCREMENT",
        ("CREATE TABLE u (a INT DEFAULT 4)", "INSERT INTO u VALUES ()"),
        "SELECT a FROM u",
        rows=[(4,)],
    ),
]
