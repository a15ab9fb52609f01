"""The configuration of Sphinx for ``make docs``.  ``generated.py`` generates parts of the reference from the code."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from generated import Generated

import clusterdb

project = "clusterdb"
author = "the clusterdb authors"
copyright = author
version = release = clusterdb.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"clusterdb {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
pygments_style = "friendly"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

nitpicky = True
nitpick_ignore_regex = [  # names documented by other projects: the documentation is built without network access
    (r"py:.*", r"(apsw|aiosqlite|collections|datetime|fractions|json|os|pathlib|pytest|sqlalchemy|typing)(\..*)?"),
    (r"py:class", r"(Any|Buffer|Callable|Iterable|Iterator|Mapping|Sequence|Path|Fraction|Engine|TracebackType)"),
    (r"py:mod", r"clusterdb\.diff\.pages"),
    (r"py:class", r"(.*\bvfs\..*|clusterdb\.dbapi2\.base\.\w+)"),
    (r"py:class", r"(.*\.)?(EndpointType|OnConflict|Progress|Synchronous)"),  # type aliases, expanded in signatures
    (r"py:.*", r"(clusterdb\.)?(sqlite|backups|billing|metrics|catalog)\.\w+"),
]

# --- files included from outside of docs/ -----------------------------------------------------------------------------
_PAGES = {
    "#measured": "/comparison.md#measured",
    "README.md": "/index.md",
    "CHANGELOG.md": "/changelog.md",
    "clusterdb/ARCHITECTURE.md": "/architecture.md",
    "docs/installation.md": "/installation.md",
    "vfs/DESIGN.md": "/storage.md",
    "clusterdb/flavours/SUPPORT.md": "/reference/flavours.md",
}


def _link_to_pages(app: Any, path: Path, parent: str, content: list[str]) -> None:
    """Replace links between files of the repository by links to the pages that include these files."""
    for name, page in _PAGES.items():
        content[0] = re.sub(rf"\]\((?:\.\./)*{re.escape(name)}\)", f"]({page})", content[0])


# --- docstrings -------------------------------------------------------------------------------------------------------
_ERROR = re.compile(r"(?<![\w`.~])([A-Z]\w*(?:Error|Warning))\b(?![`])")


def _format_docstring(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Convert a plain-text docstring: indented lines become code blocks, and names of errors become links."""
    names = import_module("clusterdb.errors").__all__
    formatted: list[str] = []
    is_code = False
    for line in lines:
        if line.startswith("    ") and not is_code:
            formatted += ["", "::", ""]
            is_code = True
        elif line.strip() and not line.startswith(" "):
            formatted += [""] if is_code else []
            is_code = False
        if not is_code:
            line = _ERROR.sub(lambda match: f":exc:`~clusterdb.{match[1]}`" if match[1] in names else match[0], line)
        formatted.append(line)
    lines[:] = formatted


def _by_short_name(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Resolve a reference to ``Cluster`` or ``clusterdb.store.Cluster`` as ``clusterdb.Cluster``."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].removeprefix("clusterdb.")
    domain = env.get_domain("py")
    for prefix in ("clusterdb", "clusterdb.testing", "clusterdb.aio"):
        for tail in (name, name.rpartition(".")[2]):
            if f"{prefix}.{tail}" in domain.objects and f"{prefix}.{tail}" != node["reftarget"]:
                kind = node.get("reftype")
                return domain.resolve_xref(
                    env, node["refdoc"], app.builder, "obj" if kind != "mod" else kind, f"{prefix}.{tail}", node, text
                )
    return None


def setup(app: Any) -> None:
    """Register the directive and the handlers with Sphinx."""
    app.add_directive("clusterdb", Generated)
    app.connect("include-read", _link_to_pages)
    app.connect("autodoc-process-docstring", _format_docstring)
    app.connect("missing-reference", _by_short_name)
