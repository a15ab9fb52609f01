"""INSERT, UPDATE, DELETE and REPLACE."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import COUNTERS, NUMBERS, ORDERS, PEOPLE, WORDPRESS

WRITING = [
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
