"""What Aurora MySQL says of tables as dumps and migrations write them: columns, keys, ALTER TABLE, views."""

from __future__ import annotations

from flavours.case import Case

__all__ = ["TABLES"]

LAX = "SET SESSION sql_mode = ''"
SETS = ("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, s SET('a','b','c'), e ENUM('x','y','It''s') NOT NULL)",)
SET_ROWS = "INSERT INTO t (s, e) VALUES ('C,a', 'Y'), ('', 3), (5, 'x'), (NULL, 'it''s'), ('b,b', '2')"
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
PLAIN = (
    "CREATE TABLE t (id INT, v VARCHAR(10), w INT DEFAULT 3, KEY kv (v), KEY kw (w, v))",
    "INSERT INTO t VALUES (1, '5', 3), (2, '6', 4)",
)
KEYED = ("CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, n INT)", "INSERT INTO t (n) VALUES (7), (8)")
FAMILY = (
    "CREATE TABLE p (id INT NOT NULL PRIMARY KEY, n INT)",
    "CREATE TABLE c (id INT NOT NULL PRIMARY KEY, p INT)",
    "INSERT INTO p VALUES (1, 1), (2, 2)",
    "INSERT INTO c VALUES (1, 1), (2, NULL)",
)
LINK = "ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE"

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

_ALTER = [
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (*PLAIN, "ALTER TABLE t MODIFY v INT NOT NULL"),
        "SELECT id, v, w, v + 1 FROM t WHERE v = 5",
        rows=[(1, 5, 3, 6)],
    ),
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (*PLAIN, "ALTER TABLE t MODIFY COLUMN w VARCHAR(3) DEFAULT 'q' FIRST", "INSERT INTO t (id) VALUES (3)"),
        "SELECT * FROM t ORDER BY id",
        rows=[("3", 1, "5"), ("4", 2, "6"), ("q", 3, None)],
        names=("w", "id", "v"),
    ),
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (*PLAIN, "ALTER TABLE t CHANGE v name VARCHAR(20) NOT NULL AFTER w"),
        "SELECT * FROM t WHERE name = '6'",
        rows=[(2, 4, "6")],
        names=("id", "w", "name"),
    ),
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (*PLAIN, "INSERT INTO t VALUES (3, 'x', 1)"),
        "ALTER TABLE t MODIFY v INT",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (*PLAIN, "INSERT INTO t VALUES (3, NULL, 1)"),
        "ALTER TABLE t MODIFY v VARCHAR(10) NOT NULL",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (*PLAIN, "INSERT INTO t VALUES (3, 'abcdef', 1)"),
        "ALTER TABLE t MODIFY v VARCHAR(3)",
        fails=True,
    ),
    Case("ALTER TABLE ... MODIFY / CHANGE", PLAIN, "ALTER TABLE t MODIFY nothing INT", fails=True),
    Case("ALTER TABLE ... MODIFY / CHANGE", PLAIN, "ALTER TABLE t CHANGE v w INT", fails=True),
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (*PLAIN, "CREATE VIEW s AS SELECT id, v FROM t", "ALTER TABLE t MODIFY id VARCHAR(9)"),
        "SELECT id FROM s WHERE id = '2 '",
        rows=[("2",)],
    ),
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (*KEYED, "ALTER TABLE t MODIFY id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT", "INSERT INTO t (n) VALUES (9)"),
        "SELECT id, n FROM t",
        rows=[(1, 7), (2, 8), (3, 9)],
    ),
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (*FAMILY, LINK, "ALTER TABLE p MODIFY n BIGINT NOT NULL", "DELETE FROM p WHERE id = 1"),
        "SELECT id FROM c",
        rows=[(2,)],
    ),
    Case(
        "ALTER TABLE ... MODIFY / CHANGE",
        (
            *SETS,
            SET_ROWS,
            "ALTER TABLE t MODIFY e ENUM('it''s','y','x','z') NOT NULL DEFAULT 'z'",
            "INSERT INTO t (s) VALUES ('a')",
        ),
        "SELECT e, e + 0 FROM t ORDER BY id",
        rows=[("y", 2), ("it's", 1), ("x", 3), ("it's", 1), ("y", 2), ("z", 4)],
    ),
    Case(
        "ALTER TABLE with several actions",
        (
            *PLAIN,
            "ALTER TABLE t ADD PRIMARY KEY (id), MODIFY id INT NOT NULL AUTO_INCREMENT, AUTO_INCREMENT = 10, DROP "
            "KEY kw",
            "INSERT INTO t (v) VALUES ('z')",
        ),
        "SELECT id, v, w FROM t",
        rows=[(1, "5", 3), (2, "6", 4), (10, "z", 3)],
    ),
    Case(
        "ALTER TABLE with several actions",
        (
            *PLAIN,
            "ALTER TABLE t ADD COLUMN a INT NOT NULL AFTER id, ADD b VARCHAR(3) DEFAULT 'x' FIRST, DROP COLUMN w, "
            "ADD UNIQUE KEY u (v), ALGORITHM=COPY",
        ),
        "SELECT * FROM t ORDER BY id",
        rows=[("x", 1, 0, "5"), ("x", 2, 0, "6")],
        names=("b", "id", "a", "v"),
    ),
    Case("ALTER TABLE with several actions", PLAIN, "ALTER TABLE t ADD COLUMN a INT, DROP COLUMN nothing", fails=True),
    Case(
        "ALTER TABLE with several actions",
        (*PLAIN, "ALTER TABLE t ADD (a INT, b INT NOT NULL DEFAULT 4)"),
        "SELECT a, b FROM t",
        rows=[(None, 4), (None, 4)],
    ),
    Case(
        "ALTER TABLE with several actions",
        (*PLAIN, "ALTER TABLE t DROP COLUMN v"),
        "SELECT * FROM t",
        rows=[(1, 3), (2, 4)],
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*PLAIN, "ALTER TABLE t ADD CONSTRAINT u UNIQUE (v)"),
        "INSERT INTO t VALUES (3, '5', 1)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*PLAIN, "ALTER TABLE t ADD CONSTRAINT pk PRIMARY KEY (id)"),
        "INSERT INTO t VALUES (1, 'q', 1)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*PLAIN, "ALTER TABLE t ADD PRIMARY KEY (id)"),
        "INSERT INTO t (id) VALUES (NULL)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*PLAIN, "ALTER TABLE t ADD PRIMARY KEY (id)"),
        "ALTER TABLE t ADD PRIMARY KEY (v)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*PLAIN, "ALTER TABLE t ADD CHECK (w > 2)"),
        "INSERT INTO t VALUES (3, 'q', 1)",
        fails=True,
    ),
    Case("ALTER TABLE ... ADD CONSTRAINT", PLAIN, "ALTER TABLE t ADD CONSTRAINT k CHECK (w > 3)", fails=True),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (
            *PLAIN,
            "ALTER TABLE t ADD CONSTRAINT k CHECK (w > 2)",
            "ALTER TABLE t DROP CONSTRAINT k",
            "INSERT INTO t VALUES (3, 'q', 1)",
        ),
        "SELECT COUNT(*) FROM t",
        rows=[(3,)],
    ),
    Case("ALTER TABLE ... ADD CONSTRAINT", (*FAMILY, LINK), "INSERT INTO c VALUES (3, 9)", fails=True),
    Case("ALTER TABLE ... ADD CONSTRAINT", (*FAMILY, "UPDATE c SET p = 9"), LINK, fails=True),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT", (*FAMILY, LINK, "DELETE FROM p WHERE id = 1"), "SELECT id FROM c", rows=[(2,)]
    ),
    Case(
        "ALTER TABLE ... DROP keys",
        (*FAMILY, LINK, "ALTER TABLE c DROP FOREIGN KEY fk", "INSERT INTO c VALUES (3, 9)"),
        "SELECT COUNT(*) FROM c",
        rows=[(3,)],
    ),
    Case("ALTER TABLE ... DROP keys", FAMILY, "ALTER TABLE c DROP FOREIGN KEY fk", fails=True),
    Case(
        "ALTER TABLE ... DROP keys",
        (*FAMILY, "ALTER TABLE p DROP PRIMARY KEY", "INSERT INTO p VALUES (1, 1)"),
        "SELECT COUNT(*) FROM p",
        rows=[(3,)],
    ),
    Case("ALTER TABLE ... DROP keys", PLAIN, "ALTER TABLE t DROP PRIMARY KEY", fails=True),
    Case("ALTER TABLE ... DROP keys", KEYED, "ALTER TABLE t DROP PRIMARY KEY", fails=True),
    Case(
        "ALTER TABLE ... DROP keys",
        (*KEYED, "ALTER TABLE t MODIFY id INT NOT NULL, DROP PRIMARY KEY", "INSERT INTO t VALUES (1, 1)"),
        "SELECT COUNT(*) FROM t",
        rows=[(3,)],
    ),
    Case("ALTER TABLE ... DROP keys", PLAIN, "ALTER TABLE t DROP INDEX nothing", fails=True),
    Case(
        "ALTER TABLE ... ALTER COLUMN",
        (
            *PLAIN,
            "ALTER TABLE t ALTER COLUMN w SET DEFAULT 8, ALTER v SET DEFAULT 'y'",
            "INSERT INTO t (id) VALUES (3)",
        ),
        "SELECT v, w FROM t WHERE id = 3",
        rows=[("y", 8)],
    ),
    Case(
        "ALTER TABLE ... ALTER COLUMN",
        (*PLAIN, "ALTER TABLE t MODIFY w INT NOT NULL DEFAULT 3", "ALTER TABLE t ALTER w DROP DEFAULT"),
        "INSERT INTO t (id) VALUES (3)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... AUTO_INCREMENT",
        (*KEYED, "ALTER TABLE t AUTO_INCREMENT = 50", "INSERT INTO t (n) VALUES (1)"),
        "SELECT MAX(id) FROM t",
        rows=[(50,)],
    ),
    Case(
        "ALTER TABLE ... AUTO_INCREMENT",
        (*KEYED, "ALTER TABLE t AUTO_INCREMENT = 1", "INSERT INTO t (n) VALUES (1)"),
        "SELECT MAX(id) FROM t",
        rows=[(3,)],
    ),
    Case(
        "ALTER TABLE ... ENGINE",
        (*KEYED, "ALTER TABLE t ENGINE = InnoDB, COMMENT 'x', ROW_FORMAT=DYNAMIC", "ALTER TABLE t FORCE"),
        "SELECT n FROM t",
        rows=[(7,), (8,)],
    ),
    Case(
        "ALTER TABLE ... CONVERT TO CHARACTER SET",
        (
            *PLAIN,
            "INSERT INTO t VALUES (3, 'Q', 1)",
            "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        ),
        "SELECT COUNT(*) FROM t WHERE v = 'q'",
        rows=[(0,)],
    ),
    Case(
        "ALTER TABLE ... RENAME",
        (*PLAIN, "ALTER TABLE t RENAME COLUMN v TO name, RENAME INDEX kv TO kn", "ALTER TABLE t DROP INDEX kn"),
        "SELECT name FROM t",
        rows=[("5",), ("6",)],
    ),
    Case(
        "ALTER TABLE ... RENAME",
        (*PLAIN, "ALTER TABLE t RENAME AS u, ADD COLUMN a INT", "ALTER TABLE u DROP INDEX kv"),
        "SELECT a FROM u",
        rows=[(None,), (None,)],
    ),
    Case(
        "ALTER TABLE ... RENAME",
        (*PLAIN, *FAMILY, "RENAME TABLE t TO u, p TO t", "ALTER TABLE u DROP INDEX kv"),
        "SELECT n FROM t",
        rows=[(1,), (2,)],
    ),
    Case(
        "ALTER TABLE ... ADD PARTITION",
        PLAIN,
        "ALTER TABLE t ADD PARTITION (PARTITION p VALUES LESS THAN (3))",
        unsupported=True,
    ),
]

_VIEWS = [
    Case(
        "views",
        (
            *PLAIN,
            "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS select `t`.`id` "
            "AS `id` from `t`",
        ),
        "SELECT * FROM v",
        rows=[(1,), (2,)],
    ),
    Case(
        "views",
        (
            *PLAIN,
            "/*!50001 CREATE VIEW `v` AS SELECT 1 AS `id`, 1 AS `v`*/",
            "/*!50001 DROP VIEW IF EXISTS `v`*/",
            "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */\n"
            "/*!50001 VIEW `v` AS select `t`.`id` AS `id`,`t`.`v` AS `v` from `t` */",
        ),
        "SELECT * FROM v",
        rows=[(1, "5"), (2, "6")],
    ),
    Case(
        "views",
        (
            "/*!50001 CREATE TABLE `v` (`a` tinyint NOT NULL) ENGINE=MyISAM */",
            "/*!50001 DROP TABLE IF EXISTS `v`*/",
            "/*!50001 DROP VIEW IF EXISTS `v`*/",
            "/*!50001 CREATE VIEW `v` AS select 1 AS `a` */",
        ),
        "SELECT * FROM v",
        rows=[(1,)],
    ),
    Case(
        "views",
        (
            *PLAIN,
            "CREATE OR REPLACE ALGORITHM=MERGE VIEW v AS SELECT id FROM t WHERE id > 1 WITH CASCADED CHECK OPTION",
        ),
        "SELECT * FROM v",
        rows=[(2,)],
    ),
]

TABLES = [*_COLUMNS, *_SETS, *_STAMPS, *_ZEROS, *_KEYS, *_SHOWN, *_ALTER, *_VIEWS]
