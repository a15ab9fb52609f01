"""SELECT: joins, grouping, windows, comparisons, JSON."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.postgresql.schemas import COUNTERS, DJANGO, NUMBERS, ORDERS, PEOPLE

TREE = (
    "CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER, name TEXT)",
    "INSERT INTO tree VALUES (1, NULL, 'root'), (2, 1, 'left'), (3, 1, 'right'), (4, 2, 'leaf')",
)

QUERIES = [
    Case(
        "identifiers: quoting and case",
        ('CREATE TABLE "Order" ("Select" INT, plain INT)', 'INSERT INTO "Order" ("Select", PLAIN) VALUES (1, 2)'),
        'SELECT "Order"."Select", Plain FROM "Order"',
        rows=[(1, 2)],
    ),
    Case("identifiers: quoting and case", PEOPLE, 'SELECT name FROM people WHERE name = "Ada"', fails=True),
    Case(
        "backslash escapes in strings",
        (),
        r"SELECT 'a\n', E'a\nb', E'it\'s', 'x''y'",
        rows=[("a\\n", "a\nb", "it's", "x'y")],
    ),
    Case("dollar quoting", (), "SELECT $$it's$$, $tag$a $$ b$tag$", rows=[("it's", "a $$ b")]),
    Case("adjacent string literals", (), "SELECT 'a'\n'b'", rows=[("ab",)]),
    Case("LIMIT ... OFFSET", PEOPLE, "SELECT name FROM people ORDER BY id LIMIT %s OFFSET %s", (1, 2), rows=[("Cy",)]),
    Case("LIMIT ... OFFSET", PEOPLE, "SELECT name FROM people ORDER BY id OFFSET 2", rows=[("Cy",), ("Dee",)]),
    Case("LIMIT ... OFFSET", PEOPLE, "SELECT name FROM people ORDER BY id LIMIT ALL OFFSET 3", rows=[("Dee",)]),
    Case(
        "FETCH FIRST",
        PEOPLE,
        "SELECT name FROM people ORDER BY id OFFSET 1 ROWS FETCH FIRST 2 ROWS ONLY",
        rows=[("Bob",), ("Cy",)],
    ),
    Case(
        "VALUES",
        (),
        "SELECT v.a, v.b FROM (VALUES (1, 'x'), (2, 'y')) AS v (a, b) ORDER BY v.a DESC",
        rows=[(2, "y"), (1, "x")],
    ),
    Case("VALUES", (), "VALUES (1, 'x'), (2, 'y')", rows=[(1, "x"), (2, "y")]),
    Case("VALUES", PEOPLE, "TABLE people LIMIT 0", rows=[]),
    Case(
        "integer division: 7/2 (MySQL 3.5, PostgreSQL 3)",
        (),
        "SELECT 7/2, -7/2, 7/2.0, 7 % 4, -7 % 3",
        rows=[(3, -3, 3.5, 3, -1)],
    ),
    Case("division by zero", (), "SELECT 1/0", fails=True),
    Case("division by zero", NUMBERS, "SELECT 10 / NULLIF(n - n, 0) FROM numbers WHERE n = 1", rows=[(None,)]),
    Case(
        "string concatenation || vs CONCAT vs OR",
        (),
        "SELECT 'a' || 'b' || 3, 'a' || NULL, concat('a', NULL, 1), concat_ws('-', 'a', NULL, 'b')",
        rows=[("ab3", None, "a1", "a-b")],
    ),
    Case("case-sensitive comparison", PEOPLE, "SELECT name FROM people WHERE name = 'ADA'", rows=[]),
    Case(
        "case-sensitive comparison",
        ("CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('b'), ('A'), ('C')"),
        'SELECT a FROM t ORDER BY a COLLATE "C"',
        rows=[("A",), ("C",), ("b",)],
    ),
    Case(
        "LIKE case sensitivity",
        PEOPLE,
        "SELECT name FROM people WHERE name LIKE 'a%' OR name LIKE 'B%'",
        rows=[("Bob",)],
    ),
    Case(
        "LIKE case sensitivity",
        (),
        r"SELECT '50%' LIKE '50\%', '500' LIKE '50\%', 'a_b' LIKE 'a|_b' ESCAPE '|', "
        "'Abc' NOT LIKE 'a_c', 'abc' ~~ 'a%'",
        rows=[(1, 0, 1, 1, 1)],
    ),
    Case("ILIKE", PEOPLE, "SELECT name FROM people WHERE name ILIKE 'a%'", rows=[("Ada",)]),
    Case(
        "ILIKE",
        PEOPLE,
        "SELECT name FROM people WHERE name NOT ILIKE %s ORDER BY id",
        ("%D%",),
        rows=[("Bob",), ("Cy",)],
    ),
    Case("ILIKE", (), "SELECT 'ÄB' ILIKE 'äb', UPPER('ä'), 'abc' ILIKE NULL", rows=[(1, "Ä", None)]),
    Case(
        "regular expressions: REGEXP, ~",
        PEOPLE,
        "SELECT name FROM people WHERE name ~ '^[AC]' ORDER BY id",
        rows=[("Ada",), ("Cy",)],
    ),
    Case(
        "regular expressions: REGEXP, ~",
        (),
        "SELECT 'abc' ~ 'B', 'abc' ~* 'B', 'abc' !~ 'x|y', 'abc' !~* 'B', NULL ~ 'a'",
        rows=[(0, 1, 1, 0, None)],
    ),
    Case(
        "regular expressions: REGEXP, ~",
        (),
        r"SELECT regexp_replace('a1b22', '[0-9]+', '#'), "
        r"regexp_replace('a1b22', '[0-9]+', '#', 'g'), substring('foobar' from 'o(.)b'), "
        r"regexp_replace('ab', '(.)(.)', '\2\1')",
        rows=[("a#b22", "a#b#", "o", "ba")],
    ),
    Case("SIMILAR TO", (), "SELECT 'abc' SIMILAR TO '%(b|d)%', 'abc' SIMILAR TO 'b%'", rows=[(1, 0)]),
    Case(
        "IS DISTINCT FROM / <=>",
        (),
        "SELECT NULL IS DISTINCT FROM NULL, 1 IS DISTINCT FROM NULL, 1 IS NOT DISTINCT FROM 1",
        rows=[(0, 1, 1)],
    ),
    Case(
        "boolean literals",
        (),
        "SELECT TRUE, FALSE, 't'::boolean, 'off'::boolean, TRUE AND NULL, NOT TRUE, "
        "NULL IS NOT TRUE, (NULL::boolean) IS UNKNOWN",
        rows=[(1, 0, 1, 0, None, 0, 1, 1)],
    ),
    Case(
        "boolean literals",
        DJANGO,
        'SELECT "username" FROM "auth_user" WHERE NOT "auth_user"."is_staff" AND is_staff '
        "IS FALSE AND is_staff = 'false'",
        rows=[("bob",)],
    ),
    Case(
        "hex/bit strings",
        (),
        r"SELECT '\x4142'::bytea, encode('AB'::bytea, 'hex'), decode('4142', 'hex'), to_hex(255)",
        rows=[(b"AB", "4142", b"AB", "ff")],
    ),
    Case("NULL ordering", NUMBERS, "SELECT n FROM numbers ORDER BY n", rows=[(1,), (2,), (3,), (5,), (None,)]),
    Case("NULL ordering", NUMBERS, "SELECT n FROM numbers ORDER BY n DESC", rows=[(None,), (5,), (3,), (2,), (1,)]),
    Case("NULLS FIRST", NUMBERS, "SELECT n FROM numbers ORDER BY n ASC NULLS FIRST LIMIT 2", rows=[(None,), (1,)]),
    Case("NULLS FIRST", NUMBERS, "SELECT n FROM numbers ORDER BY n DESC NULLS LAST LIMIT 2", rows=[(5,), (3,)]),
    Case(
        "joins",
        ORDERS,
        "SELECT c.name, o.price FROM customers c LEFT JOIN orders o ON o.customer_id = c.id ORDER BY c.id, o.id",
        rows=[("Ann", 5), ("Ann", 7), ("Ben", 9), ("Cat", None)],
    ),
    Case(
        "joins",
        ORDERS,
        "SELECT c.id, o.id FROM customers c FULL OUTER JOIN orders o ON o.customer_id = c.id "
        "WHERE c.id IS NULL OR o.id IS NULL ORDER BY c.id",
        rows=[(3, None), (None, 13)],
    ),
    Case("joins", ORDERS, "SELECT COUNT(*) FROM customers CROSS JOIN orders", rows=[(12,)]),
    Case(
        "joins",
        ORDERS,
        "SELECT id, customers.total FROM customers JOIN (SELECT 1 AS id) AS one USING (id)",
        rows=[(1, 0)],
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
    Case(
        "subqueries",
        ORDERS,
        "SELECT id FROM orders WHERE customer_id = ANY (SELECT id FROM customers WHERE name <> 'Ann')",
        rows=[(12,)],
    ),
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
    Case(
        "subqueries",
        COUNTERS,
        "UPDATE counters SET (n, m) = (SELECT n, m FROM counters)",
        fails=True,
    ),
    Case(
        "subqueries",
        COUNTERS,
        "UPDATE counters SET (n, m) = (SELECT c.m, c.n FROM counters c WHERE c.n = counters.n)",
        then="SELECT * FROM counters ORDER BY word",
        rows=[("a", 10, 1), ("b", 20, 2)],
    ),
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
        fails=True,
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT name, COUNT(*) FROM people GROUP BY id ORDER BY id LIMIT 2",
        rows=[("Ada", 1), ("Bob", 1)],
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT p.* FROM people p GROUP BY p.id HAVING pay > 100 ORDER BY p.pay",
        rows=[(1, "Ada", "red", "1815-12-10", 120.5)],
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT UPPER(people.team) AS t, COUNT(*) FROM people GROUP BY UPPER(team) ORDER BY 2 DESC, 1 LIMIT 1",
        rows=[("RED", 2)],
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT CASE WHEN team = 'red' THEN 1 ELSE 0 END, COUNT(*) FROM people GROUP BY CASE WHEN (team = "
        "'red') THEN 1 ELSE 0 END ORDER BY 1",
        rows=[(0, 2), (1, 2)],
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT team, SUM(COUNT(*)) OVER (), RANK() OVER (ORDER BY COUNT(*) DESC) FROM people WHERE team IS "
        "NOT NULL GROUP BY team ORDER BY 1",
        rows=[("blue", 3, 2), ("red", 3, 1)],
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT MAX(name) AS name FROM people GROUP BY team ORDER BY name",
        rows=[("Bob",), ("Cy",), ("Dee",)],
    ),
    Case(
        "GROUP BY and HAVING",
        ORDERS,
        "SELECT c.name, SUM(o.price) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.id "
        "ORDER BY SUM(o.price)",
        rows=[("Ben", 9), ("Ann", 12)],
    ),
    Case(
        "GROUP BY and HAVING",
        ORDERS,
        "SELECT (SELECT MAX(price) FROM orders WHERE customer_id = c.id), COUNT(*) FROM customers c GROUP BY "
        "c.id ORDER BY c.id",
        rows=[(7, 1), (9, 1), (None, 1)],
    ),
    Case(
        "GROUP BY and HAVING",
        ORDERS,
        "SELECT c.id, (SELECT SUM(c.total)) FROM customers c GROUP BY c.id ORDER BY 1",
        rows=[(1, 0), (2, 0), (3, 0)],
    ),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT name FROM people GROUP BY team", fails=True),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT name, COUNT(*) FROM people", fails=True),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT team FROM people GROUP BY team ORDER BY name", fails=True),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT team FROM people GROUP BY team HAVING name = 'Ada'", fails=True),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT * FROM people GROUP BY team", fails=True),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT team, COUNT(*) + pay FROM people GROUP BY team", fails=True),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT pay + 2, COUNT(*) FROM people GROUP BY pay + 1", fails=True),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT UPPER(name) FROM people GROUP BY UPPER(team)", fails=True),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT COUNT(*) FROM people ORDER BY name", fails=True),
    Case(
        "GROUP BY and HAVING", PEOPLE, "SELECT team, RANK() OVER (ORDER BY name) FROM people GROUP BY team", fails=True
    ),
    Case("GROUP BY and HAVING", PEOPLE, "SELECT team, SUM(pay) OVER () FROM people GROUP BY team", fails=True),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "WITH w AS (SELECT team, pay FROM people) SELECT team, pay FROM w GROUP BY team",
        fails=True,
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "INSERT INTO people (name, team) SELECT name, MAX(team) FROM people GROUP BY team",
        fails=True,
    ),
    Case(
        "GROUP BY and HAVING", ORDERS, "SELECT (SELECT c.name), COUNT(*) FROM customers c GROUP BY c.total", fails=True
    ),
    Case(
        "GROUP BY and HAVING",
        ORDERS,
        "SELECT total FROM customers c GROUP BY total HAVING EXISTS (SELECT 1 FROM orders o WHERE "
        "o.customer_id = c.id)",
        fails=True,
    ),
    Case(
        "GROUP BY and HAVING",
        ORDERS,
        "SELECT o.id, c.name FROM orders o JOIN customers c ON o.price > 5 GROUP BY o.id",
        fails=True,
    ),
    Case(
        "GROUP BY and HAVING",
        ORDERS,
        "SELECT c.name, SUM(o.price) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY "
        "o.customer_id ORDER BY 2",
        fails=True,
    ),
    Case(
        "GROUP BY and HAVING",
        ORDERS,
        "SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id GROUP BY o.id ORDER BY o.id",
        fails=True,
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT team, COUNT(*) AS n, SUM(pay) FROM people GROUP BY team HAVING COUNT(*) > 1",
        rows=[("red", 2, 220)],
    ),
    Case(
        "GROUP BY and HAVING",
        PEOPLE,
        "SELECT UPPER(team) AS t, AVG(pay)::float FROM people WHERE team IS NOT NULL GROUP BY 1 ORDER BY t",
        rows=[("BLUE", 80), ("RED", 110)],
    ),
    Case(
        "aggregates with FILTER",
        PEOPLE,
        "SELECT COUNT(*) FILTER (WHERE team = 'red'), SUM(pay) FILTER (WHERE id > 1) FROM people",
        rows=[(2, 179.5)],
    ),
    Case(
        "BOOL_AND, BOOL_OR, EVERY",
        NUMBERS,
        "SELECT bool_and(n > 0), bool_or(n > 4), every(n > 1) FROM numbers",
        rows=[(1, 1, 0)],
    ),
    Case(
        "GROUP_CONCAT / STRING_AGG",
        PEOPLE,
        "SELECT string_agg(name, '; ' ORDER BY name DESC) FROM people",
        rows=[("Dee; Cy; Bob; Ada",)],
    ),
    Case(
        "GROUP_CONCAT / STRING_AGG",
        PEOPLE,
        "SELECT string_agg(DISTINCT team, ',' ORDER BY team), string_agg(id::text, '') FROM people WHERE id < 4",
        rows=[("blue,red", "123")],
    ),
    Case(
        "statistical aggregates",
        NUMBERS,
        "SELECT round(stddev_pop(n), 4), round(var_samp(n), 4), "
        "round(stddev(n), 4), round(variance(n), 4) FROM numbers",
        rows=[(1.479, 2.9167, 1.7078, 2.9167)],
    ),
    Case("bit aggregates", NUMBERS, "SELECT bit_or(n), bit_and(n) FROM numbers", rows=[(7, 0)]),
    Case(
        "UNION, INTERSECT, EXCEPT",
        (),
        "(SELECT 1 AS n) UNION ALL (SELECT 3) UNION (SELECT 1) ORDER BY n DESC",
        rows=[(3,), (1,)],
    ),
    Case(
        "UNION, INTERSECT, EXCEPT",
        NUMBERS,
        "SELECT n FROM numbers INTERSECT SELECT 2 UNION ALL (SELECT n FROM numbers "
        "EXCEPT SELECT n FROM numbers WHERE n < 5) ORDER BY 1",
        rows=[(2,), (5,), (None,)],
    ),
    Case(
        "DISTINCT ON",
        PEOPLE,
        "SELECT DISTINCT ON (team) team, name FROM people WHERE team IS NOT NULL ORDER BY team, pay DESC",
        rows=[("blue", "Bob"), ("red", "Ada")],
    ),
    Case(
        "CTEs, recursive",
        PEOPLE,
        "WITH reds AS MATERIALIZED (SELECT * FROM people WHERE team = 'red') SELECT COUNT(*) FROM reds",
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
        "CTEs, recursive",
        COUNTERS,
        "WITH big AS (SELECT word FROM counters WHERE n > 1) DELETE FROM counters WHERE word IN (SELECT word FROM big)",
        then="SELECT word FROM counters",
        rows=[("a",)],
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
        "window functions",
        NUMBERS,
        "SELECT n, FIRST_VALUE(n) OVER (ORDER BY n) FROM numbers ORDER BY n DESC NULLS LAST LIMIT 1",
        rows=[(5, 1)],
    ),
    Case("generate_series", (), "SELECT i FROM generate_series(1, 7, 3) AS i ORDER BY i", rows=[(1,), (4,), (7,)]),
    Case("generate_series", (), "SELECT g.n * 2 FROM generate_series(3, 1, -1) AS g (n)", rows=[(6,), (4,), (2,)]),
    Case(
        "arrays",
        (
            "CREATE TABLE t (id INT, tags TEXT[] NOT NULL DEFAULT '{}', n INT[])",
            "INSERT INTO t VALUES (1, ARRAY['a b', NULL, 'c'], '{1,2}'), (2, string_to_array('x,y', ','), NULL)",
        ),
        "SELECT id, tags::text, array_to_string(tags, '-', '?'), n || 3, 2 = ANY(n), tags[1], cardinality(tags) "
        "FROM t ORDER BY id",
        rows=[
            (1, '{"a b",NULL,c}', "a b-?-c", "[1,2,3]", 1, "a b", 3),
            (2, "{x,y}", "x-y", "[3]", None, "x", 2),
        ],
    ),
    Case("arrays", (), "SELECT '{1,2'::int[]", fails=True),
    Case(
        "functions of arrays",
        (),
        "SELECT array_length(ARRAY[5, 6], 1), array_upper(ARRAY[5, 6], 1), array_lower(ARRAY[5], 1), "
        "array_ndims(ARRAY[[1], [2]]), array_dims(ARRAY[[1], [2]])",
        rows=[(2, 2, 1, 2, "[1:2][1:1]")],
    ),
    Case(
        "functions of arrays",
        (),
        "SELECT array_cat(ARRAY[1], ARRAY[2]), array_append(ARRAY['a'], 'b')::text, array_prepend(0, ARRAY[1]), "
        "array_remove(ARRAY[1, 2, 1], 1), array_replace(ARRAY[1, NULL], NULL, 5)",
        rows=[("[1,2]", "{a,b}", "[0,1]", "[2]", "[1,5]")],
    ),
    Case(
        "functions of arrays",
        (),
        "SELECT array_position(ARRAY['a', 'b'], 'b'), array_positions(ARRAY[1, 2, 1], 1)",
        rows=[(2, "[1,3]")],
    ),
    Case(
        "unnest()",
        (*PEOPLE,),
        "SELECT name, x FROM people, unnest(ARRAY[id, id * 10]) AS u(x) WHERE x > 1 ORDER BY x LIMIT 2",
        rows=[("Bob", 2), ("Cy", 3)],
    ),
    Case(
        "array_agg and ARRAY(SELECT ...)",
        PEOPLE,
        "SELECT array_agg(id ORDER BY id DESC)::text = ARRAY(SELECT id FROM people ORDER BY id DESC)::text FROM people",
        rows=[(1,)],
    ),
    Case(
        "cursors: DECLARE, FETCH, MOVE, CLOSE",
        (*PEOPLE, "DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT id, name FROM people ORDER BY id", "MOVE LAST IN c"),
        "FETCH BACKWARD 1 FROM c",
        rows=[(3, "Cy")],
    ),
    Case("cursors: DECLARE, FETCH, MOVE, CLOSE", (), "DECLARE c CURSOR FOR SELECT 1", fails=True),
    Case("cursors: DECLARE, FETCH, MOVE, CLOSE", (), "CLOSE c", fails=True),
    Case(
        "= ANY (ARRAY[...])",
        PEOPLE,
        "SELECT name FROM people WHERE id = ANY (ARRAY[1, 3]) ORDER BY id",
        rows=[("Ada",), ("Cy",)],
    ),
    Case(
        "= ANY (ARRAY[...])",
        PEOPLE,
        "SELECT name FROM people WHERE team <> ALL ('{red,green}'::text[])",
        rows=[("Bob",)],
    ),
    Case(
        "IF/IFNULL/COALESCE", (), "SELECT COALESCE(NULL, NULL, 'z'), NULLIF(1, 1), NULLIF(2, 1)", rows=[("z", None, 2)]
    ),
    Case(
        "CASE",
        PEOPLE,
        "SELECT name, CASE WHEN pay > 100 THEN 'high' WHEN pay IS NULL THEN 'none' ELSE 'low' END "
        "FROM people ORDER BY id",
        rows=[("Ada", "high"), ("Bob", "low"), ("Cy", "low"), ("Dee", "none")],
    ),
    Case("GREATEST/LEAST", (), "SELECT GREATEST(1, 3, 2), LEAST('b', 'a'), GREATEST(1, NULL)", rows=[(3, "a", 1)]),
    Case(
        "BETWEEN SYMMETRIC",
        NUMBERS,
        "SELECT n FROM numbers WHERE n BETWEEN SYMMETRIC 3 AND 2 ORDER BY n",
        rows=[(2,), (3,)],
    ),
    Case(
        "casts with ::",
        (),
        "SELECT '12'::int, 5::text, '3.5'::float8, 1.6::int, -1.6::integer, 'abcdef'::varchar(3), "
        "1::boolean, TRUE::int",
        rows=[(12, "5", 3.5, 2, -2, "abc", 1, 1)],
    ),
    Case(
        "casts with ::",
        (),
        "SELECT '2024-01-02 03:04:05'::date, '2024-01-02'::timestamp, '03:04'::time, 1.005::numeric(8,2), "
        "CAST('7' AS bigint), int '8', date '2024-01-02'",
        rows=[("2024-01-02", "2024-01-02 00:00:00", "03:04:00", 1.01, 7, 8, "2024-01-02")],
    ),
    Case("casts with ::", (), "SELECT 'abc'::int", fails=True),
    Case(
        "casts with ::",
        (),
        "SELECT true::text, false::varchar, 1.50::text, NULL::text",
        rows=[("true", "false", "1.50", None)],
    ),
]
