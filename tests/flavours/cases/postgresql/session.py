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
