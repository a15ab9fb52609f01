"""What results look like: tables that fit, the pager, files for one result, footers."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest

import clusterdb
from clusterdb.shell.pager import screen_lines
from tests.shell.talk import Talk, Talking


class Terminal(io.StringIO):
    """A stream that calls itself a terminal; tests decide on its size."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


@pytest.fixture
def at_terminal(store: clusterdb.Store, talking: Talking, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """A conversation at a terminal of 40 columns and 10 lines, without colours, footers and pager."""
    monkeypatch.setattr("os.get_terminal_size", lambda *_: os.terminal_size((40, 10)))
    talk: Talk = talking()
    talk.out = Terminal()
    talk.shell.stdout = talk.shell._original_stdout = talk.out
    talk.shell.process_command(".colour off")
    talk.shell.command_mode(["box"])
    return talk


def test_table_fits_the_terminal_and_numbers_are_whole(at_terminal: Talk) -> None:
    sql = "SELECT 103635004 AS population, '2024-07-12' AS day, 'a remark that is long' AS remark;"
    assert at_terminal.answer_to(sql).splitlines() == [
        "╭────────────┬────────────┬────────────╮",
        "│ population │    day     │   remark   │",
        "│  103635004 │ 2024-07-12 │ a remark … │",
        "╰────────────┴────────────┴────────────╯",
    ]


def test_table_of_a_script_is_as_wide_as_it_needs_to_be(talking: Talking) -> None:
    talk = talking()
    talk.say(".mode box")
    assert f"│ {'x' * 200} │" in talk.answer_to(f"SELECT '{'x' * 200}' AS text;")
    talk.say(".mode table --width 30")
    assert f"| {'x' * 23}... |" in talk.answer_to(f"SELECT '{'x' * 200}' AS text;")


def test_options_of_tables_are_those_of_apsw(talking: Talking) -> None:
    """Quotes, NULL, unicode, cleaning and truncation, as ``.help mode`` describes them."""
    sql = "SELECT NULL AS n, x'00ff' AS b, 'it''s' AS t, 1.5 AS f, 'é' AS u;"
    talk = talking()
    talk.say(".mode box --null nothing")
    assert "│ nothing │ [ 2 bytes ] │ it's │ 1.5 │ é │" in talk.answer_to(sql)
    talk.say(".mode qbox")
    assert "│ NULL │ X'00FF' │ 'it''s' │ 1.5 │ '{LATIN SMALL LETTER E WITH ACUTE}' │" in talk.answer_to(sql)
    talk.say(".mode table --truncate 3")
    assert "| NULL | [ 2 bytes ] | it'... | 1.5 | . |" in talk.answer_to(sql)


def test_mode_column_cuts_texts_only(talking: Talking) -> None:
    talk = talking()
    talk.say(".mode column", ".header on", ".width 4 -6 0")
    sql = "SELECT 'a text' AS t, 'abcdefgh' AS u, 1234567890123 AS number, '2024-07-12 10:00:00' AS first_of_times;"
    assert talk.answer_to(sql).splitlines() == [
        "t          u  number      first_of_times",
        "----  ------  ----------  --------------",
        "a t…  abcde…  1234567890123  2024-07-12 10:00:00",
    ]
    talk.say(".width 1 1")
    assert talk.answer_to("EXPLAIN QUERY PLAN SELECT * FROM users;").splitlines()[-1].rstrip().endswith("SCAN users")


def test_mode_markdown(talking: Talking) -> None:
    talk = talking()
    talk.say(".mode markdown")
    assert talk.answer_to("SELECT id, name, NULL AS |x| FROM users;".replace("|x|", '"x|y"')) == (
        "|  id | name | x\\|y |\n| --: | ---- | ---: |\n|   1 | ada  |      |\n|   2 | bob  |      |\n"
    )
    assert talk.answer_to("SELECT 1 WHERE 0;") == ""
    assert "markdown" in talk.answer_to(".mode nosuch")


def test_footer_counts_rows_and_changes(talking: Talking) -> None:
    """Once for each statement, on standard error; not in files, and only if it is on."""

    def footers(line: str) -> list[str]:
        return re.findall(r"^\((.*?)(?:, )?\d+(?:\.\d+)? \w+\)$", talk.say(line)[1], re.MULTILINE)

    talk = talking()
    assert footers("SELECT * FROM users;") == []  # this is no terminal
    talk.say(".footer on")
    assert footers("SELECT * FROM users;") == ["2 rows"]
    assert footers("SELECT 1 WHERE 0; -- none") == ["0 rows"]
    assert footers("INSERT INTO users (name) VALUES ('cid'), ('dot'); DELETE FROM users WHERE id = 4;") == [
        "2 rows changed",
        "1 row changed",
    ]
    assert footers("UPDATE users SET name = '' WHERE id > 100;") == ["0 rows changed"]
    assert footers("CREATE TABLE t (x);") == [""]
    assert footers("EXPLAIN QUERY PLAN SELECT * FROM users;") == [""]
    assert footers("SELECT nme FROM users;") == []
    assert footers("/* nothing */ ;") == []
    assert footers(".tables") == []
    talk.say(".mode json")
    assert footers("SELECT * FROM users;") == ["3 rows"]
    talk.say(".footer off")
    assert footers("SELECT * FROM users;") == []


def test_footer_counts_statements_of_other_engines(store: clusterdb.Store, talking: Talking) -> None:
    store.create_cluster("my", engine="aurora-mysql")
    talk = talking("my")
    talk.say(".footer on")
    answers = talk.say(
        "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT);",
        "INSERT INTO t (v) VALUES (1), (2), (3);",
        "UPDATE t SET v = 0 WHERE v > 1;",
        "SELECT v FROM t;",
        "SHOW TABLES;",
    )[1]
    assert [line.partition(", ")[0] for line in answers.splitlines()[1:]] == [
        "(3 rows changed",
        "(2 rows changed",
        "(3 rows",
        "(1 row",
    ]


def test_once_writes_the_next_result_to_a_file(tmp_path: Path, talking: Talking) -> None:
    talk = talking()
    file = tmp_path / "users.csv"
    assert talk.answer_to(f".once {file}") == ""
    talk.say(".mode csv")
    assert talk.answer_to("SELECT * FROM users;") == ""
    assert file.read_text() == "1,ada\n2,bob\n"
    assert talk.answer_to("SELECT 1;") == "1\n"
    talk.say(f".output {tmp_path / 'all'}", "SELECT 1;", ".once -")
    out, _ = talk.say("SELECT 2;")
    talk.say("SELECT 3;", ".output stdout")
    assert "2\n" in out
    assert (tmp_path / "all").read_text().replace("prod> ", "").split() == ["1", "3"]
    assert talk.answer_to(f".once {tmp_path}/none/x") == f"[Errno 2] No such file or directory: '{tmp_path}/none/x'\n"
    talk.say(f".once {tmp_path / 'tables'}", ".tables")
    assert (tmp_path / "tables").read_text() == "users\n"


def pager(talk: Talk, folder: Path, *, command: str = "cat") -> Path:
    """Turn on a pager that writes to a file."""
    (folder / "pager.sh").write_text(f"{command} > {folder}/paged\n")
    talk.say(f".pager sh {folder}/pager.sh")
    return folder / "paged"


def test_pager_shows_what_exceeds_the_screen(at_terminal: Talk, tmp_path: Path) -> None:
    """Too many lines, or a table that is too wide; what fits is printed."""
    paged = pager(at_terminal, tmp_path)
    assert "ada" in at_terminal.answer_to("SELECT * FROM users;")
    assert not paged.exists()
    many = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 10) SELECT x FROM c;"
    assert at_terminal.answer_to(many) == ""
    assert len(paged.read_text().splitlines()) == 13
    assert at_terminal.answer_to(f"SELECT 1{'0' * 15} AS a, 1{'0' * 15} AS b, 1{'0' * 15} AS c;") == ""
    assert f"│ 1{'0' * 15} │" in paged.read_text()
    assert len(paged.read_text().splitlines()[0]) == 58
    at_terminal.say(".mode list")
    assert at_terminal.answer_to(many) == ""
    assert paged.read_text() == "".join(f"{number}\n" for number in range(1, 11))
    assert at_terminal.answer_to(".pager") == f"on: sh {tmp_path}/pager.sh\n"
    at_terminal.say(".pager off")
    assert len(at_terminal.answer_to(many).splitlines()) == 10


def test_pager_that_is_left_early_ends_the_statement(at_terminal: Talk, tmp_path: Path) -> None:
    """No error, and the next statement works."""
    pager(at_terminal, tmp_path, command="head -1")
    at_terminal.say(".mode list")
    endless = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT x FROM c;"
    assert at_terminal.say(endless)[1] == ""
    assert at_terminal.answer_to("SELECT 5;") == "5\n"


def test_pager_that_does_not_exist_is_replaced_by_the_terminal(at_terminal: Talk) -> None:
    at_terminal.say(".mode list", ".pager no-such-program-of-this-name")
    many = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 20) SELECT x FROM c;"
    assert len(at_terminal.answer_to(many).splitlines()) == 20


def test_error_comes_after_the_output_before_it(at_terminal: Talk, tmp_path: Path) -> None:
    """What was printed before is shown before the error: they have one screen."""
    pager(at_terminal, tmp_path)
    at_terminal.shell.stderr = at_terminal.out
    out, _ = at_terminal.say(".mode list", "SELECT 'before'; SELECT nme FROM users;")
    assert out.index("before\n") < out.index("no such column: nme")


def test_lines_on_a_screen() -> None:
    assert screen_lines("a\n\nb", 10) == 2
    assert screen_lines("x" * 21 + "\n", 10) == 3
    assert screen_lines("日" * 6 + "\n", 10) == 2


def test_url_shows_how_programs_connect(store: clusterdb.Store, talking: Talking) -> None:
    store.cluster("prod").add_instance("w1")
    store.cluster("prod").add_instance("r1")
    talk = talking()
    path = store.path
    assert talk.answer_to(".url") == (
        f"DB-API      clusterdb:prod?store={path}\n"
        f"SQLAlchemy  sqlite+clusterdb:///prod?store={path}\n"
        f'Django      {{"ENGINE": "clusterdb.django", "NAME": "prod", "OPTIONS": {{"store": "{path}"}}}}\n'
    )
    talk.say(".use prod --endpoint reader")
    url = talk.answer_to(".url").splitlines()[0].split()[1]
    assert url.endswith("&endpoint=reader")
    with clusterdb.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)
    connection.close()
    talk.say(".use prod@1")
    assert "point in the past" in talk.answer_to(".url")
