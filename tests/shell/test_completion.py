"""Completion of SQL and of dot commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
    assert "box" in of_command(".mode b") and "markdown" in of_command(".mode m")
    assert of_command(".schema u") == ["users"]
    assert of_command(".footer o") == ["on", "off"]
    assert ".once " in of_command(".on")
    talk.say(".close")
    assert of_sql("sel") == [] and of_command(".failover ") == []


def test_completion_offers_points_in_time(store: clusterdb.Store, talking: Talking) -> None:
    """After an @: snapshots, the newest versions, and times that can be restored."""
    version = store.cluster("prod").versions(1)[0].version
    store.cluster("prod").snapshot("nightly")
    shell = talking().shell

    def of_command(line: str, begin: int) -> list[str]:
        return shell.complete_command(line, line[begin:], begin, len(line))

    assert of_command(".use prod@", 10) == ["nightly", *map(str, range(version, 0, -1))]
    assert of_command(".clone prod@n", 12) == ["nightly"]
    assert of_command(".backtrack ", 11) == [*map(str, range(version, 0, -1))]
    assert of_command(".use nosuch@", 12) == of_command(".storage prod@", 14) == []


def test_completion_offers_files(tmp_path: Path, talking: Talking) -> None:
    (tmp_path / "files" / "folder").mkdir(parents=True)
    (tmp_path / "files" / "users.csv").touch()
    (tmp_path / "files" / ".hidden").touch()
    shell, path = talking().shell, f"{tmp_path}/files/"
    for command in (".once ", ".read ", ".import "):
        line = f"{command}{path}"
        assert shell.complete_command(line, path, len(command), len(line)) == [f"{path}folder/", f"{path}users.csv"]
    assert shell.complete_command(f".read {path}u", f"{path}u", 6, len(path) + 7) == [f"{path}users.csv"]
    assert shell.complete_command(".read /no/such/", "/no/such/", 6, 15) == []


def test_completion_sees_the_lines_before(talking: Talking) -> None:
    """At a prompt for the next line of a statement, its first lines count."""
    shell = talking().shell
    shell.typed_lines = ["SELECT *", "FROM users u"]
    assert shell.complete_sql("WHERE u.n", "u.n", 6, 9) == ["u.name"]


def test_completion_knows_functions_of_the_engine(store: clusterdb.Store, talking: Talking) -> None:
    store.create_cluster("my", engine="aurora-mysql")
    shell = talking("my").shell
    assert "date_format(" in shell.complete_sql("SELECT date_f", "date_f", 7, 13)
    shell.process_sql("CREATE TABLE `a b` (x INT)")
    shell.may_have_changed = True
    assert shell.complete_sql("SELECT * FROM a", "a", 14, 15) == ["`a b`"]


def test_completion_survives_a_broken_view(talking: Talking) -> None:
    talk = talking()
    talk.say("CREATE TABLE t (x);", "CREATE VIEW v AS SELECT x FROM t;", "DROP TABLE t;")
    assert talk.shell.complete_sql("SELECT * FROM us", "us", 14, 16) == ["users"]


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
