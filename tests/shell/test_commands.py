"""Dot commands, errors and help at a prompt, in this process."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import clusterdb
from clusterdb.views.text import time_text
from tests.shell.talk import Talking, ids, names, run


def test_commands_for_clusters_and_their_past_work(store: clusterdb.Store, talking: Talking) -> None:
    """Clone, use, snapshot, reset, backtrack, create: each does what the verb of its name does."""
    talk = talking()
    version = store.cluster("prod").stats().version
    time = time_text(store.cluster("prod").versions(1)[0].time)
    assert talk.answer_to(".clone dev") == f"cloned prod as dev, at version {version}, {time}: .use dev\n"
    assert talk.answer_to(".snapshot small") == f"took snapshot small of prod at version {version}, {time}\n"
    talk.say("DELETE FROM users WHERE id = 1;")
    assert "small" in talk.answer_to(".snapshots")
    talk.say(f".clone prod@{version} before", ".clone prod@small again", ".clone prod@1 hour ago none")
    assert names(store) == ["again", "before", "dev", "prod"]  # an hour ago there was nothing
    assert (ids(store), ids(store, "before"), ids(store, "again")) == ([2], [1, 2], [1, 2])
    assert talk.answer_to(f".backtrack {version} --yes") == (
        f"backtracked prod from version {version + 1} to {version}, {time}: .backtrack {version + 1} undoes this\n"
    )
    assert ids(store) == [1, 2]
    talk.say(".use dev", "DELETE FROM users;", ".reset --yes")
    assert (talk.shell.prompt, ids(store, "dev")) == ("dev> ", [1, 2])
    talk.say("DELETE FROM users WHERE id = 2;", ".reset small --yes")
    assert ids(store, "dev") == [1, 2]
    assert {"dev", "prod", "before"} <= set(talk.answer_to(".clusters").split())
    assert [line.split()[0] for line in talk.answer_to(".storage before").splitlines()[2:]] == [
        "version",
        "logical",
        "own",
        "shared",
        *["pool,"] * 2,
    ]


def test_create_and_import_use_the_new_cluster(
    tmp_path: Path, store: clusterdb.Store, talking: Talking, sample: Path
) -> None:
    """A new cluster is used if there was none; a file may fill it."""
    talk = talking(None)
    talk.say(f".create sample {sample}")
    assert talk.answer_to("SELECT count(*) FROM t;") == "3000\n"
    assert talk.answer_to(".create empty") == "created empty: .use empty\n"
    assert talk.shell.prompt == "sample> "


def test_point_in_the_past_can_be_read_and_cloned(tmp_path: Path, store: clusterdb.Store, talking: Talking) -> None:
    """It is read and cloned, not written; so long ago is a moment, which stays; diff compares with it."""
    version = store.cluster("prod").stats().version
    talk = talking()
    talk.say("DELETE FROM users WHERE id = 1;")
    difference = f"prod@{version} -> prod\nusers: 1 deleted\n  - id 1: name 'ada'\n"
    assert difference in talk.say(f".diff prod@{version}")[0]
    assert talk.answer_to(f".use prod@{version}") == ""
    assert talk.shell.prompt == f"prod@{version}> "
    assert talk.answer_to("SELECT count(*) FROM users;") == "2\n"
    assert talk.answer_to("DELETE FROM users;") == "attempt to write a readonly database\n"
    assert (
        talk.answer_to(".backtrack 1 --yes")
        == f"prod@{version} is a point in the past: .use prod before you backtrack it\n"
    )
    assert talk.answer_to(".clone before").startswith(f"cloned prod as before, at version {version}, ")
    assert ids(store, "before") == [1, 2]
    talk.say(".use prod@0 seconds ago")
    assert re.fullmatch(r"prod@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?[+-]\d\d:\d\d> ", talk.shell.prompt)
    assert talk.answer_to("SELECT count(*) FROM users;") == "1\n"
    assert "deleted" not in talk.say(".diff prod")[0]
    assert run(tmp_path, f"prod@{version}", "-c", "SELECT count(*) FROM users").stdout == "2\n"
    assert run(tmp_path, "prod@1 day ago", "-c", "SELECT 1").returncode == 1


def test_commands_that_lose_data_ask_first(store: clusterdb.Store, talking: Talking) -> None:
    """Commands that would lose data ask first; the default is no."""
    prod = store.cluster("prod")
    prod.add_instance("w1")
    prod.add_instance("r1")
    version = prod.stats().version
    prod.clone("dev")
    talk = talking("dev")
    talk.say("DELETE FROM users;")
    for answer in ("n", "", "what?"):
        assert talk.say(".reset", answer)[1] == "cancelled: nothing was changed\n"
    assert ids(store, "dev") == []
    assert "Reset dev to the present state of 'prod', and lose its own changes? [y/N] " in talk.say(".reset", "y")[0]
    assert ids(store, "dev") == [1, 2]
    talk.say(".use prod", "DELETE FROM users;")
    assert (
        talk.say(f".backtrack {version}", "n")[1] == talk.say(".failover", "n")[1] == "cancelled: nothing was changed\n"
    )
    assert (ids(store), talk.shell.prompt) == ([], "prod (writer w1)> ")
    talk.say(f".backtrack {version}", "yes", ".failover", "Y")
    assert (ids(store), talk.shell.prompt) == ([1, 2], "prod (writer r1)> ")


def test_commands_for_instances_and_failover_work(store: clusterdb.Store, talking: Talking) -> None:
    """Instances, endpoints and failover; the shell is connected again."""
    prod = store.cluster("prod")
    for name in ("w1", "r1", "r2"):
        prod.add_instance(name)
    talk = talking()
    assert [line.split()[:2] for line in talk.answer_to(".instances").splitlines()[2:]] == [
        ["w1", "writer"],
        ["r1", "reader"],
        ["r2", "reader"],
    ]
    assert "r1, r2" in talk.answer_to(".endpoints")
    assert talk.answer_to(".failover r2 --yes") == "promoted r2 to writer of prod in place of w1\n"
    assert talk.shell.prompt == "prod (writer r2)> "
    assert talk.answer_to("INSERT INTO users VALUES (3, 'eve');") == ""
    talk.say(".use prod --endpoint=r1")
    assert talk.answer_to("DELETE FROM users;") == "attempt to write a readonly database\n"
    assert talk.answer_to("ALTER SYSTEM SIMULATE 0 PERCENT DISK FAILURE FOR INTERVAL 1 SECOND;") == "\n"


@pytest.mark.parametrize("is_stopped", [True, False])
def test_statement_on_a_lost_connection_is_not_repeated(
    store: clusterdb.Store, talking: Talking, is_stopped: bool
) -> None:
    """The statement that notices is not repeated; the next one works."""
    prod = store.cluster("prod")
    if not is_stopped:
        prod.add_instance("w1")
        prod.add_instance("r1")
    talk = talking()
    talk.say("BEGIN;", "DELETE FROM users;")
    if is_stopped:
        prod.stop()
        prod.start()
    else:
        prod.failover()
    out, err = talk.say("COMMIT;")
    where = "prod" if is_stopped else "prod (writer r1)"
    assert f"connected again, to {where}: run the statement again\nthe transaction was rolled back\n" in err
    assert out.endswith(f"{where}> \n")
    assert ids(store) == [1, 2]
    assert talk.answer_to("DELETE FROM users WHERE id = 2;") == ""
    assert ids(store) == [1]


def test_deleted_cluster_leaves_the_shell_without_one(store: clusterdb.Store, talking: Talking) -> None:
    """Nothing to be connected to again: the shell uses no cluster."""
    store.create_cluster("dev")
    talk = talking("dev")
    store.cluster("dev").stop()
    assert "cannot connect again: cluster 'dev' is stopped" in talk.answer_to("CREATE TABLE t (x);")
    assert talk.shell.prompt == "clusterdb> "


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (".use prd", "store '{path}' has no cluster 'prd'; did you mean 'prod'?"),
        (".use", "usage: .use NAME[@POINT] ?--endpoint ENDPOINT? (see .help use)"),
        (
            ".use prod --endpont r1",
            "no option --endpont; usage: .use NAME[@POINT] ?--endpoint ENDPOINT? (see .help use)",
        ),
        (".use prod --endpoint raeder", "cluster 'prod' has no endpoint 'raeder'; did you mean 'reader'?"),
        (".use prod@5 days ago", "cluster 'prod'"),
        (".use prod@1 --endpoint reader", "endpoint 'reader': instances show the present"),
        (".clone prod@ dev", "'prod@': point in time missing after the @: add one, or remove the @"),
        (".clone prod prod", "store '{path}' has a cluster 'prod' already: choose another name"),
        (".clone prod@9x dev", "invalid point in time '9x'"),
        (".clone prod 9x", "invalid cluster name '9x': use a letter"),
        (".backtrack", "usage: .backtrack POINT"),
        (".backtrack 999999 --yes", "cluster 'prod' has no version 999999: it has the versions "),
        (".reset", "cluster 'prod' is not a clone: reset it to a snapshot, or create a new clone"),
        (".reset nightly", "no snapshot 'nightly'"),
        (".failover --yes", "cluster 'prod' has no reader"),
        (".snapshot", "usage: .snapshot NAME ?POINT?"),
        (".clusters all", "usage: .clusters (see .help clusters)"),
        (".cluster", "no command '.cluster'; did you mean .clusters?"),
        (".frobnicate", "no command '.frobnicate': .help lists the commands"),
        (".", "no command '.': .help lists the commands"),
        (".help clon", "no command '.clon'; did you mean .clone?"),
        (".connection", ".connection is not supported, as the store has connections of its own: use .use NAME"),
        (".clone 'prod dev", "No closing quotation"),
    ],
)
def test_errors_are_one_line(store: clusterdb.Store, talking: Talking, line: str, words: str) -> None:
    """An error names the problem, the cluster and the remedy in one line; nothing has changed."""
    talk = talking()
    error = talk.say(line)[1]
    assert words.format(path=store.path) in error
    assert error.count("\n") == 1
    assert talk.shell.prompt == "prod> "
    assert names(store) == ["prod"]


def test_sql_error_shows_its_place_at_a_prompt(talking: Talking) -> None:
    """At a prompt the place is shown, in SQLite's way."""
    assert talking().answer_to("SELECT nme FROM users;").splitlines() == [
        "no such column: nme",
        "   SELECT nme FROM users;",
        "          ^--- error here",
    ]


def test_commands_without_a_cluster_list_the_clusters(store: clusterdb.Store, talking: Talking) -> None:
    """SQL and commands on the cluster say which clusters there are; others work."""
    store.create_cluster("dev")
    talk = talking(None)
    for line in ("SELECT 1;", ".tables", ".storage", ".backtrack 1", ".clone x"):
        assert talk.answer_to(line) == "no cluster in use: .use NAME (clusters: dev, prod)\n"
    assert "prod" in talk.answer_to(".clusters")
    assert talk.answer_to(".use dev") == ""
    assert talk.shell.prompt == "dev> "
    talk.say(".open :memory:")
    assert talk.answer_to(".storage") == "':memory:' is a plain database, not a cluster: .use NAME\n"


def test_commands_that_would_end_a_transaction_are_refused(store: clusterdb.Store, talking: Talking) -> None:
    """They are refused during a transaction; a clone does not have its changes."""
    store.cluster("prod").clone("dev")
    talk = talking("dev")
    talk.say("BEGIN;", "DELETE FROM users;")
    for line in (".use prod", ".open prod", ".open :memory:", ".close", ".reset --yes", ".backtrack 1", ".failover"):
        assert talk.answer_to(line).startswith("dev has an open transaction: COMMIT or ROLLBACK it before you ")
    assert "are not in it" in talk.answer_to(".clone dev again")
    assert ids(store, "again") == [1, 2]
    assert talk.say("ROLLBACK;", ".use prod")[1] == ""


def test_read_only_shell_refuses_writes(store: clusterdb.Store, talking: Talking) -> None:
    """--read-only refuses SQL that writes, and commands that change something."""
    talk = talking(read_only=True)
    assert talk.answer_to("DELETE FROM users;") == "attempt to write a readonly database\n"
    for line in (".clone dev", ".snapshot s", ".backtrack 1", ".reset --yes", ".failover", ".create x"):
        assert "start it without --read-only" in talk.answer_to(line)
    assert names(store) == ["prod"] and store.snapshots() == []


def test_commands_of_apsws_shell_work_on_a_cluster(tmp_path: Path, talking: Talking) -> None:
    """Modes, dump, schema, import, read: what apsw's shell can do it does on a cluster."""
    talk = talking()
    assert talk.answer_to(".tables") == "users\n"
    assert "INSERT INTO users VALUES(1,'ada')" in talk.answer_to(".dump")
    talk.say(".mode json")
    assert json.loads(talk.answer_to("SELECT * FROM users;")) == [{"id": 1, "name": "ada"}, {"id": 2, "name": "bob"}]
    (tmp_path / "more.csv").write_text("3,eve\n")
    talk.say(".mode csv", f".import {tmp_path / 'more.csv'} users")
    assert talk.answer_to("SELECT count(*) FROM users;") == "3\n"
    (tmp_path / "script.sql").write_text("SELECT 1;\n\nSELECT nme\nFROM users;\n")
    assert talk.say(f".read {tmp_path / 'script.sql'}")[1] == f"{tmp_path}/script.sql line 3: no such column: nme\n"
    talk.say(f".open {tmp_path / 'plain.db'}", "CREATE TABLE t (x);", ".open prod")
    assert (tmp_path / "plain.db").stat().st_size > 0
    assert talk.shell.prompt == "prod> "


def test_help_explains_every_command(talking: Talking) -> None:
    """Every command explains itself; the overview ends with those for clusters."""
    talk = talking()
    overview = talk.answer_to(".help")
    assert "About clusters: .backtrack .clone .clusters" in overview
    for name in ("clusters", "use", "create", "clone", "storage", "snapshot", "snapshots", "reset", "backtrack"):
        assert f"\n.{name} " in overview
        assert f".{name} " in talk.answer_to(f".help {name}")
    assert ".clone prod@'5 minutes ago' before" in talk.answer_to(".help clone")
    assert talk.answer_to("help") == overview


def test_readme_conversation_is_what_the_shell_prints(talking: Talking) -> None:
    """The conversation in the README is the output of the shell."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    shown = text.partition("## SQL shell")[2].partition("```text\n")[2].partition("```")[0]
    typed = re.compile(r"^(\w+\*?> |.*\[y/N\] )(.*)\n", re.MULTILINE)
    varying = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.+]+|[\d.]+ m?s(?=\))")
    talk = talking()
    talk.say(".footer on")
    talk.shell.stderr = talk.out
    printed = talk.say(*(line for _, line in typed.findall(shown)))[0]
    assert varying.sub("...", printed) == varying.sub("...", typed.sub(r"\1", shown)) + "dev> \n"
