"""House rules as tests: imports point down, apsw and system calls have their doors, words stay in their rooms."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted([*ROOT.glob("vfs/*.py"), *ROOT.glob("clusterdb/**/*.py")])

# Lower numbers may not import higher ones.
LAYERS = {
    "vfs.errors": 0,
    "vfs.failpoints": 0,
    "vfs.holds": 0,
    "vfs.interrupts": 0,
    "vfs.format.layout": 1,
    "vfs.storage.device": 1,
    "vfs.sqlite.own_files": 1,
    "vfs.registry": 2,
    "vfs.storage.slot_map": 2,
    "vfs.storage.walk": 2,
    "vfs.storage.sessions": 3,
    "vfs.reclaim": 4,
    "vfs.reclaim.unreachable": 5,
    "vfs.instances": 4,
    "vfs.reclaim.absorb": 5,
    "vfs.storage.seals": 3,
    "vfs.reclaim.retention": 6,
    "vfs.storage.history": 2,
    "vfs.reclaim.cleanup": 5,
    "vfs.storage.clock": 3,
    "vfs.volume": 4,
    "vfs.tools.recovery": 6,
    "vfs.store": 6,
    "vfs.tools.check": 6,
    "vfs.reclaim.sweep": 6,
    "vfs.tools.dump": 6,
    "vfs.sqlite.vfs": 6,
    "clusterdb.errors": 7,
    "clusterdb.views": 7,
    "clusterdb.views.text": 7,
    "clusterdb.views.json": 7,
    "clusterdb.rules.names": 8,
    "clusterdb.views.columns": 8,
    "clusterdb.views.rows": 8,
    "clusterdb.views.checks": 8,
    "clusterdb.views.prometheus": 8,
    "clusterdb.diff.report": 8,
    "clusterdb.views.cluster": 9,
    "clusterdb.rules.settings": 8,
    "clusterdb.rules.points": 8,
    "clusterdb.rules.status": 8,
    "clusterdb.clusters.billing": 9,
    "clusterdb.metrics": 9,
    "clusterdb.past.find": 9,
    "clusterdb.instances": 9,
    "clusterdb.access.sqlite": 8,
    "clusterdb.access.translate": 8,
    "clusterdb.access.copies": 8,
    "clusterdb.access.untrusted": 8,
    "clusterdb.catalog": 8,
    "clusterdb.cluster": 9,
    "clusterdb.diff.pages": 7,
    "clusterdb.diff.tables": 8,
    "clusterdb.diff.compare": 8,
    "clusterdb.diff.changesets": 8,
    "clusterdb.diff.script": 8,
    "clusterdb.diff": 8,
    "clusterdb.diff.clusters": 9,
    "clusterdb.store": 9,
    "clusterdb.flavours.collations": 7,
    "clusterdb.flavours.context": 7,
    "clusterdb.flavours.functions": 7,
    "clusterdb.flavours.schema": 7,
    "clusterdb.flavours.registry": 7,
    "clusterdb.flavours.rows": 7,
    "clusterdb.flavours.scripts": 7,
    "clusterdb.flavours.types": 7,
    "clusterdb.flavours.subqueries": 7,
    "clusterdb.flavours.grouping": 7,
    "clusterdb.flavours.tables": 7,
    "clusterdb.flavours.indexes": 8,
    "clusterdb.flavours.trees": 8,
    "clusterdb.flavours.precedence": 7,
    "clusterdb.flavours.rebuild": 7,
    "clusterdb.flavours.session": 7,
    "clusterdb.flavours.mysql.modes": 7,
    "clusterdb.flavours.mysql.variables": 7,
    "clusterdb.flavours.mysql.members": 7,
    "clusterdb.flavours.mysql.grammar": 8,
    "clusterdb.flavours.mysql.json": 7,
    "clusterdb.flavours.mysql.types": 7,
    "clusterdb.flavours.postgresql.types": 7,
    "clusterdb.flavours.postgresql.intervals": 7,
    "clusterdb.flavours.postgresql.json": 7,
    "clusterdb.flavours.postgresql.values": 7,
    "clusterdb.flavours.postgresql.patterns": 7,
    "clusterdb.flavours.postgresql.formats": 7,
    "clusterdb.flavours.postgresql.names": 7,
    "clusterdb.flavours.flavour": 8,
    "clusterdb.flavours.rules": 8,
    "clusterdb.flavours.mysql.functions": 8,
    "clusterdb.flavours.postgresql.functions": 8,
    "clusterdb.flavours.mysql.scripts": 8,
    "clusterdb.flavours.postgresql.scripts": 8,
    "clusterdb.flavours.mysql": 7,
    "clusterdb.flavours.mysql.flavour": 9,
    "clusterdb.flavours.mysql.assign": 9,
    "clusterdb.flavours.mysql.compare": 9,
    "clusterdb.flavours.mysql.inserts": 9,
    "clusterdb.flavours.mysql.calls": 9,
    "clusterdb.flavours.mysql.registry": 9,
    "clusterdb.flavours.mysql.rules": 9,
    "clusterdb.flavours.mysql.tables": 9,
    "clusterdb.flavours.mysql.session": 9,
    "clusterdb.flavours.mysql.settings": 9,
    "clusterdb.flavours.mysql.special": 9,
    "clusterdb.flavours.mysql.columns": 9,
    "clusterdb.flavours.mysql.indexes": 9,
    "clusterdb.flavours.mysql.alter": 9,
    "clusterdb.flavours.mysql.creating": 9,
    "clusterdb.flavours.mysql.visible": 9,
    "clusterdb.flavours.postgresql": 7,
    "clusterdb.flavours.postgresql.flavour": 9,
    "clusterdb.flavours.postgresql.alter": 9,
    "clusterdb.flavours.postgresql.casts": 9,
    "clusterdb.flavours.postgresql.clauses": 9,
    "clusterdb.flavours.postgresql.compare": 9,
    "clusterdb.flavours.postgresql.arithmetic": 9,
    "clusterdb.flavours.postgresql.dependents": 9,
    "clusterdb.flavours.postgresql.draft": 9,
    "clusterdb.flavours.postgresql.drops": 9,
    "clusterdb.flavours.postgresql.edits": 9,
    "clusterdb.flavours.postgresql.enums": 9,
    "clusterdb.flavours.postgresql.labels": 9,
    "clusterdb.flavours.postgresql.settings": 9,
    "clusterdb.flavours.postgresql.variables": 9,
    "clusterdb.flavours.postgresql.assign": 9,
    "clusterdb.flavours.postgresql.copies": 9,
    "clusterdb.flavours.postgresql.calls": 9,
    "clusterdb.flavours.postgresql.registry": 9,
    "clusterdb.flavours.postgresql.rules": 9,
    "clusterdb.flavours.postgresql.session": 9,
    "clusterdb.flavours.postgresql.sequences": 9,
    "clusterdb.flavours.postgresql.tables": 9,
    "clusterdb.flavours.postgresql.upsert": 9,
    "clusterdb.flavours.loaded": 7,
    "clusterdb.flavours.skipped": 7,
    "clusterdb.flavours.partitions": 8,
    "clusterdb.flavours": 9,
    "clusterdb.flavours.dumps": 9,
    "clusterdb.dbapi2.codes": 9,
    "clusterdb.dbapi2.deprecated": 9,
    "clusterdb.dbapi2.adapt": 10,
    "clusterdb.dbapi2.callbacks": 11,
    "clusterdb.dbapi2.statements": 11,
    "clusterdb.dbapi2.opening": 11,
    "clusterdb.dbapi2.state": 12,
    "clusterdb.dbapi2.base": 12,
    "clusterdb.dbapi2.columns": 12,
    "clusterdb.dbapi2.convert": 12,
    "clusterdb.dbapi2.blob": 13,
    "clusterdb.dbapi2.row": 13,
    "clusterdb.dbapi2.cursor": 13,
    "clusterdb.dbapi2.dump": 13,
    "clusterdb.dbapi2.connection": 14,
    "clusterdb.dbapi2.splitting": 14,
    "clusterdb.dbapi2": 15,
    "clusterdb.public": 15,
    "clusterdb": 16,
    "clusterdb.aio": 16,
    "clusterdb.sqlalchemy": 16,
    "clusterdb.django": 16,
    "clusterdb.django.creation": 16,
    "clusterdb.django.base": 17,
    "clusterdb.django.test": 18,
    "clusterdb.testing.owners": 0,
    "clusterdb.testing.stats": 8,
    "clusterdb.testing.seeds": 16,
    "clusterdb.testing.clones": 17,
    "clusterdb.testing.templates": 17,
    "clusterdb.testing.runs": 18,
    "clusterdb.testing.session": 18,
    "clusterdb.testing.fixtures": 19,
    "clusterdb.testing.cases": 19,
    "clusterdb.testing": 19,
    "clusterdb.pytest_plugin": 20,
    "clusterdb.__main__": 21,
    "clusterdb.demo": 17,
    "clusterdb.bench": 17,
    "clusterdb.cli.settings": 17,
    "clusterdb.cli.output": 17,
    "clusterdb.cli.app": 18,
    "clusterdb.cli.flags": 18,
    "clusterdb.shell.history": 17,
    "clusterdb.shell.interrupts": 17,
    "clusterdb.shell.session": 18,
    "clusterdb.shell.conversation": 18,
    "clusterdb.shell.dotted": 18,
    "clusterdb.shell.commands": 18,
    "clusterdb.shell.plain_terminal": 18,
    "clusterdb.shell.full_terminal": 18,
    "clusterdb.shell": 18,
    "clusterdb.cli.clusters": 19,
    "clusterdb.cli.statements": 19,
    "clusterdb.cli.shell": 19,
    "clusterdb.cli.differences": 19,
    "clusterdb.cli.past": 19,
    "clusterdb.cli.instances": 19,
    "clusterdb.cli.care": 19,
    "clusterdb.cli.extras": 19,
    "clusterdb.cli": 20,
    "vfs": 0,
}
APSW_DOORS = {
    "vfs.sqlite.vfs",
    "clusterdb.access.copies",
    "clusterdb.access.sqlite",
    "clusterdb.access.translate",
    "clusterdb.access.untrusted",
    "clusterdb.catalog",
    "clusterdb.diff.report",
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    """What a module imports when it runs; imports for type checkers only do not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                full if (full := f"{node.module}.{alias.name}") in LAYERS else node.module for alias in node.names
            }
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    """A module imports nothing from a layer above its own."""
    own = LAYERS[name_of(path)]
    for imported in imports_of(path):
        if imported.split(".")[0] in ("vfs", "clusterdb"):
            assert LAYERS[imported] <= own, f"{name_of(path)} imports {imported}, which lies above it"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_listed_modules_import_apsw(path: Path) -> None:
    """Only the SQLite boundary, the connections, the catalog, differences, the DB-API and the shell import apsw."""
    if "apsw" in imports_of(path):
        assert name_of(path) in APSW_DOORS or name_of(path).startswith(
            ("clusterdb.dbapi2", "clusterdb.diff", "clusterdb.sqlalchemy", "clusterdb.flavours", "clusterdb.shell")
        )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_has_a_docstring(path: Path) -> None:
    """A newcomer can read what a module is for."""
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name == "vfs"], ids=name_of)
def test_pool_writes_go_through_the_call_table(path: Path) -> None:
    """No module but the one for system calls writes, syncs or truncates pool files by itself.

    (The two header fields of fresh derived files, which nobody maps yet, are the exception.)
    """
    if name_of(path) == "vfs.storage.device":
        return
    calls = re.findall(r"\bos\.(pwritev?|fdatasync|ftruncate|write)\b", path.read_text())
    assert calls == (["pwrite", "pwrite"] if name_of(path) == "vfs.store" else [])


def test_storage_names_no_clusters() -> None:
    """Below the SQLite boundary there are volumes; a cluster is a name that lies above."""
    for path in ROOT.glob("vfs/*.py"):
        if path.name == "sqlite_vfs.py":  # speaks to the user
            continue
        tree = ast.parse(path.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not [name for name in names if "cluster" in name.lower()], path


@pytest.mark.parametrize("word", ["branch", "fork", "chunk"])
def test_words_outside_the_glossary_are_not_names(word: str) -> None:
    """Words that the glossary leaves out do not creep in as names."""
    for path in MODULES:
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not any(word == name.lower() for name in names), path
