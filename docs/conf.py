"""Sphinx's configuration: ``make docs``.  What can be generated is: see generated.py beside this."""

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
pygments_style = "friendly"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

nitpicky = True
nitpick_ignore_regex = [  # no references to what is documented elsewhere: the documentation is built without a network
    (r"py:.*", r"(apsw|aiosqlite|collections|datetime|fractions|json|os|pathlib|pytest|sqlalchemy|typing)(\..*)?"),
    (r"py:class", r"(Any|Callable|Iterable|Iterator|Mapping|Sequence|Path|Fraction|Engine|TracebackType|.*\bvfs\..*)"),
    (r"py:mod", r"clusterdb\.diff\.pages"),
    (r"py:class", r"(.*\.)?(EndpointType|OnConflict|Progress|Synchronous)"),  # named choices: signatures spell them out
    (r"py:.*", r"(clusterdb\.)?(sqlite|backups|billing|metrics|catalog)\.\w+"),
]

# --- what is read from outside of docs/ -------------------------------------------------------------------------------
_PAGES = {
    "README.md": "/index.md",
    "CHANGELOG.md": "/changelog.md",
    "clusterdb/ARCHITECTURE.md": "/architecture.md",
    "vfs/DESIGN.md": "/storage.md",
    "clusterdb/flavours/SUPPORT.md": "/reference/flavours.md",
}


def _lead_to_pages(app: Any, path: Path, parent: str, content: list[str]) -> None:
    """Links between files of the repository lead to the pages that these files are, or are shown on."""
    for name, page in _PAGES.items():
        content[0] = re.sub(rf"\]\((?:\.\./)*{re.escape(name)}\)", f"]({page})", content[0])


# --- docstrings -------------------------------------------------------------------------------------------------------
_ERROR = re.compile(r"(?<![\w`.~])([A-Z]\w*(?:Error|Warning))\b(?![`])")


def _as_text_means(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text: what is indented is code, the names of errors are links."""
    known = import_module("clusterdb.errors").__all__
    made: list[str] = []
    is_code = False
    for line in lines:
        if line.startswith("    ") and not is_code:
            made += ["", "::", ""]
            is_code = True
        elif line.strip() and not line.startswith(" "):
            made += [""] if is_code else []
            is_code = False
        if not is_code:
            line = _ERROR.sub(lambda found: f":exc:`~clusterdb.{found[1]}`" if found[1] in known else found[0], line)
        made.append(line)
    lines[:] = made


def _by_short_name(app: Any, env: Any, node: Any, text: Any) -> Any:
    """A reference to ``Cluster`` or ``clusterdb.cluster.Cluster`` leads to ``clusterdb.Cluster``."""
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
    """What Sphinx calls."""
    app.add_directive("clusterdb", Generated)
    app.connect("include-read", _lead_to_pages)
    app.connect("autodoc-process-docstring", _as_text_means)
    app.connect("missing-reference", _by_short_name)
