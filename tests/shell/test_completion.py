"""Completion of SQL and of dot commands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import clusterdb
from tests.shell.talk import Talking


def test_exit_and_quit_without_a_dot_leave_the_shell(talking: Talking) -> None:
    """exit and quit without a dot leave, at a prompt."""
    for word in ("exit", "quit;", ".exit", ".quit"):
        with pytest.raises(SystemExit):
            talking().say(word)


def test_completion_offers_sql_names_and_commands(store: clusterdb.Store, talking: Talking) -> None:
    """Tables, columns and keywords in SQL; commands, clusters, snapshots and endpoints behind a dot."""
    store.cluster("prod").snapshot("nightly")
    store.create_cluster("dev-2")
    talk = talking()

    def completed(line: str, complete: Callable[[str, str, int, int], list[str]]) -> list[str]:
        begin = max(line.rfind(" "), line.rfind("(")) + 1
        return complete(line, line[begin:], begin, len(line))

    def of_sql(line: str) -> list[str]:
        return completed(line, talk.shell.complete_sql)

    def of_command(line: str) -> list[str]:
        return completed(line, talk.shell.complete_command)

    assert "users" in of_sql("select * from us")
    assert [word.strip() for word in of_sql("select na")] == ["name", "natural"]
    assert "select " in of_sql("sel")
    assert ".clone " in of_command(".cl")
    assert of_command(".use ") == ["dev-2", "prod"]
    assert of_command(".clone de") == ["dev-2"]
    assert of_command(".clone dev-2 ") == []
    assert of_command(".reset n") == ["nightly"]
    assert of_command(".use prod --endpoint r") == ["reader"]
    assert "box" in of_command(".mode b")
    talk.say(".close")
    assert of_sql("sel") == [] and of_command(".failover ") == []


def test_completion_begins_no_transaction(talking: Talking, store: clusterdb.Store) -> None:
    """Behind BEGIN the schema is not looked at before a statement does: it would fix what the transaction sees."""
    talk = talking()
    talk.say("SELECT 1;")
    assert "users" in talk.shell.complete_sql("us", "us", 0, 2)
    talk.say("BEGIN;")
    assert "users" in talk.shell.complete_sql("us", "us", 0, 2)
    assert talk.shell.db.txn_state("main") == 0
    talk.say("CREATE TABLE usual (x);")
    assert "usual" in talk.shell.complete_sql("us", "us", 0, 2)
