"""House rules for English: constructions that the documentation, docstrings and messages avoid.

Documentation is checked as text, without the output that it shows; of the packages, every string is checked, so
docstrings and messages.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in (
        "*.md",
        "Makefile",
        "docs/*.py",
        "docs/**/*.md",
        "examples/**/*.py",
        "vfs/*.md",
        "clusterdb/**/*.md",
    )
    for path in ROOT.glob(pattern)
    if "_build" not in path.parts
)
MODULES = sorted([*ROOT.glob("vfs/**/*.py"), *ROOT.glob("clusterdb/**/*.py")])

BANNED = {
    r"which there (?:is|are) not\b": "write 'which does not exist'",
    r"\bwhoever\b": "name the person, the process or the connection",
    r"\bso (?:many|much|long|few)\b(?! (?:as|that)\b)": "name the quantity",
    r"(?<!there )\bis no [a-z-]+ (?:name|number|cluster|store|database|file)\b": "write 'invalid ...', 'is not a ...'",
    r"(?<!which )(?<!this )(?<!that )(?<!last )(?<!each )\bone (?:can|cannot|may|must|has to|wants)\b": "write 'you'",
    r"\bhangs? (?:in|on|below)\b": "write 'derives from', 'depends on'",
    r"\b(?:can|cannot|could) be said\b": "write 'is supported', 'is not supported'",
    r"\b(?:is|are|was|were|be) told\b": "write 'is reported', 'is described'",
    r"\b(?:go|goes|going|went) on\b": "write 'continue'",
    r"\bsays? (?:so|who|whose|what|which|of)\b": "write 'states', 'names', 'reports'",
    r"\bmade (?:again|anew)\b": "write 'rebuilt'",
    r"\bneed be\b": "write 'if necessary'",
    r"(?<!there )\b(?:is|are) (?-i:none)\b": "write 'is not a ...'",
    r"\b(a|an|and|for|in|is|of|or|the|to|with) \1\b": "remove the repeated word",
}


# --- occurrences ------------------------------------------------------------------------------------------------------
def text_of(path: Path) -> str:
    """A document without the blocks that show a session: the messages in them are checked where they are written."""
    return re.sub(r"^```(?:console|text)\n.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def strings_of(path: Path) -> Iterator[str]:
    """All string constants of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def findings(path: Path) -> list[str]:
    """The banned constructions in a file, each with the advice."""
    is_code = path.suffix == ".py" and path in MODULES
    texts = [" ".join(text.split()) for text in (strings_of(path) if is_code else [text_of(path)])]
    return [
        f"{text[max(0, match.start() - 40) : match.end() + 20]!r}: {advice}"
        for pattern, advice in BANNED.items()
        for text in texts
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]


# --- the rules --------------------------------------------------------------------------------------------------------
def test_banned_constructions_do_not_occur() -> None:
    """Neither in a document nor in a docstring or message."""
    occurrences = {path.relative_to(ROOT).as_posix(): findings(path) for path in [*DOCUMENTS, *MODULES]}
    assert {name: matches for name, matches in occurrences.items() if matches} == {}


@pytest.mark.parametrize(
    "text",
    [
        "the pin is on volume 5, which there is not",
        "Whoever opens the store",
        "after so many seconds",
        "'a_b' is no cluster name",
        "one cannot connect to it",
        "all errors hang in the tree",
        "CREATE FUNCTION cannot be said in SQLite",
        "others go on meanwhile",
    ],
)
def test_banned_constructions_are_recognised(text: str) -> None:
    """The patterns find what they are meant to find."""
    assert any(re.search(pattern, text, re.IGNORECASE) for pattern in BANNED)
