"""INSERT, UPDATE, DELETE, ON CONFLICT, RETURNING, MERGE."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.postgresql.schemas import COUNTERS, NUMBERS, ORDERS, PEOPLE

UPSERT = "ON CONFLICT (word) DO UPDATE SET n = EXCLUDED.n"
PAIRS = ("CREATE TABLE pairs (a INT, b TEXT, n INT, PRIMARY KEY (a, b))", "INSERT INTO pairs VALUES (1, 'x', 0)")
RAILS = (
    'CREATE TABLE "posts" ("id" bigserial primary key, "title" character varying, "body" text, '
    '"published" boolean DEFAULT FALSE NOT NULL, "created_at" timestamp(6) without time zone NOT NULL)',
    'CREATE INDEX "index_posts_on_title" ON "posts" USING btree ("title")',
)

WRITING = [
    Case(
        "RETURNING",
        PEOPLE,
        "INSERT INTO people (name, team) VALUES (%s, %s) RETURNING id, upper(name) AS shout",
        ("Eve", "red"),
        rows=[(5, "EVE")],
    ),
    Case(
        "RETURNING",
        PEOPLE,
        'UPDATE "people" SET "team" = \'green\' WHERE "people"."id" = 1 RETURNING "people"."id", team',
        rows=[(1, "green")],
    ),
    Case(
        "RETURNING", PEOPLE, "DELETE FROM people WHERE id = 3 RETURNING *", rows=[(3, "Cy", "red", "2000-02-29", 99.5)]
    ),
    Case(
        "RETURNING",
        RAILS,
        'INSERT INTO "posts" ("title", "body", "published", "created_at") VALUES ($1, $2, $3, $4) RETURNING "id"',
        ("Hello", None, True, "2024-01-02 03:04:05.000006"),
        rows=[(1,)],
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        "INSERT INTO counters (word, n) VALUES ('a', 5), ('a', 6) ON CONFLICT (word) DO UPDATE SET n = EXCLUDED.n",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        "INSERT INTO counters (n, word) VALUES (5, 'z'), (6, 'z') ON CONFLICT (word) DO UPDATE SET n = EXCLUDED.n",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        PAIRS,
        "INSERT INTO pairs VALUES (2, 'x', 1), (1, 'y', 1), (2, 'x', 2) ON CONFLICT (b, a) DO UPDATE SET n = "
        "EXCLUDED.n",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        "INSERT INTO counters (word, n) VALUES (%s, 5), (%s, 6) ON CONFLICT (word) DO UPDATE SET n = EXCLUDED.n",
        ("q", "q"),
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        PAIRS,
        "INSERT INTO pairs VALUES (1, 'x', 1), (1, 'y', 1), (2, 'x', 2) ON CONFLICT (a, b) DO UPDATE SET n = "
        "EXCLUDED.n",
        then="SELECT * FROM pairs ORDER BY a, b",
        rows=[(1, "x", 1), (1, "y", 1), (2, "x", 2)],
    ),
    Case(
        "ON CONFLICT",
        (*PAIRS, "INSERT INTO pairs VALUES (1, 'x', 1), (1, 'y', 1) ON CONFLICT (a, b) DO UPDATE SET n = EXCLUDED.n"),
        "INSERT INTO pairs VALUES (1, 'x', 7), (1, 'y', 8) ON CONFLICT (a, b) DO UPDATE SET n = EXCLUDED.n",
        then="SELECT * FROM pairs ORDER BY a, b",
        rows=[(1, "x", 7), (1, "y", 8)],
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"INSERT INTO counters (word, n) SELECT 'a', g FROM generate_series(1, 2) AS g {UPSERT}",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"INSERT INTO counters (word, n) SELECT 'z', g FROM generate_series(1, 2) AS g {UPSERT}",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"INSERT INTO counters (word, n) SELECT word, 1 FROM counters UNION ALL SELECT 'a', 2 {UPSERT}",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"INSERT INTO counters (word, n) SELECT max(word), 1 FROM counters GROUP BY m < 5 {UPSERT}",
        then="SELECT word, n, m FROM counters ORDER BY word",
        rows=[("a", 1, 10), ("b", 1, 20)],
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"INSERT INTO counters (word, n) SELECT lower(w), 7 FROM (SELECT 'A' AS w UNION ALL SELECT 'a') AS x {UPSERT}",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"INSERT INTO counters (word, n) SELECT word, 7 FROM counters ORDER BY n DESC LIMIT 1 {UPSERT}",
        then="SELECT word, n, m FROM counters ORDER BY word",
        rows=[("a", 1, 10), ("b", 7, 20)],
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"INSERT INTO counters (word, n) VALUES ('a', 5), ('a', 6) {UPSERT} WHERE EXCLUDED.n > 5",
        then="SELECT word, n, m FROM counters ORDER BY word",
        rows=[("a", 6, 10), ("b", 2, 20)],
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"INSERT INTO counters (word, n) VALUES ('a', 6), ('a', 5) {UPSERT} WHERE EXCLUDED.n > 5",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"INSERT INTO counters (word, n) VALUES ('z', 6), ('z', 5) {UPSERT} WHERE EXCLUDED.n > 9",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        "INSERT INTO counters AS c (word, n) VALUES ('a', 6), ('a', 5) ON CONFLICT (word) DO UPDATE "
        "SET n = c.n + EXCLUDED.n WHERE c.m > 0",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"WITH x AS (SELECT 'a' AS w UNION ALL SELECT 'b') INSERT INTO counters (word, n) SELECT w, 9 FROM x {UPSERT}",
        then="SELECT word, n, m FROM counters ORDER BY word",
        rows=[("a", 9, 10), ("b", 9, 20)],
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        f"WITH x AS (SELECT 'a' AS w UNION ALL SELECT 'a') INSERT INTO counters (word, n) SELECT w, 9 FROM x {UPSERT}",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        "INSERT INTO counters (word) VALUES ('q'), ('q') ON CONFLICT (word) DO NOTHING",
        then="SELECT COUNT(*) FROM counters",
        rows=[(3,)],
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        "INSERT INTO counters (word, n) VALUES ('a', 5), ('c', 6) ON CONFLICT (word) DO UPDATE "
        "SET n = counters.n + EXCLUDED.n",
        then="SELECT word, n FROM counters ORDER BY word",
        rows=[("a", 6), ("b", 2), ("c", 6)],
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        "INSERT INTO counters VALUES ('a', 9, 9), ('c', 3, 3) ON CONFLICT DO NOTHING",
        then="SELECT word, n FROM counters ORDER BY word",
        rows=[("a", 1), ("b", 2), ("c", 3)],
    ),
    Case(
        "ON CONFLICT",
        COUNTERS,
        "INSERT INTO counters AS old VALUES ('a', 9, 9) ON CONFLICT (word) DO UPDATE SET n = "
        "excluded.n WHERE old.n < excluded.n RETURNING word, n",
        rows=[("a", 9)],
    ),
    Case(
        "INSERT ... SELECT",
        (*COUNTERS, *NUMBERS),
        "INSERT INTO numbers (n) SELECT m FROM counters",
        then="SELECT SUM(n) FROM numbers",
        rows=[(41,)],
    ),
    Case(
        "INSERT ... SELECT",
        NUMBERS,
        "INSERT INTO numbers SELECT 10 * i FROM generate_series(1, 3) AS i",
        then="SELECT SUM(n) FROM numbers",
        rows=[(71,)],
    ),
    Case(
        "UPDATE",
        COUNTERS,
        "UPDATE counters SET n = m, m = n WHERE word = 'a'",
        then="SELECT n, m FROM counters WHERE word = 'a'",
        rows=[(10, 1)],
    ),
    Case(
        "UPDATE",
        COUNTERS,
        "UPDATE counters SET (n, m) = (7, 8) WHERE word = 'a'",
        then="SELECT n, m FROM counters WHERE word = 'a'",
        rows=[(7, 8)],
    ),
    Case(
        "UPDATE of several tables",
        ORDERS,
        "UPDATE customers AS c SET total = o.price FROM orders o WHERE o.customer_id = c.id AND o.id > 10",
        then="SELECT id, total FROM customers ORDER BY id",
        rows=[(1, 7), (2, 9), (3, 0)],
    ),
    Case(
        "UPDATE of several tables",
        ORDERS,
        "UPDATE customers SET total = s.spent FROM (SELECT customer_id, SUM(price) "
        "AS spent FROM orders GROUP BY customer_id) s WHERE s.customer_id = customers.id",
        then="SELECT id, total FROM customers ORDER BY id",
        rows=[(1, 12), (2, 9), (3, 0)],
    ),
    Case(
        "UPDATE of several tables",
        ORDERS,
        "UPDATE customers SET total = v.total FROM (VALUES (1, 11), (3, 33)) "
        "AS v (id, total) WHERE v.id = customers.id",
        then="SELECT total FROM customers ORDER BY id",
        rows=[(11,), (0,), (33,)],
    ),
    Case(
        "DELETE ... USING",
        ORDERS,
        "DELETE FROM orders USING customers WHERE customers.id = orders.customer_id AND customers.name = 'Ann'",
        then="SELECT id FROM orders ORDER BY id",
        rows=[(12,), (13,)],
    ),
    Case("parameters %s and %(name)s", (), "SELECT %s::int + %s::int, %s::text", (1, 2, "it's"), rows=[(3, "it's")]),
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
        "SELECT name FROM people WHERE name LIKE 'A%%' AND id IN (%s, %s)",
        (1, 2),
        rows=[("Ada",)],
    ),
    Case(
        "parameters $1",
        COUNTERS,
        "SELECT word FROM counters WHERE n >= $1 AND m <= $2 AND n >= $1 ORDER BY word",
        (1, 15),
        rows=[("a",)],
    ),
    Case(
        "parameters $1",
        COUNTERS,
        "SELECT word, '$1' FROM counters WHERE m = $2 AND n = $1",
        (2, 20),
        rows=[("b", "$1")],
    ),
    Case(
        "transactions: START TRANSACTION, COMMIT, ROLLBACK",
        (*NUMBERS, "START TRANSACTION", "DELETE FROM numbers"),
        "ROLLBACK",
        then="SELECT COUNT(*) FROM numbers",
        rows=[(5,)],
    ),
    Case(
        "transactions: START TRANSACTION, COMMIT, ROLLBACK",
        (*NUMBERS, "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE", "DELETE FROM numbers"),
        "END",
        then="SELECT COUNT(*) FROM numbers",
        rows=[(0,)],
    ),
    Case(
        "transactions: START TRANSACTION, COMMIT, ROLLBACK",
        (*NUMBERS, "BEGIN WORK", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "DELETE FROM numbers"),
        "ABORT",
        then="SELECT COUNT(*) FROM numbers",
        rows=[(5,)],
    ),
    Case(
        "transactions: START TRANSACTION, COMMIT, ROLLBACK",
        (*NUMBERS, "BEGIN", "CREATE TABLE t (a INT)", "ROLLBACK"),
        "SELECT a FROM t",
        fails=True,
    ),
    Case(
        "savepoints",
        (
            *NUMBERS,
            "BEGIN",
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
        (*NUMBERS, "BEGIN", 'SAVEPOINT "s1_x2"', "DELETE FROM numbers", 'ROLLBACK TO "s1_x2"'),
        "COMMIT",
        then="SELECT COUNT(*) FROM numbers",
        rows=[(5,)],
    ),
    Case("FOR UPDATE", (*COUNTERS, "BEGIN"), "SELECT n FROM counters WHERE word = 'a' FOR UPDATE", rows=[(1,)]),
    Case(
        "FOR UPDATE",
        (*COUNTERS, "BEGIN"),
        "SELECT c.n FROM counters c ORDER BY c.n LIMIT 1 FOR NO KEY UPDATE OF c SKIP LOCKED",
        rows=[(1,)],
    ),
    Case("FOR UPDATE", (*COUNTERS, "BEGIN"), "SELECT n FROM counters WHERE word = 'a' FOR SHARE NOWAIT", rows=[(1,)]),
]
