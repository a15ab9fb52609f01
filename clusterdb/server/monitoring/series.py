"""The values of a metric by the minute, for three hours; minutes in a row with the same values take one entry."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

__all__ = ["MINUTES", "Datum", "Series"]

MINUTES = 180


class Datum(NamedTuple):
    """What is known of the values of a minute, or of a longer time."""

    samples: int
    total: float
    lowest: float
    highest: float

    def merged(self, other: Datum) -> Datum:
        """Both together."""
        return Datum(
            self.samples + other.samples,
            self.total + other.total,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
        )

    def statistic(self, name: str) -> float:
        """A statistic by CloudWatch's name."""
        if name == "Average":
            return self.total / self.samples
        return float({"SampleCount": self.samples, "Sum": self.total, "Minimum": self.lowest}.get(name, self.highest))


_Combining: TypeAlias = Callable[[Datum, Datum], Datum]


def _sum(before: Datum, new: Datum) -> Datum:
    total = before.total + new.total
    return Datum(1, total, total, total)


class _Run(NamedTuple):
    """The minutes ``first`` to ``last``, which have the same values."""

    first: int
    last: int
    datum: Datum


class Series:
    """Data by the minute since 1970, of the newest :data:`MINUTES` minutes."""

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque()

    @property
    def run_count(self) -> int:
        """The number of entries that the data take."""
        return len(self._runs)

    def add(self, minute: int, value: float) -> None:
        """Add a value of the present minute."""
        self._put(minute, Datum(1, value, value, value), Datum.merged)

    def grow(self, minute: int, value: float) -> None:
        """Add to the single value of the present minute."""
        self._put(minute, Datum(1, value, value, value), _sum)

    def _put(self, minute: int, datum: Datum, combined: _Combining) -> None:
        runs = self._runs
        while runs and runs[-1].last > minute:  # the clock was set back
            last = runs.pop()
            if last.first <= minute:
                runs.append(last._replace(last=minute))
        if runs and runs[-1].last == minute:
            last = runs.pop()
            if last.first < minute:
                runs.append(last._replace(last=minute - 1))
            datum = combined(last.datum, datum)
        if runs and runs[-1].last == minute - 1 and runs[-1].datum == datum:
            runs.append(runs.pop()._replace(last=minute))
        else:
            runs.append(_Run(minute, minute, datum))
        while runs[0].last <= minute - MINUTES:
            runs.popleft()

    def data(self, present: int) -> Iterator[tuple[int, Datum]]:
        """The minutes that have data, in order, with them; ``present`` is the present minute."""
        for run in self._runs:
            for minute in range(max(run.first, present - MINUTES + 1), min(run.last, present) + 1):
                yield minute, run.datum
