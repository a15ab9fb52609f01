"""Keys and what SHOW prints of them."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import FAMILY, KEYED, LINK, PLAIN

_KEYS = [
    Case(
        "CREATE TABLE options: ENGINE, CHARSET, COLLATE, KEY",
        (
            "CREATE TABLE t (`id` int(11) NOT NULL AUTO_INCREMENT, name varchar(20) CHARACTER SET latin1 COLLATE "
            "latin1_swedish_ci DEFAULT NULL COMMENT 'it''s', b text, PRIMARY KEY (`id`) USING BTREE, UNIQUE KEY `u` "
            "(`name`(3)), KEY `k` (`name`(5), `id` DESC) USING BTREE COMMENT 'c', KEY kt (b(20)), FULLTEXT KEY ft "
            "(name)) "
            "ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci ROW_FORMAT=DYNAMIC "
            "STATS_PERSISTENT=0 COMMENT='(tbl)'",
            "INSERT INTO t (name) VALUES ('abcdef')",
        ),
        "SELECT id, name FROM t",
        rows=[(5, "abcdef")],
    ),
    Case(
        "unique keys on column prefixes",
        ("CREATE TABLE t (a VARCHAR(20), UNIQUE KEY (a(3)))", "INSERT INTO t VALUES ('abcdef')"),
        "INSERT INTO t VALUES ('ABCxyz')",
        fails=True,
    ),
    Case(
        "unique keys on column prefixes",
        ("CREATE TABLE t (a VARCHAR(20), UNIQUE KEY (a(3)))", "INSERT INTO t VALUES ('abcdef'), ('abdef')"),
        "SELECT COUNT(*) FROM t",
        rows=[(2,)],
    ),
    Case(
        "CREATE INDEX variants",
        (*PLAIN, "CREATE UNIQUE INDEX i ON t (v(3), id) USING BTREE COMMENT 'x'", "DROP INDEX i ON t"),
        "SELECT COUNT(*) FROM t",
        rows=[(2,)],
    ),
    Case(
        "CREATE INDEX variants",
        (*PLAIN, "CREATE UNIQUE INDEX i USING HASH ON t (v)"),
        "INSERT INTO t VALUES (3, '5', 1)",
        fails=True,
    ),
    Case(
        "index names are per table",
        (*PLAIN, "CREATE TABLE u LIKE t", "ALTER TABLE u DROP INDEX kv, ADD INDEX kv (w)"),
        "SELECT COUNT(*) FROM u",
        rows=[(0,)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            "CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT, d DATE NOT NULL, PRIMARY KEY (id, d))",
            "INSERT INTO t (d) VALUES ('2024-01-01'), ('2024-01-01')",
        ),
        "SELECT id FROM t",
        rows=[(1,), (2,)],
    ),
    Case(
        "AUTO_INCREMENT",
        ("CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT, b INT, KEY (id))", "INSERT INTO t (b) VALUES (3)"),
        "SELECT id FROM t",
        rows=[(1,)],
    ),
    Case(
        "AUTO_INCREMENT",
        ("CREATE TABLE t (id SERIAL, b INT)", "INSERT INTO t (b) VALUES (3)"),
        "SELECT id FROM t",
        rows=[(1,)],
    ),
    Case(
        "partitioned tables",
        (
            "CREATE TABLE t (id INT NOT NULL, y INT) /*!50100 PARTITION BY RANGE (y) (PARTITION p0 VALUES LESS THAN "
            "(10) "
            "ENGINE = InnoDB, PARTITION p1 VALUES LESS THAN MAXVALUE ENGINE = InnoDB) */",
            "INSERT INTO t VALUES (1, 5), (2, 50)",
        ),
        "SELECT id FROM t ORDER BY y",
        rows=[(1,), (2,)],
    ),
    Case(
        "partitioned tables",
        ("CREATE TABLE t (a INT) ENGINE=InnoDB PARTITION BY HASH (a) PARTITIONS 4",),
        "SELECT * FROM t",
        rows=[],
    ),
    Case("system-versioned tables", (), "CREATE TABLE t (a INT) WITH SYSTEM VERSIONING", unsupported=True),
    Case("CREATE TABLE with columns and a query", (), "CREATE TABLE t (a INT) SELECT 1 AS b", unsupported=True),
    Case("CREATE TABLE", ("CREATE TABLE t (SELECT 1 AS a, 'x' AS b)",), "SELECT * FROM t", rows=[(1, "x")]),
    Case(
        "CREATE TABLE ... LIKE",
        (*PLAIN, "CREATE TABLE u LIKE t", "INSERT INTO u (id) VALUES (9)"),
        "SELECT * FROM u",
        rows=[(9, None, 3)],
    ),
    Case(
        "CREATE TABLE ... LIKE",
        (*KEYED, "CREATE TABLE u (LIKE t)", "INSERT INTO u (n) VALUES (9)"),
        "SELECT * FROM u",
        rows=[(1, 9)],
    ),
    Case(
        "CHECK constraints",
        ("CREATE TABLE t (a INT, CONSTRAINT k CHECK (a > 3))",),
        "INSERT INTO t VALUES (1)",
        fails=True,
    ),
    Case(
        "foreign keys",
        (
            *FAMILY,
            "CREATE TABLE d (p INT, FOREIGN KEY name (p) REFERENCES p (id) MATCH SIMPLE ON DELETE SET NULL ON UPDATE "
            "NO ACTION)",
            "INSERT INTO d VALUES (1)",
            "DELETE FROM p",
        ),
        "SELECT p FROM d",
        rows=[(None,)],
    ),
    Case("DROP TABLE", (*FAMILY, LINK), "DROP TABLE p", fails=True),
    Case("DROP TABLE", (*FAMILY, LINK, "DROP TABLE c, p"), "SHOW TABLES", rows=[]),
    Case(
        "DROP TABLE",
        (*FAMILY, "CREATE VIEW v AS SELECT 1 AS a", "DROP TABLE IF EXISTS v, nothing", "DROP TABLE c"),
        "SHOW TABLES",
        rows=[("p",), ("v",)],
    ),
]

_SHOWN = [
    Case(
        "full-text and spatial keys",
        (*PLAIN, "ALTER TABLE t ADD FULLTEXT KEY f (v)", "CREATE FULLTEXT INDEX g ON t (v)", "DROP INDEX f ON t"),
        "ALTER TABLE t DROP KEY g",
        then="SELECT COUNT(*) FROM t",
        rows=[(2,)],
    ),
    Case(
        "DESCRIBE",
        (
            "CREATE TABLE t (a INT UNSIGNED NOT NULL DEFAULT 5, b SET('x','y') DEFAULT 'x,y', c DECIMAL(5,2), d "
            "VARCHAR(9)"
            " NOT NULL DEFAULT 'it''s', e DOUBLE, f VARBINARY(4))",
        ),
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 't' AND "
        "table_schema"
        " = DATABASE() ORDER BY ordinal_position",
        rows=[
            ("a", "int", "NO"),
            ("b", "set", "YES"),
            ("c", "decimal", "YES"),
            ("d", "varchar", "NO"),
            ("e", "double", "YES"),
            ("f", "varbinary", "YES"),
        ],
    ),
    Case(
        "DESCRIBE",
        (
            "CREATE TABLE t (b SET('x','y') DEFAULT 'x,y', c DECIMAL(5,2) DEFAULT NULL, d VARCHAR(9) NOT NULL "
            "DEFAULT 'it''s')",
        ),
        "DESCRIBE t",
        rows=[
            ("b", "set('x','y')", "YES", "", "x,y", ""),
            ("c", "decimal(5,2)", "YES", "", None, ""),
            ("d", "varchar(9)", "NO", "", "it's", ""),
        ],
    ),
]

KEYS = [*_KEYS, *_SHOWN]
