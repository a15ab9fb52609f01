"""The times of a query: from a start to an end, in periods of whole minutes, or of fewer seconds than a minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from clusterdb.server.faults import Fault
from clusterdb.server.monitoring.series import Datum

__all__ = ["Range", "require_period", "require_times", "time_at"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SHORT_PERIODS = (1, 5, 10, 20, 30)


@dataclass(frozen=True, slots=True)
class Range:
    """Seconds since 1970; the end is not part of it."""

    start: int
    end: int

    def periods(self, period: int, data: Mapping[int, Datum]) -> dict[int, Datum]:
        """The data, by minutes, of every period that has some, by its begin in seconds since 1970, in order.

        Periods begin at the start, rounded down to a whole minute, as CloudWatch rounds it.
        """
        start = self.start - self.start % min(period, 60)
        merged: dict[int, Datum] = {}
        for minute, datum in data.items():
            if start <= minute * 60 < self.end:
                number = (minute * 60 - start) // period
                merged[number] = merged[number].merged(datum) if number in merged else datum
        return {start + number * period: datum for number, datum in merged.items()}

    def count(self, period: int) -> int:
        """The number of periods."""
        return -(-(self.end - self.start) // period)


def time_at(seconds: int) -> datetime:
    """A time in seconds since 1970."""
    return _EPOCH + timedelta(seconds=seconds)


def require_times(start: datetime, end: datetime, code: str) -> Range:
    """A range.  Raises Fault with the code unless the start is before the end."""
    seconds = [(_aware(time) - _EPOCH) // timedelta(seconds=1) for time in (start, end)]
    if seconds[0] == seconds[1]:
        raise Fault(code, "The parameter StartTime must not equal parameter EndTime.")
    if seconds[0] > seconds[1]:
        raise Fault(code, "The parameter StartTime must be less than the parameter EndTime.")
    return Range(max(seconds[0], 0), max(seconds[1], 0))


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)


def require_period(period: int, code: str) -> int:
    """A period in seconds.  Raises Fault with the code."""
    if period not in _SHORT_PERIODS and (period < 60 or period % 60):
        raise Fault(
            code,
            f"The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60, not {period}.",
        )
    return period
