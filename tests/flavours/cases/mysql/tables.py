"""Tables and the keys, columns and rows they are created with."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import COUNTERS, NUMBERED, NUMBERS, PEOPLE, WORDPRESS

DJANGO = (
    "CREATE TABLE `auth_user` (`id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY, "
    "`username` varchar(150) NOT NULL UNIQUE, `is_staff` bool NOT NULL, `date_joined` datetime(6) NOT NULL)",
    "CREATE TABLE `auth_token` (`id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY, `user_id` integer NOT NULL)",
)

TABLES = [
    Case("CREATE TABLE", (), PEOPLE[0], then="SELECT COUNT(*) FROM people", rows=[(0,)]),
    Case(
        "CREATE TABLE",
        ("CREATE TABLE IF NOT EXISTS t (a INT)",),
        "CREATE TABLE IF NOT EXISTS t (a INT, b INT)",
        then="SELECT * FROM t",
        rows=[],
    ),
    Case(
        "CREATE TABLE",
        COUNTERS,
        "CREATE TABLE copy AS SELECT word, n + m AS total FROM counters",
        then="SELECT word, total FROM copy ORDER BY word",
        rows=[("a", 11), ("b", 22)],
    ),
    Case(
        "CREATE TABLE options: ENGINE, CHARSET, COLLATE, KEY",
        WORDPRESS,
        "INSERT INTO `wp_options` (`option_name`, `option_value`) VALUES ('siteurl', 'http://localhost')",
        then="SELECT option_id, option_name, option_value, autoload FROM wp_options",
        rows=[(1, "siteurl", "http://localhost", "yes")],
    ),
    Case(
        "CREATE TABLE options: ENGINE, CHARSET, COLLATE, KEY",
        (),
        "CREATE TABLE t (a INT COMMENT 'the first', b TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, "
        "INDEX a_b (a, b(10)), UNIQUE INDEX (a)) ENGINE=InnoDB AUTO_INCREMENT=7 ROW_FORMAT=DYNAMIC COMMENT='a table'",
        then="SELECT COUNT(*) FROM t",
        rows=[(0,)],
    ),
    Case(
        "CREATE TABLE options: ENGINE, CHARSET, COLLATE, KEY",
        (
            "CREATE TABLE t (id INT AUTO_INCREMENT, a INT, PRIMARY KEY (id), UNIQUE KEY one_a (a))",
            "INSERT INTO t (a) VALUES (1)",
        ),
        "INSERT INTO t (a) VALUES (1)",
        fails=True,
    ),
    Case(
        "CREATE TEMPORARY TABLE",
        ("CREATE TEMPORARY TABLE scratch (a INT)", "INSERT INTO scratch VALUES (1), (2)"),
        "SELECT SUM(a) FROM scratch",
        rows=[(3,)],
    ),
    Case(
        "CREATE TEMPORARY TABLE",
        ("CREATE TEMPORARY TABLE scratch (a INT)",),
        "DROP TEMPORARY TABLE IF EXISTS scratch",
        then="SHOW TABLES",
        rows=[],
    ),
    Case(
        "AUTO_INCREMENT",
        ("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)", "INSERT INTO t (a) VALUES (5), (6)"),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 5), (2, 6)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            "CREATE TABLE t (a INT, id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, PRIMARY KEY (id))",
            "INSERT INTO t (a) VALUES (5)",
            "INSERT INTO t (id, a) VALUES (40, 6)",
            "INSERT INTO t (id, a) VALUES (NULL, 7)",
        ),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 5), (40, 6), (41, 7)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",
            "INSERT INTO t (a) VALUES (5), (6)",
            "DELETE FROM t WHERE id = 2",
        ),
        "INSERT INTO t (a) VALUES (7)",
        then="SELECT id, a FROM t ORDER BY id",
        rows=[(1, 5), (3, 7)],
    ),
    Case(
        "AUTO_INCREMENT",
        (*NUMBERED, "BEGIN", "INSERT INTO t (a) VALUES (5), (6)", "ROLLBACK", "INSERT INTO t (a) VALUES (7), (8)"),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(3, 7), (4, 8)],
    ),
    Case(
        "AUTO_INCREMENT",
        (*NUMBERED, "BEGIN", "INSERT INTO t (id, a) VALUES (40, 6)", "ROLLBACK", "INSERT INTO t (a) VALUES (7)"),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(41, 7)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            *(*NUMBERED, "BEGIN", "INSERT INTO t (a) VALUES (1)", "SAVEPOINT p", "INSERT INTO t (a) VALUES (2)"),
            *("ROLLBACK TO p", "COMMIT", "INSERT INTO t (a) VALUES (3)"),
        ),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 1), (3, 3)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            *(*NUMBERED, "CREATE TABLE u (id INT AUTO_INCREMENT PRIMARY KEY, b INT)"),
            *("BEGIN", "INSERT INTO t (a) VALUES (5), (6)", "ROLLBACK", "INSERT INTO u (b) VALUES (1)"),
            "INSERT INTO t (a) VALUES (7)",
        ),
        "SELECT t.id, u.id FROM t, u",
        rows=[(3, 1)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            *(*NUMBERED, "BEGIN", "INSERT INTO t (a) VALUES (5), (6)", "ROLLBACK", "INSERT INTO t (id) VALUES (30)"),
            "INSERT INTO t (a) VALUES (7)",
        ),
        "SELECT id FROM t ORDER BY id",
        rows=[(30,), (31,)],
    ),
    Case(
        "AUTO_INCREMENT",
        (
            *(*NUMBERED, "BEGIN", "INSERT INTO t (a) VALUES (5), (6)", "ROLLBACK", "TRUNCATE TABLE t"),
            "INSERT INTO t (a) VALUES (7)",
        ),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 7)],
    ),
    Case(
        "AUTO_INCREMENT",
        (*NUMBERED, "BEGIN", "INSERT INTO t (a) VALUES (5)", "ROLLBACK", "INSERT INTO t (a) VALUES (7), (8)"),
        "SELECT LAST_INSERT_ID()",
        rows=[(2,)],
    ),
    Case(
        "AUTO_INCREMENT",
        ("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT) AUTO_INCREMENT=100",),
        "INSERT INTO t (a) VALUES (7)",
        then="SELECT id FROM t",
        rows=[(100,)],
    ),
    Case(
        "LAST_INSERT_ID / lastval",
        (*PEOPLE, "INSERT INTO people (name) VALUES ('Eve')"),
        "SELECT LAST_INSERT_ID()",
        rows=[(5,)],
    ),
    Case(
        "LAST_INSERT_ID / lastval",
        (
            *DJANGO,
            "INSERT INTO auth_user (username, is_staff, date_joined) VALUES ('ada', TRUE, '2024-01-02 03:04:05')",
        ),
        "INSERT INTO auth_token (user_id) VALUES (LAST_INSERT_ID())",
        then="SELECT id, user_id FROM auth_token",
        rows=[(1, 1)],
    ),
    Case("ROW_COUNT", (*NUMBERS, "UPDATE numbers SET n = n + 1 WHERE n < 3"), "SELECT ROW_COUNT()", rows=[(2,)]),
    Case(
        "ENUM columns",
        (
            "CREATE TABLE t (size ENUM('small', 'large') NOT NULL DEFAULT 'small')",
            "INSERT INTO t VALUES ('large'), ('small')",
        ),
        "SELECT size FROM t ORDER BY CONCAT(size)",
        rows=[("large",), ("small",)],
    ),
    Case(
        "ENUM columns", ("CREATE TABLE t (size ENUM('small', 'large'))",), "INSERT INTO t VALUES ('huge')", fails=True
    ),
    Case(
        "column types",
        (
            "CREATE TABLE t (a TINYINT(1), b SMALLINT UNSIGNED, c MEDIUMINT, d BIGINT, e DOUBLE, f FLOAT, "
            "g DECIMAL(8,3), h CHAR(3), i VARCHAR(9), j TINYTEXT, k MEDIUMTEXT, l LONGTEXT, m YEAR)",
            "INSERT INTO t VALUES (1, 2, -3, 9007199254740993, 0.5, 0.25, 1.125, 'abc', 'de', 'f', 'g', 'h', 2024)",
        ),
        "SELECT * FROM t",
        rows=[(1, 2, -3, 9007199254740993, 0.5, 0.25, 1.125, "abc", "de", "f", "g", "h", 2024)],
    ),
    Case(
        "column types",
        (
            "CREATE TABLE t (a DATE, b DATETIME, c TIMESTAMP NULL, d TIME, e DATETIME(6))",
            "INSERT INTO t VALUES ('2024-01-02', '2024-01-02 03:04:05', '2024-01-02 03:04:05', '03:04:05', "
            "'2024-01-02 03:04:05.678901')",
        ),
        "SELECT * FROM t",
        rows=[("2024-01-02", "2024-01-02 03:04:05", "2024-01-02 03:04:05", "03:04:05", "2024-01-02 03:04:05.678901")],
    ),
    Case(
        "column types",
        ("CREATE TABLE t (a BLOB, b VARBINARY(9))",),
        "INSERT INTO t VALUES (%s, %s)",
        (b"\x00\xff", b"z"),
        then="SELECT a, b FROM t",
        rows=[(b"\x00\xff", b"z")],
    ),
    Case("type enforcement", ("CREATE TABLE t (a VARCHAR(3))",), "INSERT INTO t VALUES ('abcd')", fails=True),
    Case("type enforcement", ("CREATE TABLE t (a INT)",), "INSERT INTO t VALUES ('abc')", fails=True),
    Case(
        "type enforcement",
        ("CREATE TABLE t (a INT)", "INSERT INTO t VALUES ('12')"),
        "SELECT a + 1 FROM t",
        rows=[(13,)],
    ),
    Case(
        "defaults",
        (
            "CREATE TABLE t (id INT PRIMARY KEY, a INT DEFAULT 3, b VARCHAR(9) DEFAULT 'x', "
            "c DATETIME DEFAULT CURRENT_TIMESTAMP)",
            "INSERT INTO t (id) VALUES (1)",
        ),
        "SELECT a, b, c > '2020-01-01' FROM t",
        rows=[(3, "x", 1)],
    ),
    Case(
        "defaults",
        (
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT DEFAULT 3)",
            "INSERT INTO t () VALUES ()",
            "INSERT INTO t (a) VALUES (3)",
        ),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 3), (2, 3)],
    ),
    Case(
        "DEFAULT in VALUES",
        (
            "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT NOT NULL DEFAULT 5, b VARCHAR(5), "
            "at DATETIME NOT NULL DEFAULT '2024-01-02 03:04:05', e ENUM('x', 'y') DEFAULT 'y', "
            "x VARCHAR(9) DEFAULT (concat('a', 'b')), n DECIMAL(5,2) DEFAULT 1.5, c INT AS (a * 2) STORED)",
            "INSERT INTO t VALUES (DEFAULT, DEFAULT, 'x', DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT)",
            "INSERT INTO t (id, b, a, at, e, n) VALUES (DEFAULT, DEFAULT, 3, '2024-01-31', 'x', 2), "
            "(7, 'z', DEFAULT, DEFAULT, DEFAULT, DEFAULT), (DEFAULT, DEFAULT, DEFAULT, DEFAULT, NULL, NULL)",
        ),
        "SELECT id, a, b, at, e, x, n, c FROM t ORDER BY id",
        rows=[
            (1, 5, "x", "2024-01-02 03:04:05", "y", "ab", 1.5, 10),
            (2, 3, None, "2024-01-31 00:00:00", "x", "ab", 2, 6),
            (7, 5, "z", "2024-01-02 03:04:05", "y", "ab", 1.5, 10),
            (8, 5, None, "2024-01-02 03:04:05", None, "ab", None, 10),
        ],
    ),
    Case("DEFAULT in VALUES", ("CREATE TABLE t (a INT NOT NULL)",), "INSERT INTO t VALUES (DEFAULT)", fails=True),
    Case(
        "UPDATE ... SET ... = DEFAULT",
        ("CREATE TABLE t (a INT DEFAULT 3, b VARCHAR(9) NOT NULL DEFAULT 'y')", "INSERT INTO t VALUES (1, 'x')"),
        "UPDATE t SET a = DEFAULT, b = DEFAULT",
        then="SELECT a, b FROM t",
        rows=[(3, "y")],
    ),
    Case(
        "generated columns",
        (
            "CREATE TABLE t (a INT, b INT, c INT AS (a * b) STORED, d INT GENERATED ALWAYS AS (a + b) VIRTUAL)",
            "INSERT INTO t (a, b) VALUES (3, 4)",
        ),
        "SELECT * FROM t",
        rows=[(3, 4, 12, 7)],
    ),
    Case(
        "CHECK constraints",
        ("CREATE TABLE t (a INT, CONSTRAINT a_positive CHECK (a > 0))",),
        "INSERT INTO t VALUES (-1)",
        fails=True,
    ),
    Case(
        "foreign keys",
        (
            "CREATE TABLE p (id INT PRIMARY KEY) ENGINE=InnoDB",
            "CREATE TABLE c (id INT PRIMARY KEY, p_id "
            "INT, KEY p_id (p_id), CONSTRAINT fk FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE) ENGINE=InnoDB",
            "INSERT INTO p VALUES (1), (2)",
            "INSERT INTO c VALUES (10, 1), (20, 2)",
        ),
        "DELETE FROM p WHERE id = 1",
        then="SELECT id FROM c",
        rows=[(20,)],
    ),
    Case(
        "foreign keys",
        (
            "CREATE TABLE p (id INT PRIMARY KEY)",
            "CREATE TABLE c (id INT, p_id INT, FOREIGN KEY (p_id) REFERENCES p (id))",
        ),
        "INSERT INTO c VALUES (1, 99)",
        fails=True,
    ),
    Case(
        "foreign keys",
        (
            "CREATE TABLE p (id INT PRIMARY KEY)",
            "CREATE TABLE c (id INT, p_id INT, FOREIGN KEY (p_id) REFERENCES p (id))",
            "SET FOREIGN_KEY_CHECKS = 0",
        ),
        "INSERT INTO c VALUES (1, 99)",
        then="SELECT id, p_id FROM c",
        rows=[(1, 99)],
    ),
    Case(
        "ALTER TABLE ... ADD / DROP COLUMN",
        (*COUNTERS, "ALTER TABLE counters ADD COLUMN note VARCHAR(9) NOT NULL DEFAULT 'none'"),
        "SELECT word, note FROM counters ORDER BY word",
        rows=[("a", "none"), ("b", "none")],
    ),
    Case(
        "ALTER TABLE ... ADD / DROP COLUMN",
        COUNTERS,
        "ALTER TABLE counters ADD x INT, ADD y INT DEFAULT 4",
        then="SELECT word, x, y FROM counters ORDER BY word",
        rows=[("a", None, 4), ("b", None, 4)],
    ),
    Case(
        "ALTER TABLE ... ADD / DROP COLUMN",
        COUNTERS,
        "ALTER TABLE counters DROP COLUMN m",
        then="SELECT * FROM counters ORDER BY word",
        rows=[("a", 1), ("b", 2)],
    ),
    Case(
        "ALTER TABLE ... RENAME",
        COUNTERS,
        "ALTER TABLE counters RENAME COLUMN n TO amount",
        then="SELECT amount FROM counters ORDER BY 1",
        rows=[(1,), (2,)],
    ),
    Case(
        "ALTER TABLE ... RENAME",
        COUNTERS,
        "ALTER TABLE counters RENAME TO tallies",
        then="SELECT COUNT(*) FROM tallies",
        rows=[(2,)],
    ),
    Case(
        "ALTER TABLE ... RENAME",
        COUNTERS,
        "RENAME TABLE counters TO tallies",
        then="SELECT COUNT(*) FROM tallies",
        rows=[(2,)],
    ),
    Case(
        "ALTER TABLE ... ADD INDEX",
        (*COUNTERS, "ALTER TABLE counters ADD INDEX by_n (n)", "ALTER TABLE counters ADD UNIQUE KEY one_m (m)"),
        "INSERT INTO counters VALUES ('c', 1, 10)",
        fails=True,
    ),
    Case(
        "CREATE INDEX variants",
        COUNTERS,
        "CREATE INDEX by_n ON counters (n DESC, word(5)) USING BTREE",
        then="SELECT word FROM counters ORDER BY n DESC",
        rows=[("b",), ("a",)],
    ),
    Case(
        "CREATE INDEX variants",
        (*COUNTERS, "CREATE UNIQUE INDEX one_n ON counters (n)"),
        "INSERT INTO counters VALUES ('c', 1, 1)",
        fails=True,
    ),
    Case(
        "DROP INDEX",
        (*COUNTERS, "CREATE UNIQUE INDEX one_n ON counters (n)", "DROP INDEX one_n ON counters"),
        "INSERT INTO counters VALUES ('c', 1, 1)",
        then="SELECT COUNT(*) FROM counters",
        rows=[(3,)],
    ),
    Case(
        "index names are per table",
        ("CREATE TABLE t (a INT, KEY by_a (a))", "CREATE TABLE u (a INT, KEY by_a (a))"),
        "SELECT COUNT(*) FROM u",
        rows=[(0,)],
    ),
    Case(
        "DROP TABLE",
        (*COUNTERS, *NUMBERS),
        "DROP TABLE IF EXISTS counters, numbers, nothing",
        then="SHOW TABLES",
        rows=[],
    ),
    Case("TRUNCATE", NUMBERS, "TRUNCATE TABLE numbers", then="SELECT COUNT(*) FROM numbers", rows=[(0,)]),
    Case("TRUNCATE", PEOPLE, "TRUNCATE TABLE people", then="SELECT COUNT(*) FROM people", rows=[(0,)]),
    Case(
        "TRUNCATE",
        (*PEOPLE, "TRUNCATE people"),
        "INSERT INTO people (name) VALUES ('Eve')",
        then="SELECT id FROM people",
        rows=[(1,)],
    ),
    Case(
        "views",
        (*PEOPLE, "CREATE VIEW reds AS SELECT name FROM people WHERE team = 'red'"),
        "SELECT name FROM reds ORDER BY name",
        rows=[("Ada",), ("Cy",)],
    ),
    Case(
        "views",
        (
            *PEOPLE,
            "CREATE VIEW chosen AS SELECT name FROM people WHERE id = 1",
            "CREATE OR REPLACE VIEW chosen AS SELECT name FROM people WHERE id = 2",
        ),
        "SELECT name FROM chosen",
        rows=[("Bob",)],
    ),
]
