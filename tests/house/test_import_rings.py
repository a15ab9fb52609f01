"""No module imports another that imports it, directly or through others.

All imports count: those for type checkers and those inside of functions too, which hide a ring from Python but not from
a reader.  Importing a package means importing its ``__init__`` module; importing a module of a package does not.

    python tests/house/test_import_rings.py      # shows the rings, with the imports that make them
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("vfs", "clusterdb")

Graph = Mapping[str, frozenset[str]]


def modules() -> dict[str, Path]:
    """The modules of the product by name."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports_of(tree: ast.AST, names: Mapping[str, object]) -> Iterator[str]:
    """The modules of the product that a module imports anywhere in its text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, "imports are absolute"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in names or node.module in names:
                    yield full if full in names else node.module


def graph() -> Graph:
    """Each module of the product with the modules that it imports."""
    paths = modules()
    trees = {name: ast.parse(path.read_text()) for name, path in paths.items()}
    return {name: frozenset(imports_of(tree, paths)) - {name} for name, tree in trees.items()}


def rings(imports: Graph) -> list[frozenset[str]]:
    """The strongly connected components of more than one module, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[frozenset[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for imported in sorted(imports[name]):
            if imported not in index:
                visit(imported)
                low[name] = min(low[name], low[imported])
            elif imported in stack:
                low[name] = min(low[name], index[imported])
        if low[name] == index[name]:
            start = stack.index(name)
            component = frozenset(stack[start:])
            del stack[start:]
            if len(component) > 1:
                components.append(component)

    for name in sorted(imports):
        if name not in index:
            visit(name)
    return components


def report(imports: Graph) -> str:
    """The rings as text: each module with its imports within the ring."""
    lines = []
    for ring in rings(imports):
        lines.append(f"{len(ring)} modules:")
        lines += [f"  {name} -> {', '.join(sorted(imports[name] & ring))}" for name in sorted(ring)]
    return "\n".join(lines)


def test_rings_of_a_small_graph() -> None:
    """Modules that reach each other form one ring, also through others; a chain forms none."""
    imports = {"a": "b", "b": "c", "c": "a", "d": "a", "e": "f", "f": "e", "g": ""}
    assert rings({name: frozenset(imported) for name, imported in imports.items()}) == [
        frozenset("abc"),
        frozenset("ef"),
    ]


def test_imports_are_seen_wherever_they_are() -> None:
    """In functions, for type checkers, of packages, of names and of modules."""
    text = (
        "import a.b\nfrom a import c, name\nif TYPE_CHECKING:\n    from a.d import x\ndef f():\n    from a.e import y\n"
    )
    names = dict.fromkeys(["a", "a.b", "a.c", "a.d", "a.e"])
    assert set(imports_of(ast.parse(text), names)) == set(names)


def test_no_modules_import_each_other() -> None:
    """Neither directly nor through others."""
    assert rings(graph()) == [], report(graph())


if __name__ == "__main__":
    sys.stdout.write(report(graph()) + "\n")
