"""ALTER TABLE as migrations send it, and views."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import FAMILY, KEYED, LINK, PLAIN, SET_ROWS, SETS

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

ALTER = [*_ALTER, *_VIEWS]
