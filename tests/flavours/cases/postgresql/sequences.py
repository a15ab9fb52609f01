"""Sequences, SERIAL and identity columns."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.postgresql.schemas import COUNTERS, NUMBERS

SERIAL = ("CREATE TABLE t (id SERIAL PRIMARY KEY, a INT)",)
MIXED = (
    'CREATE TABLE "Users" ("userId" SERIAL PRIMARY KEY, a INT, "n" SERIAL)',
    'INSERT INTO "Users" (a) VALUES (1)',
)
ONE = ("INSERT INTO t (a) VALUES (1)",)
SEQUENCE = ("CREATE SEQUENCE s START WITH 5",)

SEQUENCES = [
    Case(
        "SERIAL columns",
        (*SERIAL, "INSERT INTO t VALUES (3, 0)", "INSERT INTO t (a) VALUES (1), (2)"),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 1), (2, 2), (3, 0)],
    ),
    Case("SERIAL columns", (*SERIAL, "INSERT INTO t VALUES (1, 0)"), "INSERT INTO t (a) VALUES (1)", fails=True),
    Case("SERIAL columns", (*SERIAL, "INSERT INTO t VALUES (2, 0)"), "INSERT INTO t (a) VALUES (1), (2)", fails=True),
    Case(
        "SERIAL columns",
        (*SERIAL, "BEGIN", "INSERT INTO t (a) VALUES (1), (2)", "ROLLBACK"),
        "INSERT INTO t (a) VALUES (3) RETURNING id, a",
        rows=[(3, 3)],
    ),
    Case(
        "SERIAL columns",
        (
            *(*SERIAL, "BEGIN", "INSERT INTO t (a) VALUES (1)", "SAVEPOINT p", "INSERT INTO t (a) VALUES (2)"),
            *("ROLLBACK TO SAVEPOINT p", "COMMIT", "INSERT INTO t (a) VALUES (3)"),
        ),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 1), (3, 3)],
    ),
    Case(
        "SERIAL columns",
        (*SERIAL, *NUMBERS, "INSERT INTO t (a) SELECT n FROM numbers WHERE n IS NOT NULL ORDER BY n DESC"),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 5), (2, 3), (3, 2), (4, 1)],
    ),
    Case(
        "SERIAL columns",
        (
            *SERIAL,
            *NUMBERS,
            "INSERT INTO t (a) SELECT n FROM numbers UNION SELECT 9 ORDER BY 1 DESC NULLS LAST LIMIT 2",
        ),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 9), (2, 5)],
    ),
    Case(
        "SERIAL columns",
        (*SERIAL, *NUMBERS, "INSERT INTO t (a) SELECT DISTINCT n / 2 FROM numbers WHERE n > 1 ORDER BY 1"),
        "SELECT id, a FROM t ORDER BY id",
        rows=[(1, 1), (2, 2)],
    ),
    Case("SERIAL columns", SERIAL, "INSERT INTO t DEFAULT VALUES RETURNING id, a", rows=[(1, None)]),
    Case(
        "SERIAL columns",
        SERIAL,
        "INSERT INTO t VALUES (DEFAULT, 1), (7, 2), (DEFAULT, 3) RETURNING id",
        rows=[(1,), (7,), (2,)],
    ),
    Case(
        "SERIAL columns",
        ("CREATE TABLE t (a TEXT PRIMARY KEY, n SERIAL, m SMALLSERIAL)", "INSERT INTO t (a) VALUES ('x'), ('y')"),
        "INSERT INTO t (a, m) VALUES ('z', 9) RETURNING *",
        rows=[("z", 3, 9)],
    ),
    Case(
        "SERIAL columns",
        ("CREATE TABLE t (id BIGSERIAL, at DATE, PRIMARY KEY (id, at))", "INSERT INTO t (at) VALUES ('2024-01-01')"),
        "INSERT INTO t (at) VALUES ('2024-01-01') RETURNING id",
        rows=[(2,)],
    ),
    Case("SERIAL columns", ("CREATE TABLE t (a INT, n SERIAL)",), "INSERT INTO t (n) VALUES (NULL)", fails=True),
    Case(
        "SERIAL columns",
        (*SERIAL, "INSERT INTO t (a) VALUES (1)", "DROP TABLE t", *SERIAL),
        "INSERT INTO t (a) VALUES (2) RETURNING id",
        rows=[(1,)],
    ),
    Case(
        "SERIAL columns",
        (*SERIAL, "INSERT INTO t (a) VALUES (1)", "ALTER TABLE t RENAME TO u", *SERIAL, "INSERT INTO t (a) VALUES (2)"),
        "INSERT INTO u (a) VALUES (3) RETURNING id",
        rows=[(2,)],
    ),
    Case(
        "SERIAL columns",
        (*SERIAL, "INSERT INTO t (a) VALUES (1)", "ALTER TABLE t RENAME COLUMN id TO key"),
        "INSERT INTO t (a) VALUES (3) RETURNING key",
        rows=[(2,)],
    ),
    Case(
        "SERIAL columns",
        (*SERIAL, "CREATE TABLE IF NOT EXISTS t (id SERIAL PRIMARY KEY)", "INSERT INTO t (a) VALUES (1)"),
        "INSERT INTO t (a) VALUES (3) RETURNING id",
        rows=[(2,)],
    ),
    Case(
        "SERIAL columns",
        ("CREATE TEMP TABLE t (id SERIAL PRIMARY KEY, a INT)", "INSERT INTO t (a) VALUES (1)"),
        "INSERT INTO t (a) VALUES (3) RETURNING id",
        rows=[(2,)],
    ),
    Case(
        "SERIAL columns",
        (
            "CREATE TABLE t (id SERIAL PRIMARY KEY, a INT UNIQUE)",
            "INSERT INTO t (a) VALUES (1), (1) ON CONFLICT (a) DO NOTHING",
        ),
        "INSERT INTO t (a) VALUES (3) RETURNING id",
        rows=[(3,)],
    ),
    Case(
        "SERIAL columns",
        (*SERIAL, "INSERT INTO t (a) VALUES (1), (2)", "TRUNCATE t RESTART IDENTITY"),
        "INSERT INTO t (a) VALUES (3) RETURNING id",
        rows=[(1,)],
    ),
    Case(
        "SERIAL columns",
        (*SERIAL, "INSERT INTO t (a) VALUES (1), (2)", "TRUNCATE t"),
        "INSERT INTO t (a) VALUES (3) RETURNING id",
        rows=[(3,)],
    ),
    Case(
        "SERIAL columns",
        (
            *(*SERIAL, "INSERT INTO t (a) VALUES (1), (2)", "BEGIN", "TRUNCATE t RESTART IDENTITY"),
            *("INSERT INTO t (a) VALUES (1)", "ROLLBACK"),
        ),
        "INSERT INTO t (a) VALUES (3) RETURNING id",
        rows=[(3,)],
    ),
    Case(
        "IDENTITY columns",
        ("CREATE TABLE t (id INT GENERATED BY DEFAULT AS IDENTITY (START WITH 100) PRIMARY KEY, a INT)",),
        "INSERT INTO t (a) VALUES (1), (2) RETURNING id",
        rows=[(100,), (101,)],
    ),
    Case(
        "IDENTITY columns",
        ("CREATE TABLE t (a TEXT, n BIGINT GENERATED ALWAYS AS IDENTITY)", "INSERT INTO t VALUES ('x')"),
        "INSERT INTO t VALUES ('y') RETURNING a, n",
        rows=[("y", 2)],
    ),
    Case(
        "IDENTITY columns",
        ("CREATE TABLE t (a TEXT, n BIGINT GENERATED ALWAYS AS IDENTITY)",),
        "INSERT INTO t VALUES ('x', 1)",
        fails=True,
    ),
    Case(
        "IDENTITY with INCREMENT BY",
        (),
        "CREATE TABLE t (id INT GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY 5) PRIMARY KEY)",
        unsupported=True,
    ),
    Case("sequences", SEQUENCE, "SELECT nextval('s'), nextval('s'::regclass), currval('public.s')", rows=[(5, 6, 6)]),
    Case(
        "sequences", (*SEQUENCE, "SELECT nextval('s')", "SELECT setval('s', 20)"), "SELECT nextval('S')", rows=[(21,)]
    ),
    Case("sequences", (*SEQUENCE, "SELECT setval('s', 20, false)"), "SELECT nextval('s')", rows=[(20,)]),
    Case("sequences", (*SEQUENCE, "SELECT setval('s', 20)"), "SELECT currval('s')", rows=[(20,)]),
    Case("sequences", (*SEQUENCE, "SELECT setval('s', NULL)"), "SELECT nextval('s')", rows=[(5,)]),
    Case("sequences", (*SEQUENCE, "SELECT nextval('s')", "SELECT setval('s', 2)"), "SELECT nextval('s')", rows=[(3,)]),
    Case("sequences", (*SEQUENCE, "SELECT nextval('s')", "SELECT setval('s', 9)"), "SELECT lastval()", rows=[(9,)]),
    Case("sequences", SEQUENCE, "SELECT currval('s')", fails=True),
    Case("sequences", SEQUENCE, "SELECT lastval()", fails=True),
    Case("sequences", (), "SELECT nextval('nowhere')", fails=True),
    Case("sequences", SEQUENCE, "CREATE SEQUENCE s", fails=True),
    Case("sequences", (*SEQUENCE, "DROP SEQUENCE s"), "SELECT nextval('s')", fails=True),
    Case("sequences", (), "DROP SEQUENCE nowhere", fails=True),
    Case("sequences", (), "DROP SEQUENCE IF EXISTS nowhere", then="SELECT 1", rows=[(1,)]),
    Case("sequences", SERIAL, "DROP SEQUENCE t_id_seq", fails=True),
    Case("sequences", (*SERIAL, "DROP TABLE t"), "SELECT nextval('t_id_seq')", fails=True),
    Case(
        "sequences",
        SERIAL,
        "SELECT pg_get_serial_sequence('t', 'id'), pg_get_serial_sequence('t', 'a')",
        rows=[("public.t_id_seq", None)],
    ),
    Case("sequences", SERIAL, "SELECT pg_get_serial_sequence('t', 'b')", fails=True),
    Case("sequences", MIXED, "SELECT nextval(pg_get_serial_sequence('\"Users\"', 'userId'))", rows=[(2,)]),
    Case(
        "sequences",
        MIXED,
        """SELECT pg_get_serial_sequence('"Users"', 'userId')""",
        rows=[('public."Users_userId_seq"',)],
    ),
    Case("sequences", MIXED, """SELECT nextval('"Users_userId_seq"')""", rows=[(2,)]),
    Case("sequences", MIXED, "SELECT nextval('users_userid_seq')", fails=True),
    Case("sequences", (*MIXED, 'ALTER TABLE "Users" DROP COLUMN "n"'), "SELECT nextval('\"Users_n_seq\"')", fails=True),
    Case(
        "sequences",
        (*MIXED, 'ALTER TABLE "Users" DROP COLUMN "n"'),
        'INSERT INTO "Users" (a) VALUES (3) RETURNING *',
        rows=[(2, 3)],
    ),
    Case("sequences", (), "CREATE TABLE t (id INT DEFAULT nextval('nowhere'))", fails=True),
    Case(
        "sequences",
        (
            *(*SERIAL, "INSERT INTO t VALUES (7, 1)"),
            "SELECT setval(pg_get_serial_sequence('\"t\"', 'id'), coalesce(max(id), 1), max(id) IS NOT null) FROM t",
        ),
        "INSERT INTO t (a) VALUES (2) RETURNING id",
        rows=[(8,)],
    ),
    Case(
        "sequences",
        (*SERIAL, "SELECT pg_catalog.setval('public.t_id_seq', 30, true)"),
        "INSERT INTO t (a) VALUES (2) RETURNING id",
        rows=[(31,)],
    ),
    Case(
        "sequences",
        (*SERIAL, "ALTER SEQUENCE t_id_seq RESTART WITH 50"),
        "INSERT INTO t (a) VALUES (2) RETURNING id",
        rows=[(50,)],
    ),
    Case(
        "sequences", (*SEQUENCE, "SELECT nextval('s')", "ALTER SEQUENCE s RESTART"), "SELECT nextval('s')", rows=[(5,)]
    ),
    Case(
        "sequences",
        (*SEQUENCE, "CREATE TABLE t (id INT PRIMARY KEY DEFAULT nextval('s'::regclass), a INT DEFAULT nextval('s'))"),
        "INSERT INTO t DEFAULT VALUES RETURNING id, a",
        rows=[(5, 6)],
    ),
    Case(
        "sequences",
        (
            *SEQUENCE,
            "CREATE TABLE t (a INT DEFAULT nextval('s'), b INT)",
            "INSERT INTO t VALUES (NULL, 1), (DEFAULT, 2)",
        ),
        "SELECT a, b FROM t ORDER BY b",
        rows=[(None, 1), (5, 2)],
    ),
    Case(
        "sequences",
        (*SEQUENCE, "CREATE TABLE t (a INT)"),
        "INSERT INTO t VALUES (nextval('s')) RETURNING a",
        rows=[(5,)],
    ),
    Case(
        "sequences",
        (*SEQUENCE, *NUMBERS, "UPDATE numbers SET n = nextval('s') WHERE n > 0"),
        "SELECT n FROM numbers ORDER BY n",
        rows=[(5,), (6,), (7,), (8,), (None,)],
    ),
    Case("sequences", (*SERIAL, *ONE), "INSERT INTO t (a) VALUES (currval('t_id_seq')) RETURNING *", rows=[(2, 2)]),
    Case("sequences", SERIAL, "INSERT INTO t (a) VALUES (currval('t_id_seq')) RETURNING *", rows=[(1, 1)]),
    Case("sequences", SERIAL, "INSERT INTO t (a) VALUES (lastval()), (lastval())", fails=True),
    Case(
        "sequences",
        (*SERIAL, *ONE),
        "INSERT INTO t (a) VALUES (lastval()), (lastval()) RETURNING *",
        rows=[(2, 1), (3, 2)],
    ),
    Case(
        "sequences",
        ("CREATE TABLE u (k INT, id SERIAL PRIMARY KEY, a INT)",),
        "INSERT INTO u (a, k, id) VALUES (lastval(), nextval('u_id_seq'), DEFAULT) RETURNING *",
        rows=[(1, 2, 2)],
    ),
    Case(
        "sequences",
        ("CREATE TABLE u (a INT, id SERIAL PRIMARY KEY, b INT)", "SELECT nextval('u_id_seq')"),
        "INSERT INTO u (a, b) VALUES (currval('u_id_seq'), currval('u_id_seq')) RETURNING *",
        rows=[(1, 2, 2)],
    ),
    Case("sequences", (*SERIAL, *ONE), "INSERT INTO t SELECT nextval('t_id_seq'), a FROM t RETURNING *", rows=[(2, 1)]),
    Case("nextval() with ORDER BY", (*SERIAL, *ONE), "SELECT nextval('t_id_seq') FROM t ORDER BY a", unsupported=True),
    Case("nextval() in subqueries", SERIAL, "SELECT count(*) FROM (SELECT nextval('t_id_seq')) q", unsupported=True),
    Case("sequences", SEQUENCE, "SELECT nextval(NULL), currval(NULL), setval(NULL, 1)", rows=[(None, None, None)]),
    Case("sequences", SEQUENCE, "SELECT setval('s', 0)", fails=True),
    Case("sequences", SEQUENCE, "ALTER SEQUENCE s RESTART WITH 0", fails=True),
    Case("sequences", (), "CREATE SEQUENCE s START 0", fails=True),
    Case(
        "sequences",
        ("CREATE SEQUENCE public.s AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1",),
        "SELECT nextval('s')",
        rows=[(1,)],
    ),
    Case("sequences", (*SERIAL, *ONE, "DROP TABLE t", *SERIAL), "SELECT currval('t_id_seq')", fails=True),
    Case("sequences", (*SERIAL, *ONE, "DROP TABLE t"), "SELECT lastval()", fails=True),
    Case(
        "SERIAL columns",
        (*SERIAL, "BEGIN", "INSERT INTO t (a) VALUES (1), (2)", "ROLLBACK", "DROP TABLE t", *SERIAL),
        "INSERT INTO t (a) VALUES (3) RETURNING id",
        rows=[(1,)],
    ),
    Case(
        "SERIAL columns",
        ("BEGIN", *SERIAL, "INSERT INTO t (a) VALUES (1), (2)", "ROLLBACK", *SERIAL),
        "INSERT INTO t (a) VALUES (3) RETURNING id",
        rows=[(1,)],
    ),
    Case("TRUNCATE", (*SERIAL, *ONE), "TRUNCATE public.t", then="SELECT count(*) FROM t", rows=[(0,)]),
    Case(
        "ON CONFLICT",
        COUNTERS,
        "INSERT INTO counters (word) VALUES ('q'), ('q') ON CONFLICT (word) DO UPDATE SET n = 1 WHERE false",
        fails=True,
    ),
    Case(
        "ON CONFLICT",
        ("CREATE TABLE odd (id TEXT PRIMARY KEY, rowid INT)",),
        "INSERT INTO odd VALUES ('a', 2), ('a', 1) ON CONFLICT (id) DO UPDATE SET rowid = excluded.rowid",
        fails=True,
    ),
    Case("CREATE SEQUENCE with INCREMENT or limits", (), "CREATE SEQUENCE s INCREMENT BY -1", unsupported=True),
    Case("CREATE SEQUENCE with INCREMENT or limits", (), "CREATE SEQUENCE s INCREMENT BY 2", unsupported=True),
    Case("CREATE SEQUENCE with INCREMENT or limits", (), "CREATE SEQUENCE s MAXVALUE 9 CYCLE", unsupported=True),
    Case("CREATE SEQUENCE with INCREMENT or limits", (), "CREATE SEQUENCE s CACHE 20", unsupported=True),
]
