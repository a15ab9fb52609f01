"""The rooms of ``clusterdb/ARCHITECTURE.md`` are what the imports are, and other rules of the house.

python tests/house/test_architecture.py      # prints the table of rooms as it should be
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
from tests.house.test_import_rings import graph  # noqa: E402

ARCHITECTURE = ROOT / "clusterdb" / "ARCHITECTURE.md"
MODULES = sorted([*ROOT.glob("vfs/**/*.py"), *ROOT.glob("clusterdb/**/*.py")])


class Room(NamedTuple):
    """A line of the table: the room's name, its modules if it is no package, its purpose, and what it imports."""

    name: str
    modules: tuple[str, ...]
    purpose: str
    imports: tuple[str, ...]

    def line(self) -> str:
        """The line of the table."""
        modules = f" ({', '.join(f'`{name}`' for name in self.modules)})" if self.modules else ""
        return f"| `{self.name}`{modules} | {self.purpose} | {' '.join(f'`{name}`' for name in self.imports)} |"


def rooms() -> list[Room]:
    """The rooms of the table, from the bottom up."""
    lines = []
    for line in ARCHITECTURE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            name, *modules = re.findall(r"`([\w.]+)`", cells[0])
            lines.append(Room(name, tuple(modules), cells[1], tuple(re.findall(r"`([\w.]+)`", cells[2]))))
    return lines


def members(room: Room) -> tuple[str, ...]:
    """The packages and modules that a room consists of."""
    return room.modules or (room.name,)


def room_of(module: str, known: list[Room]) -> str:
    """The room of a module: the one with the longest member that is the module or a package above it."""
    fitting = [
        (len(member), room.name)
        for room in known
        for member in members(room)
        if module == member or (module.startswith(f"{member}.") and member not in ("vfs", "clusterdb"))
    ]
    assert fitting, f"{module} is in no room of {ARCHITECTURE.name}"
    return max(fitting)[1]


def imports_of_rooms(known: list[Room]) -> dict[str, set[str]]:
    """Which other rooms the modules of each room import."""
    imports: dict[str, set[str]] = {room.name: set() for room in known}
    for module, imported in graph().items():
        own = room_of(module, known)
        imports[own] |= {room_of(name, known) for name in imported} - {own}
    return imports


def corrected(known: list[Room]) -> Iterator[Room]:
    """The rooms with the imports that they have, in the order of the table."""
    imports = imports_of_rooms(known)
    for room in known:
        yield room._replace(imports=tuple(other.name for other in known if other.name in imports[room.name]))


def test_table_of_rooms_is_what_the_imports_are() -> None:
    """The picture that ARCHITECTURE.md draws is neither less nor more than the code."""
    assert [room.line() for room in rooms()] == [room.line() for room in corrected(rooms())]


def test_rooms_import_only_what_lies_below_them() -> None:
    """So no two rooms import each other, directly or through others."""
    below: set[str] = set()
    for room in rooms():
        assert set(room.imports) <= below, f"{room.name} imports {sorted(set(room.imports) - below)}"
        below.add(room.name)


def test_every_room_has_modules() -> None:
    """A line of the table is about something that exists."""
    names = graph().keys()
    for room in rooms():
        assert room.purpose
        for member in members(room):
            assert any(name == member or name.startswith(f"{member}.") for name in names), member


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_anywhere(path: Path) -> set[str]:
    """The packages that a module imports, of any distribution."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names}


APSW_ROOMS = (
    *("vfs.native", "vfs.sqlite", "clusterdb.access", "clusterdb.catalog", "clusterdb.dbapi2", "clusterdb.diff"),
    *("clusterdb.sqlalchemy", "clusterdb.flavours", "clusterdb.shell", "clusterdb.testing.seeds", "clusterdb.views"),
    "clusterdb.server.data",
)


def test_only_listed_rooms_import_apsw() -> None:
    """Storage and the verbs above it know no SQL."""
    modules = [name_of(path) for path in MODULES if "apsw" in imported_anywhere(path)]
    assert [name for name in modules if not name.startswith(APSW_ROOMS)] == []


def test_every_module_has_a_docstring() -> None:
    """A newcomer can read what a module is for."""
    assert [name_of(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_pool_writes_go_through_the_call_table() -> None:
    """No module but the one for system calls writes, syncs or truncates pool files by itself.

    (The two header fields of fresh derived files, which nobody maps yet, are the exception.)
    """
    pattern = r"\bos\.(pwritev?|fdatasync|ftruncate|write)\b"
    calls = {
        name_of(path): re.findall(pattern, path.read_text()) for path in MODULES if name_of(path).startswith("vfs")
    }
    del calls["vfs.storage.device"]
    assert {name: matches for name, matches in calls.items() if matches} == {"vfs.store": ["pwrite", "pwrite"]}


@pytest.mark.parametrize("room", ["format", "storage", "reclaim", "tools"])
def test_storage_names_no_clusters(room: str) -> None:
    """Below the SQLite boundary there are volumes; a cluster is a name that lies above."""
    for path in ROOT.glob(f"vfs/{room}/*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        assert not [name for name in names if "cluster" in name.lower()], path


def private_accesses(path: Path) -> Iterator[str]:
    """Attributes with a leading underscore that a module reads from an object other than its own."""
    tree = ast.parse(path.read_text())
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_self(node.value)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {
        target.attr if isinstance(target, ast.Attribute) else target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute | ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not re.match(r"_[a-z]", node.attr) or _is_self(node.value):
            continue
        is_of_library = node.attr in FIELDS_OF_LIBRARIES or ast.unparse(node.value).startswith(LIBRARIES)
        if node.attr not in own and not is_of_library:
            yield f"{ast.unparse(node)} (line {node.lineno})"


def _is_self(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id in ("self", "cls")) or ast.unparse(node) == "super()"


FIELDS_OF_LIBRARIES = {"_replace", "_asdict", "_fields", "_fields_", "_make"}
"""Public parts of named tuples and of ctypes structures, whose names begin with an underscore."""
LIBRARIES = ("apsw", "sys")
"""``sys._getframe`` and a few names of apsw."""


def test_nobody_touches_the_underscores_of_another_module() -> None:
    """A private attribute is used only in the module that defines it."""
    accesses = {name_of(path): list(private_accesses(path)) for path in MODULES}
    assert {name: matches for name, matches in accesses.items() if matches} == {}


@pytest.mark.parametrize("word", ["branch", "fork", "chunk"])
def test_words_outside_the_glossary_are_not_names(word: str) -> None:
    """Words that the glossary leaves out do not creep in as names."""
    for path in MODULES:
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not any(word == name.lower() for name in names), path


if __name__ == "__main__":
    sys.stdout.write("\n".join(room.line() for room in corrected(rooms())) + "\n")
