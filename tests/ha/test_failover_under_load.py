"""Failovers while other processes write through the writer endpoint.

Run as a program, this file is such a process."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.ha.fleet import add, event_messages
from tests.torture import kills

ROOT = Path(__file__).parents[2]


def test_failovers_under_load_lose_no_acknowledged_transfer(tmp_path: Path) -> None:
    """Nothing acknowledged is lost, and nothing is half there, while writers are failed over."""
    fail_over(tmp_path, 10, seed=1)


@pytest.mark.slow
def test_many_failovers_under_load_lose_no_acknowledged_transfer(tmp_path: Path) -> None:
    """More failovers of the same kind."""
    fail_over(tmp_path, 1000, seed=random.randrange(1000))


def fail_over(folder: Path, times: int, seed: int) -> None:
    """Fail over so often under two processes that transfer money; then check the books."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    kills.create(folder / "store")
    with clusterdb.open(folder / "store") as store:
        bank = store.cluster("bank")
        add(bank, "a", "b", "c")
        with Workers(folder / "store", 2, seed) as workers:
            for _ in range(times):
                workers.wait_for_one()
                if rng.random() < 0.2:
                    bank.crash_instance()
                else:
                    bank.failover(rng.choice([None, bank.instances()[1].name]))
            workers.wait_for_one()
            acknowledged = workers.end()
        assert len(event_messages(store, "failover")) == times
        assert acknowledged
        kills.verify(store, acknowledged)


class Workers:
    """Processes that transfer money through the writer endpoint."""

    def __init__(self, path: Path, count: int, seed: int) -> None:
        self._acks, to = os.pipe()
        self._text = b""
        command = [sys.executable, "-m", __name__, str(path)]
        self._processes = [
            subprocess.Popen([*command, str(seed * 10 + n)], cwd=ROOT, stdin=subprocess.PIPE, stdout=to)
            for n in range(count)
        ]
        os.close(to)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        os.close(self._acks)

    def wait_for_one(self) -> None:
        """Until something more is acknowledged than is known."""
        assert select.select([self._acks], [], [], 60)[0], "nobody gets anything done"
        while select.select([self._acks], [], [], 0)[0]:
            self._read()

    def _read(self) -> None:
        text = os.read(self._acks, 1 << 16)
        assert text, "all workers have ended by themselves"
        self._text += text

    def end(self) -> set[str]:
        """Let them end; what was acknowledged."""
        for process in self._processes:
            assert process.poll() is None, "a worker has ended by itself"
            assert process.stdin is not None
            process.stdin.close()
        while text := os.read(self._acks, 1 << 16):
            self._text += text
        assert [process.wait() for process in self._processes] == [0] * len(self._processes)
        return set(self._text.decode().split())


def work(path: str, seed: int) -> None:
    """Transfer money, and print what is acknowledged, until nobody listens any more."""
    rng = random.Random(seed)
    with clusterdb.open(path) as store:
        while not select.select([0], [], [], 0)[0]:
            try:
                kills.transfer(store.cluster("bank"), rng, f"{os.getpid()}-{seed}")
            except (clusterdb.InstanceRestartedError, apsw.BusyError, clusterdb.StoreBusyError):
                pass
            except (apsw.ReadOnlyError, apsw.IOError) as error:
                if "failed over" not in str(error) and "a failover" not in str(error):
                    raise


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
