"""The table of cases: what each flavour says, what comes of it, and what is refused; and the support matrix of it."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.mysql import MYSQL
from tests.flavours.cases.postgresql import POSTGRESQL

__all__ = ["Case", "MYSQL", "POSTGRESQL", "matrix"]


def matrix() -> str:
    """The features in alphabetical order, each with yes, no, or a dash where a flavour has no such case."""
    features = sorted({case.feature for case in MYSQL + POSTGRESQL}, key=lambda feature: (feature.lower(), feature))
    lines = ["| feature | MySQL | PostgreSQL |", "|---|---|---|"]
    for feature in features:
        heading = feature.replace("|", "\\|")
        lines.append(f"| {heading} | {_support(MYSQL, feature)} | {_support(POSTGRESQL, feature)} |")
    return "\n".join(lines) + "\n"


def _support(cases: list[Case], feature: str) -> str:
    unsupported = {case.unsupported for case in cases if case.feature == feature}
    if not unsupported:
        return "\N{EM DASH}"
    return "no" if unsupported == {True} else "yes"
