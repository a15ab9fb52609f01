"""Where statements of other engines begin and end, in scripts that come in pieces."""

from __future__ import annotations

from typing import Any

import pytest

import clusterdb
from clusterdb.errors import Error
from clusterdb.flavours.mysql.scripts import MySQLSplitter
from clusterdb.flavours.postgresql.scripts import PostgreSQLSplitter
from clusterdb.flavours.scripts import Splitter, Statement

MYSQL = r"""/*M!999999\- enable the sandbox mode */
-- MariaDB dump; 10.19
# a comment;
/* another; */
/*!40101 SET @OLD=@@X */;
/*!999999 SELECT 'of a later server'; */;
SELECT 'a;b\';', "x;\"", `y;`  -- c ; d
 , 2*/*;*/3;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`a;;b`*/ /*!50003 TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN
  SET a = '*/;;'; END */;;
DELIMITER ;
INSERT INTO t VALUES (_binary 'a\0''b\Z',1), (_BINARY'',_binary '\\');
SELECT 1"""
MYSQL_STATEMENTS = [
    ("SET @OLD=@@X", 5),
    ("SELECT 'a;b\\';', \"x;\\\"\", `y;`  -- c ; d\n , 2* 3", 7),
    (
        "CREATE   DEFINER=`a;;b`   TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN\n  SET a = '*/;;'; END",
        10,
    ),
    ("INSERT INTO t VALUES (x'610027621a',1), (x'',x'5c')", 13),
    ("SELECT 1", 14),
]
POSTGRESQL = r"""--
-- PostgreSQL; dump
/* simple; */
SET x = 1;
\restrict abc
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $_$ begin; delete from v; $$; end $_$;
CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM v; SELECT CASE WHEN a THEN 1 END; END;
CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM v; DELETE FROM "v)");
SELECT E'a\';b', 'c\', "d;", a$b, 1 /* x /* nested; */ y; */;
COPY public.t (a, "b c") FROM stdin;
1	DELETE FROM v;
DELETE FROM v;	\N
\.

COPY public.t FROM stdin;
\.
COPY t FROM stdin WITH (FORMAT csv, HEADER);
a,b
x;"
COPY",1
\.
SELECT 1;
COPY t FROM stdin;
1
2"""
POSTGRESQL_STATEMENTS = [
    ("SET x = 1", 4),
    ("\\restrict abc", 5),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $_$ begin; delete from v; $$; end $_$", 6),
    (
        "CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM v; SELECT CASE WHEN a THEN 1 END; END",
        7,
    ),
    ('CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM v; DELETE FROM "v)")', 8),
    ("SELECT E'a\\';b', 'c\\', \"d;\", a$b, 1 /* x /* nested; */ y; */", 9),
    ('COPY public.t (a, "b c") FROM stdin;\n1\tDELETE FROM v;\nDELETE FROM v;\t\\N\n\\.\n', 10),
    ("COPY public.t FROM stdin;\n\\.\n", 15),
    ('COPY t FROM stdin WITH (FORMAT csv, HEADER);\na,b\nx;"\nCOPY",1\n\\.\n', 17),
    ("SELECT 1", 22),
    ("COPY t FROM stdin;\n1\n2\n\\.\n", 23),
]


def pieces(splitter: Splitter, script: str, size: int) -> list[tuple[str, int]]:
    """The statements of a script that comes in pieces of a size, without the blanks around them."""
    statements: list[Statement] = []
    for at in range(0, len(script), size):
        statements += splitter.feed(script[at : at + size])
    statements += splitter.finish()
    return [(text if text.endswith("\\.\n") else text.strip(), line) for text, line in statements]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
def test_statements_are_cut_where_the_client_cuts_them(size: int) -> None:
    """However the text comes: quotes, comments, DELIMITER, COPY with its data, the bodies of routines and rules."""
    assert pieces(MySQLSplitter(), MYSQL, size) == MYSQL_STATEMENTS
    assert pieces(PostgreSQLSplitter(), POSTGRESQL, size) == POSTGRESQL_STATEMENTS


def test_long_data_of_copy_comes_in_several_statements() -> None:
    """Each has whole lines, and the memory that is held does not grow with the data."""
    splitter, line = PostgreSQLSplitter(whole_copies=False), "x" * 99 + "\n"
    list(splitter.feed("COPY t (a) FROM stdin;\n"))
    statements: list[Statement] = []
    for _ in range(40):
        statements += splitter.feed(line * 1000)
        assert sum(map(len, splitter._held)) + len(splitter._text) < 3_000_000
    statements += splitter.feed("\\.\n")
    assert len(statements) > 1
    assert splitter.is_between
    data = [text.removeprefix("COPY t (a) FROM stdin;\n").removesuffix("\\.\n") for text, _ in statements]
    assert "".join(data) == line * 40_000


def test_unterminated_quotes_are_scanned_in_linear_time() -> None:
    """A pattern that backtracks would not end on them."""
    for splitter in (MySQLSplitter(), PostgreSQLSplitter()):
        for text in ("SELECT '" + "\\\\a''" * 20_000, "SELECT " + "( " * 50_000, "/*" + "*" * 50_000):
            splitter.feed(text)
        assert len(list(splitter.finish())) <= 1


REFUSED = [
    "COPY nope (a) FROM stdin;\n{}\\.\n",
    "COPY v (a) FROM stdin WITH (FORMAT binary);\n{}\\.\n",
    "COPY v (a) FROM stdin WITH (ENCODING 'latin1');\n{}\\.\n",
    "COPY v (nope) FROM stdin;\n{}\\.\n",
    "COPY v (d) FROM stdin;\n{}\\.\n",
    "COPY v (a, d) FROM stdin;\n{}\\.\n",
    "COPY v (a) FROM stdin;\n{}x\ty\n\\.\n",
    "COPY public.v (a) FROM stdin;\n{}\\101\\200\n\\.\n",
]


@pytest.fixture
def path(tmp_path: Any) -> Any:
    """A store with a PostgreSQL cluster that has a table with a row."""
    with clusterdb.open(tmp_path / "store", create=True) as store:
        store.create_cluster("pg", engine="aurora-postgresql")
        with clusterdb.connect("pg", store=store) as connection:
            connection.execute("CREATE TABLE v (a TEXT, d DATE, n NUMERIC(9,2), b BYTEA, f BOOLEAN)")
            connection.execute("INSERT INTO v (a) VALUES ('kept')")
        connection.close()
        yield store


@pytest.mark.parametrize("copy", REFUSED)
def test_data_of_a_refused_copy_is_not_executed(copy: str, path: Any) -> None:
    """Rows that look like statements are data, also if COPY cannot be done; what follows it is not run either."""
    connection = clusterdb.connect("pg", store=path)
    with pytest.raises(Error) as refusal:
        connection.executescript(copy.format("DELETE FROM v;\n" * 2) + "DELETE FROM v WHERE true;")
    assert "DELETE FROM v;\nDELETE" not in str(refusal.value)
    assert connection.execute("SELECT a FROM v").fetchall() == [("kept",)]
    connection.close()


def test_copy_converts_values_as_insert_does(path: Any) -> None:
    """Escapes, NULL, options, types; an empty COPY."""
    connection = clusterdb.connect("pg", store=path)
    connection.executescript(
        "DELETE FROM v;\n"
        "COPY v (a, d, n, b, f) FROM stdin;\n"
        "DELETE FROM v;\t2024-02-29\t1.50\t\\\\x6869\tt\n"
        "%s ? :x $1\t\\N\t\\N\t\\N\tf\n"
        "tab\\there\\\\ok\\nnl\\x41\\101\\q\t\\N\t-7\t\\N\t\\N\n"
        "\\.\n"
        "COPY v FROM stdin;\n\\.\n"
        "COPY v (a, f) FROM STDIN WITH (FORMAT csv, HEADER, NULL '-');\n"
        'a,f\n"x, ""y""\nz",\n'.replace(",\n", ",true\n")
        + '"-",-\n'
        "\\.\n"
        "COPY v (a, f) FROM STDIN DELIMITER '|' NULL AS 'none';\n"
        "none|none\n\\\\N\\|x|true\n"
        "\\.\n"
    )
    assert connection.execute("SELECT * FROM v").fetchall() == [
        ("DELETE FROM v;", "2024-02-29", 1.5, b"hi", 1),
        ("%s ? :x $1", None, None, None, 0),
        ("tab\there\\ok\nnlAAq", None, -7, None, None),
        ('x, "y"\nz', None, None, None, 1),
        ("-", None, None, None, None),
        (None, None, None, None, None),
        ("\\N|x", None, None, None, 1),
    ]
    connection.close()
