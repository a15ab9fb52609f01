"""The history of a cluster on the command line: log, bisect, and what a clone changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.command_line import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "store")
    shell("create", "prod", "--backtrack-window", "3600")
    shell("sql", "prod", "CREATE TABLE users (id INTEGER PRIMARY KEY, name)")
    shell("sql", "prod", "INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace')")
    shell("snapshot", "prod", "nightly")
    shell("sql", "prod", "DELETE FROM users WHERE id = 2")
    return shell


def masked(text: str) -> str:
    """The text, with every time replaced by TIME."""
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d", "TIME", text)


def test_log(shell: Shell) -> None:
    lines = [re.split(r"\s{2,}", line.strip()) for line in masked(shell("log", "prod")).splitlines()]
    assert lines[0] == ["version", "committed", "pages", "changed", "notes"]
    assert lines[2:] == [
        ["4", "TIME", "1", "users"],
        ["3", "TIME", "1", "users", "snapshot 'nightly'"],
        ["2", "TIME", "2", "definition of users"],
        ["1", "TIME", "?"],
    ]
    assert len(shell("log", "prod", "-n", "2").splitlines()) == 4
    assert len(shell("log", "prod", "--since", "nightly").splitlines()) == 4


def test_graph_of_a_backtrack(shell: Shell) -> None:
    shell("backtrack", "prod", "3")
    lines = masked(shell("log", "prod", "--graph")).splitlines()[2:]
    marks = [re.split(r"\s{2,}", line.strip())[:2] for line in lines]
    assert marks == [["*", "5"], ["| x", "4"], ["*-'", "3"], ["*", "2"], ["*", "1"]]
    assert "back to version 3" in lines[0]


def test_log_as_json(shell: Shell) -> None:
    newest = json.loads(shell("log", "prod", "--json"))[0]
    assert {**newest, "time": ""} == {
        "version": 4,
        "time": "",
        "is_left": False,
        "page_count": 1,
        "tables": ["users"],
        "definitions": [],
        "notes": [],
    }


def test_log_of_a_cluster_that_keeps_no_past_says_how_to_keep_it(shell: Shell) -> None:
    shell("create", "plain", "--backup-retention-days", "0")
    result = shell.tried("log", "plain")
    assert result.exit_code == 0
    assert "'plain' keeps no past: " in result.output
    assert " modify plain --backup-retention-days 1 keeps that of a day" in result.output


def test_bisect(shell: Shell) -> None:
    assert masked(shell("bisect", "prod", "SELECT count(*) FROM users")).splitlines() == [
        "version 3, TIME: 2",
        "version 4, TIME: 1",
        "the answer changed with version 4 (4 of the versions 1 to 4 asked)",
    ]
    assert "the oldest and the newest version give the same answer" in shell("bisect", "prod", "SELECT 1")
    assert json.loads(shell("bisect", "prod", "SELECT name FROM users", "--json"))["after"]["rows"] == [["Ada"]]


def test_bisect_of_several_rows_and_an_error(shell: Shell) -> None:
    text = masked(shell("bisect", "prod", "SELECT name FROM users WHERE id < 2 UNION ALL SELECT 'x'"))
    assert text.splitlines()[:2] == ["version 2, TIME: x", "version 3, TIME: "]
    result = shell.tried("bisect", "prod", "SELECT * FROM absent")
    assert result.exit_code == 1
    assert "cannot answer the query: no such table: absent" in str(result.exception)


def test_diff_of_one_cluster(shell: Shell) -> None:
    shell("clone", "prod", "dev")
    shell("sql", "dev", "UPDATE users SET name = 'Lovelace'")
    shell("sql", "prod", "INSERT INTO users VALUES (3, 'Edsger')")
    assert shell("diff", "dev").splitlines() == [
        "dev@base -> dev",
        "users: 1 updated",
        "  ~ id 1: name 'Ada' -> 'Lovelace'",
    ]
    assert shell("diff", "prod@4").splitlines()[:2] == ["prod@4 -> prod", "users: 1 inserted"]
    result = shell.tried("diff", "prod")
    assert "cluster 'prod' is not a clone: it has no base" in str(result.exception)
