"""Goals of lines: a column that states them, and one that states whether this run meets them.

A goal is never a reason for a run to fail: other load on the machine may be the cause.
"""

from __future__ import annotations

import operator
from typing import Any

__all__ = ["Goal", "judged"]

Goal = tuple[str, str, float]
"""The figure (a column of the row), the comparison and the bound: ``("ratio", ">=", 1.0)``."""

_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">=": operator.ge}


def judged(row: dict[str, Any], *goals: Goal, unless: str = "") -> dict[str, Any]:
    """The row with columns ``goal`` and ``met``.

    ``unless``: the reason for which the goals do not apply in this run; it is shown in place of yes or no.
    """
    stated = ", ".join(f"{figure} {comparison} {bound:g}" for figure, comparison, bound in goals)
    if len(goals) > 2 and len({goal[1:] for goal in goals}) == 1:
        stated = "every figure {} {:g}".format(*goals[0][1:])
    is_met = all(_COMPARISONS[comparison](row[figure], bound) for figure, comparison, bound in goals)
    return row | {"goal": stated, "met": unless or ("yes" if is_met else "no")}
