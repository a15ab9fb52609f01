"""SET, SHOW, transactions and the catalogs."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.postgresql.schemas import COUNTERS, NUMBERS

SESSION = [
    Case(
        "information_schema",
        (*COUNTERS, *NUMBERS),
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name",
        rows=[("counters",), ("numbers",)],
    ),
    Case(
        "information_schema",
        COUNTERS,
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_name = 'counters' ORDER BY ordinal_position",
        rows=[("word", "text", "NO"), ("n", "integer", "NO"), ("m", "integer", "NO")],
    ),
    Case(
        "pg_catalog",
        (*COUNTERS, "CREATE VIEW seen AS SELECT word FROM counters"),
        "SELECT pg_catalog.pg_class.relname, c.relkind FROM pg_catalog.pg_class "
        "JOIN pg_class AS c ON c.oid = pg_catalog.pg_class.oid "
        "JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace "
        "WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'v']) AND pg_catalog.pg_table_is_visible(c.oid) "
        "AND pg_catalog.pg_namespace.nspname = 'public' ORDER BY 1",
        rows=[("counters", "r"), ("seen", "v")],
    ),
    Case(
        "pg_catalog",
        (
            "CREATE TYPE mood AS ENUM ('sad', 'happy')",
            "CREATE TABLE kinds (a serial PRIMARY KEY, b smallint NOT NULL, c bigint DEFAULT 5, d real, "
            "e double precision, f numeric(5, 2), g varchar(5), h text, i timestamp, j timestamptz, k time, l date, "
            "m boolean, n json, o jsonb, p uuid, q interval, r bytea, s mood, t char(3))",
        ),
        "SELECT a.attname, t.typname, a.attnum, a.attnotnull, a.atthasdef FROM pg_catalog.pg_attribute AS a "
        "JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid "
        "WHERE c.relname = 'kinds' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        rows=[
            *(("a", "int4", 1, 1, 1), ("b", "int2", 2, 1, 0), ("c", "int8", 3, 0, 1), ("d", "float4", 4, 0, 0)),
            *(("e", "float8", 5, 0, 0), ("f", "numeric", 6, 0, 0), ("g", "varchar", 7, 0, 0), ("h", "text", 8, 0, 0)),
            *(("i", "timestamp", 9, 0, 0), ("j", "timestamptz", 10, 0, 0), ("k", "time", 11, 0, 0)),
            *(("l", "date", 12, 0, 0), ("m", "bool", 13, 0, 0), ("n", "json", 14, 0, 0), ("o", "jsonb", 15, 0, 0)),
            *(("p", "uuid", 16, 0, 0), ("q", "interval", 17, 0, 0), ("r", "bytea", 18, 0, 0)),
            *(("s", "mood", 19, 0, 0), ("t", "bpchar", 20, 0, 0)),
        ],
    ),
    Case(
        "pg_catalog",
        ("CREATE TYPE mood AS ENUM ('sad', 'happy')",),
        "SELECT t.typname, t.typtype FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace "
        "WHERE t.typname = 'mood' AND pg_type_is_visible(t.oid) AND n.nspname != 'pg_catalog'",
        rows=[("mood", "e")],
    ),
    Case("pg_catalog", COUNTERS, "SELECT relname FROM pg_catalog.pg_class WHERE relname = 'nothing'", rows=[]),
    Case("pg_catalog", COUNTERS, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", rows=[("counters",)]),
    Case("more of pg_catalog", (), "SELECT count(*) FROM pg_catalog.pg_index", unsupported=True),
    Case("SHOW VARIABLES", (), "SHOW TRANSACTION ISOLATION LEVEL", names=("transaction_isolation",)),
    Case("SHOW VARIABLES", (), "SHOW TIME ZONE", names=("TimeZone",)),
    Case("SET of session variables", (), "SET client_encoding TO 'UTF8'", then="SELECT 1", rows=[(1,)]),
    Case("SET of session variables", (), "SET standard_conforming_strings = on", then="SELECT 1", rows=[(1,)]),
    Case("SET of session variables", (), "SET SESSION timezone TO 'UTC'", then="SELECT 1", rows=[(1,)]),
    Case("SET of session variables", (), "SET TIME ZONE 'UTC'", then="SELECT 1", rows=[(1,)]),
    Case("SET of session variables", (), "SET search_path TO public, pg_catalog", then="SELECT 1", rows=[(1,)]),
    Case("SET of session variables", (), "SET statement_timeout = 0", then="SELECT 1", rows=[(1,)]),
    Case("SET of session variables", (), "SELECT pg_catalog.set_config('search_path', '', false)", rows=[("",)]),
    Case(
        "SET of session variables",
        (),
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
        then="SELECT 1",
        rows=[(1,)],
    ),
    Case(
        "SET of session variables", ("SET client_min_messages TO warning",), "RESET ALL", then="SELECT 1", rows=[(1,)]
    ),
    Case("SHOW VARIABLES", (), "SHOW server_version"),
    Case("SHOW VARIABLES", (), "SHOW standard_conforming_strings", rows=[("on",)]),
    Case(
        "VERSION, DATABASE, USER, CONNECTION_ID",
        (),
        "SELECT version() <> '', current_database() <> '', current_user <> '', current_schema(), pg_backend_pid() > 0",
        rows=[(1, 1, 1, "public", 1)],
    ),
    Case("EXPLAIN", COUNTERS, "EXPLAIN SELECT * FROM counters"),
    Case("EXPLAIN", COUNTERS, "EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM counters WHERE n = 1"),
    Case("ANALYZE / OPTIMIZE", COUNTERS, "ANALYZE counters", then="SELECT 1", rows=[(1,)]),
    Case("ANALYZE / OPTIMIZE", COUNTERS, "VACUUM (ANALYZE) counters", then="SELECT 1", rows=[(1,)]),
    Case("ANALYZE / OPTIMIZE", COUNTERS, "REINDEX TABLE counters", then="SELECT 1", rows=[(1,)]),
    Case("DISCARD, DEALLOCATE", (), "DISCARD ALL", then="SELECT 1", rows=[(1,)]),
    Case("DISCARD, DEALLOCATE", (), "DEALLOCATE ALL", then="SELECT 1", rows=[(1,)]),
    Case("comments and hints", (), "SELECT 1 -- the first\n, 2 /* outer /* inner */ still */ + 1", rows=[(1, 3)]),
]
