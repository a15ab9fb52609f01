"""Every action: what it changes, what it answers, and that the code that it shows is right."""

from __future__ import annotations

import ast
import re
import shlex
from html import unescape

import pytest

import clusterdb
from clusterdb.cli import cli
from clusterdb.server.console.actions import ACTIONS
from tests.server.console.client import Client
from tests.server.console.performed import CASES, PERFORMED, Check, Fields, names, orders, prepare, snapshots


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
