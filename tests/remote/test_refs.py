"""Pushes, removals and reads of a repository by four processes at once are linearizable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.remote.refs import Operation, Processes, is_linearizable

COUNT = 12
"""Operations of a process in a history."""


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    processes = Processes(4)
    yield processes
    processes.close()


def assert_linearizable(processes: Processes, url: str, seed: int) -> Counter[str]:
    """One history; what there was in it."""
    history = processes.history(url, seed, COUNT)
    assert is_linearizable(history), (seed, sorted(history, key=lambda one: one.called_ns))
    return Counter(f"{operation.kind} {operation.outcome}" for operation in history)


def test_concurrent_operations_are_linearizable(processes: Processes, tmp_path: Path) -> None:
    for seed in range(4):
        assert_linearizable(processes, f"file://{tmp_path}/{seed}", seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(100, 500, 50))
def test_many_concurrent_operations_are_linearizable(processes: Processes, tmp_path: Path, start: int) -> None:
    kinds = Counter[str]()
    for seed in range(start, start + 50):
        kinds += assert_linearizable(processes, f"file://{tmp_path}/{seed}", seed)
    assert {"push done", "push refused", "remove done", "remove refused", "read done"} <= set(kinds), kinds


@pytest.mark.slow
def test_concurrent_operations_in_a_bucket_are_linearizable(s3: str, tmp_path: Path) -> None:
    kinds = Counter[str]()
    with closing(Processes(4)) as processes:  # which know the credentials
        for seed in range(100):
            kinds += assert_linearizable(processes, f"s3://tests/{tmp_path.name}/refs/{seed}?endpoint={s3}", seed)
    assert {"push done", "push refused", "remove done", "remove refused", "read done"} <= set(kinds), kinds


# --- the checker ------------------------------------------------------------------------------------------------------
def push(value: str, called: int, returned: int, *ancestors: str, outcome: str = "done") -> Operation:
    return Operation("x", "push", value, outcome, called, returned, ancestors)


def read(value: str | None, called: int, returned: int) -> Operation:
    return Operation("x", "read", value, "done", called, returned)


@pytest.mark.parametrize(
    "history",
    [
        [push("a", 0, 2), read("a", 1, 3), read(None, 0, 1)],
        [push("a", 0, 1), push("b", 2, 9, "a"), read("a", 3, 4), read("b", 5, 6)],
        [push("a", 0, 9), push("b", 0, 9, outcome="refused"), read(None, 1, 2)],
        [push("a", 0, 1, outcome="unknown"), read(None, 2, 3), read("a", 4, 5)],
        [push("a", 0, 1), Operation("x", "remove", None, "done", 0, 9), push("b", 2, 3)],
        [push("a", 0, 1), push("a", 2, 3), read("a", 4, 5)],
    ],
)
def test_possible_histories_are_linearizable(history: list[Operation]) -> None:
    assert is_linearizable(history)


@pytest.mark.parametrize(
    "history",
    [
        [push("a", 0, 1), read(None, 2, 3)],  # a stale read
        [push("a", 0, 1), push("b", 2, 3)],  # an update is lost
        [push("a", 0, 1), push("b", 2, 9, "a"), read("b", 3, 4), read("a", 5, 6)],  # time runs backwards
        [push("a", 0, 1, outcome="refused")],
        [push("a", 0, 1), push("b", 2, 3, "a", outcome="refused")],
        [push("a", 0, 1, outcome="unknown"), read("a", 2, 3), read(None, 4, 5)],
        [push("a", 0, 5), push("b", 0, 5), read("a", 6, 7)],  # both were first
        [Operation("x", "remove", None, "done", 0, 1)],
    ],
)
def test_impossible_histories_are_not_linearizable(history: list[Operation]) -> None:
    assert not is_linearizable(history)
