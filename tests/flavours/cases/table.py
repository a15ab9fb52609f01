"""The table of cases: what each flavour says, what comes of it, and what is refused; and the support matrix of it."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql import MYSQL
from tests.flavours.cases.postgresql import POSTGRESQL

__all__ = ["Case", "MYSQL", "POSTGRESQL", "matrix"]


_LIMITS = """\
Limits:

- `NUMERIC` and `DECIMAL` are exact up to 15 significant digits, since SQLite keeps them as integers or floating point
  numbers of 64 bits; further digits are rounded without an error. Columns, sums, products and `ROUND` have the
  server's scale. PostgreSQL's quotients, `avg` and `NUMERIC` without a scale have as many digits as they need, not the
  zeros that the server adds. Elements of `NUMERIC[]` keep all of their digits.
- `Cursor.columns` has no type where only the values tell one, as for parameters. A numbered primary key of
  aurora-postgresql is `serial`, also if it was declared `BIGSERIAL` or `SMALLSERIAL`.
- The text of a syntax error is the server's if no statement of the engine begins so. For other statements that cannot
  be parsed it says that they may not be supported, in a NotSupportedError with the code of a syntax error.
- MySQL's row number in `Data too long` and `Out of range value` is always 1. PostgreSQL's `position` is known for names
  that do not exist and for syntax errors.
- In a subscript of an array, `a[:2]` and `a[1:n]` are slices, and `a[:n]` is the element at the parameter `n`; write
  `a[(:0)]` for a parameter whose name has only digits.
- `MOVE` does not report the number of rows.
"""
"""What the table cannot tell."""


def matrix() -> str:
    """The features in alphabetical order, with yes, no, or a dash where a flavour has no such case; then the limits."""
    features = sorted({case.feature for case in MYSQL + POSTGRESQL}, key=lambda feature: (feature.lower(), feature))
    lines = ["| feature | MySQL | PostgreSQL |", "|---|---|---|"]
    for feature in features:
        heading = feature.replace("|", "\\|")
        lines.append(f"| {heading} | {_support(MYSQL, feature)} | {_support(POSTGRESQL, feature)} |")
    return "\n".join([*lines, "", _LIMITS])


def _support(cases: list[Case], feature: str) -> str:
    unsupported = {case.unsupported for case in cases if case.feature == feature}
    if not unsupported:
        return "\N{EM DASH}"
    return "no" if unsupported == {True} else "yes"
