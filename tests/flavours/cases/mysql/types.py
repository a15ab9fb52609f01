"""Types of columns and the values they take."""

from __future__ import annotations

from tests.flavours.cases.case import Case

_TYPED = (
    "CREATE TABLE typed (id INT PRIMARY KEY, price DECIMAL(10,2), ratio DOUBLE, word VARCHAR(20), day "
    "DATE, at DATETIME)",
    "INSERT INTO typed VALUES (1, 0.10, 2.5, '10', '2024-01-31', '2024-01-31 00:00:00'), "
    "(2, 80.00, -0.5, 'Zoe', '2024-02-29', '2024-02-29 12:00:00'), (3, 7.00, 1, 'zoë', NULL, NULL)",
)

TYPES = [
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
