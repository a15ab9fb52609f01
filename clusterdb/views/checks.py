"""The report of a check or a repair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdb.views.json import Json, object_of

if TYPE_CHECKING:
    from vfs.tools.check import CheckReport

__all__ = ["report_json", "report_line"]


def report_json(report: CheckReport) -> dict[str, Json]:
    """The fields of the report, and ``ok``."""
    return {"ok": report.ok, **object_of(report)}


def report_line(report: CheckReport) -> str:
    """How many slots were checked and whether they are sound; the problems are texts already."""
    leaked = f", {report.leaked_count} leaked" if report.leaked_count else ""
    return f"{report.checked_count} slots checked{leaked}: {'no damage' if report.ok else 'damaged'}"
