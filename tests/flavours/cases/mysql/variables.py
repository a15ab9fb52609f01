"""A session: variables, SQL modes, autocommit, names of columns, and the frame of a dump."""

from __future__ import annotations

from tests.flavours.cases.case import Case

_T = ("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20))", "INSERT INTO t VALUES (1, 'abc')")
_FAMILY = (
    "CREATE TABLE p (id INT PRIMARY KEY)",
    "CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id))",
)


def _mode(mode: str, *setup: str) -> tuple[str, ...]:
    return (*setup, f"SET SESSION sql_mode = '{mode}'")


_MODES = [
    Case(
        "sql_mode ANSI_QUOTES",
        _mode("ANSI_QUOTES", *_T),
        'SELECT "id", \'id\' FROM "t"',
        rows=[(1, "id")],
        names=("id", "id"),
    ),
    Case(
        "sql_mode ANSI_QUOTES",
        (*_mode("ANSI_QUOTES"), 'CREATE TABLE "q" ("a b" INT)', 'INSERT INTO "q" VALUES (3)', "SET sql_mode = ''"),
        'SELECT `a b`, "a b" FROM q',
        rows=[(3, "a b")],
    ),
    Case(
        "sql_mode PIPES_AS_CONCAT", _mode("PIPES_AS_CONCAT"), "SELECT 'a' || 1 || 'b', 2 || 3 * 2", rows=[("a1b", 46.0)]
    ),
    Case("sql_mode PIPES_AS_CONCAT", _mode("PIPES_AS_CONCAT"), "SELECT NULL || 'b', -1 || 2", rows=[(None, "-12")]),
    Case("sql_mode PIPES_AS_CONCAT", (), "SELECT 0 || 0, 1 || 0", rows=[(0, 1)]),
    Case(
        "sql_mode NO_BACKSLASH_ESCAPES", _mode("NO_BACKSLASH_ESCAPES"), "SELECT 'a\\nb', 'c\\'", rows=[("a\\nb", "c\\")]
    ),
    Case(
        "sql_mode REAL_AS_FLOAT",
        (*_mode(""), "CREATE TABLE r (a REAL)", "INSERT INTO r VALUES (0.1)"),
        "SELECT a + 0 FROM r",
        rows=[(0.1,)],
    ),
    Case(
        "@@sql_mode",
        _mode("ANSI_QUOTES,NO_AUTO_VALUE_ON_ZERO"),
        "SELECT @@sql_mode",
        rows=[("ANSI_QUOTES,NO_AUTO_VALUE_ON_ZERO",)],
    ),
    Case(
        "@@sql_mode",
        _mode("no_zero_date,strict_all_tables"),
        "SELECT @@SESSION.sql_mode",
        rows=[("STRICT_ALL_TABLES,NO_ZERO_DATE",)],
    ),
    Case(
        "@@sql_mode",
        (
            "SET sql_mode = 'STRICT_TRANS_TABLES,ANSI_QUOTES'",
            "SET sql_mode = (SELECT REPLACE(@@sql_mode, 'ANSI_QUOTES', ''))",
        ),
        'SELECT @@sql_mode, "x"',
        rows=[("STRICT_TRANS_TABLES", "x")],
    ),
    Case("@@sql_mode", (), "SET sql_mode = 'NO_SUCH_MODE'", fails=True),
    Case("@@sql_mode", (), "SET sql_mode = NULL", fails=True),
    Case("sql_mode PAD_CHAR_TO_FULL_LENGTH", (), "SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'", unsupported=True),
    Case("sql_mode HIGH_NOT_PRECEDENCE", (), "SET sql_mode = 'ANSI_QUOTES,HIGH_NOT_PRECEDENCE'", unsupported=True),
]

_VARIABLES = [
    Case("SET of variables", ("SET @a = 1, @b = 'x', @c := 2.5",), "SELECT @a, @b, @c", rows=[(1, "x", 2.5)]),
    Case("SET of variables", ("SET @old = @@sql_notes, sql_notes = 0",), "SELECT @old, @@sql_notes", rows=[(1, 0)]),
    Case(
        "SET of variables",
        ("SET unique_checks = OFF", "SET @@SESSION.unique_checks = DEFAULT"),
        "SELECT @@unique_checks",
        rows=[(1,)],
    ),
    Case(
        "SET of variables",
        ("SET sql_notes = off, SESSION wait_timeout = 77",),
        "SELECT @@wait_timeout, @@sql_notes",
        rows=[(77, 0)],
    ),
    Case("SET of variables", ("SET time_zone = 'SYSTEM'",), "SELECT @@time_zone", rows=[("SYSTEM",)]),
    Case("SET of variables", (), "SET autocommit = 2", fails=True),
    Case("SET of variables", ("SET character_set_results = NULL",), "SELECT @@character_set_results", rows=[(None,)]),
    Case(
        "SET of variables",
        ("SET character_set_client = binary", "SET NAMES utf8mb4"),
        "SELECT @@character_set_client",
        rows=[("utf8mb4",)],
    ),
    Case(
        "SHOW VARIABLES",
        ("SET foreign_key_checks = 0",),
        "SHOW VARIABLES LIKE 'foreign_key_checks'",
        rows=[("foreign_key_checks", "OFF")],
    ),
    Case("SET time_zone other than UTC", (), "SET time_zone = '+02:00'", unsupported=True),
    Case("SET sql_safe_updates", (), "SET sql_safe_updates = 1", unsupported=True),
    Case("SET GLOBAL", (), "SET GLOBAL sql_mode = ''", unsupported=True),
]

_CHECKS = [
    Case(
        "SET foreign_key_checks",
        (*_FAMILY, "SET foreign_key_checks = 0", "INSERT INTO c VALUES (1, 7)", "SET foreign_key_checks = 1"),
        "SELECT p, @@foreign_key_checks FROM c",
        rows=[(7, 1)],
    ),
    Case(
        "SET foreign_key_checks",
        (
            *_FAMILY,
            "START TRANSACTION",
            "SET @old = @@foreign_key_checks, foreign_key_checks = 0",
            "INSERT INTO c VALUES (1, 7)",
            "SET foreign_key_checks = @old",
            "COMMIT",
        ),
        "SELECT p, @@foreign_key_checks FROM c",
        rows=[(7, 1)],
    ),
    Case(
        "SET foreign_key_checks",
        (*_FAMILY, "SET foreign_key_checks = 0", "START TRANSACTION", "SET foreign_key_checks = 1"),
        "INSERT INTO c VALUES (1, 7)",
        fails=True,
    ),
    Case(
        "SET foreign_key_checks",
        (
            *_FAMILY,
            "INSERT INTO p VALUES (1)",
            "INSERT INTO c VALUES (1, 1)",
            "SET foreign_key_checks = 0",
            "DROP TABLE p",
        ),
        "SELECT p FROM c",
        rows=[(1,)],
    ),
]

_AUTOCOMMIT = [
    Case(
        "SET autocommit = 0",
        (*_T, "SET autocommit = 0", "INSERT INTO t VALUES (2, 'b')", "ROLLBACK"),
        "SELECT id, @@autocommit FROM t",
        rows=[(1, 0)],
    ),
    Case(
        "SET autocommit = 0",
        (*_T, "SET autocommit = 0", "DELETE FROM t", "COMMIT", "INSERT INTO t VALUES (2, 'b')", "ROLLBACK"),
        "SELECT COUNT(*) FROM t",
        rows=[(0,)],
    ),
    Case(
        "SET autocommit = 0",
        (*_T, "SET autocommit = OFF", "DELETE FROM t", "SET autocommit = 1", "ROLLBACK"),
        "SELECT @@autocommit, (SELECT COUNT(*) FROM t)",
        rows=[(1, 0)],
    ),
    Case(
        "SET autocommit = 0",
        (
            *_T,
            "SET @@autocommit = 0",
            "UPDATE t SET id = 5",
            "CREATE TABLE u (a INT)",
            "UPDATE t SET id = 6",
            "ROLLBACK",
        ),
        "SELECT id FROM t",
        rows=[(5,)],
    ),
    Case(
        "transactions: START TRANSACTION, COMMIT, ROLLBACK",
        (*_T, "BEGIN", "DELETE FROM t", "BEGIN", "INSERT INTO t VALUES (3, 'c')", "ROLLBACK"),
        "SELECT COUNT(*) FROM t",
        rows=[(0,)],
    ),
    Case(
        "COMMIT AND CHAIN",
        (*_T, "BEGIN", "DELETE FROM t", "COMMIT AND CHAIN", "INSERT INTO t VALUES (3, 'c')", "ROLLBACK"),
        "SELECT COUNT(*) FROM t",
        rows=[(0,)],
    ),
    Case(
        "isolation levels",
        ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",),
        "SELECT COUNT(*) FROM (SELECT 1) AS x",
        rows=[(1,)],
    ),
    Case(
        "isolation levels",
        ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE", "SET SESSION TRANSACTION READ WRITE"),
        "SELECT 1",
        rows=[(1,)],
    ),
    Case("read-only transactions", (), "SET SESSION TRANSACTION READ ONLY", unsupported=True),
]

_FRAME = [
    Case(
        "executable comments",
        (
            "/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */",
            "/*!40101 SET NAMES utf8mb4 */",
            "/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */",
            "/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */",
        ),
        "SELECT @@sql_notes, /*!40000 1 + */ 2, 'x /*!40000 y */'",
        rows=[(1, 3, "x /*!40000 y */")],
    ),
    Case("executable comments", (), "SELECT 1 /*!999999 + 1 */ /* it's */ AS x", rows=[(1,)]),
    Case("executable comments", (), "SELECT /*! 1 + */ 1", rows=[(2,)]),
    Case(
        "LOCK TABLES",
        (*_T, "LOCK TABLES `t` WRITE", "DELETE FROM t", "UNLOCK TABLES"),
        "SELECT COUNT(*) FROM t",
        rows=[(0,)],
    ),
    Case(
        "LOCK TABLES",
        (*_T, "LOCK TABLES t WRITE", "SET autocommit = 0", "DELETE FROM t", "UNLOCK TABLES", "ROLLBACK"),
        "SELECT COUNT(*) FROM t",
        rows=[(0,)],
    ),
    Case(
        "ALTER TABLE ... DISABLE / ENABLE KEYS",
        (
            *_T,
            "/*!40000 ALTER TABLE `t` DISABLE KEYS */",
            "INSERT INTO t VALUES (2, 'b')",
            "/*!40000 ALTER TABLE `t` ENABLE KEYS */",
        ),
        "SELECT COUNT(*) FROM t",
        rows=[(2,)],
    ),
    Case("comments and hints", (), "-- one\n/* two */ # three\nSELECT 1 -- four", rows=[(1,)]),
    Case(
        "comments and hints",
        (*_T,),
        "/* x */ REPLACE INTO t VALUES (1, 'z') /* y */",
        then="SELECT name FROM t",
        rows=[("z",)],
    ),
    Case("literals with a character set", (), "SELECT N'a', _utf8mb4'b', HEX(_binary'c')", rows=[("a", "b", "63")]),
    Case("comments and hints", (), "SELECT 5--3", rows=[(8,)]),
]

_NAMES = r"""
count(*) | count(*)
COUNT( * ) | COUNT( * )
id*2 | id*2
id  *  2 | id  *  2
'abc' | abc
"abc" | abc
'it''s' | it's
'a' 'b' | ab
' x' | x
N'a' | a
_utf8mb4'z' | z
null | NULL
true | TRUE
FALSE | FALSE
1.50 | 1.50
- 1 | - 1
(1+2) | (1+2)
( 1 ) | 1
t.id | id
`id` | id
(id) | id
upper(name) | upper(name)
UPPER( name ) | UPPER( name )
date_add('2024-01-01', INTERVAL 1 DAY) | date_add('2024-01-01', INTERVAL 1 DAY)
'2024-01-01' + INTERVAL 1 DAY | '2024-01-01' + INTERVAL 1 DAY
case when id = 1 then 'x' else 'y' end | case when id = 1 then 'x' else 'y' end
id /* why */ + 1 | id /* why */ + 1
cast(id as char) | cast(id as char)
name LIKE 'a%' | name LIKE 'a%'
NOT id | NOT id
!id | !id
id between 1 and 2 | id between 1 and 2
id is not null | id is not null
group_concat(name order by id separator '-') | group_concat(name order by id separator '-')
count(distinct id) | count(distinct id)
(select max(id) from t) | (select max(id) from t)
exists (select 1) | exists (select 1)
@x | @x
@@autocommit | @@autocommit
0x41 | 0x41
b'101' | b'101'
id DIV 2 | id DIV 2
id mod 2 | id mod 2
id && 1 | id && 1
id || 0 | id || 0
id <=> 1 | id <=> 1
id != 1 | id != 1
name collate utf8mb4_bin | name collate utf8mb4_bin
extract(year from '2024-01-01') | extract(year from '2024-01-01')
trim(both 'x' from name) | trim(both 'x' from name)
substring(name from 1 for 2) | substring(name from 1 for 2)
row_number() over (order by id) | row_number() over (order by id)
last_insert_id() | last_insert_id()
1 AS `x y` | x y
1 x | x
id+0 AS 'q' | q
date '2024-01-01' | date '2024-01-01'
'ünï' | ünï
'a\'b' | a'b
"""

_CALLED = [
    Case("names of result columns", _T, f"SELECT {expression} FROM t", names=(name,))
    for expression, _, name in (line.rpartition(" | ") for line in _NAMES.strip().splitlines())
] + [
    Case(
        "names of result columns",
        _T,
        "SELECT * FROM (SELECT count(*), MAX(id), 'x' FROM t) AS q",
        names=("count(*)", "MAX(id)", "x"),
    ),
    Case(
        "names of result columns",
        _T,
        "SELECT `count(*)` + 1 AS n FROM (SELECT count(*) FROM t) AS q",
        rows=[(2,)],
        names=("n",),
    ),
    Case("names of result columns", _T, "WITH q AS (SELECT id*2 FROM t) SELECT * FROM q", names=("id*2",)),
    Case("names of result columns", _T, "SELECT lower('A') UNION SELECT 'b'", names=("lower('A')",)),
    Case(
        "names of result columns",
        (*_T, "CREATE VIEW v AS SELECT id+1, upper(name) FROM t"),
        "SELECT * FROM v",
        rows=[(2, "ABC")],
        names=("id+1", "upper(name)"),
    ),
]

VARIABLES = [*_MODES, *_VARIABLES, *_CHECKS, *_AUTOCOMMIT, *_FRAME, *_CALLED]
