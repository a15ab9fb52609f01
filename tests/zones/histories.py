"""Random histories of writers on six nodes: nothing that was acknowledged is lost, whatever fails."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from random import Random

from clusterdb.errors import QuorumError, WriterFencedError
from clusterdb.zones.entry import Batch
from clusterdb.zones.node import Log
from clusterdb.zones.quorum import Member, Quorum
from clusterdb.zones.reading import Reading
from tests.zones.simulated import Inline, Node

__all__ = ["History", "Writer", "run_histories"]


class History:
    """What writers have done: the text before each text, and the texts that were acknowledged."""

    def __init__(self) -> None:
        self.before: dict[str, str] = {}
        self.acknowledged: set[str] = set()

    def require_kept(self, batches: list[Batch]) -> None:
        """What nodes have is a history without gaps that has everything acknowledged."""
        versions = [batch.version for batch in batches]
        assert versions == list(range(versions[0], versions[0] + len(versions))), "a gap, or two of one version"
        for batch, following in pairwise(batches):
            assert self.before[following.store] == batch.store
        text: str | None = batches[-1].store
        kept = set()
        while text:
            kept.add(text)
            text = self.before[text]
        assert kept >= self.acknowledged


class Writer:
    """A writer that begins an epoch when it has none."""

    def __init__(self, nodes: list[Node], name: str, history: History) -> None:
        members = [Member("abc"[at // 2], at + 1, Log(node.reached(), "c"), Inline()) for at, node in enumerate(nodes)]
        self.quorum = Quorum(members, {"store": name})
        self._name, self._history, self._count = name, history, 0

    def step(self, part_count: int, patience_s: float, *, begins: bool = False) -> bool:
        log, history = self.quorum, self._history
        with suppress(QuorumError, WriterFencedError):
            log.is_new = not history.acknowledged
            if not log.is_established:
                log.establish(-1)
            self._count += 1
            text = f"{self._name}{self._count}"
            newest = log.newest
            version = newest.version + 1 if newest is not None else 1
            history.before[text] = newest.store if newest is not None else ""
            base = 0 if begins else version - 1
            parts = [_batch(text, base, version, part, part_count) for part in range(part_count)]
            first = log.sequence + 1
            log.append(parts, patience_s)
            log.newest = parts[-1]
            history.acknowledged.add(text)
            if begins:
                log.trim(first, 0)
            return True
        return False


def _batch(text: str, base: int, version: int, part: int, part_count: int) -> Batch:
    pages = array("I")
    return Batch(0, "", 0, (), text, 1, base, version, 0, 0, part, part == part_count - 1, pages, pages, b"")


def _complete(reading: Reading) -> list[Batch]:
    batches = [reading.batch(at) for at in range(reading.start(reading.last), reading.last + 1)]
    return [batch for batch in batches if batch.is_last]


def run(seed: int, create_node: Callable[[Random, float], Node] = Node) -> None:
    random = Random(seed)
    nodes = [create_node(random, random.choice([0, 0.02, 0.1, 0.3])) for _ in range(6)]
    history = History()
    writers = [Writer(nodes, name, history) for name in "xyz"[: random.randint(1, 3)]]
    wiped = 0
    for turn in range(random.randint(5, 60)):
        chance = random.random()
        if chance < 0.1:
            random.choice(nodes).is_down ^= True
        elif chance < 0.12 and wiped < 2:
            random.choice(nodes).wipe()
            wiped += 1
        elif chance < 0.15:
            at = random.randrange(3)
            nodes[2 * at].is_down = nodes[2 * at + 1].is_down = random.random() < 0.5
        elif chance < 0.25:
            random.choice(nodes).deliver(0.5)
        elif chance < 0.26:
            for node in nodes:
                node.lose_power()
            writers = [Writer(nodes, f"p{turn}-{at}-", history) for at in range(len(writers))]
        elif chance < 0.3:
            writers[random.randrange(len(writers))] = Writer(nodes, f"{random.choice('uvw')}{turn}-", history)
        else:
            patience_s = random.choice([-1, 0.002])
            random.choice(writers).step(random.choice([1, 1, 1, 3]), patience_s, begins=random.random() < 0.1)
    for node in nodes:
        node.heal()
    logs = [Log(node.reached(), "c") for node in nodes]
    if sum(log.tail().is_ready for log in logs) < 3:
        return  # two nodes were lost before others had anything: it cannot be known what was committed
    for _ in range(5):
        some = random.sample(logs, 3 + wiped)
        if sum(log.tail().is_ready for log in some) >= 3 and history.acknowledged:
            history.require_kept(_complete(Reading(some)))
    last = Writer(nodes, "last", history)
    assert last.step(1, -1), [(member.problem, member.is_in, member.sequence) for member in last.quorum.members]
    last.quorum.settle()
    assert last.step(1, -1)  # it is acknowledged after all nodes were filled: then they are ready
    last.quorum.settle()
    assert last.quorum.count(last.quorum.sequence) == 6, [member.problem for member in last.quorum.members]
    for node in nodes:
        history.require_kept(_complete(Reading([Log(node.reached(), "c") for _ in range(3)])))


def run_histories(seeds: range, create_node: Callable[[Random, float], Node] = Node) -> None:
    """Run the histories of some seeds; a failure names the seed."""
    for seed in seeds:
        try:
            run(seed, create_node)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
