"""Time of an action, and medians over rounds in which several actions take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Results", "Samples", "cpu_ms", "in_turns", "medians", "processor_seconds", "ratio", "samples", "seconds"]

Results = list[dict[str, Any]]
"""The rows of a table.  The first column of a row names it; the names stay the same from release to release."""

Samples = dict[str, list[float]]
"""By action, one figure for each round."""


def seconds(action: Callable[[], object]) -> float:
    """The time that an action takes, in seconds."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def processor_seconds(action: Callable[[], object]) -> float:
    """The CPU time that an action takes in this process, in seconds."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def samples(rounds: int, actions: Mapping[str, Callable[[], float]], *, rotates: bool = False) -> Samples:
    """What each action returns, all of them run once a round.

    ``rotates``: every round begins with another action, so that none of them always follows the same one.
    """
    taken: Samples = {name: [] for name in actions}
    names = list(actions)
    for number in range(rounds):
        first = number % len(names) if rotates else 0
        for name in names[first:] + names[:first]:
            taken[name].append(actions[name]())
    return taken


def medians(taken: Samples) -> dict[str, float]:
    """The median of every action."""
    return {name: statistics.median(values) for name, values in taken.items()}


def ratio(of: list[float], to: list[float]) -> float:
    """The median over the rounds of one action's figure relative to the other's.

    A drift of the machine's speed changes it less than the ratio of two medians.
    """
    return statistics.median(one / other for one, other in zip(of, to, strict=True))


def in_turns(rounds: int, actions: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """The median of what each action returns, all of them run once a round."""
    return medians(samples(rounds, actions))


def cpu_ms(rounds: int, action: Callable[[], object]) -> float:
    """The median CPU time of an action, in milliseconds."""
    taken = []
    for _ in range(rounds):
        begin = time.process_time()
        action()
        taken.append((time.process_time() - begin) * 1e3)
    return statistics.median(taken)
