"""Types of columns and the values they take."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.postgresql.schemas import PEOPLE

_TYPED = (
    "CREATE TABLE typed (id INT PRIMARY KEY, ok BOOLEAN, price NUMERIC(10,2), ratio DOUBLE PRECISION, code CHAR(4), "
    "day DATE, at TIMESTAMP, span INTERVAL, body JSONB, small SMALLINT)",
    "INSERT INTO typed VALUES (1, TRUE, 0.10, 2.5, 'ab', '2024-01-31', '2024-01-31 00:00:00', '90 minutes', "
    """'{"bb": 1, "a": [1, 2.50]}', 7), (2, FALSE, 80.00, -0.5, 'AB', '2024-02-29', '2024-02-29 12:00:00.5', """
    "'9 days', '[1]', -1)",
)

TYPES = [
    Case(
        "casts of parameters in VALUES",
        PEOPLE,
        "INSERT INTO people (id, name) SELECT p0::INTEGER, p1::VARCHAR FROM (VALUES (%s, %s, 0), (%s, %s, 1)) "
        "AS new (p0, p1, place) ORDER BY place RETURNING people.id, people.name AS name__1",
        ("70", "Jo", "71", "Al"),
        rows=[(70, "Jo"), (71, "Al")],
    ),
    Case(
        "casts of parameters in VALUES",
        (),
        "SELECT a::integer + 1, b::numeric(5, 2), c::boolean FROM (VALUES (%s, %s, %s), (%s, %s, %s)) AS v (a, b, c)",
        ("1", "2.5", "t", "3", "4.125", "f"),
        rows=[(2, 2.5, 1), (4, 4.13, 0)],
    ),
    Case(
        "casts of parameters in VALUES",
        (),
        "SELECT a::integer FROM (VALUES (%s)) AS v (a)",
        ("one",),
        fails=True,
    ),
    Case(
        "types of untyped literals",
        _TYPED,
        "SELECT id FROM typed WHERE id = '1' AND ok = 'yes' AND price > '0.05' AND at = '2024-1-31' AND id IN (1, '2')",
        rows=[(1,)],
    ),
    Case(
        "types of untyped literals",
        (),
        "SELECT '1' IN (1, 2), NULLIF(1, '1'), COALESCE(NULL, 5, '6'), 2 = '2', GREATEST(3, '10')",
        rows=[(1, None, 5, 1, 10)],
    ),
    Case("types of untyped literals", _TYPED, "SELECT id FROM typed WHERE id = 'one'", fails=True),
    Case(
        "exact numbers",
        _TYPED,
        "SELECT 0.1 + 0.2 = 0.3, price * 3 = 0.30, SUM(price) OVER () = 0.10, (price * 1.5)::text FROM typed "
        "WHERE id = 1",
        rows=[(1, 1, 1, "0.150")],
    ),
    Case(
        "exact numbers",
        _TYPED,
        "SELECT price::text, 'at ' || price, CONCAT(price, ok), 1.50::text, 1e3::text, (-0.5)::text FROM "
        "typed WHERE id = 2",
        rows=[("80.00", "at 80.00", "80.00f", "1.50", "1000", "-0.5")],
    ),
    Case(
        "rounding by type",
        _TYPED,
        "SELECT ROUND(ratio), ROUND(ratio::numeric), ratio::int, 2.5::int, ROUND(-2.5) FROM typed WHERE id = 1",
        rows=[(2, 3, 2, 3, -3)],
    ),
    Case(
        "integer ranges",
        (),
        "SELECT 1 << 31, 1 << 32, to_hex(-1), 2147483647 + 1::bigint",
        rows=[(-(2**31), 1, "ffffffff", 2**31)],
    ),
    Case("integer ranges", (), "SELECT 2147483647 + 1", fails=True),
    Case(
        "booleans as text",
        _TYPED,
        "SELECT ok::text, 'is ' || ok, CONCAT(ok), (id > 1)::text, format('%s', ok) FROM typed ORDER BY id",
        rows=[("true", "is true", "t", "false", "t"), ("false", "is false", "f", "true", "f")],
    ),
    Case(
        "comparison of dates with timestamps",
        _TYPED,
        "SELECT id FROM typed WHERE at = day OR at > DATE '2024-02-29' AND day < '2024-12-31 23:00:00' ORDER BY id",
        rows=[(1,), (2,)],
    ),
    Case(
        "CHAR padding",
        _TYPED,
        "SELECT code, code = 'ab  ', LENGTH(code), code || '.', code IN ('AB', 'x') FROM typed ORDER BY id",
        rows=[("ab  ", 1, 2, "ab.", 0), ("AB  ", 0, 2, "AB.", 1)],
    ),
    Case(
        "INTERVAL columns and arithmetic",
        _TYPED,
        "SELECT span, span * 2, span > '1 day', span + INTERVAL '1 hour', at - day > '01:00:00', "
        "EXTRACT(HOUR FROM span) FROM typed ORDER BY span",
        rows=[
            ("01:30:00", "03:00:00", 0, "02:30:00", 0, 1),
            ("216:00:00", "432:00:00", 1, "217:00:00", 1, 0),
        ],
    ),
    Case(
        "INTERVAL columns and arithmetic",
        (),
        "SELECT INTERVAL '1 month' = INTERVAL '30 days', AGE(DATE '2024-03-01', DATE '2000-02-29')::text, "
        "(TIMESTAMP '2024-01-05' - TIMESTAMP '2024-01-01')::text, TIME '10:00' - TIME '08:30'",
        rows=[(1, "210264:00:00", "96:00:00", "01:30:00")],
    ),
    Case(
        "canonical jsonb",
        _TYPED,
        """SELECT body, body = '{"a": [1, 2.50], "bb": 1}', body || '{"c": true}', body - 'bb', """
        "jsonb_build_object('ok', ok) FROM typed WHERE id = 1",
        rows=[
            (
                '{"a":[1,2.5],"bb":1}',
                1,
                '{"a":[1,2.5],"c":true,"bb":1}',
                '{"a":[1,2.5]}',
                '{"ok":true}',
            )
        ],
    ),
    Case(
        "assignment conversions",
        (*_TYPED, "UPDATE typed SET price = 1.005, code = 7, small = 2.5, day = at WHERE id = 2"),
        "SELECT price, code, small, day FROM typed WHERE id = 2",
        rows=[(1.01, "7   ", 3, "2024-02-29")],
    ),
    Case("assignment conversions", _TYPED, "UPDATE typed SET small = 40000", fails=True),
    Case(
        "typed expressions in constraints",
        ("CREATE TABLE t (ok BOOLEAN CHECK (ok = 'true'), a DATE, b TIMESTAMP, CHECK (a <= b))",),
        "INSERT INTO t VALUES (TRUE, '2024-01-01', '2024-01-01')",
        then="SELECT * FROM t",
        rows=[(1, "2024-01-01", "2024-01-01 00:00:00")],
    ),
    Case(
        "generated columns",
        ("CREATE TABLE t (a NUMERIC(5,2), b INT, c NUMERIC(9,2) GENERATED ALWAYS AS (a * b) STORED)",),
        "INSERT INTO t VALUES (0.10, 3)",
        then="SELECT c = 0.30 FROM t",
        rows=[(1,)],
    ),
    Case(
        "operator precedence",
        _TYPED,
        "SELECT id FROM typed WHERE TRUE < (id IN (2, 3)) IS NOT TRUE AND ok = (id = 1) AND ok = ok IS NOT "
        "NULL ORDER BY id",
        rows=[(1,), (2,)],
    ),
    Case("quotients converted to text", _TYPED, "SELECT (price / 3)::text FROM typed", unsupported=True),
    Case("ordering of jsonb", _TYPED, "SELECT id FROM typed ORDER BY body", unsupported=True),
    Case("uncommon to_char formats", _TYPED, "SELECT to_char(price, 'RN') FROM typed", unsupported=True),
]
