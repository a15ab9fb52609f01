"""``clusterdb shell``: dot commands, prompts and errors in this process, pipes and exit codes in another one."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import clusterdb
from clusterdb.shell import ClusterShell
from clusterdb.shell.history import History
from clusterdb.shell.interrupts import postponed
from conftest import assert_clean, ended
from test_cli import RUN

ENDLESS = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"


def run(folder: Path, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, "shell", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[clusterdb.Store]:
    """A store with the cluster prod, which has a table of two users and keeps an hour of its past."""
    with clusterdb.open(tmp_path / ".clusterdb") as store:
        prod = store.create_cluster("prod", backtrack_window_s=3600)
        connection = prod.connect()
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO users (name) VALUES ('ada'), ('bob')")
        connection.close()
        yield store
        assert_clean(store)


class Talk:
    """A person at a prompt, without a terminal: what is said, and what the shell answers."""

    def __init__(self, store: clusterdb.Store, cluster: str | None = "prod", **options: bool) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.shell = ClusterShell(store, stdin=io.StringIO(), stdout=self.out, stderr=self.err, **options)
        self.shell.interactive = True
        if cluster is not None:
            self.shell.use(store.cluster(cluster))

    def say(self, *lines: str) -> tuple[str, str]:
        """What the lines answer: standard output, prompts included, and standard error."""
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        self.shell.stdin = io.StringIO("".join(f"{line}\n" for line in lines))
        self.shell.cmdloop()
        return self.out.getvalue(), self.err.getvalue()

    def told(self, line: str) -> str:
        """What a line answers, on either stream, without prompts."""
        out, err = self.say(line)
        prompt = self.shell.prompt
        return err + out.removesuffix(f"{prompt}\n").rpartition("> ")[2].removeprefix(prompt)


Talking = Callable[..., Talk]


@pytest.fixture
def talking(store: clusterdb.Store) -> Iterator[Talking]:
    """Makes conversations, and ends them."""
    made: list[Talk] = []

    def talk(cluster: str | None = "prod", **options: bool) -> Talk:
        made.append(Talk(store, cluster, **options))
        return made[-1]

    yield talk
    for each in made:
        each.shell.leave()


def names(store: clusterdb.Store) -> list[str]:
    return [cluster.name for cluster in store.clusters()]


def ids(store: clusterdb.Store, cluster: str = "prod") -> list[int]:
    connection = store.cluster(cluster).connect()
    try:
        return [row[0] for row in connection.execute("SELECT id FROM users ORDER BY id")]
    finally:
        connection.close()


# --- prompts ----------------------------------------------------------------------------------------------------------
def test_the_prompt_shows_where_one_is(talking: Talking) -> None:
    """The cluster; an asterisk in a transaction; nothing in use; a plain file."""
    talk = talking()
    assert talk.say("BEGIN;", "COMMIT;")[0] == "prod> prod*> prod> \n"
    assert talk.say("SELECT", "7", ";")[0] == "prod> " + "   -> " * 2 + "7\nprod> \n"
    assert talk.say(".close")[0] == "prod> clusterdb> \n"
    assert talk.say(".open :memory:")[0] == "clusterdb> :memory:> \n"
    assert talk.say(".prompt 'now> ' '  .. '", "SELECT", "8;")[0] == ":memory:> now>   .. 8\nnow> \n"


def test_the_prompt_shows_the_instance(store: clusterdb.Store, talking: Talking) -> None:
    """With instances: which one, and its role; continuation lines are as wide."""
    prod = store.cluster("prod")
    prod.add_instance("w1")
    prod.add_instance("r1")
    talk = talking()
    assert talk.shell.prompt == "prod (writer w1)> "
    talk.say(".use prod --endpoint reader", "BEGIN;")
    assert (talk.shell.prompt, talk.shell.moreprompt) == ("prod (reader r1)*> ", "                -> ")


# --- dot commands -----------------------------------------------------------------------------------------------------
def test_clusters_and_their_past(store: clusterdb.Store, talking: Talking) -> None:
    """Clone, use, snapshot, reset, backtrack, create: each does what the verb of its name does."""
    talk = talking()
    version = store.cluster("prod").stats().version
    assert talk.told(".clone dev") == "dev is a clone of prod: .use dev\n"
    assert talk.told(".snapshot small") == f"small keeps version {version} of prod\n"
    talk.say("DELETE FROM users WHERE id = 1;")
    assert "small" in talk.told(".snapshots")
    talk.say(f".clone prod@{version} before", ".clone prod@small again", ".clone prod@1 hour ago none")
    assert names(store) == ["again", "before", "dev", "prod"]  # an hour ago there was nothing
    assert (ids(store), ids(store, "before"), ids(store, "again")) == ([2], [1, 2], [1, 2])
    assert f".backtrack {version + 1} goes there again" in talk.told(f".backtrack {version} --yes")
    assert ids(store) == [1, 2]
    talk.say(".use dev", "DELETE FROM users;", ".reset --yes")
    assert (talk.shell.prompt, ids(store, "dev")) == ("dev> ", [1, 2])
    talk.say("DELETE FROM users WHERE id = 2;", ".reset small --yes")
    assert ids(store, "dev") == [1, 2]
    assert {"dev", "prod", "before"} <= set(talk.told(".clusters").split())
    assert [line.split()[0] for line in talk.told(".storage before").splitlines()[2:]] == [
        "version",
        "logical",
        "own",
        "shared",
        *["pool,"] * 2,
    ]


def test_create_and_import(tmp_path: Path, store: clusterdb.Store, talking: Talking, sample: Path) -> None:
    """A new cluster is used if there was none; a file may fill it."""
    talk = talking(None)
    talk.say(f".create sample {sample}")
    assert talk.told("SELECT count(*) FROM t;") == "3000\n"
    assert talk.told(".create empty") == "empty is there: .use empty\n"
    assert talk.shell.prompt == "sample> "


def test_a_point_in_the_past(tmp_path: Path, store: clusterdb.Store, talking: Talking) -> None:
    """It is read and cloned, not written; so long ago is a moment, which stays; diff compares with it."""
    version = store.cluster("prod").stats().version
    talk = talking()
    talk.say("DELETE FROM users WHERE id = 1;")
    difference = f"prod@{version} -> prod\nusers: 1 deleted\n  - id 1: name 'ada'\n"
    assert difference in talk.say(f".diff prod@{version}")[0]
    assert talk.told(f".use prod@{version}") == ""
    assert talk.shell.prompt == f"prod@{version}> "
    assert talk.told("SELECT count(*) FROM users;") == "2\n"
    assert talk.told("DELETE FROM users;") == "attempt to write a readonly database\n"
    assert talk.told(".backtrack 1 --yes") == f"prod@{version} is past: .use prod to backtrack it\n"
    assert talk.told(".clone before") == "before is a clone of prod: .use before\n"
    assert ids(store, "before") == [1, 2]
    talk.say(".use prod@0 seconds ago")
    assert re.fullmatch(r"prod@\d{4}-\d\d-\d\d \d\d:\d\d:\d\d> ", talk.shell.prompt)
    assert talk.told("SELECT count(*) FROM users;") == "1\n"
    assert "deleted" not in talk.say(".diff prod")[0]
    assert run(tmp_path, f"prod@{version}", "-c", "SELECT count(*) FROM users").stdout == "2\n"
    assert run(tmp_path, "prod@1 day ago", "-c", "SELECT 1").returncode == 1


def test_questions(store: clusterdb.Store, talking: Talking) -> None:
    """What others would lose something by asks first; no is the default."""
    prod = store.cluster("prod")
    prod.add_instance("w1")
    prod.add_instance("r1")
    version = prod.stats().version
    prod.clone("dev")
    talk = talking("dev")
    talk.say("DELETE FROM users;")
    for answer in ("n", "", "what?"):
        assert talk.say(".reset", answer)[1] == "nothing was done\n"
    assert ids(store, "dev") == []
    assert "Reset dev to the present state of 'prod', and lose its own changes? [y/N] " in talk.say(".reset", "y")[0]
    assert ids(store, "dev") == [1, 2]
    talk.say(".use prod", "DELETE FROM users;")
    assert talk.say(f".backtrack {version}", "n")[1] == talk.say(".failover", "n")[1] == "nothing was done\n"
    assert (ids(store), talk.shell.prompt) == ([], "prod (writer w1)> ")
    talk.say(f".backtrack {version}", "yes", ".failover", "Y")
    assert (ids(store), talk.shell.prompt) == ([1, 2], "prod (writer r1)> ")


def test_instances(store: clusterdb.Store, talking: Talking) -> None:
    """Instances, endpoints and failover; the shell is connected again."""
    prod = store.cluster("prod")
    for name in ("w1", "r1", "r2"):
        prod.add_instance(name)
    talk = talking()
    assert [line.split()[:2] for line in talk.told(".instances").splitlines()[2:]] == [
        ["w1", "writer"],
        ["r1", "reader"],
        ["r2", "reader"],
    ]
    assert "r1, r2" in talk.told(".endpoints")
    assert talk.told(".failover r2 --yes") == "the writer is r2\n"
    assert talk.shell.prompt == "prod (writer r2)> "
    assert talk.told("INSERT INTO users VALUES (3, 'eve');") == ""
    talk.say(".use prod --endpoint=r1")
    assert talk.told("DELETE FROM users;") == "attempt to write a readonly database\n"
    assert talk.told("ALTER SYSTEM SIMULATE 0 PERCENT DISK FAILURE FOR INTERVAL 1 SECOND;") == "\n"


@pytest.mark.parametrize("is_stopped", [True, False])
def test_a_connection_that_was_cut_off(store: clusterdb.Store, talking: Talking, is_stopped: bool) -> None:
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
    assert talk.told("DELETE FROM users WHERE id = 2;") == ""
    assert ids(store) == [1]


def test_a_cluster_that_has_gone(store: clusterdb.Store, talking: Talking) -> None:
    """Nothing to be connected to again: the shell uses no cluster."""
    store.create_cluster("dev")
    talk = talking("dev")
    store.cluster("dev").stop()
    assert "there is no other: cluster 'dev' is stopped" in talk.told("CREATE TABLE t (x);")
    assert talk.shell.prompt == "clusterdb> "


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (".use prd", "store '{path}' has no cluster 'prd'; did you mean 'prod'?"),
        (".use", "usage: .use NAME[@POINT] ?--endpoint ENDPOINT? (.help use says more)"),
        (
            ".use prod --endpont r1",
            "no option --endpont; usage: .use NAME[@POINT] ?--endpoint ENDPOINT? (.help use says more)",
        ),
        (".use prod --endpoint raeder", "cluster 'prod' has no endpoint 'raeder'; did you mean 'reader'?"),
        (".use prod@5 days ago", "cluster 'prod'"),
        (".use prod@1 --endpoint reader", "endpoint 'reader': instances show the present"),
        (".clone prod@ dev", "'prod@': say which point in time behind the @, or leave it out"),
        (".clone prod prod", "store '{path}' has a cluster 'prod' already: choose another name"),
        (".clone prod@9x dev", "'9x' is no point in time"),
        (".clone prod 9x", "invalid cluster name '9x': use a letter"),
        (".backtrack", "usage: .backtrack POINT"),
        (".backtrack 999999 --yes", "cluster 'prod' has no version 999999: what can be restored begins at "),
        (".reset", "cluster 'prod' is no clone: reset it to a snapshot, or make a new clone"),
        (".reset nightly", "no snapshot 'nightly'"),
        (".failover --yes", "cluster 'prod' has no reader"),
        (".snapshot", "usage: .snapshot NAME ?POINT?"),
        (".clusters all", "usage: .clusters (.help clusters says more)"),
        (".cluster", "no command '.cluster'; did you mean .clusters?"),
        (".frobnicate", "no command '.frobnicate': .help lists the commands"),
        (".", "no command '.': .help lists the commands"),
        (".help clon", "no command '.clon'; did you mean .clone?"),
        (".connection", "the connections of this process are the store's own too: .use NAME goes over to a cluster"),
        (".clone 'prod dev", "No closing quotation"),
    ],
)
def test_errors_are_one_line(store: clusterdb.Store, talking: Talking, line: str, words: str) -> None:
    """What went wrong, with which cluster, and what to do; nothing has changed."""
    talk = talking()
    error = talk.say(line)[1]
    assert words.format(path=store.path) in error
    assert error.count("\n") == 1
    assert talk.shell.prompt == "prod> "
    assert names(store) == ["prod"]


def test_sql_errors_point_at_the_place(talking: Talking) -> None:
    """At a prompt the place is shown, in SQLite's way."""
    assert talking().told("SELECT nme FROM users;").splitlines() == [
        "no such column: nme",
        "   SELECT nme FROM users;",
        "          ^--- error here",
    ]


def test_no_cluster_in_use(store: clusterdb.Store, talking: Talking) -> None:
    """SQL and commands on the cluster say which clusters there are; others work."""
    store.create_cluster("dev")
    talk = talking(None)
    for line in ("SELECT 1;", ".tables", ".storage", ".backtrack 1", ".clone x"):
        assert talk.told(line) == "no cluster in use: .use NAME (clusters: dev, prod)\n"
    assert "prod" in talk.told(".clusters")
    assert talk.told(".use dev") == ""
    assert talk.shell.prompt == "dev> "
    talk.say(".open :memory:")
    assert talk.told(".storage") == "':memory:' is no cluster: .use NAME\n"


def test_an_open_transaction_is_not_lost(store: clusterdb.Store, talking: Talking) -> None:
    """What would end a transaction is refused while there is one; a clone does not have what it changed."""
    store.cluster("prod").clone("dev")
    talk = talking("dev")
    talk.say("BEGIN;", "DELETE FROM users;")
    for line in (".use prod", ".open prod", ".open :memory:", ".close", ".reset --yes", ".backtrack 1", ".failover"):
        assert talk.told(line).startswith("dev has an open transaction: COMMIT or ROLLBACK it before you ")
    assert "not in it" in talk.told(".clone dev again")
    assert ids(store, "again") == [1, 2]
    assert talk.say("ROLLBACK;", ".use prod")[1] == ""


def test_a_shell_that_only_reads(store: clusterdb.Store, talking: Talking) -> None:
    """--read-only refuses SQL that writes, and commands that change something."""
    talk = talking(read_only=True)
    assert talk.told("DELETE FROM users;") == "attempt to write a readonly database\n"
    for line in (".clone dev", ".snapshot s", ".backtrack 1", ".reset --yes", ".failover", ".create x"):
        assert "leave out --read-only" in talk.told(line)
    assert names(store) == ["prod"] and store.snapshots() == []


def test_apsws_own_commands_work(tmp_path: Path, talking: Talking) -> None:
    """Modes, dump, schema, import, read: what apsw's shell can do it does on a cluster."""
    talk = talking()
    assert talk.told(".tables") == "users\n"
    assert "INSERT INTO users VALUES(1,'ada')" in talk.told(".dump")
    talk.say(".mode json")
    assert json.loads(talk.told("SELECT * FROM users;")) == [{"id": 1, "name": "ada"}, {"id": 2, "name": "bob"}]
    (tmp_path / "more.csv").write_text("3,eve\n")
    talk.say(".mode csv", f".import {tmp_path / 'more.csv'} users")
    assert talk.told("SELECT count(*) FROM users;") == "3\n"
    (tmp_path / "script.sql").write_text("SELECT 1;\n\nSELECT nme\nFROM users;\n")
    assert talk.say(f".read {tmp_path / 'script.sql'}")[1] == f"{tmp_path}/script.sql line 3: no such column: nme\n"
    talk.say(f".open {tmp_path / 'plain.db'}", "CREATE TABLE t (x);", ".open prod")
    assert (tmp_path / "plain.db").stat().st_size > 0
    assert talk.shell.prompt == "prod> "


def test_help(talking: Talking) -> None:
    """Every command explains itself; the overview ends with those for clusters."""
    talk = talking()
    overview = talk.told(".help")
    assert "About clusters: .backtrack .clone .clusters" in overview
    for name in ("clusters", "use", "create", "clone", "storage", "snapshot", "snapshots", "reset", "backtrack"):
        assert f"\n.{name} " in overview
        assert f".{name} " in talk.told(f".help {name}")
    assert ".clone prod@'5 minutes ago' before" in talk.told(".help clone")
    assert talk.told("help") == overview


def test_the_conversation_of_the_readme(talking: Talking) -> None:
    """What the README shows is what the shell says."""
    text = (Path(__file__).parent.parent / "README.md").read_text()
    shown = text.partition("## SQL shell")[2].partition("```text\n")[2].partition("```")[0]
    typed = re.compile(r"^(\w+\*?> |.*\[y/N\] )(.*)\n", re.MULTILINE)
    talk = talking()
    talk.shell.stderr = talk.out
    assert talk.say(*(line for _, line in typed.findall(shown)))[0] == typed.sub(r"\1", shown) + "dev> \n"


def test_words_that_people_try(talking: Talking) -> None:
    """exit and quit without a dot leave, at a prompt."""
    for word in ("exit", "quit;", ".exit", ".quit"):
        with pytest.raises(SystemExit):
            talking().say(word)


def test_completion(store: clusterdb.Store, talking: Talking) -> None:
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


# --- other engines ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("engine", "lines", "answer"),
    [
        ("aurora-mysql", ["CREATE TABLE t (s VARCHAR(20));", r"INSERT INTO t VALUES ('it\'s;');"], "it's;!\n"),
        ("aurora-postgresql", ["CREATE TABLE t (s TEXT);", "INSERT INTO t VALUES", "($$it's;$$);"], "it's;!\n"),
    ],
)
def test_flavours(store: clusterdb.Store, talking: Talking, engine: str, lines: list[str], answer: str) -> None:
    """Statements end where the engine's grammar says so, are translated, and refused in one line."""
    store.create_cluster("other", engine=engine)
    talk = talking("other")
    assert talk.say(*lines)[1] == ""
    assert talk.told("SELECT concat(s, '!') FROM t; SELECT 1 WHERE 1 = 0;") == answer
    assert talk.told(".tables") == "t\n"
    refused = talk.told("SELECT frobnicate(s) FROM t;")
    assert refused.endswith(f"is not supported by {engine} clusters: SELECT frobnicate(s) FROM t\n")
    assert talk.told("SELECT nope FROM t;") == "no such column: nope\n"
    assert talk.say("COMMIT;", "BEGIN;", "ROLLBACK;")[0] == "other> other> other*> other> \n"


def test_a_flavour_in_the_past(store: clusterdb.Store, talking: Talking) -> None:
    """A point in the past is read in the engine's own SQL."""
    store.create_cluster("other", engine="aurora-mysql", backtrack_window_s=60)
    talk = talking("other")
    talk.say("CREATE TABLE t (s VARCHAR(20));", "INSERT INTO t VALUES ('a');")
    version = store.cluster("other").stats().version
    talk.say("DELETE FROM t;", f".use other@{version}")
    assert talk.told("SELECT CONCAT_WS('-', s, 'b') FROM t;") == "a-b\n"


def test_mysqls_schema_changes_commit(store: clusterdb.Store, talking: Talking) -> None:
    """A step that the translation asks for is taken: CREATE TABLE ends the open transaction."""
    store.create_cluster("other", engine="aurora-mysql")
    talk = talking("other")
    assert talk.say("BEGIN;", "CREATE TABLE t (x INT);")[0].endswith("other*> other> \n")


# --- another process --------------------------------------------------------------------------------------------------
def test_a_pipe(tmp_path: Path, store: clusterdb.Store) -> None:
    """Standard input without prompts; the only cluster is used; the last semicolon may be missing."""
    answer = run(tmp_path, stdin="SELECT name FROM users;\n.mode csv\nSELECT * FROM users WHERE id = 1")
    assert (answer.stdout, answer.stderr, answer.returncode) == ("ada\nbob\n1,ada\n", "", 0)


def test_errors_in_a_pipe(tmp_path: Path, store: clusterdb.Store) -> None:
    """An error says its line and lets the next one run; the exit code is 1; --bail stops there."""
    script = "SELECT 1;\n\nSELECT *\nFROM nowhere;\nSELECT 2;\n.clone prod prod\n"
    answer = run(tmp_path, "prod", stdin=script)
    assert (answer.stdout, answer.returncode) == ("1\n2\n", 1)
    assert answer.stderr == (
        "clusterdb: line 3: no such table: nowhere\n"
        "clusterdb: line 6: store '.clusterdb' has a cluster 'prod' already: choose another name\n"
    )
    answer = run(tmp_path, "prod", "--bail", stdin=script)
    assert (answer.stdout, answer.returncode) == ("1\n", 1)
    assert answer.stderr == "clusterdb: line 3: no such table: nowhere\n"


def test_commands_and_files(tmp_path: Path, store: clusterdb.Store) -> None:
    """-f and -c run in that order, several times; standard input is left alone; the exit code tells."""
    (tmp_path / "a.sql").write_text("CREATE TABLE t (x);\nINSERT INTO t\nVALUES (1);\n")
    (tmp_path / "b.sql").write_text("INSERT INTO t VALUES (2);\nnonsense;\nINSERT INTO t VALUES (3)")
    answer = run(tmp_path, "prod", "-c", "SELECT sum(x) FROM t", "-c", ".tables", "-f", "a.sql", stdin="SELECT 99;")
    assert (answer.stdout, answer.stderr, answer.returncode) == ("1\nt\nusers\n", "", 0)
    answer = run(tmp_path, "prod", "-f", "b.sql", "-c", "SELECT sum(x) FROM t", "-c", "nonsense")
    assert (answer.stdout, answer.returncode) == ("6\n", 1)
    assert answer.stderr == (
        'clusterdb: b.sql line 2: near "nonsense": syntax error\nclusterdb: -c: near "nonsense": syntax error\n'
    )
    assert run(tmp_path, "prod", "-c", "SELECT 1", "-c", ".exit 3", "-c", "SELECT 2").returncode == 3
    assert run(tmp_path, "prod", "--bail", "-f", "b.sql", "-c", "SELECT 1").stdout == ""
    assert run(tmp_path, "prod", "-f", "absent.sql").returncode == 2


def test_modes(tmp_path: Path, store: clusterdb.Store) -> None:
    """--mode and --header; an unknown mode is wrong usage."""
    arguments = ("prod", "-c", "SELECT * FROM users WHERE id = 1")
    assert run(tmp_path, *arguments, "--mode", "csv", "--header").stdout == "id,name\n1,ada\n"
    assert json.loads(run(tmp_path, *arguments, "--mode", "json").stdout) == [{"id": 1, "name": "ada"}]
    answer = run(tmp_path, *arguments, "--mode", "jsn")
    assert answer.returncode == 2 and "did you mean 'json'?" in answer.stderr


def test_which_cluster(tmp_path: Path, store: clusterdb.Store) -> None:
    """Several and none named: none; an unknown one, or an endpoint of none, is refused."""
    store.create_cluster("dev")
    answer = run(tmp_path, "-c", "SELECT 1")
    assert answer.stderr == "clusterdb: -c: no cluster in use: .use NAME (clusters: dev, prod)\n"
    assert answer.returncode == 1
    assert run(tmp_path, "-c", ".use dev", "-c", "SELECT 1").stdout == "1\n"
    assert "did you mean 'prod'?" in run(tmp_path, "prd").stderr
    assert run(tmp_path, "--endpoint", "reader", "-c", "SELECT 1").returncode == 2
    answer = run(tmp_path, "prod", "--endpoint", "nope")
    assert (answer.returncode, answer.stderr) == (1, "clusterdb: cluster 'prod' has no endpoint 'nope'\n")


def test_no_store_is_made(tmp_path: Path) -> None:
    """A shell opens what is there."""
    answer = run(tmp_path, "-c", "SELECT 1")
    assert answer.returncode == 1 and answer.stderr.startswith("clusterdb: there is no store at '.clusterdb'")
    assert not (tmp_path / ".clusterdb").exists()


def test_an_empty_store(tmp_path: Path) -> None:
    """Where there is no cluster the shell says how to make one."""
    clusterdb.open(tmp_path / ".clusterdb").close()
    answer = run(tmp_path, "-c", "SELECT 1")
    assert answer.stderr == "clusterdb: -c: no cluster in use: the store has none yet: .create NAME\n"
    assert run(tmp_path, "-c", ".create x", "-c", "SELECT 1").stdout == "1\n"


def test_endpoint_and_read_only(tmp_path: Path, store: clusterdb.Store) -> None:
    """Through a reader, or with --read-only, nothing is written."""
    store.cluster("prod").add_instance("w1")
    store.cluster("prod").add_instance("r1")
    for options in (["--endpoint", "reader"], ["--endpoint", "r1"], ["--read-only"]):
        answer = run(tmp_path, "prod", *options, "-c", "SELECT count(*) FROM users", "-c", "DELETE FROM users")
        assert (answer.stdout, answer.returncode) == ("2\n", 1)
        assert answer.stderr == "clusterdb: -c: attempt to write a readonly database\n"


def test_reset_asks(tmp_path: Path, store: clusterdb.Store) -> None:
    """Without a terminal to ask on, a reset needs --yes, its own or the shell's."""
    store.cluster("prod").clone("dev")
    run(tmp_path, "dev", "-c", "DELETE FROM users")
    answer = run(tmp_path, "dev", "-c", ".reset")
    question = "Reset dev to the present state of 'prod', and lose its own changes?"
    assert answer.stderr == f"clusterdb: -c: there is no terminal to ask on ({question}): add --yes\n"
    assert (ids(store, "dev"), answer.returncode) == ([], 1)
    assert run(tmp_path, "dev", "-c", ".reset --yes").returncode == 0
    assert ids(store, "dev") == [1, 2]
    run(tmp_path, "dev", "-c", "DELETE FROM users")
    assert run(tmp_path, "dev", "--yes", "-c", ".reset").returncode == 0
    assert ids(store, "dev") == [1, 2]


@pytest.mark.parametrize("command", [".backtrack 2", ".failover"])
def test_others_that_ask(tmp_path: Path, store: clusterdb.Store, command: str) -> None:
    """So do a backtrack and a failover."""
    store.cluster("prod").add_instance("w1")
    store.cluster("prod").add_instance("r1")
    answer = run(tmp_path, "prod", stdin=f"{command}\n")
    assert (answer.returncode, answer.stderr.endswith("?): add --yes\n")) == (1, True)
    assert ids(store) == [1, 2] and store.cluster("prod").instances()[0].name == "w1"
    assert run(tmp_path, "prod", stdin=f"{command} --yes\n").returncode == 0
    assert store.cluster("prod").instances()[0].name == ("r1" if command == ".failover" else "w1")


def test_a_closed_pipe(tmp_path: Path, store: clusterdb.Store) -> None:
    """A reader that goes away: no word, exit code 1, and nothing after it is run."""
    many = f"SELECT x FROM ({ENDLESS.replace('max(x)', 'x')});\n.clone prod dev\n"
    command = subprocess.Popen(
        [*RUN, "shell", "prod"], cwd=tmp_path, stdin=-1, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdin is not None and command.stdout is not None and command.stderr is not None
    command.stdin.write(many)
    command.stdin.close()
    command.stdout.readline()
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait() == 1
    assert names(store) == ["prod"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_streams_that_are_closed(tmp_path: Path, store: clusterdb.Store, closed: str) -> None:
    """Nothing to read, or nobody to tell: it comes to an end."""
    (tmp_path / "insert.sql").write_text("INSERT INTO users VALUES (3, 'eve');")
    command = f"exec {shlex.join([*RUN, 'shell', 'prod'])} < insert.sql {closed}"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert ids(store) == ([1, 2] if closed == "<&-" else [1, 2, 3])


def test_what_cannot_be_read(tmp_path: Path, store: clusterdb.Store) -> None:
    """No text, and a full disk to write to, end a script with a message, once."""
    (tmp_path / "binary.sql").write_bytes(b"SELECT '\xff';\nSELECT 2;\n")
    answer = run(tmp_path, "prod", "-f", "binary.sql")
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
    assert answer.stderr.startswith("clusterdb: binary.sql line 1: 'utf-8' codec can't decode")
    command = f"echo 'SELECT 1;' | {shlex.join([*RUN, 'shell', 'prod'])} > /dev/full"
    full = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert full.returncode == 1 and full.stderr.count("No space left") == 1


def test_ctrl_c_waits_for_what_is_done_in_one_go() -> None:
    """A verb of the control plane is done to its end; then Ctrl-C counts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = False
    try:
        with pytest.raises(KeyboardInterrupt, match="done before"), postponed():
            os.kill(os.getpid(), signal.SIGINT)
            done = True
        assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_a_script(tmp_path: Path, store: clusterdb.Store) -> None:
    """A script is stopped as a whole, also within a long statement: exit code 130; what was open is rolled back."""
    command = subprocess.Popen(
        [*RUN, "shell", "prod"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdin is not None and command.stdout is not None
    command.stdin.write(f"BEGIN; DELETE FROM users;\nSELECT 'begun';\n{ENDLESS};\nSELECT 'after';\n")
    command.stdin.flush()
    assert command.stdout.readline() == "begun\n"  # flushed when the next statement is read
    command.send_signal(signal.SIGINT)
    out, err = ended(command)
    assert (out, err, command.returncode) == ("", "\ninterrupted\n", 130)
    assert ids(store) == [1, 2]


def test_help_of_the_verb(tmp_path: Path) -> None:
    """The verb is listed, and neither apsw nor prompt_toolkit is imported to say so."""
    answer = run(tmp_path, "--help")
    assert answer.returncode == 0 and "--read-only" in answer.stdout
    script = "import sys; from clusterdb import cli; print({'apsw', 'prompt_toolkit'} & {*sys.modules})"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "set()\n"
    )


# --- a terminal -------------------------------------------------------------------------------------------------------
class Screen:
    """A session of tmux, with a shell in it."""

    def __init__(self, folder: Path, command: str) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self._do("new-session", "-d", "-x", "100", "-y", "30", f"{command}; echo exit code $?; cat")

    def _do(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True).stdout

    def type(self, text: str, *keys: str) -> None:
        """Type a text as it is, then keys by their names."""
        if text:
            self._do("send-keys", "-l", "--", re.sub(r";\Z", r"\\;", text))  # tmux ends its own commands so
        if keys:
            self._do("send-keys", *keys)

    def wait_for(self, end: str, *having: str) -> str:
        """What is on the screen, once that has some texts and ends with one."""
        deadline = time.monotonic() + 30
        while True:
            shown = self._do("capture-pane", "-p").rstrip()
            if shown.endswith(end) and all(text in shown for text in having):
                return shown
            assert time.monotonic() < deadline, f"{having} and at the end '{end}' are not in:\n{shown}"
            time.sleep(0.05)

    def has_colour(self, word: str) -> bool:
        """Whether a word is on the screen in another colour than what is before it."""
        return bool(re.search(rf"\x1b\[[0-9;]*m{word}", self._do("capture-pane", "-p", "-e")))

    def end(self) -> None:
        """Let go of it, and end what runs there."""
        self._do("kill-server")


@pytest.fixture
def on_screen(tmp_path: Path, store: clusterdb.Store) -> Iterator[Callable[..., Screen]]:
    """Begins ``clusterdb shell prod`` in tmux, with options and an environment."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: nobody types into a terminal here")
    begun: list[Screen] = []

    def begin(*options: str, **environment: str) -> Screen:
        named = {"TERM": "tmux-256color", "XDG_STATE_HOME": str(tmp_path / "state"), **environment}
        settings = [f"{name}={value}" for name, value in {**named, "PYTHONPATH": os.pathsep.join(sys.path)}.items()]
        command = shlex.join(["env", "-C", str(tmp_path), *settings, *RUN, "shell", *options])
        begun.append(Screen(tmp_path, command))
        return begun[-1]

    yield begin
    for screen in begun:
        screen.end()


def test_typed_in_a_terminal(on_screen: Callable[..., Screen], store: clusterdb.Store, tmp_path: Path) -> None:
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
    screen.wait_for("dev>", "dev has the present state of 'prod' now")
    assert ids(store, "dev") == [1, 2]
    screen.type("", "Up", "Up")
    screen.wait_for("dev> commit;")
    screen.type("", "C-c")
    screen.wait_for("dev>")
    screen.type("", "C-d")
    screen.wait_for("exit code 0")
    assert History(tmp_path / "state" / "clusterdb" / "history").entries[0] == "select name from\nusers;"


def test_typed_without_the_extra(on_screen: Callable[..., Screen], store: clusterdb.Store) -> None:
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


# --- history ----------------------------------------------------------------------------------------------------------
def test_history(tmp_path: Path) -> None:
    """Entries of several lines come back as they were; the same again is kept once; others cannot read it."""
    path = tmp_path / "state" / "history"
    history = History(path)
    for entry in ("SELECT 1;", "SELECT 1;", "SELECT\n  2;\n", "", "  "):
        history.append(entry)
    History(path).append(".clusters")
    assert History(path).entries == ["SELECT 1;", "SELECT\n  2;", ".clusters"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == 3


def test_a_history_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not grow for ever."""
    monkeypatch.setattr("clusterdb.shell.history.ENTRIES_MAX", 3)
    path = tmp_path / "history"
    path.write_text("".join(f"SELECT {n};\n" for n in range(10)))
    assert History(path).entries == ["SELECT 7;", "SELECT 8;", "SELECT 9;"]
    assert path.read_text().count("\n") == 3


def test_a_history_that_cannot_be(tmp_path: Path) -> None:
    """It is kept in memory then."""
    (tmp_path / "file").touch()
    history = History(tmp_path / "file" / "history")
    history.append("SELECT 1;")
    assert history.entries == ["SELECT 1;"]
