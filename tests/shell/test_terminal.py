"""The shell in a terminal (tmux): editing, completion, colours, Ctrl-C."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import clusterdb
from clusterdb.shell.history import History
from tests.shell.talk import ENDLESS, ids
from tests.support.commands import RUN
from tests.support.terminal import Screen


@pytest.fixture
def on_screen(tmp_path: Path, store: clusterdb.Store) -> Iterator[Callable[..., Screen]]:
    """Begins ``clusterdb shell prod`` in tmux, with options and an environment."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: nobody types into a terminal here")
    begun: list[Screen] = []

    def begin(*options: str, columns: int = 100, **environment: str) -> Screen:
        named = {"TERM": "tmux-256color", "XDG_STATE_HOME": str(tmp_path / "state"), **environment}
        settings = [f"{name}={value}" for name, value in {**named, "PYTHONPATH": os.pathsep.join(sys.path)}.items()]
        command = shlex.join(["env", "-C", str(tmp_path), *settings, *RUN, "shell", *options])
        begun.append(Screen(tmp_path, command, columns))
        return begun[-1]

    yield begin
    for screen in begun:
        screen.end()


def test_terminal_edits_completes_colours_and_interrupts(
    on_screen: Callable[..., Screen], store: clusterdb.Store, tmp_path: Path
) -> None:
    """Statements of several lines, completion, colours, a question, Ctrl-C, Ctrl-D, history."""
    pytest.importorskip("prompt_toolkit", reason="the extra [shell] is not installed")
    store.cluster("prod").clone("dev")
    screen = on_screen("prod")
    screen.wait_for("prod>", "Ctrl-D leaves")
    screen.type("select na")
    screen.wait_for("natural")  # the menu, while one types
    screen.type("", "Tab")
    screen.wait_for("natural")
    screen.type(" from", "Enter")
    screen.wait_for("->")
    screen.type("users;")
    screen.wait_for("users;")
    assert screen.has_colour("select")
    screen.type("", "Enter")
    screen.wait_for("prod>", "prod> select name from\n   -> users;", "│ ada")
    screen.type(".use dev")
    screen.wait_for(".use dev")  # keys that come before the menu is drawn go into it
    screen.type("", "Enter")
    screen.wait_for("dev>")
    screen.type("begin; delete from users;", "Enter")
    screen.wait_for("dev*>")
    screen.type(f"{ENDLESS};", "Enter")
    time.sleep(0.5)  # it is at work
    screen.type("", "C-c")
    screen.wait_for("dev*>", "interrupted")
    screen.type(".reset", "Enter")
    screen.wait_for("dev*>", "dev has an open transaction")
    screen.type("commit;", "Enter")
    screen.wait_for("dev>")
    screen.type(".reset", "Enter")
    screen.wait_for("[y/N]")
    screen.type("y", "Enter")
    screen.wait_for("dev>", "reset dev from version 4 to prod at version 3, ")
    assert ids(store, "dev") == [1, 2]
    screen.type("", "Up", "Up")
    screen.wait_for("dev> commit;")
    screen.type("", "C-c")
    screen.wait_for("dev>")
    screen.type("", "C-d")
    screen.wait_for("exit code 0")
    assert History(tmp_path / "state" / "clusterdb" / "history").entries[0] == "select name from\nusers;"


def test_terminal_without_prompt_toolkit_uses_readline(
    on_screen: Callable[..., Screen], store: clusterdb.Store
) -> None:
    """With readline: completion by the tabulator; a terminal that can nothing gets no escape sequences."""
    screen = on_screen("prod", "--plain", TERM="dumb")
    screen.wait_for("prod>")
    screen.type(".stor", "Tab", "Enter")
    screen.wait_for("prod>", "pool, on disk")
    screen.type("select 1", "Enter")
    screen.wait_for("->")
    screen.type("", "C-c")
    screen.wait_for("prod>")
    screen.type(".exit 3", "Enter")
    screen.wait_for("exit code 3")


@pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed")
@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_terminal_pages_what_is_too_wide_or_too_long(
    on_screen: Callable[..., Screen], options: tuple[str, ...], tmp_path: Path
) -> None:
    """The pager gets the keys, Ctrl-C too; then come the footer and the prompt."""
    screen = on_screen("prod", *options, columns=40, PAGER="", CLUSTERDB_PAGER="", LESS="-SX", NO_COLOR="1")
    screen.wait_for("prod>")
    screen.type("select 103635004 as population, '2024-07-12' as day, 'a remark that is long' as remark;")
    screen.type("", "Enter")
    screen.wait_for("prod>", "│  103635004 │ 2024-07-12 │ a remark … │", "(1 row, ")
    wide = " as a, ".join([f"1{'0' * 17}"] * 3)
    screen.type(f"select {wide} as a;", "Enter")
    screen.wait_for("(END)", f"│ 1{'0' * 17} │ 1{'0' * 14}")
    screen.type("q")
    screen.wait_for("prod>", "(1 row, ")
    screen.type(
        "with recursive c(x) as (values (1) union all select x + 1 from c) select x from c limit 1000;", "Enter"
    )
    screen.wait_for(":", "│    1 │", "│   20 │")
    screen.type("q")
    screen.wait_for("prod>", "(1,000 rows, ")
    (tmp_path / "pager").write_text("trap 'echo the pager ends; exit' INT\ncat\nsleep 100\n")
    screen.type(f".pager sh {tmp_path}/pager", "Enter")
    screen.wait_for("prod>", ".pager sh")
    screen.type(f"select {wide} as a;", "Enter")
    screen.wait_for("╯")
    screen.type("", "C-c")
    screen.wait_for("prod>", "the pager ends", "(1 row, ")
    screen.type(".pager off", "Enter")
    screen.wait_for("prod>", ".pager off")
    screen.type(
        "with recursive c(x) as (values (1) union all select x + 1 from c) select x from c limit 1000;", "Enter"
    )
    screen.wait_for("prod>", "│ 1000 │", "(1,000 rows, ")
