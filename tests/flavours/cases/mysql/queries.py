"""SELECT: joins, grouping, windows, comparisons, JSON."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import NUMBERS, ORDERS, PEOPLE

KEYED = (
    "CREATE TABLE keyed (id INT PRIMARY KEY, code VARCHAR(9) NOT NULL UNIQUE, opt INT UNIQUE, x INT)",
    "INSERT INTO keyed VALUES (1, 'a', 1, 5), (2, 'b', NULL, 6)",
)
LOOSE = "SET SESSION sql_mode = 'STRICT_TRANS_TABLES'"  # MariaDB's ONLY_FULL_GROUP_BY knows nothing of keys
TREE = (
    "CREATE TABLE tree (id INT PRIMARY KEY, parent INT, name VARCHAR(9))",
    "INSERT INTO tree VALUES (1, NULL, 'root'), (2, 1, 'left'), (3, 1, 'right'), (4, 2, 'leaf')",
)

QUERIES = [
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
