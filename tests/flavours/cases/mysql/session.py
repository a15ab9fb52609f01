"""SET, SHOW, transactions and the information schema."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import COUNTERS, NUMBERS

SESSION = [
    Case("SHOW TABLES", (*COUNTERS, *NUMBERS), "SHOW TABLES", rows=[("counters",), ("numbers",)]),
    Case("SHOW TABLES", (*COUNTERS, *NUMBERS), "SHOW TABLES LIKE 'num%'", rows=[("numbers",)]),
    Case(
        "SHOW TABLES",
        (*COUNTERS, "CREATE VIEW words AS SELECT word FROM counters"),
        "SHOW FULL TABLES",
        rows=[("counters", "BASE TABLE"), ("words", "VIEW")],
    ),
    Case(
        "DESCRIBE",
        ("CREATE TABLE t (name VARCHAR(9) NOT NULL, note TEXT, PRIMARY KEY (name))",),
        "DESCRIBE t",
        rows=[("name", "varchar(9)", "NO", "PRI", None, ""), ("note", "text", "YES", "", None, "")],
    ),
    Case(
        "DESCRIBE",
        ("CREATE TABLE t (name VARCHAR(9) NOT NULL, note TEXT, PRIMARY KEY (name))",),
        "SHOW COLUMNS FROM `t`",
        rows=[("name", "varchar(9)", "NO", "PRI", None, ""), ("note", "text", "YES", "", None, "")],
    ),
    Case("SHOW INDEX", COUNTERS, "SHOW INDEX FROM counters"),
    Case("SHOW VARIABLES", (), "SHOW VARIABLES LIKE 'sql_mode'"),
    Case("SHOW VARIABLES", (), "SHOW SESSION VARIABLES LIKE 'autocommit'", rows=[("autocommit", "ON")]),
    Case(
        "information_schema",
        (*COUNTERS, *NUMBERS),
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name",
        rows=[("counters",), ("numbers",)],
    ),
    Case(
        "information_schema",
        COUNTERS,
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = DATABASE() "
        "AND table_name = 'counters' ORDER BY ordinal_position",
        rows=[("word", "varchar", "NO"), ("n", "int", "NO"), ("m", "int", "NO")],
    ),
    Case("SET of session variables", (), "SET NAMES utf8mb4", then="SELECT 1", rows=[(1,)]),
    Case(
        "SET of session variables", (), "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci'", then="SELECT 1", rows=[(1,)]
    ),
    Case(
        "SET of session variables",
        (),
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
        then="SELECT 1",
        rows=[(1,)],
    ),
    Case(
        "SET of session variables",
        (),
        "SET @@session.sql_mode = '', time_zone = '+00:00'",
        then="SELECT 1",
        rows=[(1,)],
    ),
    Case(
        "SET of session variables",
        (),
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        then="SELECT 1",
        rows=[(1,)],
    ),
    Case(
        "system variables",
        (),
        "SELECT @@session.autocommit, @@version IS NOT NULL, @@sql_mode IS NOT NULL",
        rows=[(1, 1, 1)],
    ),
    Case("user variables", ("SET @n = 5",), "SELECT @n + 1, @nothing", rows=[(6, None)]),
    Case(
        "VERSION, DATABASE, USER, CONNECTION_ID",
        (),
        "SELECT VERSION() <> '', DATABASE() <> '', USER() <> '', CONNECTION_ID() > 0",
        rows=[(1, 1, 1, 1)],
    ),
    Case("EXPLAIN", COUNTERS, "EXPLAIN SELECT * FROM counters"),
    Case("ANALYZE / OPTIMIZE", COUNTERS, "ANALYZE TABLE counters"),
    Case("ANALYZE / OPTIMIZE", COUNTERS, "OPTIMIZE TABLE counters"),
    Case("comments and hints", (), "/*!40101 SET NAMES utf8mb4 */", then="SELECT 1", rows=[(1,)]),
    Case("comments and hints", (), "SELECT 1 # the first\n, 2 -- the second\n /* and */ + 1", rows=[(1, 3)]),
    Case(
        "comments and hints",
        COUNTERS,
        "SELECT SQL_NO_CACHE n FROM counters USE INDEX (PRIMARY) ORDER BY n",
        rows=[(1,), (2,)],
    ),
]
