"""ALTER TABLE: columns, drops, renames, views and identity; the statements of pg_dump; enumerations."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.postgresql.schemas import FAMILY, T

VIEWED = (*T, "CREATE VIEW v AS SELECT a FROM t", "CREATE VIEW w AS SELECT a + 1 AS b FROM v")

_COLUMNS = [
    Case(
        "ADD COLUMN IF NOT EXISTS",
        T,
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT",
        then="SELECT a FROM t ORDER BY 1",
        rows=[(1,), (2,), (3,)],
    ),
    Case("ADD COLUMN IF NOT EXISTS", T, "ALTER TABLE t ADD COLUMN a INT", fails=True),
    Case(
        "ALTER TABLE ... ADD / DROP COLUMN",
        T,
        "ALTER TABLE t ADD COLUMN s SERIAL, ADD COLUMN d TIMESTAMP DEFAULT '2024-01-01' NOT NULL, ADD e INT UNIQUE",
        then="INSERT INTO t (a) VALUES (9) RETURNING s, d, e",
        rows=[(4, "2024-01-01 00:00:00", None)],
    ),
    Case("ALTER TABLE ... ADD / DROP COLUMN", T, "ALTER TABLE t ADD COLUMN d INT NOT NULL", fails=True),
    Case("ALTER TABLE ... ADD / DROP COLUMN", T, "ALTER TABLE t DROP COLUMN nope", fails=True),
    Case(
        "ALTER TABLE ... ADD / DROP COLUMN",
        (*FAMILY, "ALTER TABLE child ADD COLUMN q INT NULL CONSTRAINT qq REFERENCES parent (id) DEFERRABLE"),
        "INSERT INTO child VALUES (30, 1, 9)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD / DROP COLUMN",
        (*T, "CREATE INDEX ON t (b, a)", "CREATE INDEX by_lower ON t (lower(b))"),
        "ALTER TABLE t DROP COLUMN b, DROP a, DROP COLUMN c",
        then="SELECT * FROM t ORDER BY id",
        rows=[(1,), (2,), (3,)],
    ),
    Case("ALTER TABLE ... ADD / DROP COLUMN", VIEWED, "ALTER TABLE t DROP COLUMN a", fails=True),
    Case(
        "ALTER TABLE ... ADD / DROP COLUMN",
        (*VIEWED, "ALTER TABLE t DROP COLUMN a CASCADE"),
        "SELECT * FROM w",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD / DROP COLUMN",
        VIEWED,
        "ALTER TABLE t DROP COLUMN c",
        then="SELECT b FROM w ORDER BY b",
        rows=[(2,), (3,), (4,)],
    ),
    Case("ALTER TABLE ... ADD / DROP COLUMN", FAMILY, "ALTER TABLE parent DROP COLUMN id", fails=True),
    Case(
        "ALTER TABLE ... ADD / DROP COLUMN",
        FAMILY,
        "ALTER TABLE parent DROP COLUMN id CASCADE",
        then="SELECT p, name FROM child, parent ORDER BY p, name",
        rows=[(1, "one"), (1, "two"), (2, "one"), (2, "two")],
    ),
    Case("ALTER TABLE ... RENAME", T, "ALTER TABLE t RENAME a TO z", then="SELECT max(z) FROM t", rows=[(3,)]),
    Case(
        "ALTER TABLE ... RENAME", T, 'ALTER TABLE "t" RENAME a TO "A b"', then='SELECT max("A b") FROM t', rows=[(3,)]
    ),
    Case("ALTER TABLE ... RENAME", T, "ALTER TABLE t RENAME nope TO z", fails=True),
    Case("ALTER TABLE ... RENAME", T, "ALTER TABLE nope RENAME TO z", fails=True),
    Case(
        "ALTER TABLE ... ALTER COLUMN",
        (*T, "ALTER TABLE t ALTER COLUMN a SET DEFAULT 5, ALTER b DROP DEFAULT"),
        "INSERT INTO t DEFAULT VALUES RETURNING a, b",
        rows=[(5, None)],
    ),
    Case("ALTER TABLE ... ALTER COLUMN", T, "ALTER TABLE t ALTER COLUMN b SET NOT NULL", fails=True),
    Case(
        "ALTER TABLE ... ALTER COLUMN",
        (*T, "UPDATE t SET b = '' WHERE b IS NULL", "ALTER TABLE t ALTER COLUMN b SET NOT NULL"),
        "INSERT INTO t (b) VALUES (NULL)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ALTER COLUMN",
        ("CREATE TABLE n (a INT NOT NULL)", "ALTER TABLE n ALTER a DROP NOT NULL"),
        "INSERT INTO n VALUES (NULL)",
        then="SELECT count(*) FROM n",
        rows=[(1,)],
    ),
    Case("ALTER TABLE ... ALTER COLUMN", T, "ALTER TABLE t ALTER COLUMN id DROP NOT NULL", fails=True),
    Case("ALTER TABLE ... ALTER COLUMN", T, "ALTER TABLE t ALTER COLUMN nope SET DEFAULT 1", fails=True),
    Case(
        "ALTER TABLE ... ALTER COLUMN TYPE",
        (*T, "ALTER TABLE t ALTER COLUMN a TYPE TEXT"),
        "SELECT a || '!' FROM t ORDER BY a",
        rows=[("1!",), ("2!",), ("3!",)],
    ),
    Case(
        "ALTER TABLE ... ALTER COLUMN TYPE",
        T,
        "ALTER TABLE t ALTER b DROP DEFAULT, ALTER b TYPE INT USING b::integer * 2, ALTER COLUMN b SET DEFAULT 7",
        then="SELECT sum(b) FROM t",
        rows=[(60,)],
    ),
    Case("ALTER TABLE ... ALTER COLUMN TYPE", T, "ALTER TABLE t ALTER COLUMN b TYPE INT", fails=True),
    Case("ALTER TABLE ... ALTER COLUMN TYPE", T, "ALTER TABLE t ALTER COLUMN b TYPE INT USING b::int", fails=True),
    Case("ALTER TABLE ... ALTER COLUMN TYPE", T, "ALTER TABLE t ALTER COLUMN b TYPE VARCHAR(1)", fails=True),
    Case("ALTER TABLE ... ALTER COLUMN TYPE", VIEWED, "ALTER TABLE t ALTER COLUMN a TYPE BIGINT", fails=True),
    Case(
        "ALTER TABLE ... ALTER COLUMN TYPE",
        (*T, "ALTER TABLE t ALTER COLUMN b TYPE VARCHAR(2), ALTER COLUMN c TYPE NUMERIC(12,1)"),
        "INSERT INTO t (b) VALUES ('abc')",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ALTER COLUMN TYPE",
        (*T, "ALTER TABLE t ALTER COLUMN c TYPE NUMERIC(12,1), ALTER id TYPE BIGINT, ALTER a SET DATA TYPE SMALLINT"),
        "SELECT id, a, c::text FROM t ORDER BY id",
        rows=[(1, 1, "1.5"), (2, 2, "2.0"), (3, 3, None)],
    ),
    Case(
        "ALTER TABLE ... ALTER COLUMN TYPE",
        ("CREATE TABLE d (a DATE, n INT DEFAULT 5)", "INSERT INTO d VALUES ('2024-01-31')"),
        "ALTER TABLE d ALTER COLUMN a TYPE TIMESTAMP USING a::timestamp, ALTER COLUMN n TYPE TEXT",
        then="INSERT INTO d VALUES ('2024-02-01 10:00') RETURNING a, n || ''",
        rows=[("2024-02-01 10:00:00", "5")],
    ),
    Case(
        "ALTER TABLE ... ALTER COLUMN TYPE",
        (*FAMILY, "BEGIN", "ALTER TABLE parent ALTER COLUMN name TYPE VARCHAR(20)", "COMMIT"),
        "SELECT id, p FROM child ORDER BY id",
        rows=[(10, 1), (20, 2)],
    ),
    Case(
        "ALTER TABLE ... ALTER COLUMN TYPE",
        (*FAMILY, "BEGIN", "ALTER TABLE parent ALTER COLUMN name TYPE VARCHAR(20)", "ROLLBACK"),
        "DELETE FROM parent WHERE id = 1",
        then="SELECT id, p FROM child",
        rows=[(20, 2)],
    ),
    Case(
        "ALTER TABLE ... ALTER COLUMN TYPE",
        (*T, "ALTER TABLE t RENAME COLUMN b TO z", "ALTER TABLE t ALTER COLUMN z TYPE VARCHAR(3)"),
        "INSERT INTO t (z) VALUES ('long')",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... OWNER TO",
        T,
        "ALTER TABLE public.t OWNER TO postgres",
        then="SELECT count(*) FROM t",
        rows=[(3,)],
    ),
    Case(
        "ALTER INDEX ... RENAME",
        (*T, "CREATE INDEX i ON t (a)", "ALTER INDEX i RENAME TO j"),
        "DROP INDEX j",
        then="SELECT count(*) FROM t",
        rows=[(3,)],
    ),
    Case("ALTER INDEX ... RENAME", T, "ALTER INDEX nope RENAME TO j", fails=True),
]

ODD = (
    'CREATE TABLE "Odd, (x)" ("a,b" INT DEFAULT 1, "c)" TEXT DEFAULT \'x,)(\', "q""q" INT, "order" TEXT)',
    "INSERT INTO \"Odd, (x)\" VALUES (7, 'y', 8, 'z')",
)
_DROPS = [
    Case("DROP ... CASCADE", FAMILY, "DROP TABLE parent", fails=True),
    Case(
        "DROP ... CASCADE",
        (*FAMILY, "DROP TABLE parent CASCADE", "INSERT INTO child VALUES (30, 9)"),
        "SELECT * FROM child ORDER BY id",
        rows=[(10, 1), (20, 2), (30, 9)],
    ),
    Case("DROP ... CASCADE", VIEWED, "DROP TABLE t", fails=True),
    Case("DROP ... CASCADE", VIEWED, "DROP VIEW v", fails=True),
    Case("DROP ... CASCADE", (*VIEWED, "DROP TABLE t CASCADE"), "SELECT * FROM w", fails=True),
    Case("DROP ... CASCADE", VIEWED, "DROP VIEW v CASCADE", then="SELECT count(*) FROM t", rows=[(3,)]),
    Case("DROP ... CASCADE", FAMILY, "DROP TABLE parent, child", then="SELECT 1", rows=[(1,)]),
    Case("DROP ... CASCADE", FAMILY, "DROP TABLE child, nope", fails=True),
    Case("TRUNCATE and foreign keys", FAMILY, "TRUNCATE parent", fails=True),
    Case(
        "TRUNCATE and foreign keys",
        (*FAMILY, "ALTER TABLE child ADD CONSTRAINT q FOREIGN KEY (p) REFERENCES parent ON DELETE SET NULL"),
        "TRUNCATE child, parent",
        then="SELECT count(*) FROM parent",
        rows=[(0,)],
    ),
    Case(
        "TRUNCATE and foreign keys", FAMILY, "TRUNCATE parent CASCADE", then="SELECT count(*) FROM child", rows=[(0,)]
    ),
]
_NAMES = [
    Case(
        "ALTER TABLE with quoted names",
        (*ODD, 'ALTER TABLE "Odd, (x)" ADD CONSTRAINT "k, (1)" UNIQUE ("a,b", "c)"), ALTER "q""q" SET DEFAULT 5'),
        'INSERT INTO "Odd, (x)" ("order") VALUES (\'o\') RETURNING "a,b", "c)", "q""q"',
        rows=[(1, "x,)(", 5)],
    ),
    Case(
        "ALTER TABLE with quoted names",
        (
            *(*ODD, 'ALTER TABLE "Odd, (x)" ADD CONSTRAINT "k, (1)" UNIQUE ("a,b", "c)")'),
            *('ALTER TABLE "Odd, (x)" DROP CONSTRAINT "k, (1)"', 'ALTER TABLE "Odd, (x)" ADD COLUMN "n (" SERIAL'),
        ),
        'ALTER TABLE "Odd, (x)" DROP COLUMN "a,b", ALTER COLUMN "order" TYPE VARCHAR(3)',
        then='SELECT * FROM "Odd, (x)"',
        rows=[("y", 8, "z", 1)],
    ),
    Case(
        "ALTER TABLE in a transaction",
        (*T, "BEGIN", "ALTER TABLE t DROP COLUMN c", "SAVEPOINT s", "ALTER TABLE t ALTER a TYPE TEXT", "ROLLBACK TO s"),
        "SELECT max(a) + 1 FROM t",
        rows=[(4,)],
    ),
    Case(
        "ALTER TABLE in a transaction",
        (*T, "BEGIN", "ALTER TABLE t DROP COLUMN c, ADD COLUMN d SERIAL", "ROLLBACK"),
        "SELECT a, c FROM t ORDER BY a",
        rows=[(1, 1.5), (2, 2), (3, None)],
    ),
    Case(
        "ALTER TABLE in a transaction",
        ("CREATE TABLE s (id INT PRIMARY KEY, p INT REFERENCES s ON DELETE CASCADE)", "INSERT INTO s VALUES (1), (2)"),
        "ALTER TABLE s ALTER COLUMN id TYPE BIGINT, ALTER COLUMN p TYPE BIGINT, ADD COLUMN n INT DEFAULT 7 NOT NULL",
        then="SELECT * FROM s ORDER BY id",
        rows=[(1, None, 7), (2, None, 7)],
    ),
    Case(
        "temporary tables",
        ("CREATE TEMP TABLE s (a INT, b TEXT)", "INSERT INTO s VALUES (1, '5')"),
        "ALTER TABLE s ALTER COLUMN b TYPE INT USING b::int, ADD PRIMARY KEY (a)",
        then="SELECT a, b + 1 FROM s",
        rows=[(1, 6)],
    ),
    Case(
        "views",
        (
            *T,
            "CREATE VIEW public.v AS SELECT a FROM t",
            "CREATE OR REPLACE VIEW public.v AS SELECT a, count(*) FROM t GROUP BY a",
        ),
        "SELECT a, count FROM v ORDER BY a",
        rows=[(1, 1), (2, 1), (3, 1)],
    ),
]

_VIEWS = [
    Case(
        "views",
        (*VIEWED, "ALTER TABLE t RENAME COLUMN a TO z"),
        "SELECT v.a, b FROM v, w WHERE v.a = b ORDER BY b",
        rows=[(2, 2), (3, 3)],
    ),
]
_IDENTITY = [
    Case(
        "ALTER TABLE ... ADD / DROP IDENTITY",
        (
            "CREATE TABLE i (id INTEGER NOT NULL, a INT)",
            "ALTER TABLE public.i ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY ( SEQUENCE NAME public.i_id_seq "
            "START WITH 3 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1 )",
            "INSERT INTO i (a) VALUES (1)",
            "ALTER TABLE ONLY public.i ADD CONSTRAINT i_pkey PRIMARY KEY (id)",
            "SELECT pg_catalog.setval('public.i_id_seq', 9, true)",
        ),
        "INSERT INTO i (a) VALUES (2) RETURNING id, pg_get_serial_sequence('i', 'id')",
        rows=[(10, "public.i_id_seq")],
    ),
    Case(
        "ALTER TABLE ... ADD / DROP IDENTITY",
        (
            "CREATE TABLE i (id BIGINT PRIMARY KEY, a INT)",
            "ALTER TABLE i ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
        ),
        "INSERT INTO i VALUES (5, 5)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD / DROP IDENTITY",
        (
            "CREATE TABLE i (id BIGINT PRIMARY KEY, a INT)",
            "ALTER TABLE i ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
            "ALTER TABLE i ALTER COLUMN id SET GENERATED BY DEFAULT",
            "INSERT INTO i VALUES (5, 5)",
        ),
        "INSERT INTO i (a) VALUES (5) RETURNING id",
        rows=[(1,)],
    ),
    Case(
        "ALTER TABLE ... ADD / DROP IDENTITY",
        (
            "CREATE TABLE i (id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a INT)",
            "ALTER TABLE i ALTER COLUMN id DROP IDENTITY",
            "ALTER TABLE i ALTER COLUMN id DROP IDENTITY IF EXISTS",
        ),
        "SELECT nextval('i_id_seq')",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD / DROP IDENTITY",
        ("CREATE TABLE i (id BIGINT)",),
        "ALTER TABLE i ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
        fails=True,
    ),
    Case(
        "ALTER SEQUENCE ... OWNED BY",
        (
            "CREATE TABLE public.o (id integer NOT NULL, a text)",
            "CREATE SEQUENCE public.o_id_seq AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1",
            "ALTER SEQUENCE public.o_id_seq OWNED BY public.o.id",
            "ALTER TABLE ONLY public.o ALTER COLUMN id SET DEFAULT nextval('public.o_id_seq'::regclass)",
            "ALTER TABLE ONLY public.o ADD CONSTRAINT o_pkey PRIMARY KEY (id)",
        ),
        "INSERT INTO o (a) VALUES ('x'), ('y') RETURNING id, pg_get_serial_sequence('public.o', 'id')",
        rows=[(1, "public.o_id_seq"), (2, "public.o_id_seq")],
    ),
    Case(
        "ALTER SEQUENCE ... OWNED BY",
        (
            "CREATE TABLE o (id integer NOT NULL)",
            "CREATE SEQUENCE s",
            "ALTER SEQUENCE s OWNED BY o.id",
        ),
        "INSERT INTO o DEFAULT VALUES",
        fails=True,
    ),
    Case(
        "ALTER SEQUENCE ... OWNED BY",
        (
            *("CREATE TABLE o (id integer NOT NULL)", "CREATE SEQUENCE s", "ALTER SEQUENCE s OWNED BY o.id"),
            "DROP TABLE o",
        ),
        "SELECT nextval('s')",
        fails=True,
    ),
    Case(
        "ALTER SEQUENCE ... OWNED BY",
        (
            *("CREATE TABLE o (id integer NOT NULL)", "CREATE SEQUENCE s", "ALTER SEQUENCE s OWNED BY o.id"),
            *("ALTER SEQUENCE s OWNED BY NONE", "DROP TABLE o"),
        ),
        "SELECT nextval('s')",
        rows=[(1,)],
    ),
    Case("ALTER SEQUENCE ... OWNED BY", ("CREATE SEQUENCE s",), "ALTER SEQUENCE s OWNED BY nope.id", fails=True),
    Case(
        "sequences",
        ("CREATE SEQUENCE s", "ALTER SEQUENCE s AS bigint"),
        "SELECT nextval(('s'::text)::regclass)",
        rows=[(1,)],
    ),
]

_DUMPS = [
    Case(
        "settings written by pg_dump",
        (
            *("SET statement_timeout = 0", "SET lock_timeout = 0", "SET idle_in_transaction_session_timeout = 0"),
            *("SET client_encoding = 'UTF8'", "SET standard_conforming_strings = on", "SET xmloption = content"),
            *("SET check_function_bodies = false", "SET client_min_messages = warning", "SET row_security = off"),
            *("SET default_tablespace = ''", "SET default_table_access_method = heap"),
        ),
        "SELECT pg_catalog.set_config('search_path', '', false)",
        rows=[("",)],
    ),
    Case("SET of another time zone or search_path", (), "SET TIME ZONE 'Europe/Berlin'", unsupported=True),
    Case("SET of another time zone or search_path", (), "SET search_path TO other", unsupported=True),
    Case("SET of another time zone or search_path", (), "SET standard_conforming_strings = off", unsupported=True),
    Case(
        "defaults with casts",
        (
            "CREATE TABLE public.d (a text DEFAULT 'it''s'::text, b character(4) DEFAULT 'ab'::bpchar, "
            "c jsonb DEFAULT '{}'::jsonb NOT NULL, s smallint DEFAULT '-1'::integer, n numeric(10,2) DEFAULT 0.00, "
            "ok boolean DEFAULT false, raw bytea DEFAULT '\\x00ff'::bytea, "
            "v character varying(9) DEFAULT NULL::character varying, "
            "at timestamp without time zone DEFAULT '2024-01-31 00:00:00'::timestamp without time zone)",
            "INSERT INTO d DEFAULT VALUES",
        ),
        "SELECT a, b, c, s, n, ok, raw, v, at FROM public.d",
        rows=[("it's", "ab  ", "{}", -1, 0, 0, b"\x00\xff", None, "2024-01-31 00:00:00")],
    ),
    Case(
        "comments",
        (*T, "COMMENT ON TABLE public.t IS 'it''s; all'", "-- nothing", "/* nor /* here */ */", "-- one\n-- two\n;"),
        "-- before\nSELECT /* within */ count(*) FROM t -- after\n; -- and after that",
        rows=[(3,)],
    ),
    Case(
        "DEFAULT in VALUES",
        ("CREATE TABLE t (a INT DEFAULT 3, b TEXT DEFAULT 'x', c INT GENERATED ALWAYS AS (a * 2) STORED)",),
        "INSERT INTO t VALUES (DEFAULT, 'y', DEFAULT), (1, DEFAULT, DEFAULT) RETURNING a, b, c",
        rows=[(3, "y", 6), (1, "x", 2)],
    ),
    Case(
        "DEFAULT in VALUES",
        ("CREATE TABLE t (a INT DEFAULT 3, b TEXT)",),
        "INSERT INTO t (b, a) VALUES (DEFAULT, DEFAULT) RETURNING a, b",
        rows=[(3, None)],
    ),
    Case(
        "DEFAULT in VALUES",
        ("CREATE TABLE t (a INT DEFAULT 3)",),
        "INSERT INTO t VALUES (DEFAULT) RETURNING a",
        rows=[(3,)],
    ),
    Case(
        "DEFAULT in VALUES",
        ("CREATE TABLE t (id SERIAL PRIMARY KEY, a INT DEFAULT 3, b TEXT)",),
        "INSERT INTO t VALUES (DEFAULT, DEFAULT, 'x'), (DEFAULT, 4, DEFAULT), (9, DEFAULT, DEFAULT) RETURNING id, a, b",
        rows=[(1, 3, "x"), (2, 4, None), (9, 3, None)],
    ),
    Case(
        "DEFAULT in VALUES",
        ("CREATE TABLE t (a INT DEFAULT 3, b TEXT)",),
        "INSERT INTO t VALUES (DEFAULT, DEFAULT), (DEFAULT, DEFAULT) RETURNING a, b",
        rows=[(3, None), (3, None)],
    ),
    Case(
        "DEFAULT in VALUES",
        ("CREATE TABLE t (a INT DEFAULT 3, c INT GENERATED ALWAYS AS (a * 2) STORED)",),
        "INSERT INTO t VALUES (DEFAULT, DEFAULT), (1, 2)",
        fails=True,
    ),
    Case(
        "UPDATE ... SET ... = DEFAULT",
        ("CREATE TABLE t (a INT DEFAULT 3, b TEXT)", "INSERT INTO t VALUES (1, 'x')"),
        "UPDATE t SET a = DEFAULT, b = DEFAULT RETURNING a, b",
        rows=[(3, None)],
    ),
    Case(
        "RETURNING with a query of the same table",
        T,
        "INSERT INTO t (a) VALUES (9) RETURNING (SELECT count(*) FROM t)",
        unsupported=True,
    ),
    Case(
        "constraints in CREATE TABLE",
        ("CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)",),
        "INSERT INTO t (b) VALUES ('x')",
        fails=True,
    ),
    Case(
        "constraints in CREATE TABLE",
        (
            "CREATE TABLE t (id SERIAL CONSTRAINT k PRIMARY KEY CHECK (id < 3), a INT)",
            "INSERT INTO t (a) VALUES (1), (2)",
        ),
        "INSERT INTO t (a) VALUES (3)",
        fails=True,
    ),
]

MOODS = (
    "CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE TABLE m (id INT PRIMARY KEY, m public.mood DEFAULT 'ok'::public.mood NOT NULL)",
    "INSERT INTO m VALUES (1, 'sad'), (2, DEFAULT), (3, 'happy')",
)
_ENUMS = [
    Case("enumerated types", MOODS, "INSERT INTO m VALUES (4, 'bogus')", fails=True),
    Case("enumerated types", MOODS, "UPDATE m SET m = %s", ("bogus",), fails=True),
    Case("enumerated types", MOODS, "SELECT id FROM m WHERE m = 'bogus'", fails=True),
    Case("enumerated types", MOODS, "SELECT 'bogus'::mood", fails=True),
    Case("enumerated types", MOODS, "CREATE TYPE mood AS ENUM ('x')", fails=True),
    Case("enumerated types", MOODS, "DROP TYPE mood", fails=True),
    Case("enumerated types", (*MOODS, "DROP TABLE m", "DROP TYPE mood"), "DROP TYPE mood", fails=True),
    Case(
        "enumerated types",
        MOODS,
        "SELECT m, m > 'sad', m::text || '!', 'ok'::mood < 'happy'::mood, m IN ('sad', 'ok') FROM m ORDER BY m DESC",
        rows=[("happy", 1, "happy!", 1, 0), ("ok", 1, "ok!", 1, 1), ("sad", 0, "sad!", 1, 1)],
    ),
    Case(
        "enumerated types",
        MOODS,
        "SELECT id FROM m WHERE m BETWEEN 'ok' AND 'happy' AND m = ANY (ARRAY['ok'::mood, 'sad'::mood])",
        rows=[(2,)],
    ),
    Case("enumerated types", MOODS, "SELECT id FROM m WHERE m = %s", ("happy",), rows=[(3,)]),
    Case(
        "enumerated types",
        (*MOODS, "ALTER TYPE mood ADD VALUE 'fine' AFTER 'ok'", "INSERT INTO m VALUES (4, 'fine')"),
        "SELECT m FROM m ORDER BY m",
        rows=[("sad",), ("ok",), ("fine",), ("happy",)],
    ),
    Case(
        "enumerated types",
        (*MOODS, "ALTER TABLE m ALTER m DROP DEFAULT, ALTER m TYPE TEXT", "INSERT INTO m VALUES (4, 'bogus')"),
        "ALTER TABLE m ALTER COLUMN m TYPE mood USING m::mood",
        fails=True,
    ),
    Case(
        "enumerated types",
        (*MOODS, "CREATE VIEW v AS SELECT m AS x FROM m"),
        "SELECT x FROM v ORDER BY x",
        rows=[("sad",), ("ok",), ("happy",)],
    ),
    Case("max() of an enumerated type", MOODS, "SELECT max(m) FROM m", unsupported=True),
]

DEFINITIONS = [*_COLUMNS, *_DROPS, *_NAMES, *_VIEWS, *_IDENTITY, *_DUMPS, *_ENUMS]
