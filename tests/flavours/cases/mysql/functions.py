"""Functions."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql.schemas import COUNTERS, NUMBERS, PEOPLE

EVENTS = (
    "CREATE TABLE events (id INT PRIMARY KEY, at DATETIME NOT NULL)",
    "INSERT INTO events VALUES (1, '2024-01-31 10:20:30'), (2, '2024-02-29 23:59:59'), (3, '2023-12-31 00:00:00')",
)
DOCUMENTS = (
    "CREATE TABLE documents (id INT PRIMARY KEY, body JSON)",
    """INSERT INTO documents VALUES (1, '{"name": "Ada", "tags": ["x", "y"], "age": 36}'), (2, '{"name": "Bob"}')""",
)

_FEW_NUMBERS = ("CREATE TABLE few (n INT)", "INSERT INTO few VALUES (1), (2), (4), (NULL)")

FUNCTIONS = [
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
    # functions that the cases above leave out
    Case("string functions", (), "SELECT BIT_LENGTH('é'), BIT_LENGTH(125), BIT_LENGTH(NULL)", rows=[(16, 24, None)]),
    Case(
        "trigonometric functions",
        (),
        "SELECT ROUND(SIN(1), 6), ROUND(COS(1), 6), ROUND(TAN(1), 6), ROUND(ASIN(1), 6), ACOS(1), ROUND(ATAN(1), 6), "
        "ROUND(ATAN2(1, 2), 6), ROUND(RADIANS(180), 6)",
        rows=[(0.841471, 0.540302, 1.557408, 1.570796, 0, 0.785398, 0.463648, 3.141593)],
    ),
    Case("ATAN of two arguments", (), "SELECT ATAN(1, 2)", unsupported=True),
    Case(
        "JSON functions",
        (),
        """SELECT JSON_INSERT('{"a": 1}', '$.a', 2, '$.b', 3), JSON_REPLACE('{"a": 1}', '$.a', 2, '$.b', 3)""",
        rows=[('{"a":1,"b":3}', '{"a":2}')],
    ),
    Case(
        "statistical aggregates",
        _FEW_NUMBERS,
        "SELECT ROUND(VARIANCE(n), 6), ROUND(VAR_POP(n), 6), ROUND(STDDEV(n), 6) FROM few",
        rows=[(1.555556, 1.555556, 1.247219)],
    ),
    Case(
        "window functions",
        _FEW_NUMBERS,
        "SELECT n, PERCENT_RANK() OVER w, CUME_DIST() OVER w, FIRST_VALUE(n) OVER w, LAST_VALUE(n) OVER w, "
        "NTH_VALUE(n, 2) OVER w, DENSE_RANK() OVER w, LEAD(n) OVER w FROM few WHERE n IS NOT NULL "
        "WINDOW w AS (ORDER BY n) ORDER BY n",
        rows=[
            (1, 0, 0.333333333, 1, 1, None, 1, 2),
            (2, 0.5, 0.666666667, 1, 2, 2, 2, 4),
            (4, 1, 1, 1, 4, 2, 3, None),
        ],
    ),
    Case("functions with a wrong number of arguments", (), "SELECT UPPER('a', 'b')", fails=True),
    Case("functions with a wrong number of arguments", (), "SELECT CONCAT()", fails=True),
    Case("functions with a wrong number of arguments", (), "SELECT PI(1)", fails=True),
]
