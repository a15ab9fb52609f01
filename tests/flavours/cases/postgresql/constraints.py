"""ALTER TABLE: constraints, and deferred ones."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.postgresql.schemas import FAMILY, T

LOOSE = (
    "CREATE TABLE parent (id INT PRIMARY KEY)",
    "CREATE TABLE child (id INT, p INT)",
    "INSERT INTO parent VALUES (1)",
    "INSERT INTO child VALUES (10, 1)",
)
DEFERRED = "ALTER TABLE child ADD CONSTRAINT f FOREIGN KEY (p) REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED"

CONSTRAINTS = [
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*T, "ALTER TABLE ONLY public.t ADD CONSTRAINT one_b UNIQUE (b)"),
        "INSERT INTO t (b) VALUES ('10')",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*T, "ALTER TABLE t ADD CONSTRAINT one_b UNIQUE (b)"),
        "INSERT INTO t (b, c) VALUES ('10', 7) ON CONFLICT (b) DO UPDATE SET c = EXCLUDED.c RETURNING id, c",
        rows=[(1, 7)],
    ),
    Case("ALTER TABLE ... ADD CONSTRAINT", T, "ALTER TABLE t ADD CONSTRAINT pos CHECK (a > 1)", fails=True),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*T, "ALTER TABLE t ADD CONSTRAINT pos CHECK (((a > 0) AND ((b)::text ~~ '%0'::text)))"),
        "INSERT INTO t (a, b) VALUES (7, 'no')",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*T, "ALTER TABLE t ADD CHECK (a < 9), ADD UNIQUE (c)"),
        "INSERT INTO t (a) VALUES (9)",
        fails=True,
    ),
    Case("ALTER TABLE ... ADD CONSTRAINT", T, "ALTER TABLE t ADD PRIMARY KEY (a)", fails=True),
    Case("ALTER TABLE ... ADD CONSTRAINT", T, "ALTER TABLE t ADD CONSTRAINT t_a_key CHECK (a > 0)", fails=True),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        ("CREATE TABLE p (a BIGINT, b TEXT)", "ALTER TABLE p ADD CONSTRAINT p_pkey PRIMARY KEY (a, b)"),
        "INSERT INTO p VALUES (1, NULL)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        ("CREATE TABLE p (a BIGINT, b TEXT)", "INSERT INTO p VALUES (NULL, 'x')"),
        "ALTER TABLE p ADD CONSTRAINT p_pkey PRIMARY KEY (a)",
        fails=True,
    ),
    Case("ALTER TABLE ... ADD CONSTRAINT", LOOSE, "ALTER TABLE child ADD FOREIGN KEY (p) REFERENCES nope", fails=True),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*LOOSE, "INSERT INTO child VALUES (20, 9)"),
        "ALTER TABLE child ADD CONSTRAINT f FOREIGN KEY (p) REFERENCES parent (id)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*LOOSE, "ALTER TABLE child ADD CONSTRAINT f FOREIGN KEY (p) REFERENCES parent (id)"),
        "INSERT INTO child VALUES (20, 9)",
        fails=True,
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*LOOSE, "ALTER TABLE child ADD CONSTRAINT f FOREIGN KEY (p) REFERENCES parent ON DELETE SET NULL"),
        "DELETE FROM parent",
        then="SELECT * FROM child",
        rows=[(10, None)],
    ),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        (*LOOSE, DEFERRED, "BEGIN", "INSERT INTO child VALUES (20, 9)", "INSERT INTO parent VALUES (9)"),
        "COMMIT",
        then="SELECT id FROM child ORDER BY id",
        rows=[(10,), (20,)],
    ),
    Case("ALTER TABLE ... ADD CONSTRAINT", (*LOOSE, DEFERRED, "BEGIN", "DELETE FROM parent"), "COMMIT", fails=True),
    Case(
        "ALTER TABLE ... ADD CONSTRAINT",
        ("CREATE TABLE t (id SERIAL, a INT)", "INSERT INTO t (a) VALUES (1)"),
        "ALTER TABLE t ADD CONSTRAINT t_pkey PRIMARY KEY (id)",
        then="INSERT INTO t (a) VALUES (2) RETURNING id",
        rows=[(2,)],
    ),
    Case(
        "deferrable UNIQUE constraints",
        T,
        "ALTER TABLE t ADD CONSTRAINT late UNIQUE (b) DEFERRABLE INITIALLY DEFERRED",
        unsupported=True,
    ),
    Case("deferrable UNIQUE constraints", (), "CREATE TABLE u (a INT UNIQUE DEFERRABLE)", unsupported=True),
    Case(
        "UNIQUE NULLS NOT DISTINCT",
        T,
        "ALTER TABLE t ADD CONSTRAINT late UNIQUE NULLS NOT DISTINCT (b)",
        unsupported=True,
    ),
    Case(
        "ALTER TABLE ... DROP CONSTRAINT",
        (*T, "ALTER TABLE t DROP CONSTRAINT t_a_key", "ALTER TABLE t DROP CONSTRAINT t_c_check"),
        "INSERT INTO t (a, c) VALUES (1, -1) RETURNING id, a, c",
        rows=[(4, 1, -1)],
    ),
    Case(
        "ALTER TABLE ... DROP CONSTRAINT",
        (*T, "ALTER TABLE t DROP CONSTRAINT t_pkey"),
        "INSERT INTO t (id) VALUES (1), (1)",
        then="SELECT count(*) FROM t WHERE id = 1",
        rows=[(3,)],
    ),
    Case(
        "ALTER TABLE ... DROP CONSTRAINT",
        (
            "CREATE TABLE k (a INT CHECK (a > 0), b VARCHAR(3), CHECK (a < 9), CHECK (a < length(b)))",
            *("ALTER TABLE k DROP CONSTRAINT k_check", "ALTER TABLE k DROP CONSTRAINT k_a_check1"),
        ),
        "INSERT INTO k VALUES (20, 'x') RETURNING a",
        rows=[(20,)],
    ),
    Case(
        "ALTER TABLE ... DROP CONSTRAINT",
        ("CREATE TABLE k (b VARCHAR(3))",),
        "ALTER TABLE k DROP CONSTRAINT k_b_check",
        fails=True,
    ),
    Case("ALTER TABLE ... DROP CONSTRAINT", T, "ALTER TABLE t DROP CONSTRAINT nope", fails=True),
    Case(
        "ALTER TABLE ... DROP CONSTRAINT",
        T,
        "ALTER TABLE t DROP CONSTRAINT IF EXISTS nope",
        then="SELECT count(*) FROM t",
        rows=[(3,)],
    ),
    Case("ALTER TABLE ... DROP CONSTRAINT", FAMILY, "ALTER TABLE parent DROP CONSTRAINT parent_pkey", fails=True),
    Case(
        "ALTER TABLE ... DROP CONSTRAINT",
        (*FAMILY, "ALTER TABLE parent DROP CONSTRAINT parent_pkey CASCADE"),
        "INSERT INTO child VALUES (30, 9)",
        then="SELECT * FROM child ORDER BY id",
        rows=[(10, 1), (20, 2), (30, 9)],
    ),
    Case(
        "ALTER TABLE ... DROP CONSTRAINT",
        (*FAMILY, "ALTER TABLE child DROP CONSTRAINT child_p_fkey"),
        "DELETE FROM parent",
        then="SELECT count(*) FROM child",
        rows=[(2,)],
    ),
    Case(
        "ALTER TABLE ... RENAME CONSTRAINT",
        (*T, "ALTER TABLE t RENAME CONSTRAINT t_a_key TO once"),
        "ALTER TABLE t DROP CONSTRAINT once",
        then="INSERT INTO t (a) VALUES (1) RETURNING a",
        rows=[(1,)],
    ),
    Case("ALTER TABLE ... RENAME CONSTRAINT", T, "ALTER TABLE t RENAME CONSTRAINT nope TO once", fails=True),
    Case(
        "ALTER TABLE ... VALIDATE CONSTRAINT",
        (*T, "ALTER TABLE t ADD CONSTRAINT pos CHECK (a > 0) NOT VALID"),
        "ALTER TABLE t VALIDATE CONSTRAINT pos",
        then="SELECT count(*) FROM t",
        rows=[(3,)],
    ),
    Case(
        "SET CONSTRAINTS",
        (*LOOSE, DEFERRED, "BEGIN", "INSERT INTO child VALUES (20, 9)"),
        "SET CONSTRAINTS ALL IMMEDIATE",
        fails=True,
    ),
    Case("SET CONSTRAINTS", LOOSE, "SET CONSTRAINTS nope IMMEDIATE", fails=True),
    Case(
        "SET CONSTRAINTS",
        (
            *(*LOOSE, DEFERRED.removesuffix("INITIALLY DEFERRED"), "BEGIN", "SET CONSTRAINTS f DEFERRED"),
            *("INSERT INTO child VALUES (20, 9)", "INSERT INTO parent VALUES (9)"),
        ),
        "COMMIT",
        then="SELECT count(*) FROM child",
        rows=[(2,)],
    ),
    Case(
        "several statements in one string",
        (*LOOSE, DEFERRED),
        'SET CONSTRAINTS "f" IMMEDIATE; ALTER TABLE child DROP CONSTRAINT "f"; -- done',
        then="INSERT INTO child VALUES (20, 9) RETURNING p",
        rows=[(9,)],
    ),
    Case(
        "several statements in one string",
        T,
        "ALTER TABLE t ADD COLUMN d INT; ALTER TABLE t ADD COLUMN a INT",
        fails=True,
    ),
]
