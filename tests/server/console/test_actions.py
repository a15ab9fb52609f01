"""Every action: what it changes, what it answers, and that the code that it shows is right."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from contextlib import closing
from html import unescape
from typing import Any

import pytest

import clusterdb
from clusterdb.cli import cli
from clusterdb.server.console.actions import ACTIONS
from tests.server.console.client import Client

Fields = list[tuple[str, str]]
Check = Callable[[clusterdb.Store], bool]


def names(store: clusterdb.Store) -> list[str]:
    return [cluster.name for cluster in store.clusters()]


def count(store: clusterdb.Store, name: str, sql: str) -> Any:
    with closing(store.cluster(name).connect()) as connection:
        return connection.execute(sql).fetchall()[0][0]


def instance(store: clusterdb.Store, name: str) -> Any:
    return next((item for item in store.cluster("prod").instances() if item.name == name), None)


def snapshots(store: clusterdb.Store) -> list[str]:
    return [snapshot.name for snapshot in store.snapshots()]


def orders(store: clusterdb.Store, name: str = "prod") -> int:
    return int(count(store, name, "SELECT count(*) FROM orders"))


def endpoints(store: clusterdb.Store) -> list[str]:
    return [endpoint.name for endpoint in store.cluster("prod").endpoints()]


PERFORMED: dict[str, list[tuple[Fields, str, Check]]] = {
    "create": [
        ([("name", "new"), ("engine", "aurora-mysql"), ("ttl", "2h")], "created new", lambda s: "new" in names(s)),
    ],
    "clone": [
        ([("source", "prod"), ("name", "c1")], "cloned prod as c1, at version 5", lambda s: orders(s, "c1") == 300),
        (
            [("source", "prod"), ("name", "c2"), ("from", "version"), ("version", "3"), ("tags", "for=Ada\nwhy=test")],
            "cloned prod as c2, at version 3",
            lambda s: orders(s, "c2") == 0 and dict(s.cluster("c2").settings.tags) == {"for": "Ada", "why": "test"},
        ),
        (
            [("source", "prod"), ("name", "c3"), ("from", "snapshot"), ("snapshot", "monday"), ("ttl", "1h")],
            "restored snapshot monday as c3",
            lambda s: count(s, "c3", "SELECT count(*) FROM customers") == 0 and s.cluster("c3").settings.ttl_s == 3600,
        ),
        (
            [("source", "prod"), ("name", "c4"), ("full_copy", "1")],
            "copied prod as c4",
            lambda s: s.cluster("c4").stats().shared_bytes == 0,
        ),
    ],
    "modify": [
        (
            [("cluster", "dev"), ("retention", "2"), ("flags", "protection"), ("protection", "1"), ("note", "mine")],
            "modified dev: Days that the past is kept 1 -> 2",
            lambda s: (
                s.cluster("dev").settings.deletion_protection and s.cluster("dev").settings.tags["note"] == "mine"
            ),
        ),
        (
            [("cluster", "dev"), ("retention", "1"), ("retained", "300 MiB")],
            "modified dev: Size that the past may take none -> 314572800",
            lambda s: s.cluster("dev").settings.backup_retention_bytes == 300 << 20,
        ),
        (
            [("cluster", "dev"), ("retention", "2"), ("retained", "")],
            "modified dev: Days that the past is kept 1 -> 2",
            lambda s: s.cluster("dev").settings.backup_retention_bytes is None,
        ),
    ],
    "rename": [([("cluster", "dev"), ("name", "old")], "renamed dev to old", lambda s: "old" in names(s))],
    "stop": [([("cluster", "dev")], "stopped dev", lambda s: s.cluster("dev").status == "stopped")],
    "start": [([("cluster", "orphan")], "started orphan", lambda s: s.cluster("orphan").status == "available")],
    "delete": [
        ([("cluster", "dev"), ("typed", "dev")], "deleted dev", lambda s: "dev" not in names(s)),
        (
            [("cluster", "dev"), ("cluster", "orphan"), ("typed", "dev")],
            "deleted dev, orphan",
            lambda s: names(s) == ["prod"],
        ),
    ],
    "snapshot": [
        ([("cluster", "prod"), ("name", "s1")], "took snapshot s1", lambda s: "s1" in snapshots(s)),
        ([("cluster", "prod"), ("name", "s1"), ("at", "3")], "at version 3", lambda s: s.snapshot("s1").version == 3),
    ],
    "copy-snapshot": [
        ([("snapshot", "monday"), ("name", "s2")], "copied snapshot monday as s2", lambda s: "s2" in snapshots(s)),
    ],
    "delete-snapshot": [
        ([("snapshot", "monday"), ("typed", "monday")], "deleted snapshot monday", lambda s: not snapshots(s)),
    ],
    "back": [
        (
            [("cluster", "prod"), ("kind", "version"), ("to", "3")],
            "backtracked prod from version 5 to 3",
            lambda s: orders(s) == 0 and snapshots(s) == ["monday"],
        ),
        (
            [("cluster", "prod"), ("kind", "snapshot"), ("to", "monday"), ("keep", "1")],
            "what was there before is the snapshot before-reset-prod-1",
            lambda s: count(s, "prod", "SELECT count(*) FROM customers") == 0 and len(snapshots(s)) == 2,
        ),
        (
            [("cluster", "dev"), ("kind", "source"), ("keep", "1")],
            "reset dev from version 8 to prod",
            lambda s: orders(s, "dev") == 300,
        ),
        (
            [("cluster", "dev"), ("kind", "version"), ("to", "6")],
            "reset dev from version 8 to its version 6",
            lambda s: (
                count(s, "dev", "SELECT country FROM customers WHERE name = 'customer 1'") == "NO"
                and snapshots(s) == ["monday"]
            ),
        ),
    ],
    "apply": [
        (
            [("before", "dev"), ("after", ""), ("target", "prod"), ("on_conflict", "abort")],
            "applied 11 changed rows to prod",
            lambda s: orders(s) == 290,
        ),
    ],
    "add-instance": [
        (
            [("cluster", "prod"), ("name", "prod-3"), ("tier", "0"), ("lag", "5")],
            "added instance prod-3 to prod as a reader",
            lambda s: instance(s, "prod-3").replica_lag_ms == 5,
        ),
    ],
    "modify-instance": [
        (
            [("cluster", "prod"), ("instance", "prod-2"), ("tier", "3"), ("lag", "7"), ("jitter", "1")],
            "modified instance prod-2",
            lambda s: instance(s, "prod-2").promotion_tier == 3,
        ),
    ],
    "delete-instance": [
        (
            [("cluster", "prod"), ("instance", "prod-2")],
            "deleted instance prod-2",
            lambda s: instance(s, "prod-2") is None,
        ),
    ],
    "failover": [
        (
            [("cluster", "prod"), ("target", "prod-2")],
            "promoted prod-2 to writer of prod in place of prod-1",
            lambda s: instance(s, "prod-2").role == "writer",
        ),
        ([("cluster", "prod"), ("target", "")], "promoted prod-2", lambda s: instance(s, "prod-2").role == "writer"),
    ],
    "crash": [
        (
            [("cluster", "prod"), ("instance", "prod-1")],
            "crashed prod-1 of prod; the writer is prod-2",
            lambda s: instance(s, "prod-2").role == "writer",
        ),
    ],
    "fault": [
        (
            [("cluster", "prod"), ("fault", "replica"), ("percent", "100"), ("seconds", "1")],
            "Readers stop receiving changes in prod for 1 s",
            lambda s: True,
        ),
        ([("cluster", "prod"), ("fault", "disk"), ("percent", "0"), ("seconds", "1")], "block in prod", lambda s: True),
        (
            [("cluster", "prod"), ("fault", "congestion"), ("percent", "0"), ("seconds", "1"), ("instance", "prod-2")],
            "slow in prod",
            lambda s: True,
        ),
    ],
    "add-endpoint": [
        (
            [("cluster", "prod"), ("name", "reports"), ("type", "READER"), ("member", "prod-2")],
            "added endpoint reports to prod, which leads to prod-2",
            lambda s: "reports" in endpoints(s),
        ),
    ],
    "delete-endpoint": [
        (
            [("cluster", "prod"), ("endpoint", "custom")],
            "deleted endpoint custom of prod",
            lambda s: "custom" not in endpoints(s),
        ),
    ],
}
CASES = [(action, *case) for action, cases in PERFORMED.items() for case in cases]


def prepare(store: clusterdb.Store, action: str) -> None:
    """What an action needs in the shop."""
    if action == "start":
        store.cluster("orphan").stop()
    if action == "delete-endpoint":
        store.cluster("prod").add_endpoint("custom")


def test_every_action_is_tested() -> None:
    """An action that is added needs a case."""
    assert set(PERFORMED) == set(ACTIONS)


@pytest.mark.parametrize(("action", "fields", "message", "check"), CASES)
def test_action_does_what_it_answers(
    shop: clusterdb.Store, console: Client, action: str, fields: Fields, message: str, check: Check
) -> None:
    """The change is in the store, and the next page describes it."""
    prepare(shop, action)
    page = console.do(action, fields)
    assert page.status == 200, page.error
    assert message in page.words
    assert check(shop)


@pytest.mark.parametrize(("action", "fields"), [(action, fields) for action, fields, *_ in CASES])
def test_code_of_an_action_is_right(console: Client, action: str, fields: Fields) -> None:
    """The command line has the options, Python compiles, and botocore accepts the parameters of every call."""
    page = console.post(f"/code/{action}", fields, part=True)
    assert page.status == 200
    cli_text, boto3, python = map(unescape, re.findall(r"<code>(.*?)</code>", page.text, re.DOTALL))
    require_valid_command(cli_text)
    ast.parse(python)
    require_valid_calls(boto3)


def require_valid_command(text: str) -> None:
    """Parse a command line by the command's own options, without running it."""
    words = shlex.split(text)
    words = words[words.index("clusterdb") + 1 :] if "clusterdb" in words else words[1:]
    command = cli.get_command(cli.make_context("cldb", ["ls"]), words[0])
    assert command is not None, words
    command.make_context(words[0], words[1:])


def require_valid_calls(text: str) -> None:
    """Validate the parameters of all calls of clients by the models of botocore."""
    session = pytest.importorskip("botocore.session").get_session()
    validate = pytest.importorskip("botocore.validate").ParamValidator().validate
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id in ("rds", "data")):
            continue
        model = session.get_service_model({"rds": "rds", "data": "rds-data"}[node.func.value.id])
        words = "".join(word.capitalize() for word in node.func.attr.split("_"))
        operation = next(name for name in model.operation_names if name.lower() == words.lower())
        parameters = {item.arg: ast.literal_eval(item.value) for item in node.keywords}
        report = validate(parameters, model.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()


def test_undo_of_a_reset_brings_back_what_was_lost(shop: clusterdb.Store, console: Client) -> None:
    """The button of the notice restores the state before."""
    page = console.do("back", {"cluster": "dev", "kind": "source", "keep": "1"})
    assert orders(shop, "dev") == 300
    form = re.search(r'action="/do/back".*?</form>', page.text, re.DOTALL)
    assert form is not None and "Undo" in form[0]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[0]))
    del fields["token"]
    console.do("back", fields)
    assert orders(shop, "dev") == 290


@pytest.mark.parametrize(
    ("action", "fields", "error"),
    [
        ("create", {"name": "1x"}, "invalid cluster name '1x'"),
        ("create", {"name": "prod"}, "already"),
        ("create", {"name": ""}, "Name is missing: fill it in"),
        ("create", {"name": "x", "retention": "99"}, "Days that the past is kept 99: use a whole number from 0 to 35"),
        ("create", {"name": "x", "retained": "big"}, "invalid size 'big': use a number of bytes, or 64k, 500MB, 2g"),
        ("create", {"name": "x", "retention": "two"}, "Days that the past is kept 'two' is not a whole number"),
        ("create", {"name": "x", "ttl": "soon"}, "invalid duration 'soon'"),
        ("create", {"name": "x", "engine": "oracle"}, "engine 'oracle': use one of sqlite"),
        ("create", {"name": "x", "tags": "no value"}, "tag 'no value' has no value"),
        ("clone", {"source": "nope", "name": "x"}, "nope"),
        ("clone", {"source": "prod", "name": "x", "from": "version", "version": "99"}, "no version 99"),
        ("clone", {"source": "prod", "name": "x", "from": "time", "time": "late"}, "invalid time 'late'"),
        ("clone", {"source": "prod", "name": "x", "from": "time", "time": "1999-01-01T00:00"}, "cannot go back to"),
        ("clone", {"source": "prod", "name": "x", "from": "snapshot", "snapshot": "tuesday"}, "no snapshot 'tuesday'"),
        ("delete", {"cluster": "dev", "typed": "prod"}, "the name typed is not 'dev'"),
        ("delete", {}, "no database is selected"),
        ("delete-snapshot", {"snapshot": "monday", "typed": ""}, "the name typed is not 'monday'"),
        ("back", {"cluster": "orphan", "kind": "source"}, "has lost its source"),
        ("back", {"cluster": "prod", "kind": "version", "to": ""}, "is missing: choose one"),
        ("failover", {"cluster": "dev"}, "dev"),
        ("fault", {"cluster": "dev"}, "'dev' has no instances: add one"),
        ("fault", {"cluster": "prod", "percent": "101"}, "use a whole number from 0 to 100"),
        ("fault", {"cluster": "prod", "fault": "flood"}, "unknown fault 'flood'"),
        ("add-instance", {"cluster": "prod", "name": "x", "tier": "99"}, "Tier 99: use a whole number"),
        ("add-endpoint", {"cluster": "prod", "name": "x", "type": "BOTH"}, "unknown type 'BOTH'"),
        ("apply", {"before": "prod@", "target": "dev"}, "point in time missing"),
        ("nonsense", {}, "unknown action 'nonsense'"),
    ],
)
def test_bad_input_is_one_line(
    console: Client, shop: clusterdb.Store, action: str, fields: dict[str, str], error: str
) -> None:
    """What is wrong and what to do, in the page's words; nothing is changed."""
    before = names(shop), snapshots(shop)
    page = console.post(f"/do/{action}", fields)
    assert 400 <= page.status < 500
    assert error in page.error
    assert "\n" not in page.error
    assert "Traceback" not in page.text
    assert "_s=" not in page.error
    assert (names(shop), snapshots(shop)) == before


def test_protected_databases_are_not_deleted(console: Client, shop: clusterdb.Store) -> None:
    """None of several is deleted if one is protected."""
    shop.cluster("dev").modify(deletion_protection=True)
    page = console.post("/do/delete", [("cluster", "orphan"), ("cluster", "dev"), ("typed", "orphan")])
    assert "'dev' is protected" in page.error
    assert "orphan" in names(shop)
    assert "protected" in console.get("/delete?cluster=dev").error
