"""SQL of Aurora's engines in the shell."""

from __future__ import annotations

import pytest

import clusterdb
from tests.shell.talk import Talking


@pytest.mark.parametrize(
    ("engine", "lines", "answer"),
    [
        ("aurora-mysql", ["CREATE TABLE t (s VARCHAR(20));", r"INSERT INTO t VALUES ('it\'s;');"], "it's;!\n"),
        ("aurora-postgresql", ["CREATE TABLE t (s TEXT);", "INSERT INTO t VALUES", "($$it's;$$);"], "it's;!\n"),
    ],
)
def test_statements_end_and_are_translated_as_in_the_engine(
    store: clusterdb.Store, talking: Talking, engine: str, lines: list[str], answer: str
) -> None:
    """Statements end where the engine's grammar says so, are translated, and refused in one line."""
    store.create_cluster("other", engine=engine)
    talk = talking("other")
    assert talk.say(*lines)[1] == ""
    assert talk.answer_to("SELECT concat(s, '!') FROM t; SELECT 1 WHERE 1 = 0;") == answer
    assert talk.answer_to(".tables") == "t\n"
    refused = talk.answer_to("SELECT frobnicate(s) FROM t;")
    assert refused.endswith(f"is not supported by {engine} clusters: SELECT frobnicate(s) FROM t\n")
    assert talk.answer_to("SELECT nope FROM t;") == "no such column: nope\n"
    assert talk.say("COMMIT;", "BEGIN;", "ROLLBACK;")[0] == "other> other> other*> other> \n"


def test_point_in_the_past_is_read_in_the_engines_sql(store: clusterdb.Store, talking: Talking) -> None:
    """A point in the past is read in the engine's own SQL."""
    store.create_cluster("other", engine="aurora-mysql", backtrack_window_s=60)
    talk = talking("other")
    talk.say("CREATE TABLE t (s VARCHAR(20));", "INSERT INTO t VALUES ('a');")
    version = store.cluster("other").stats().version
    talk.say("DELETE FROM t;", f".use other@{version}")
    assert talk.answer_to("SELECT CONCAT_WS('-', s, 'b') FROM t;") == "a-b\n"


def test_schema_change_of_mysql_commits_the_open_transaction(store: clusterdb.Store, talking: Talking) -> None:
    """A step that the translation asks for is taken: CREATE TABLE ends the open transaction."""
    store.create_cluster("other", engine="aurora-mysql")
    talk = talking("other")
    assert talk.say("BEGIN;", "CREATE TABLE t (x INT);")[0].endswith("other*> other> \n")
