"""What Aurora MySQL (MySQL 8) says.  Only what MariaDB says too, since that is the server that proves it."""

from __future__ import annotations

from flavours.case import Case
from flavours.mysql_session import SESSION
from flavours.mysql_tables import TABLES

__all__ = ["MYSQL"]

PEOPLE = (
    "CREATE TABLE people (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) NOT NULL, team VARCHAR(20), "
    "born DATE, pay DECIMAL(10,2))",
    "INSERT INTO people (name, team, born, pay) VALUES ('Ada', 'red', '1815-12-10', 120.50), "
    "('Bob', 'blue', '1990-01-31', 80.00), ('Cy', 'red', '2000-02-29', 99.50), ('Dee', NULL, NULL, NULL)",
)
COUNTERS = (
    "CREATE TABLE counters (word VARCHAR(20) PRIMARY KEY, n INT NOT NULL DEFAULT 0, m INT NOT NULL DEFAULT 0)",
    "INSERT INTO counters VALUES ('a', 1, 10), ('b', 2, 20)",
)
ORDERS = (
    "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20), total INT NOT NULL DEFAULT 0)",
    "CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, price INT)",
    "INSERT INTO customers (id, name) VALUES (1, 'Ann'), (2, 'Ben'), (3, 'Cat')",
    "INSERT INTO orders VALUES (10, 1, 5), (11, 1, 7), (12, 2, 9), (13, NULL, 1)",
)
EVENTS = (
    "CREATE TABLE events (id INT PRIMARY KEY, at DATETIME NOT NULL)",
    "INSERT INTO events VALUES (1, '2024-01-31 10:20:30'), (2, '2024-02-29 23:59:59'), (3, '2023-12-31 00:00:00')",
)
KEYED = (
    "CREATE TABLE keyed (id INT PRIMARY KEY, code VARCHAR(9) NOT NULL UNIQUE, opt INT UNIQUE, x INT)",
    "INSERT INTO keyed VALUES (1, 'a', 1, 5), (2, 'b', NULL, 6)",
)
LOOSE = "SET SESSION sql_mode = 'STRICT_TRANS_TABLES'"  # MariaDB's ONLY_FULL_GROUP_BY knows nothing of keys
NUMBERS = ("CREATE TABLE numbers (n INT)", "INSERT INTO numbers VALUES (3), (1), (2), (NULL), (5)")
DOCUMENTS = (
    "CREATE TABLE documents (id INT PRIMARY KEY, body JSON)",
    """INSERT INTO documents VALUES (1, '{"name": "Ada", "tags": ["x", "y"], "age": 36}'), (2, '{"name": "Bob"}')""",
)
TREE = (
    "CREATE TABLE tree (id INT PRIMARY KEY, parent INT, name VARCHAR(9))",
    "INSERT INTO tree VALUES (1, NULL, 'root'), (2, 1, 'left'), (3, 1, 'right'), (4, 2, 'leaf')",
)
WORDPRESS = (
    "CREATE TABLE `wp_options` (`option_id` bigint(20) unsigned NOT NULL AUTO_INCREMENT, "
    "`option_name` varchar(191) NOT NULL DEFAULT '', `option_value` longtext NOT NULL, "
    "`autoload` varchar(20) NOT NULL DEFAULT 'yes', PRIMARY KEY (`option_id`), "
    "UNIQUE KEY `option_name` (`option_name`), KEY `autoload` (`autoload`)) "
    "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci",
)
DJANGO = (
    "CREATE TABLE `auth_user` (`id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY, "
    "`username` varchar(150) NOT NULL UNIQUE, `is_staff` bool NOT NULL, `date_joined` datetime(6) NOT NULL)",
    "CREATE TABLE `auth_token` (`id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY, `user_id` integer NOT NULL)",
)

NUMBERED = ("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",)

PARENTS = (
    "CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, n INT UNIQUE)",
    "CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, p INT, n INT)",
    "INSERT INTO p (n) VALUES (1), (2), (3)",
    "INSERT INTO p (n) VALUES (4)",
)

_NUMBERS = [
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

_TABLES = [
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
        "DEFAULT in VALUES", ("CREATE TABLE t (a INT DEFAULT 3)",), "INSERT INTO t VALUES (DEFAULT)", unsupported=True
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

_WRITING = [
    Case(
        "INSERT ... ON DUPLICATE KEY UPDATE",
        COUNTERS,
        "INSERT INTO counters (word, n) VALUES ('a', 5), ('c', 6) ON DUPLICATE KEY UPDATE n = n + VALUES(n)",
        then="SELECT word, n FROM counters ORDER BY word",
        rows=[("a", 6), ("b", 2), ("c", 6)],
    ),
    Case(
        "INSERT ... ON DUPLICATE KEY UPDATE",
        (
            *WORDPRESS,
            "INSERT INTO `wp_options` (`option_name`, `option_value`, `autoload`) VALUES ('cron', 'old', 'yes')",
        ),
        "INSERT INTO `wp_options` (`option_name`, `option_value`, `autoload`) VALUES (%s, %s, 'no') ON DUPLICATE KEY "
        "UPDATE `option_name` = VALUES(`option_name`), `option_value` = VALUES(`option_value`), `autoload` = "
        "VALUES(`autoload`)",
        ("cron", "new"),
        then="SELECT option_id, option_value, autoload FROM wp_options",
        rows=[(1, "new", "no")],
    ),
    Case(
        "INSERT ... ON DUPLICATE KEY UPDATE",
        COUNTERS,
        "INSERT INTO counters SELECT word, n + 1, m FROM (SELECT * FROM counters) AS old WHERE n > 1 "
        "ON DUPLICATE KEY UPDATE n = counters.n + 100",
        then="SELECT word, n FROM counters ORDER BY word",
        rows=[("a", 1), ("b", 102)],
    ),
    Case(
        "INSERT IGNORE / REPLACE",
        COUNTERS,
        "INSERT IGNORE INTO counters VALUES ('a', 9, 9), ('c', 3, 3)",
        then="SELECT word, n FROM counters ORDER BY word",
        rows=[("a", 1), ("b", 2), ("c", 3)],
    ),
    Case(
        "INSERT IGNORE / REPLACE",
        COUNTERS,
        "REPLACE INTO counters (word, n) VALUES ('a', 9)",
        then="SELECT word, n, m FROM counters ORDER BY word",
        rows=[("a", 9, 0), ("b", 2, 20)],
    ),
    Case(
        "INSERT ... SET",
        COUNTERS,
        "INSERT INTO counters SET word = 'c', n = 4",
        then="SELECT word, n, m FROM counters WHERE word = 'c'",
        rows=[("c", 4, 0)],
    ),
    Case(
        "INSERT ... SELECT",
        (*COUNTERS, *NUMBERS),
        "INSERT INTO numbers (n) SELECT m FROM counters",
        then="SELECT SUM(n) FROM numbers",
        rows=[(41,)],
    ),
    Case(
        "UPDATE",
        COUNTERS,
        "UPDATE counters SET n = m, m = n WHERE word = 'a'",
        then="SELECT n, m FROM counters WHERE word = 'b'",
        rows=[(2, 20)],
    ),
    Case(
        "UPDATE assigns left to right",
        COUNTERS,
        "UPDATE counters SET n = n + 1, m = n WHERE word = 'a'",
        then="SELECT n, m FROM counters WHERE word = 'a'",
        rows=[(2, 2)],
    ),
    Case(
        "UPDATE / DELETE ... ORDER BY ... LIMIT",
        PEOPLE,
        "UPDATE people SET team = 'old' ORDER BY id DESC LIMIT 2",
        then="SELECT name FROM people WHERE team = 'old' ORDER BY id",
        rows=[("Cy",), ("Dee",)],
    ),
    Case(
        "UPDATE / DELETE ... ORDER BY ... LIMIT",
        PEOPLE,
        "DELETE FROM people ORDER BY name LIMIT 1",
        then="SELECT name FROM people ORDER BY id",
        rows=[("Bob",), ("Cy",), ("Dee",)],
    ),
    Case(
        "UPDATE of several tables",
        ORDERS,
        "UPDATE customers c JOIN orders o ON o.customer_id = c.id SET c.total = o.price WHERE o.id > 10",
        then="SELECT id, total FROM customers ORDER BY id",
        rows=[(1, 7), (2, 9), (3, 0)],
    ),
    Case(
        "UPDATE of several tables",
        ORDERS,
        "UPDATE customers, orders SET customers.total = orders.price WHERE orders.customer_id = customers.id "
        "AND orders.id = 12",
        then="SELECT id, total FROM customers ORDER BY id",
        rows=[(1, 0), (2, 9), (3, 0)],
    ),
    Case(
        "UPDATE of several tables",
        ORDERS,
        "UPDATE customers AS c INNER JOIN (SELECT customer_id, SUM(price) AS spent FROM orders GROUP BY customer_id) "
        "AS s ON s.customer_id = c.id SET c.total = s.spent",
        then="SELECT id, total FROM customers ORDER BY id",
        rows=[(1, 12), (2, 9), (3, 0)],
    ),
    Case(
        "UPDATE of several tables",
        ORDERS,
        "UPDATE customers c LEFT JOIN orders o ON o.customer_id = c.id SET c.name = 'idle' WHERE o.id IS NULL",
        then="SELECT name FROM customers ORDER BY id",
        rows=[("Ann",), ("Ben",), ("idle",)],
    ),
    Case(
        "DELETE ... USING",
        ORDERS,
        "DELETE FROM o USING orders AS o JOIN customers AS c ON c.id = o.customer_id WHERE c.name = 'Ann'",
        then="SELECT id FROM orders ORDER BY id",
        rows=[(12,), (13,)],
    ),
    Case(
        "DELETE with a join",
        ORDERS,
        "DELETE o FROM orders o INNER JOIN customers c ON c.id = o.customer_id WHERE c.name = 'Ben'",
        then="SELECT id FROM orders ORDER BY id",
        rows=[(10,), (11,), (13,)],
    ),
    Case(
        "DELETE with a join",
        ORDERS,
        "DELETE orders FROM orders LEFT JOIN customers ON customers.id = orders.customer_id WHERE customers.id IS NULL",
        then="SELECT id FROM orders ORDER BY id",
        rows=[(10,), (11,), (12,)],
    ),
    Case(
        "parameters %s and %(name)s",
        COUNTERS,
        "DELETE FROM counters WHERE word = %s",
        ("b",),
        then="SELECT word FROM counters",
        rows=[("a",)],
    ),
    Case("parameters %s and %(name)s", (), "SELECT %s + %s, %s", (1, 2, "it's"), rows=[(3, "it's")]),
    Case(
        "parameters %s and %(name)s",
        COUNTERS,
        "SELECT m FROM counters WHERE word = %(word)s AND n <= %(top)s",
        {"word": "b", "top": 2},
        rows=[(20,)],
    ),
    Case(
        "parameters %s and %(name)s",
        PEOPLE,
        "SELECT name FROM people WHERE name LIKE 'a%%' AND id IN (%s, %s)",
        (1, 2),
        rows=[("Ada",)],
    ),
    Case("parameters %s and %(name)s", (), "SELECT %s IS NULL, %s", (None, 2.5), rows=[(1, 2.5)]),
    Case(
        "transactions: START TRANSACTION, COMMIT, ROLLBACK",
        (*NUMBERS, "START TRANSACTION", "DELETE FROM numbers"),
        "ROLLBACK",
        then="SELECT COUNT(*) FROM numbers",
        rows=[(5,)],
    ),
    Case(
        "transactions: START TRANSACTION, COMMIT, ROLLBACK",
        (*NUMBERS, "BEGIN", "DELETE FROM numbers", "COMMIT"),
        "ROLLBACK",
        then="SELECT COUNT(*) FROM numbers",
        rows=[(0,)],
    ),
    Case(
        "transactions: START TRANSACTION, COMMIT, ROLLBACK",
        (*NUMBERS, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION READ ONLY"),
        "SELECT COUNT(*) FROM numbers",
        rows=[(5,)],
    ),
    Case(
        "savepoints",
        (
            *NUMBERS,
            "START TRANSACTION",
            "DELETE FROM numbers WHERE n = 1",
            "SAVEPOINT here",
            "DELETE FROM numbers",
            "ROLLBACK TO SAVEPOINT here",
            "RELEASE SAVEPOINT here",
        ),
        "COMMIT",
        then="SELECT COUNT(*) FROM numbers",
        rows=[(4,)],
    ),
    Case(
        "savepoints",
        (*NUMBERS, "START TRANSACTION", "SAVEPOINT `here`", "DELETE FROM numbers", "ROLLBACK TO `here`"),
        "COMMIT",
        then="SELECT COUNT(*) FROM numbers",
        rows=[(5,)],
    ),
    Case(
        "FOR UPDATE",
        (*COUNTERS, "START TRANSACTION"),
        "SELECT n FROM counters WHERE word = 'a' FOR UPDATE",
        rows=[(1,)],
    ),
    Case(
        "FOR UPDATE",
        (*COUNTERS, "START TRANSACTION"),
        "SELECT n FROM counters WHERE n > 0 ORDER BY n LIMIT 1 FOR UPDATE SKIP LOCKED",
        rows=[(1,)],
    ),
    Case(
        "FOR UPDATE",
        (*COUNTERS, "START TRANSACTION"),
        "SELECT n FROM counters WHERE word = 'a' LOCK IN SHARE MODE",
        rows=[(1,)],
    ),
]

_SESSION = [
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

_QUERIES = [
    Case(
        "backtick quoting",
        (
            "CREATE TABLE `order` (`select` INT, `two words` INT)",
            "INSERT INTO `order` (`select`, `two words`) VALUES (1, 2)",
        ),
        "SELECT `order`.`select`, `two words` FROM `order`",
        rows=[(1, 2)],
    ),
    Case("double-quoted strings", PEOPLE, 'SELECT "Ada", name FROM people WHERE name = "Bob"', rows=[("Ada", "Bob")]),
    Case("double-quoted strings", PEOPLE, 'SELECT "name" FROM people WHERE id = 1', rows=[("name",)]),
    Case(
        "backslash escapes in strings",
        (),
        r"SELECT 'it\'s', 'a\nb', 'c\\d', '\"', 'x''y'",
        rows=[("it's", "a\nb", "c\\d", '"', "x'y")],
    ),
    Case("backslash escapes in strings", (), r"SELECT LENGTH('\t\r\0')", rows=[(3,)]),
    Case("adjacent string literals", (), "SELECT 'a' 'b'", rows=[("ab",)]),
    Case("LIMIT a, b", PEOPLE, "SELECT name FROM people ORDER BY id LIMIT 1, 2", rows=[("Bob",), ("Cy",)]),
    Case("LIMIT ... OFFSET", PEOPLE, "SELECT name FROM people ORDER BY id LIMIT %s OFFSET %s", (1, 2), rows=[("Cy",)]),
    Case("FROM DUAL", (), "SELECT 1 + 1 FROM DUAL WHERE 1 = 1", rows=[(2,)]),
    Case("integer division: 7/2 (MySQL 3.5, PostgreSQL 3)", (), "SELECT 7/2, 6/3", rows=[(3.5, 2)]),
    Case(
        "integer division: 7/2 (MySQL 3.5, PostgreSQL 3)",
        NUMBERS,
        "SELECT n / 2 FROM numbers WHERE n IN (1, 2) ORDER BY n",
        rows=[(0.5,), (1,)],
    ),
    Case("division by zero", (), "SELECT 1/0, 5 % 0, 5 DIV 0", rows=[(None, None, None)]),
    Case(
        "DIV, MOD, XOR, &&, !",
        (),
        "SELECT 7 DIV 2, 7 MOD 4, -7 % 3, 1 XOR 1, 1 && 0, !1, NOT 0",
        rows=[(3, 3, -1, 0, 0, 0, 1)],
    ),
    Case("bit operators", (), "SELECT 5 & 3, 5 | 3, 5 ^ 3, 1 << 4, 16 >> 2, BIT_COUNT(7)", rows=[(1, 7, 6, 16, 4, 3)]),
    Case(
        "string concatenation || vs CONCAT vs OR",
        (),
        "SELECT 0 || 1, 0 || 0, CONCAT('a', 'b', 3)",
        rows=[(1, 0, "ab3")],
    ),
    Case(
        "string concatenation || vs CONCAT vs OR",
        (),
        "SELECT CONCAT('a', NULL), CONCAT_WS('-', 'a', NULL, 'b')",
        rows=[(None, "a-b")],
    ),
    Case("text converted to numbers", (), "SELECT '1' = 1, '3' + 4, '2.5' * 2, '12abc' + 0", rows=[(1, 7, 5, 12)]),
    Case("case-insensitive comparison", PEOPLE, "SELECT name FROM people WHERE name = 'ADA'", rows=[("Ada",)]),
    Case(
        "case-insensitive comparison",
        PEOPLE,
        "SELECT name FROM people WHERE name IN (%s, 'BOB') ORDER BY id",
        ("cy",),
        rows=[("Bob",), ("Cy",)],
    ),
    Case(
        "case-insensitive comparison",
        ("CREATE TABLE t (a VARCHAR(9))", "INSERT INTO t VALUES ('b'), ('A'), ('C')"),
        "SELECT a FROM t ORDER BY a",
        rows=[("A",), ("b",), ("C",)],
    ),
    Case(
        "case-insensitive comparison",
        ("CREATE TABLE t (a VARCHAR(9))", "INSERT INTO t VALUES ('b'), ('B'), ('a')"),
        "SELECT COUNT(*), COUNT(DISTINCT a) FROM t",
        rows=[(3, 2)],
    ),
    Case(
        "case-insensitive comparison",
        ("CREATE TABLE t (a VARCHAR(9), UNIQUE KEY (a))", "INSERT INTO t VALUES ('x')"),
        "INSERT INTO t VALUES ('X')",
        fails=True,
    ),
    Case("case-insensitive comparison", (), "SELECT 'a' = 'A', 'a' < 'B'", rows=[(1, 1)]),
    Case("BINARY comparison", PEOPLE, "SELECT name FROM people WHERE BINARY name = 'ADA'", rows=[]),
    Case("LIKE case sensitivity", PEOPLE, "SELECT name FROM people WHERE name LIKE 'a%'", rows=[("Ada",)]),
    Case(
        "LIKE case sensitivity",
        (),
        r"SELECT '50%' LIKE '50\%', '500' LIKE '50\%', 'a_b' LIKE 'a|_b' ESCAPE '|', "
        "'Abc' NOT LIKE 'a_C'",
        rows=[(1, 0, 1, 0)],
    ),
    Case(
        "regular expressions: REGEXP, ~",
        PEOPLE,
        "SELECT name FROM people WHERE name REGEXP '^[AC]' ORDER BY id",
        rows=[("Ada",), ("Cy",)],
    ),
    Case(
        "regular expressions: REGEXP, ~",
        (),
        "SELECT 'abc' RLIKE 'B', 'abc' NOT REGEXP 'x|y', NULL REGEXP 'a'",
        rows=[(1, 1, None)],
    ),
    Case(
        "regular expressions: REGEXP, ~",
        (),
        "SELECT REGEXP_REPLACE('a1b22', '[0-9]+', '#'), REGEXP_SUBSTR('a1b22', '[0-9]{2}'), REGEXP_INSTR('abc', 'c')",
        rows=[("a#b#", "22", 3)],
    ),
    Case("IS DISTINCT FROM / <=>", PEOPLE, "SELECT NULL <=> NULL, 1 <=> NULL, 1 <=> 1", rows=[(1, 0, 1)]),
    Case(
        "boolean literals",
        (),
        "SELECT TRUE, FALSE, true = 1, 2 IS TRUE, NULL IS NOT TRUE, NULL IS UNKNOWN",
        rows=[(1, 0, 1, 1, 1, 1)],
    ),
    Case(
        "boolean literals",
        ("CREATE TABLE t (a BOOLEAN NOT NULL DEFAULT TRUE, b TINYINT(1))", "INSERT INTO t (b) VALUES (FALSE)"),
        "SELECT a, b FROM t WHERE a",
        rows=[(1, 0)],
    ),
    Case(
        "hex/bit strings",
        (),
        "SELECT X'4142' = 'AB', 0x41 + 0, HEX('AB'), UNHEX('4142') = 'AB', b'101' + 0, HEX(255)",
        rows=[(1, 65, "4142", 1, 5, "FF")],
    ),
    Case("NULL ordering", NUMBERS, "SELECT n FROM numbers ORDER BY n", rows=[(None,), (1,), (2,), (3,), (5,)]),
    Case(
        "NULL ordering",
        NUMBERS,
        "SELECT n FROM numbers ORDER BY n IS NULL, n DESC",
        rows=[(5,), (3,), (2,), (1,), (None,)],
    ),
    Case(
        "NULL ordering",
        NUMBERS,
        "SELECT n FROM numbers ORDER BY ISNULL(n), -n DESC",
        rows=[(1,), (2,), (3,), (5,), (None,)],
    ),
    Case(
        "joins",
        ORDERS,
        "SELECT c.name, o.price FROM customers c LEFT JOIN orders o ON o.customer_id = c.id ORDER BY c.id, o.id",
        rows=[("Ann", 5), ("Ann", 7), ("Ben", 9), ("Cat", None)],
    ),
    Case(
        "joins",
        ORDERS,
        "SELECT o.id, c.name FROM customers c RIGHT OUTER JOIN orders o ON o.customer_id = c.id ORDER BY o.id",
        rows=[(10, "Ann"), (11, "Ann"), (12, "Ben"), (13, None)],
    ),
    Case("joins", ORDERS, "SELECT STRAIGHT_JOIN COUNT(*) FROM customers CROSS JOIN orders", rows=[(12,)]),
    Case(
        "joins",
        ORDERS,
        "SELECT c.name FROM (customers c, orders o) WHERE c.id = o.customer_id AND o.price > 5 ORDER BY c.name",
        rows=[("Ann",), ("Ben",)],
    ),
    Case(
        "subqueries",
        ORDERS,
        "SELECT name, (SELECT COUNT(*) FROM orders o WHERE o.customer_id = c.id) AS n "
        "FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id) ORDER BY name",
        rows=[("Ann", 2), ("Ben", 1)],
    ),
    Case(
        "subqueries",
        ORDERS,
        "SELECT id FROM orders WHERE (customer_id, price) IN ((1, 7), (2, 9)) ORDER BY id",
        rows=[(11,), (12,)],
    ),
    Case("subqueries", ORDERS, "SELECT id FROM orders WHERE price >= ALL (SELECT price FROM orders)", rows=[(12,)]),
    Case("subqueries", ORDERS, "SELECT (SELECT name FROM customers WHERE id = 2)", rows=[("Ben",)]),
    Case("subqueries", ORDERS, "SELECT (SELECT name FROM customers WHERE id > 5)", rows=[(None,)]),
    Case("subqueries", ORDERS, "SELECT (SELECT name FROM customers)", fails=True),
    Case("subqueries", ORDERS, "SELECT (SELECT name FROM customers) AS n", fails=True),
    Case("subqueries", ORDERS, "SELECT (SELECT SUM(price) FROM orders GROUP BY customer_id)", fails=True),
    Case("subqueries", ORDERS, "WITH w AS (SELECT id FROM customers) SELECT (SELECT id FROM w)", fails=True),
    Case(
        "subqueries", ORDERS, "SELECT id FROM customers WHERE id < (SELECT id FROM orders UNION SELECT 3)", fails=True
    ),
    Case("subqueries", ORDERS, "SELECT id FROM customers ORDER BY (SELECT id FROM orders)", fails=True),
    Case("subqueries", ORDERS, "SELECT COUNT(*) FROM customers GROUP BY (SELECT id FROM orders)", fails=True),
    Case("subqueries", ORDERS, "DELETE FROM customers WHERE id = (SELECT customer_id FROM orders)", fails=True),
    Case(
        "subqueries",
        ORDERS,
        "SELECT name, (SELECT price FROM orders o WHERE o.customer_id = c.id) FROM customers c",
        fails=True,
    ),
    Case(
        "subqueries",
        ORDERS,
        "SELECT name, (SELECT price FROM orders o WHERE o.customer_id = c.id ORDER BY price LIMIT 1) AS p "
        "FROM customers c ORDER BY id",
        rows=[("Ann", 5), ("Ben", 9), ("Cat", None)],
    ),
    Case(
        "subqueries",
        ORDERS,
        "SELECT o.id, (SELECT c.name FROM customers c WHERE c.id = o.customer_id) FROM orders o ORDER BY o.id",
        rows=[(10, "Ann"), (11, "Ann"), (12, "Ben"), (13, None)],
    ),
    Case(
        "subqueries",
        ORDERS,
        "SELECT name FROM customers WHERE id = (SELECT customer_id FROM orders WHERE price > 5)",
        fails=True,
    ),
    Case(
        "subqueries",
        ORDERS,
        "SELECT name FROM customers WHERE id IN (3, (SELECT customer_id FROM orders WHERE price > 5))",
        fails=True,
    ),
    Case(
        "subqueries",
        ORDERS,
        "SELECT name FROM customers WHERE id IN (3, (SELECT customer_id FROM orders WHERE price > 7)) ORDER BY id",
        rows=[("Ben",), ("Cat",)],
    ),
    Case("aggregates with FILTER", PEOPLE, "SELECT COUNT(*) FILTER (WHERE pay > 1) FROM people", unsupported=True),
    Case("DISTINCT ON", PEOPLE, "SELECT DISTINCT ON (team) team FROM people", unsupported=True),
    Case(
        "comparison of a row with a subquery",
        ORDERS,
        "SELECT name FROM customers WHERE (id, name) = (SELECT id, name FROM customers WHERE name = 'Ben')",
        unsupported=True,
    ),
    Case(
        "subqueries",
        ORDERS,
        "UPDATE customers SET total = (SELECT price FROM orders WHERE customer_id = customers.id)",
        fails=True,
    ),
    Case(
        "subqueries",
        ORDERS,
        "UPDATE customers SET total = "
        "COALESCE((SELECT price FROM orders WHERE customer_id = customers.id AND price > 5), 0)",
        then="SELECT id, total FROM customers ORDER BY id",
        rows=[(1, 7), (2, 9), (3, 0)],
    ),
    Case("subqueries", ORDERS, "INSERT INTO customers (id, name) VALUES (9, (SELECT name FROM customers))", fails=True),
    Case("column aliases", ORDERS, "SELECT price * 2 AS p FROM orders WHERE p > 12", fails=True),
    Case(
        "column aliases",
        ORDERS,
        "SELECT price * 2 AS p FROM orders WHERE price > 6 ORDER BY p",
        rows=[(14,), (18,)],
    ),
    Case(
        "column aliases",
        ORDERS,
        "SELECT price * 2 AS price FROM orders WHERE price > 6 ORDER BY price",
        rows=[(14,), (18,)],
    ),
    Case(
        "column aliases",
        ORDERS,
        "SELECT name AS n FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE n > 'B')",
        fails=True,
    ),
    Case(
        "column aliases",
        ORDERS,
        "SELECT p FROM (SELECT price * 2 AS p FROM orders) AS o WHERE p > 12 ORDER BY p",
        rows=[(14,), (18,)],
    ),
    Case(
        "column aliases",
        ORDERS,
        "SELECT COUNT(*) AS c FROM orders GROUP BY customer_id HAVING c > 1",
        rows=[(2,)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*PEOPLE, LOOSE),
        "SELECT name, COUNT(*) FROM people GROUP BY id ORDER BY id LIMIT 2",
        rows=[("Ada", 1), ("Bob", 1)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*PEOPLE, LOOSE),
        "SELECT p.* FROM people p GROUP BY p.id HAVING pay > 100 ORDER BY p.pay",
        rows=[(1, "Ada", "red", "1815-12-10", 120.5)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*PEOPLE, LOOSE),
        "SELECT UPPER(people.team) AS t, COUNT(*) FROM people GROUP BY UPPER(team) ORDER BY 2 DESC, 1 LIMIT 1",
        rows=[("RED", 2)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*PEOPLE, LOOSE),
        "SELECT CASE WHEN team = 'red' THEN 1 ELSE 0 END, COUNT(*) FROM people GROUP BY CASE WHEN (team = "
        "'red') THEN 1 ELSE 0 END ORDER BY 1",
        rows=[(0, 2), (1, 2)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*PEOPLE, LOOSE),
        "SELECT team, SUM(COUNT(*)) OVER (), RANK() OVER (ORDER BY COUNT(*) DESC) FROM people WHERE team IS "
        "NOT NULL GROUP BY team ORDER BY 1",
        rows=[("blue", 3, 2), ("red", 3, 1)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*PEOPLE, LOOSE),
        "SELECT MAX(name) AS name FROM people GROUP BY team ORDER BY name",
        rows=[("Bob",), ("Cy",), ("Dee",)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*ORDERS, LOOSE),
        "SELECT c.name, SUM(o.price) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.id "
        "ORDER BY SUM(o.price)",
        rows=[("Ben", 9), ("Ann", 12)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*ORDERS, LOOSE),
        "SELECT (SELECT MAX(price) FROM orders WHERE customer_id = c.id), COUNT(*) FROM customers c GROUP BY "
        "c.id ORDER BY c.id",
        rows=[(7, 1), (9, 1), (None, 1)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*ORDERS, LOOSE),
        "SELECT c.id, (SELECT SUM(c.total)) FROM customers c GROUP BY c.id ORDER BY 1",
        rows=[(1, 0), (2, 0), (3, 0)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*ORDERS, LOOSE),
        "SELECT c.name, SUM(o.price) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY "
        "o.customer_id ORDER BY 2",
        rows=[("Ben", 9), ("Ann", 12)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*ORDERS, LOOSE),
        "SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id GROUP BY o.id ORDER BY o.id",
        rows=[(10, "Ann"), (11, "Ann"), (12, "Ben"), (13, None)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*ORDERS, LOOSE),
        "SELECT customer_id, COUNT(*) FROM orders WHERE customer_id = 1",
        rows=[(1, 2)],
    ),
    Case(
        "GROUP BY and HAVING",
        (*KEYED, LOOSE),
        "SELECT x, COUNT(*) FROM keyed GROUP BY code ORDER BY code",
        rows=[(5, 1), (6, 1)],
    ),
    Case("columns not determined by GROUP BY", KEYED, "SELECT opt FROM keyed GROUP BY x", unsupported=True),
    Case("columns not determined by GROUP BY", KEYED, "SELECT x FROM keyed GROUP BY opt", unsupported=True),
    Case("columns not determined by GROUP BY", PEOPLE, "SELECT name FROM people GROUP BY team", unsupported=True),
    Case("columns not determined by GROUP BY", PEOPLE, "SELECT name, COUNT(*) FROM people", unsupported=True),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "SELECT team FROM people GROUP BY team ORDER BY name",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "SELECT team FROM people GROUP BY team HAVING name = 'Ada'",
        unsupported=True,
    ),
    Case("columns not determined by GROUP BY", PEOPLE, "SELECT * FROM people GROUP BY team", unsupported=True),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "SELECT team, COUNT(*) + pay FROM people GROUP BY team",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "SELECT pay + 2, COUNT(*) FROM people GROUP BY pay + 1",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "SELECT UPPER(name) FROM people GROUP BY UPPER(team)",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "SELECT COUNT(*) FROM people ORDER BY name",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "SELECT team, RANK() OVER (ORDER BY name) FROM people GROUP BY team",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "SELECT team, SUM(pay) OVER () FROM people GROUP BY team",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "WITH w AS (SELECT team, pay FROM people) SELECT team, pay FROM w GROUP BY team",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        PEOPLE,
        "INSERT INTO people (name, team) SELECT name, MAX(team) FROM people GROUP BY team",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        ORDERS,
        "SELECT (SELECT c.name), COUNT(*) FROM customers c GROUP BY c.total",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        ORDERS,
        "SELECT total FROM customers c GROUP BY total HAVING EXISTS (SELECT 1 FROM orders o WHERE "
        "o.customer_id = c.id)",
        unsupported=True,
    ),
    Case(
        "columns not determined by GROUP BY",
        ORDERS,
        "SELECT o.id, c.name FROM orders o JOIN customers c ON o.price > 5 GROUP BY o.id",
        unsupported=True,
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT team, COUNT(*) AS n, SUM(pay) FROM people GROUP BY team HAVING n > 1",
        rows=[("red", 2, 220)],
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT UPPER(team) AS t, AVG(pay) FROM people WHERE team IS NOT NULL GROUP BY 1 ORDER BY t",
        rows=[("BLUE", 80), ("RED", 110)],
    ),
    Case("GROUP BY and HAVING", ORDERS, "SELECT COUNT(DISTINCT customer_id, price) FROM orders", rows=[(3,)]),
    Case(
        "GROUP BY and HAVING", ORDERS, "SELECT SUM(price > 5), COUNT(IF(price > 5, 1, NULL)) FROM orders", rows=[(2, 2)]
    ),
    Case(
        "GROUP_CONCAT / STRING_AGG",
        PEOPLE,
        "SELECT GROUP_CONCAT(name ORDER BY name DESC SEPARATOR '; ') FROM people",
        rows=[("Dee; Cy; Bob; Ada",)],
    ),
    Case(
        "GROUP_CONCAT / STRING_AGG",
        PEOPLE,
        "SELECT GROUP_CONCAT(DISTINCT team ORDER BY team), GROUP_CONCAT(id) FROM people WHERE id < 4",
        rows=[("blue,red", "1,2,3")],
    ),
    Case(
        "statistical aggregates",
        NUMBERS,
        "SELECT ROUND(STDDEV_POP(n), 4), ROUND(VAR_SAMP(n), 4), "
        "ROUND(STDDEV_SAMP(n), 4), ROUND(STD(n), 4) FROM numbers",
        rows=[(1.479, 2.9167, 1.7078, 1.479)],
    ),
    Case("bit aggregates", NUMBERS, "SELECT BIT_OR(n), BIT_AND(n), BIT_XOR(n) FROM numbers", rows=[(7, 0, 5)]),
    Case(
        "UNION, INTERSECT, EXCEPT",
        (),
        "(SELECT 1 AS n) UNION ALL (SELECT 3) UNION (SELECT 1) ORDER BY n DESC",
        rows=[(3,), (1,)],
    ),
    Case(
        "UNION, INTERSECT, EXCEPT",
        NUMBERS,
        "(SELECT n FROM numbers ORDER BY n DESC LIMIT 1) UNION ALL "
        "(SELECT n FROM numbers WHERE n IS NOT NULL ORDER BY n LIMIT 1)",
        rows=[(5,), (1,)],
    ),
    Case(
        "CTEs, recursive",
        PEOPLE,
        "WITH reds AS (SELECT * FROM people WHERE team = 'red') SELECT COUNT(*) FROM reds",
        rows=[(2,)],
    ),
    Case(
        "CTEs, recursive",
        TREE,
        "WITH RECURSIVE up (id, depth) AS (SELECT id, 0 FROM tree WHERE parent IS NULL UNION ALL "
        "SELECT t.id, up.depth + 1 FROM tree t JOIN up ON t.parent = up.id) SELECT id, depth FROM up ORDER BY id",
        rows=[(1, 0), (2, 1), (3, 1), (4, 2)],
    ),
    Case(
        "window functions",
        PEOPLE,
        "SELECT name, ROW_NUMBER() OVER (PARTITION BY team ORDER BY pay DESC) AS place "
        "FROM people WHERE team = 'red' ORDER BY place",
        rows=[("Ada", 1), ("Cy", 2)],
    ),
    Case(
        "window functions",
        NUMBERS,
        "SELECT n, SUM(n) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), "
        "LAG(n, 1) OVER w, RANK() OVER w, NTILE(2) OVER w FROM numbers WHERE n IS NOT NULL WINDOW w AS (ORDER BY n) "
        "ORDER BY n",
        rows=[(1, 1, None, 1, 1), (2, 3, 1, 2, 1), (3, 5, 2, 3, 2), (5, 8, 3, 4, 2)],
    ),
    Case(
        "IF/IFNULL/COALESCE",
        (),
        "SELECT IF(1 > 2, 'a', 'b'), IFNULL(NULL, 3), COALESCE(NULL, NULL, 'z'), NULLIF(1, 1), ISNULL(NULL)",
        rows=[("b", 3, "z", None, 1)],
    ),
    Case(
        "CASE",
        PEOPLE,
        "SELECT name, CASE WHEN pay > 100 THEN 'high' WHEN pay IS NULL THEN 'none' ELSE 'low' END "
        "FROM people ORDER BY id",
        rows=[("Ada", "high"), ("Bob", "low"), ("Cy", "low"), ("Dee", "none")],
    ),
    Case("GREATEST/LEAST", (), "SELECT GREATEST(1, 3, 2), LEAST('b', 'a'), GREATEST(1, NULL)", rows=[(3, "a", None)]),
    Case(
        "CAST and CONVERT",
        (),
        "SELECT CAST('12' AS SIGNED), CAST(-1.6 AS SIGNED), CAST('12x' AS UNSIGNED), "
        "CAST(5 AS CHAR), CONVERT('7', DECIMAL(5,1)), CONVERT('x' USING utf8mb4)",
        rows=[(12, -2, 12, "5", 7, "x")],
    ),
    Case(
        "CAST and CONVERT",
        (),
        "SELECT CAST('2024-01-02 03:04:05' AS DATE), CAST('2024-01-02' AS DATETIME), "
        "CAST(1.005 AS DECIMAL(10,2)), CAST('abc' AS CHAR(2))",
        rows=[("2024-01-02", "2024-01-02 00:00:00", 1.01, "ab")],
    ),
]

_FUNCTIONS = [
    Case(
        "string functions",
        (),
        "SELECT LENGTH('é'), CHAR_LENGTH('é'), UPPER('ab'), LCASE('AB'), REVERSE('abc')",
        rows=[(2, 1, "AB", "ab", "cba")],
    ),
    Case(
        "string functions",
        (),
        "SELECT LEFT('abcdef', 2), RIGHT('abcdef', 2), SUBSTRING('abcdef', 2, 3), "
        "SUBSTRING('abcdef' FROM 4), MID('abcdef', -3, 2), SUBSTR('abc', 0)",
        rows=[("ab", "ef", "bcd", "def", "de", "")],
    ),
    Case(
        "string functions",
        (),
        "SELECT SUBSTRING_INDEX('www.a.org', '.', 2), SUBSTRING_INDEX('www.a.org', '.', -2)",
        rows=[("www.a", "a.org")],
    ),
    Case(
        "string functions",
        (),
        "SELECT LOCATE('b', 'abcb'), LOCATE('b', 'abcb', 3), INSTR('abc', 'c'), POSITION('z' IN 'abc')",
        rows=[(2, 4, 3, 0)],
    ),
    Case(
        "string functions",
        (),
        "SELECT LPAD('7', 3, '0'), RPAD('ab', 4, '.'), LPAD('abcd', 2, '-'), REPEAT('ab', 3), "
        "CONCAT('<', SPACE(2), '>')",
        rows=[("007", "ab..", "ab", "ababab", "<  >")],
    ),
    Case(
        "string functions",
        (),
        "SELECT TRIM('  a '), LTRIM('  a'), TRIM(LEADING '0' FROM '007'), "
        "TRIM(BOTH 'x' FROM 'xxaxx'), TRIM(TRAILING 'y' FROM 'ay')",
        rows=[("a", "a", "7", "a", "a")],
    ),
    Case(
        "string functions",
        (),
        "SELECT REPLACE('aXbX', 'X', '-'), INSERT('Quadratic', 3, 4, 'What'), ASCII('A'), "
        "CHAR(65, 66 USING utf8mb4), STRCMP('a', 'b'), QUOTE('it''s')",
        rows=[("a-b-", "QuWhattic", 65, "AB", -1, r"'it\'s'")],
    ),
    Case(
        "FIELD, ELT, FIND_IN_SET",
        (),
        "SELECT FIELD('b', 'a', 'b', 'c'), FIELD('z', 'a'), ELT(2, 'x', 'y'), FIND_IN_SET('b', 'a,b,c')",
        rows=[(2, 0, "y", 2)],
    ),
    Case(
        "FIELD, ELT, FIND_IN_SET",
        PEOPLE,
        "SELECT name FROM people WHERE id IN (1, 2, 3) ORDER BY FIELD(id, 3, 1, 2)",
        rows=[("Cy",), ("Ada",), ("Bob",)],
    ),
    Case(
        "FORMAT, BIN, OCT, CONV",
        (),
        "SELECT FORMAT(1234567.891, 2), FORMAT(1234.5, 0), BIN(5), OCT(8), CONV('ff', 16, 10), CONV(10, 10, 2)",
        rows=[("1,234,567.89", "1,235", "101", "10", "255", "1010")],
    ),
    Case(
        "hashes and encodings",
        (),
        "SELECT MD5('a'), SHA1('a'), SHA2('a', 256), CRC32('a'), TO_BASE64('abc'), FROM_BASE64('YWJj') = 'abc'",
        rows=[
            (
                "0cc175b9c0f1b6a831c399e269772661",
                "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",
                "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
                3904355907,
                "YWJj",
                1,
            )
        ],
    ),
    Case("UUID", (), "SELECT CHAR_LENGTH(UUID()), UUID() <> UUID()", rows=[(36, 1)]),
    Case(
        "mathematical functions",
        (),
        "SELECT ABS(-3), CEIL(1.2), CEILING(-1.2), FLOOR(-1.2), SIGN(-9), MOD(7, 3), "
        "POW(2, 3), POWER(2, 0.5) > 1.41, SQRT(16)",
        rows=[(3, 2, -1, -2, -1, 1, 8, 1, 4)],
    ),
    Case(
        "mathematical functions",
        (),
        "SELECT ROUND(2.5), ROUND(-2.5), ROUND(3.14159, 2), ROUND(1234, -2), "
        "TRUNCATE(1.999, 1), TRUNCATE(-1.999, 1), TRUNCATE(129, -1)",
        rows=[(3, -3, 3.14, 1200, 1.9, -1.9, 120)],
    ),
    Case(
        "mathematical functions",
        (),
        "SELECT ROUND(LN(10), 4), ROUND(LOG(10), 4), LOG(2, 8), LOG2(8), LOG10(1000), "
        "ROUND(EXP(1), 4), ROUND(PI(), 4), ROUND(DEGREES(PI()), 1)",
        rows=[(2.3026, 2.3026, 3, 3, 3, 2.7183, 3.1416, 180)],
    ),
    Case("random numbers", (), "SELECT RAND() >= 0 AND RAND() < 1", rows=[(1,)]),
    Case(
        "random numbers",
        NUMBERS,
        "SELECT COUNT(*) FROM (SELECT n FROM numbers ORDER BY RAND() LIMIT 2) AS chosen",
        rows=[(2,)],
    ),
    Case(
        "now()/current_date",
        (),
        "SELECT NOW() > '2020-01-01', CHAR_LENGTH(CURDATE()), CHAR_LENGTH(NOW()), "
        "CURRENT_TIMESTAMP() = NOW(), CHAR_LENGTH(CURTIME()), UTC_TIMESTAMP() > '2020-01-01', SYSDATE() > '2020-01-01'",
        rows=[(1, 10, 19, 1, 8, 1, 1)],
    ),
    Case(
        "now()/current_date",
        EVENTS,
        "SELECT COUNT(*) FROM events WHERE at < NOW() - INTERVAL 1 DAY AND at < CURRENT_DATE",
        rows=[(3,)],
    ),
    Case(
        "date arithmetic with INTERVAL",
        (),
        "SELECT DATE_ADD('2024-01-31', INTERVAL 1 MONTH), "
        "DATE_SUB('2024-03-31', INTERVAL 1 DAY), DATE_ADD('2024-01-01 10:00:00', INTERVAL 90 MINUTE), "
        "ADDDATE('2024-02-28', 2)",
        rows=[("2024-02-29", "2024-03-30", "2024-01-01 11:30:00", "2024-03-01")],
    ),
    Case(
        "date arithmetic with INTERVAL",
        EVENTS,
        "SELECT at + INTERVAL 1 MONTH, at - INTERVAL 2 WEEK FROM events ORDER BY id",
        rows=[
            ("2024-02-29 10:20:30", "2024-01-17 10:20:30"),
            ("2024-03-29 23:59:59", "2024-02-15 23:59:59"),
            ("2024-01-31 00:00:00", "2023-12-17 00:00:00"),
        ],
    ),
    Case(
        "date arithmetic with INTERVAL",
        EVENTS,
        "SELECT id FROM events WHERE at >= %s - INTERVAL %s DAY ORDER BY id",
        ("2024-03-01 00:00:00", 31),
        rows=[(1,), (2,)],
    ),
    Case(
        "date arithmetic with INTERVAL",
        (),
        "SELECT DATE_ADD('2024-02-29', INTERVAL 1 YEAR), "
        "DATE_ADD('2024-01-01 00:00:00', INTERVAL '1:30' HOUR_MINUTE), DATE_ADD('2024-11-30', INTERVAL 1 QUARTER)",
        rows=[("2025-02-28", "2024-01-01 01:30:00", "2025-02-28")],
    ),
    Case(
        "date differences",
        (),
        "SELECT DATEDIFF('2024-03-01 23:00:00', '2024-02-28'), "
        "TIMESTAMPDIFF(MONTH, '2024-01-31', '2024-03-30'), TIMESTAMPDIFF(HOUR, '2024-01-01', '2024-01-02 12:30:00'), "
        "TIMESTAMPDIFF(YEAR, '2000-06-15', '2024-06-14')",
        rows=[(2, 1, 36, 23)],
    ),
    Case(
        "date differences",
        (),
        "SELECT TIMESTAMPADD(SECOND, 90, '2024-01-01 00:00:00'), "
        "TIMEDIFF('2024-01-02 01:00:00', '2024-01-01 23:30:00'), TIME_TO_SEC('01:01:01'), SEC_TO_TIME(3661)",
        rows=[("2024-01-01 00:01:30", "01:30:00", 3661, "01:01:01")],
    ),
    Case(
        "date parts",
        EVENTS,
        "SELECT YEAR(at), MONTH(at), DAY(at), HOUR(at), MINUTE(at), SECOND(at), DATE(at), "
        "TIME(at) FROM events WHERE id = 1",
        rows=[(2024, 1, 31, 10, 20, 30, "2024-01-31", "10:20:30")],
    ),
    Case(
        "date parts",
        (),
        "SELECT DAYOFWEEK('2024-02-29'), WEEKDAY('2024-02-29'), DAYOFYEAR('2024-02-29'), "
        "QUARTER('2024-02-29'), LAST_DAY('2023-02-01'), DAYNAME('2024-02-29'), MONTHNAME('2024-02-29'), "
        "WEEK('2024-02-29', 3), DAYOFMONTH('2024-02-29')",
        rows=[(5, 3, 60, 1, "2023-02-28", "Thursday", "February", 9, 29)],
    ),
    Case(
        "EXTRACT",
        EVENTS,
        "SELECT EXTRACT(YEAR FROM at), EXTRACT(DAY FROM at), EXTRACT(YEAR_MONTH FROM at), "
        "EXTRACT(MINUTE FROM at) FROM events WHERE id = 1",
        rows=[(2024, 31, 202401, 20)],
    ),
    Case(
        "date_trunc / DATE_FORMAT / STR_TO_DATE / TO_CHAR",
        EVENTS,
        "SELECT DATE_FORMAT(at, '%Y-%m'), "
        "DATE_FORMAT(at, '%d.%m.%y %H:%i:%s'), DATE_FORMAT(at, '%W %e %M %Y, %l:%i %p'), "
        "DATE_FORMAT(at, '%a %b %j %%') FROM events WHERE id = 1",
        rows=[("2024-01", "31.01.24 10:20:30", "Wednesday 31 January 2024, 10:20 AM", "Wed Jan 031 %")],
    ),
    Case(
        "date_trunc / DATE_FORMAT / STR_TO_DATE / TO_CHAR",
        EVENTS,
        "SELECT DATE_FORMAT(at, '%Y-%m-01') AS month, COUNT(*) FROM events GROUP BY month ORDER BY month",
        rows=[("2023-12-01", 1), ("2024-01-01", 1), ("2024-02-01", 1)],
    ),
    Case(
        "date_trunc / DATE_FORMAT / STR_TO_DATE / TO_CHAR",
        (),
        "SELECT STR_TO_DATE('31.01.2024', '%d.%m.%Y'), STR_TO_DATE('Jan 2, 2024 03:04', '%b %e, %Y %H:%i')",
        rows=[("2024-01-31", "2024-01-02 03:04:00")],
    ),
    Case(
        "Unix time",
        (),
        "SELECT UNIX_TIMESTAMP('1970-01-02 00:00:00'), FROM_UNIXTIME(86400), "
        "UNIX_TIMESTAMP() > 1600000000, FROM_UNIXTIME(0, '%Y')",
        rows=[(86400, "1970-01-02 00:00:00", 1, "1970")],
    ),
    Case(
        "JSON functions",
        DOCUMENTS,
        "SELECT JSON_UNQUOTE(JSON_EXTRACT(body, '$.name')), JSON_EXTRACT(body, '$.age'), "
        "JSON_EXTRACT(body, '$.name') FROM documents ORDER BY id",
        rows=[("Ada", "36", '"Ada"'), ("Bob", None, '"Bob"')],
    ),
    Case(
        "JSON functions",
        DOCUMENTS,
        "SELECT id FROM documents WHERE JSON_CONTAINS(body, '\"x\"', '$.tags')",
        rows=[(1,)],
    ),
    Case(
        "JSON functions", DOCUMENTS, "SELECT id FROM documents WHERE JSON_EXTRACT(body, '$.name') = 'Bob'", rows=[(2,)]
    ),
    Case(
        "JSON functions",
        DOCUMENTS,
        "UPDATE documents SET body = JSON_SET(body, '$.age', 40, '$.new', 'x') WHERE id = 2",
        then="SELECT JSON_EXTRACT(body, '$.age'), JSON_UNQUOTE(JSON_EXTRACT(body, '$.new')) FROM documents "
        "WHERE id = 2",
        rows=[("40", "x")],
    ),
    Case(
        "JSON functions",
        (),
        """SELECT JSON_OBJECT('a', 1), JSON_ARRAY(1, 'b', NULL), JSON_LENGTH('[1, 2]'), """
        """JSON_VALID('{'), JSON_TYPE('{}'), JSON_KEYS('{"a": 1, "b": 2}'), JSON_REMOVE('{"a": 1, "b": 2}', '$.a')""",
        rows=[('{"a":1}', '[1,"b",null]', 2, 0, "OBJECT", '["a","b"]', '{"b":2}')],
    ),
    Case("JSON aggregates", NUMBERS, "SELECT JSON_ARRAYAGG(n) FROM numbers WHERE n = 3", rows=[("[3]",)]),
    Case("JSON aggregates", COUNTERS, "SELECT JSON_OBJECTAGG(word, n) FROM counters", rows=[('{"a":1,"b":2}',)]),
    Case("INET_ATON", (), "SELECT INET_ATON('10.0.0.1'), INET_NTOA(167772161)", rows=[(167772161, "10.0.0.1")]),
]

_UNSUPPORTED = [
    Case("stored procedures", (), "CREATE PROCEDURE p () BEGIN SELECT 1; END", unsupported=True),
    Case("stored procedures", (), "CALL p(1)", unsupported=True),
    Case("CREATE FUNCTION", (), "CREATE FUNCTION f (a INT) RETURNS INT DETERMINISTIC RETURN a + 1", unsupported=True),
    Case("triggers", NUMBERS, "CREATE TRIGGER t BEFORE INSERT ON numbers FOR EACH ROW SET NEW.n = 1", unsupported=True),
    Case("users and privileges", (), "CREATE USER 'ada'@'%' IDENTIFIED BY 'secret'", unsupported=True),
    Case("users and privileges", NUMBERS, "GRANT SELECT ON numbers TO 'ada'@'%'", unsupported=True),
    Case("CREATE DATABASE / SCHEMA", (), "CREATE DATABASE other", unsupported=True),
    Case("geometry", (), "CREATE TABLE t (place GEOMETRY NOT NULL)", unsupported=True),
    Case("geometry", (), "SELECT ST_Distance(POINT(0, 0), POINT(3, 4))", unsupported=True),
    Case("full-text search", PEOPLE, "SELECT name FROM people WHERE MATCH (name) AGAINST ('ada')", unsupported=True),
    Case("LOAD DATA / COPY", NUMBERS, "LOAD DATA INFILE 'n.csv' INTO TABLE numbers", unsupported=True),
    Case("LOAD DATA / COPY", NUMBERS, "SELECT n INTO OUTFILE 'n.csv' FROM numbers", unsupported=True),
    Case("two-phase commit", (), "XA START 'one'", unsupported=True),
    Case("PREPARE / EXECUTE", (), "PREPARE s FROM 'SELECT 1'", unsupported=True),
    Case("events and cursors", (), "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t", unsupported=True),
    Case(
        "GROUPING SETS / ROLLUP",
        ORDERS,
        "SELECT customer_id, SUM(price) FROM orders GROUP BY customer_id WITH ROLLUP",
        unsupported=True,
    ),
    Case("LATERAL", ORDERS, "SELECT * FROM customers c, LATERAL (SELECT c.id + 1 AS x) AS l", unsupported=True),
    Case("advisory locks", (), "SELECT GET_LOCK('mine', 0)", unsupported=True),
    Case("replication and server control", (), "SHOW MASTER STATUS", unsupported=True),
    Case("replication and server control", (), "KILL 1", unsupported=True),
    Case("HANDLER", NUMBERS, "HANDLER numbers OPEN", unsupported=True),
]

_TYPED = (
    "CREATE TABLE typed (id INT PRIMARY KEY, price DECIMAL(10,2), ratio DOUBLE, word VARCHAR(20), day "
    "DATE, at DATETIME)",
    "INSERT INTO typed VALUES (1, 0.10, 2.5, '10', '2024-01-31', '2024-01-31 00:00:00'), "
    "(2, 80.00, -0.5, 'Zoe', '2024-02-29', '2024-02-29 12:00:00'), (3, 7.00, 1, 'zoë', NULL, NULL)",
)

_TYPES = [
    Case(
        "comparison of text with numbers",
        _TYPED,
        "SELECT id FROM typed WHERE word > 9 OR id = '3abc' ORDER BY id",
        rows=[(1,), (3,)],
    ),
    Case("comparison of text with numbers", (), "SELECT '10' > '9', '10' > 9, 'a' = 0, '3' + 4", rows=[(0, 1, 1, 7)]),
    Case(
        "exact numbers",
        _TYPED,
        "SELECT 0.1 + 0.2 = 0.3, price * 3 = 0.30, CONCAT(price, '!'), price / 3 FROM typed WHERE id = 1",
        rows=[(1, 1, "0.10!", 0.033333)],
    ),
    Case(
        "comparison of dates with timestamps",
        _TYPED,
        "SELECT id FROM typed WHERE at = day OR at > '2024-2-29' ORDER BY id",
        rows=[(1,), (2,)],
    ),
    Case(
        "equality by collation",
        _TYPED,
        "SELECT COUNT(DISTINCT word), MAX(word = 'ZOE ') FROM typed",
        rows=[(2, 1)],
    ),
    Case(
        "equality by collation",
        _TYPED,
        "SELECT word FROM typed WHERE id > 1 UNION SELECT 'ZOE'",
        rows=[("Zoe",)],
    ),
    Case(
        "rounding by type",
        _TYPED,
        "SELECT CAST(ratio AS SIGNED), CAST(2.5 AS SIGNED), ROUND(2.5) FROM typed WHERE id = 1",
        rows=[(2, 3, 3)],
    ),
    Case(
        "generated columns",
        ("CREATE TABLE t (a DECIMAL(5,2), b INT, c DECIMAL(9,2) AS (a * b) STORED)",),
        "INSERT INTO t (a, b) VALUES (0.10, 3)",
        then="SELECT c = 0.30 FROM t",
        rows=[(1,)],
    ),
    Case(
        "operator precedence",
        _TYPED,
        "SELECT ratio = word IS NULL, NOT 1 > 2 < 3, 2 BETWEEN 1 AND 3 = 1 FROM typed ORDER BY id",
        rows=[(0, 0, 1), (0, 0, 1), (0, 0, 1)],
    ),
    Case("combined bitwise operators without parentheses", (), "SELECT 4 | 2 & 1", unsupported=True),
    Case(
        "ROUND of an expression with a parameter",
        _TYPED,
        "SELECT ROUND(price * %s) FROM typed",
        (2,),
        unsupported=True,
    ),
    Case(
        "UNION of text and decimals", _TYPED, "SELECT word FROM typed UNION SELECT price FROM typed", unsupported=True
    ),
    Case("dates as numbers", _TYPED, "SELECT ABS(day), SUM(at) FROM typed", unsupported=True),
]

MYSQL = [*_TABLES, *_NUMBERS, *_WRITING, *_SESSION, *_QUERIES, *_FUNCTIONS, *_TYPES, *_UNSUPPORTED, *SESSION, *TABLES]
