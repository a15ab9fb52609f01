"""Statements of scripts, parameters and risks, as texts; trees and charts, as functions."""

from __future__ import annotations

import pytest

from clusterdb.server.console import charts
from clusterdb.server.console.sql.editor import plan_steps
from clusterdb.server.console.sql.statements import parameters, risks, statements


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT ';' ; -- end;\n", ["SELECT 1;", "SELECT ';' ;"]),
        (
            "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END; SELECT 3",
            ["CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END;", "SELECT 3"],
        ),
        ("/* ; */ ;;", []),
    ],
)
def test_statements(sql: str, expected: list[str]) -> None:
    """Semicolons in texts, comments and triggers end nothing."""
    assert statements(sql, "sqlite") == expected


@pytest.mark.parametrize(
    ("sql", "engine", "expected"),
    [
        ("SELECT :a, :b, :a", "sqlite", ["a", "b"]),
        ("SELECT ':a', \":b\", `:c` -- :d\n/* :e */", "sqlite", []),
        ("SELECT x::int, '{1}'::int[], y[1:2] WHERE z = :z", "aurora-postgresql", ["z"]),
        ("SELECT $$ :a $$, :b", "aurora-postgresql", ["b"]),
        ("SELECT 'it\\'s :a', :b # :c", "aurora-mysql", ["b"]),
        ("SELECT :0, :1", "aurora-mysql", ["0", "1"]),
    ],
)
def test_parameters(sql: str, engine: str, expected: list[str]) -> None:
    """Names outside of texts, comments and casts."""
    assert parameters(sql, engine) == expected


@pytest.mark.parametrize(
    ("sql", "is_risky"),
    [
        ("DELETE FROM t", True),
        ("delete from t -- where", True),
        ("DELETE FROM t WHERE id = 1", False),
        ("UPDATE t SET a = (SELECT b FROM c WHERE d)", True),
        ("UPDATE t SET a = 1 WHERE b", False),
        ("WITH x AS (SELECT 1 WHERE 1) DELETE FROM t", True),
        ("WITH x AS (SELECT 1) SELECT * FROM x", False),
        ("DROP TABLE t", True),
        ("TRUNCATE t", True),
        ("ALTER TABLE t DROP COLUMN a", True),
        ("ALTER TABLE t ADD COLUMN a", False),
        ("SELECT 'DROP TABLE t'", False),
        ("INSERT INTO t SELECT * FROM u", False),
        ("SELECT 1; DELETE FROM t", True),
    ],
)
def test_risks(sql: str, is_risky: bool) -> None:
    """What changes every row, or removes a definition."""
    assert bool(risks(sql, "sqlite")) == is_risky


def test_plan_steps_are_indented_by_their_parents() -> None:
    """As EXPLAIN QUERY PLAN has them."""
    steps = plan_steps([(2, 0, 0, "SCAN a"), (5, 2, 0, "SCAN b"), (9, 0, 0, "USE TEMP B-TREE")])
    assert [(step.depth, step.text) for step in steps] == [(0, "SCAN a"), (1, "SCAN b"), (0, "USE TEMP B-TREE")]


def test_bar_shows_what_is_not_zero() -> None:
    """A part that is small beside the largest still has a width; the label has the numbers."""
    bar = str(charts.bar(1, 10**9, 10**9))
    assert 'aria-label="own 1 bytes, shared 953.7 MiB"' in bar
    assert 'class="bar-own" x="0" y="0" width="2"' in bar
    assert 'width="0"' in str(charts.bar(5, 0, 5)) and charts.bar(0, 0, 0)


def test_lags_have_a_line_for_each_reader() -> None:
    """Also with unknown values and without readers."""
    chart = str(charts.lags({"r1": [1, None, 30], "<r2>": [5]}, 60))
    assert chart.count("<polyline") == 2
    assert "r1 30 ms" in chart and "<r2>" not in chart
    assert "there is no reader" in charts.lags({}, 60)


def test_page_cells() -> None:
    """A cell has the strongest kind of its pages; large databases have several pages in a cell."""
    assert charts.page_cells(4, {0: 1, 1: 5, 2: 9}, 3, 8) == [
        (0, 0, "shared"),
        (1, 1, "own"),
        (2, 2, "changed"),
        (3, 3, "empty"),
    ]
    cells = charts.page_cells(1_000_000, {999_999: 9}, 3, 8)
    assert len(cells) <= 64 * 32 and cells[-1][1:] == (999_999, "changed")
    assert charts.page_cells(0, {}, 0, 0) == []
