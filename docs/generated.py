"""The directive ``{clusterdb}``: parts of the reference that are generated from the code they describe."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields
from typing import Any

import error_tables
import pytest
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import clusterdb.cli
from clusterdb import pytest_plugin
from clusterdb.cli.app import _SECTIONS, cli
from clusterdb.flavours import flavour_of
from clusterdb.flavours.registry import Arguments, Function
from clusterdb.rules import settings
from clusterdb.views.prometheus import HELP, series_name


class Generated(SphinxDirective):
    """``{clusterdb} NAME``: the Markdown that the generator ``NAME`` of ``GENERATORS`` yields."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the generated Markdown."""
        lines = GENERATORS[self.arguments[0]]()
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(headers)
    rows = [names, ["---"] * len(names), *rows]
    return (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


# --- errors -----------------------------------------------------------------------------------------------------------
def code_table() -> Iterator[str]:
    """SQLSTATE and MySQL's numbers."""
    headers = ["class, result code, or start of the message", "PostgreSQL", "MySQL", "MySQL's number"]
    return _table(headers, error_tables.code_rows())


# --- settings ---------------------------------------------------------------------------------------------------------
_OTHER_VALUES = {
    "engine": "aurora-mysql",
    "backup_retention_days": 1,
    "backtrack_window_s": 1,
    "deletion_protection": True,
    "ttl_s": 1,
    "idle_s": 1,
    "clone_limit": 1,
    "tags": {"a": "b"},
}


def setting_table() -> Iterator[str]:
    """The settings, with their defaults and options, and whether a clone inherits them."""
    source = settings.ClusterSettings(**_OTHER_VALUES)  # type: ignore[arg-type]
    clone = source.inherited()
    options = {option.name: option for option in cli.commands["create"].params}
    rows = []
    for field in fields(settings.ClusterSettings):
        default = field.default_factory() if field.default is MISSING else field.default  # type: ignore[misc]
        option = options[field.name]
        inherits = getattr(clone, field.name) == getattr(source, field.name)
        text = (option.help or "").replace("  [default: sqlite]", "")  # type: ignore[attr-defined]
        rows.append([f"`{field.name}`", f"`{default!r}`", f"`{option.opts[0]}`", text, "yes" if inherits else "no"])
    return _table(["setting", "default", "option", "description", "inherited by a clone"], rows)


# --- metrics ----------------------------------------------------------------------------------------------------------
def metric_table() -> Iterator[str]:
    """The metrics under both of their names."""
    rows = [[f"`{name}`", f"`{series_name(name)}`", text] for name, text in HELP.items()]
    return _table(["CloudWatch's name", "on the Prometheus page", "what"], rows)


# --- pytest -----------------------------------------------------------------------------------------------------------
def _plugin_parser() -> Any:
    parser = pytest.Parser(_ispytest=True)
    pytest_plugin.pytest_addoption(parser)
    return parser


def option_table() -> Iterator[str]:
    """The options, and the keys of the ini file with their defaults."""
    parser = _plugin_parser()
    rows = []
    for option in parser.getgroup("clusterdb").options:
        name = option.names()[0]
        key = option.dest
        _, kind, default = parser._inidict[key]
        rows.append([f"`{name}`", f"`{key}`", kind or "text", f"`{default!r}`", option.attrs()["help"]])
    return _table(["option", "key in the ini file", "type of the key", "default", "description"], rows)


def fixture_list() -> Iterator[str]:
    """The fixtures with their scope and docstrings."""
    yield "```{eval-rst}"
    for node in ast.parse(inspect.getsource(pytest_plugin)).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in map(ast.unparse, node.decorator_list):
            if decorator.startswith("pytest.fixture"):
                scope = "session" if "session" in decorator else "function"
                yield from ("", f".. describe:: {node.name} (scope: {scope})", "")
                yield from (f"   {line}" for line in (ast.get_docstring(node) or "").splitlines())
    yield from ("", "```")


def marker_list() -> Iterator[str]:
    """The markers."""
    for line in pytest_plugin._MARKERS:
        name, _, text = line.partition(": ")
        yield from (f"`@pytest.mark.{name}`", f": {text}", "")


# --- the command line -------------------------------------------------------------------------------------------------
def exit_codes() -> Iterator[str]:
    """The exit codes, from the docstring of :mod:`clusterdb.cli`."""
    yield (inspect.getdoc(clusterdb.cli) or "").partition("\n\n")[2]


def commands() -> Iterator[str]:
    """Every command, in the order of ``clusterdb --help``."""
    placed = " ".join(_SECTIONS.values()).split()
    names = [*placed, *sorted(set(cli.commands) - set(placed))]
    yield from ("```{eval-rst}", ".. click:: clusterdb.cli:cli", "   :prog: clusterdb", "   :nested: full")
    yield from (f"   :commands: {','.join(names)}", "```")


# --- all of them ------------------------------------------------------------------------------------------------------
# --- functions --------------------------------------------------------------------------------------------------------
def function_table() -> Iterator[str]:
    """The SQL functions of the engines that are not SQLite, and how many arguments they have."""
    functions = {engine: flavour_of(engine).functions.by_name for engine in ("aurora-mysql", "aurora-postgresql")}
    names = sorted({name for rows in functions.values() for name in rows})
    yield from _table(
        ["function", *functions], ([name, *(_arity(rows.get(name)) for rows in functions.values())] for name in names)
    )


def _arity(function: Function | None) -> str:
    """How many arguments a function has."""
    if function is None:
        return "\N{EM DASH}"
    supported = Arguments(function.arguments.replace("!", ""))
    if supported.most is None:
        return f"{supported.least} or more"
    return str(supported.least) if supported.least == supported.most else f"{supported.least} to {supported.most}"


GENERATORS: dict[str, Callable[[], Iterator[str]]] = {
    "errors": error_tables.error_tree,
    "error-codes": code_table,
    "settings": setting_table,
    "metrics": metric_table,
    "pytest-options": option_table,
    "pytest-fixtures": fixture_list,
    "pytest-markers": marker_list,
    "exit-codes": exit_codes,
    "commands": commands,
    "functions": function_table,
}
