"""No regular expression of the package backtracks: the steps of a match grow with the text, and not with its square."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

import clusterdb
import vfs
from clusterdb import dbapi2
from clusterdb.dbapi2 import statements
from tests.house.regexes import WITHOUT_END, attacks, growth, patterns_of, steps

PATTERNS = patterns_of([clusterdb, vfs])
LINEAR = 1.2
"""Above 1, as something is added to what grows with the length."""


@pytest.mark.parametrize(
    ("pattern", "least"),
    [
        (r"(?:\s+|x)*;", WITHOUT_END),
        (r"(?:a|a)*b", WITHOUT_END),
        (r"(?:(?:[ \t]+|--[^\n]*)*;)*", WITHOUT_END),
        (r"(?:/\*.*?\*/)*\Z", WITHOUT_END),
        (r"\s*;?\s*\Z", 1.8),
        (r"\d+\.?\d*x", 1.8),
        (r"\s+(?=x)\s*", 0),
        (r"(?:\s++|x)*+;", 0),
        (r"(?>\s+);?(?<!y)\s*\Z", 0),
    ],
)
def test_growth_tells_backtracking_from_linear_patterns(pattern: str, least: float) -> None:
    power = growth(pattern, re.DOTALL)[0]
    assert least <= power <= (least or LINEAR) + 0.2


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern[0][:30].replace("::", ":"))
def test_counted_match_ends_where_the_match_of_re_ends(pattern: tuple[str, int]) -> None:
    compiled = re.compile(*pattern)
    for prefix, pump, suffix in attacks(*pattern):
        for text in (prefix, prefix + suffix, prefix + 3 * pump + suffix):
            match = compiled.match(text)
            assert steps(pattern[0], text, pattern[1])[1] == (None if match is None else match.end()), text


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern[0][:30].replace("::", ":"))
def test_steps_of_a_match_grow_no_faster_than_the_text(pattern: tuple[str, int]) -> None:
    power, text = growth(*pattern)
    assert power <= LINEAR, f"{PATTERNS[pattern]}: {pattern[0]!r} backtracks in {text!r}: use *+, ++ or (?>...)"


def test_patterns_over_sql_are_among_the_tested() -> None:
    texts = [pattern for pattern, _ in PATTERNS]
    assert statements._BLANK.pattern in texts
    assert any(text.startswith(r"\s*REPLACE\s+") for text in texts)  # written in a function
    assert any(text.startswith(r"\s*ALTER\s+SYSTEM\s+CRASH") for text in texts)  # in a tuple of patterns


@pytest.mark.parametrize(
    "blanks", [" " * 1000, "\n" + " " * 24, "\t\n" * 500, "-- a\n" * 500, "/* a */ " * 500, "\n;" * 500]
)
def test_statement_may_begin_with_many_blanks_and_comments(blanks: str) -> None:
    assert steps(statements._EMPTY_STATEMENTS.pattern, blanks + "SELECT 1", re.DOTALL)[0] < 20 * len(blanks) + 100
    with closing(dbapi2.connect(":memory:")) as connection:
        assert connection.execute(blanks.replace(";", "") + "SELECT 1").fetchall() == [(1,)]
        connection.executescript(blanks + "SELECT 1")
