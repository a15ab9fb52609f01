"""Crash images of many processes: they die, openers bury them and sweep, and then the power fails.

A scenario leads a few workers (``workers.py``), one verb at a time.  Some die in a verb, at a named point or before one
of its calls; some stop there while others go on, and are killed later; some leave transactions open.  The scenario
knows which worlds there can be.  While a death leaves that open, there are several, until somebody looks; what nobody
was promised may be lost with the power until somebody has committed on top of it.
"""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.torture.crash import Image, working_directory
from tests.torture.record import HOW, Device, Event, SharedLog, read_log
from tests.torture.workers import Answer, Doom, Fate, Limits, Worker
from tests.torture.worlds import Violation, World, committed

WORKERS_MAX = 3
POINTS = tuple(
    sorted(
        {
            point
            for package in ("vfs", "clusterdb")
            for path in (Path(__file__).parents[2] / package).rglob("*.py")
            for point in re.findall(r'reach\("([^"]+)"\)', path.read_text())
        }
    )
)
MODES = (
    ("FULL", "FULL", "NORMAL", "NORMAL", "OFF"),
    ("NORMAL", "NORMAL", "NORMAL", "FULL"),
    ("OFF", "OFF", "NORMAL", "FULL"),
    ("FULL",),
)


@dataclass(frozen=True, slots=True)
class State:
    """A cluster: the numbers it may have now, and those it may come back with.

    ``unseen`` may have been published, or not: each with what the cluster may come back with if it was.  ``doubtful``
    were not: a worker died before it could publish them, and the next commit rules them out.
    """

    live: frozenset[int]
    allowed: frozenset[int]
    doubtful: frozenset[int] = frozenset()
    unseen: frozenset[tuple[int, frozenset[int]]] = frozenset()

    @classmethod
    def of(cls, number: int) -> State:
        return cls(frozenset([number]), frozenset([number]))

    def acknowledged(self, number: int, mode: str) -> State:
        return State(frozenset([number]), committed(self.allowed - self.doubtful, number, mode))

    def in_flight(self, number: int, mode: str) -> State:
        published = committed(self.allowed - self.doubtful, number, mode)
        return replace(
            self,
            live=self.live | {number},
            allowed=committed(self.allowed, number, mode) | self.allowed,
            unseen=self.unseen | {(number, published)},
        )

    def seen(self, number: int) -> State:
        outcomes = dict(self.unseen)
        if number in outcomes:
            return State(frozenset([number]), outcomes[number])
        return State(frozenset([number]), self.allowed, self.doubtful | frozenset(outcomes))

    def rebuilt(self) -> State:
        """What was recorded, but never published, may be taken for published."""
        numbers = self.doubtful | frozenset(dict(self.unseen))
        unseen = frozenset((number, self.allowed) for number in numbers)
        return State(self.live | self.doubtful, self.allowed, unseen=unseen)


@dataclass(frozen=True, slots=True)
class Picture:
    """The clusters and snapshots there are, as far as the scenario knows."""

    clusters: dict[str, State] = field(default_factory=dict)
    snapshots: dict[str, int] = field(default_factory=dict)

    def has(self, name: str, state: State) -> Picture:
        return replace(self, clusters=self.clusters | {name: state})

    def lacks(self, name: str) -> Picture:
        return replace(self, clusters={key: state for key, state in self.clusters.items() if key != name})

    def rebuilt(self) -> Picture:
        """After recovery."""
        return replace(self, clusters={name: state.rebuilt() for name, state in self.clusters.items()})

    def world(self, numbers: frozenset[int]) -> World:
        return World({name: state.allowed for name, state in self.clusters.items()}, self.snapshots, numbers)


Change = Callable[[Picture], Picture]


def _distinct(pictures: list[Picture]) -> list[Picture]:
    return [picture for at, picture in enumerate(pictures) if picture not in pictures[:at]]


class Scenario:
    """A seeded sequence of verbs of several processes, with the worlds there can be before and after each."""

    def __init__(self, seed: int, base: Path, step_count: int = 40) -> None:
        self.rng = random.Random(seed)
        self.base = base
        self.step_count = step_count
        self.modes = self.rng.choice(MODES)
        self.limits = Limits(self.rng.choice([0, 4, 48]), self.rng.choice([0, 8, 64, 4096]))
        self.log: list[str] = ["start"]
        self.worlds: list[list[World]] = [[World()]]
        self.deaths = 0
        self._events = SharedLog(base / "events")
        self._possible = [Picture()]
        self._is_certain = True
        self._dies = True
        self._numbers: frozenset[int] = frozenset()
        self._serial = iter(range(1, 1_000_000))
        self._workers: list[Worker] = []
        self._stopped: list[Worker] = []
        self._reads: dict[tuple[int, str], int] = {}

    # --- leading ------------------------------------------------------------------------------------------------------
    def run(self) -> list[Event]:
        """Do it all; the events."""
        (self.base / "store").mkdir()
        try:
            for _ in range(self.step_count):
                self._step()
            self._end()
        finally:
            for worker in [*self._workers, *self._stopped]:
                worker.kill()
            self._events.close()
        return read_log(self.base / "events")

    def _step(self) -> None:
        if self._stopped and self.rng.random() < 0.4:
            self._kill_stopped()
        if self.rng.random() < 0.02:
            self._boot()
        elif not self._workers or (len(self._workers) < WORKERS_MAX and self.rng.random() < 0.25):
            self._open()
        elif self.rng.random() < 0.06:
            self._kill(self.rng.choice(self._workers))
        elif self.rng.random() < 0.06:
            self._close(self.rng.choice(self._workers))
        elif not self._is_certain and self.rng.random() < 0.6:
            self._look()
        else:
            self._random_verb(self.rng.choice(self._workers))

    def _end(self) -> None:
        """Everything that is left comes to an end; without a power failure nothing is lost."""
        self._dies = False
        while self._stopped:
            self._kill_stopped()
        for worker in self._workers:
            self._read_on(worker)
        self._open()
        self._look()
        worker = self._workers[-1]
        problems, leaked, report = self._do(worker, "problems")
        if problems or (leaked and len(self._workers) == 1):
            raise Violation(f"check after the last step: {problems[:3]}, {leaked} leaked {report}; {self._story()}")
        for worker in list(self._workers):
            self._close(worker)

    def _open(self) -> None:
        if not self._workers and not self._stopped:
            self._rebuild()
        worker = Worker(next(self._serial), self.base / "store", self.base / "events", self.limits)
        self._workers.append(worker)
        self._verb(worker, "open", (), lambda picture: picture)

    def _close(self, worker: Worker) -> None:
        self._verb(worker, "close", (), lambda picture: picture)
        if worker in self._workers:
            self._gone(worker)

    def _kill(self, worker: Worker) -> None:
        """It dies between two verbs."""
        self.log.append(f"{worker.number}: dies")
        self.worlds.append(self.worlds[-1])
        self._gone(worker)
        self._events.append(Event("", "death"))

    def _boot(self) -> None:
        """All end, and what is derived is lost: whoever opens the store next rebuilds it, and may die in that."""
        for worker in [*self._workers, *self._stopped]:
            self._kill(worker)
        for name in ("map", "readers"):
            (self.base / "store" / name).unlink(missing_ok=True)

    def _rebuild(self) -> None:
        """Nobody has the store open: whoever opens it next may believe the records, not the tables."""
        rebuilt = [picture.rebuilt() for picture in self._possible]
        self._is_certain &= rebuilt == self._possible
        self._possible = rebuilt
        self.log.append("rebuild")
        self.worlds.append(self._worlds(self._possible))
        self._events.append(Event("", "mark", 1 - len(self.worlds)))

    def _kill_stopped(self) -> None:
        self._kill(self._stopped[0])

    def _gone(self, worker: Worker) -> None:
        worker.kill()
        for workers in (self._workers, self._stopped):
            if worker in workers:
                workers.remove(worker)
        self._reads = {key: number for key, number in self._reads.items() if key[0] != worker.number}

    # --- one verb -----------------------------------------------------------------------------------------------------
    def _do(self, worker: Worker, verb: str, *arguments: object) -> Any:
        """A verb that changes nothing, and must not fail."""
        answer = worker.do(verb, *arguments)
        self.log[-1] += f"; {worker.number}: {verb} {arguments} -> {answer.value}"
        if answer.outcome == "refused" and self._stopped:
            return None
        if answer.outcome != "done":
            raise Violation(f"{verb} {arguments}: {answer}; {self._story()}")
        return answer.value

    def _verb(
        self,
        worker: Worker,
        verb: str,
        arguments: tuple[object, ...],
        change: Change,
        *,
        half: Change | None = None,
        commits: bool = False,
    ) -> None:
        """Do a verb.  ``change`` is what it does once it is acknowledged, ``half`` while it is not: the same if None.

        ``commits`` what was possible and is not so for this verb.
        """
        doom = self._doom() if verb != "close" or self.rng.random() < 0.3 else None
        before = self._possible
        if verb == "commit":
            before = [self._with_commit(picture, *arguments[:3]) for picture in before]
        self.log.append(f"{worker.number}: {verb} {arguments} {doom or ''}")
        if half is None:
            flown = _distinct([*before, *map(change, self._applicable(before, change))])
        else:
            applicable = self._applicable(before, half)
            flown = [half(picture) if picture in applicable else picture for picture in before]
        self.worlds.append(self._worlds(flown))
        self._events.append(Event("", "mark", len(self.worlds) - 1))
        answer = worker.do(verb, *arguments, doom=doom)
        self.log[-1] += f" -> {answer.outcome}"
        if answer.outcome == "done":
            self._possible = list(map(change, self._applicable(before, change)))
            if commits:
                self._possible = self._possible[:1] if self._is_certain else self._possible
            elif verb == "commit" and arguments[2] != "FULL":
                self._possible += [picture for picture in before if arguments[0] not in picture.clusters]
            self.worlds.append(self._worlds(self._possible))
        elif answer.outcome in ("died", "stopped", "interrupted"):
            self._possible = flown
            self._is_certain = False
            self._meet_fate(worker, verb, answer)
            self.worlds.append(self.worlds[-1])
        elif answer.outcome == "refused":
            self.log[-1] += f" {answer.value}"
            self._refused(worker, verb, answer)
            self.worlds.append(self._worlds(self._possible))
        else:
            raise Violation(f"{verb} {arguments}: {answer}; {self._story()}")
        self.log.append("")
        self._events.append(Event("", "mark", 1 - len(self.worlds)))
        if len(self._possible) > 1:
            self._is_certain = False

    def _with_commit(self, picture: Picture, name: Any, number: Any, mode: Any) -> Picture:
        """A picture in which the cluster has a new name: its renaming is in doubt, and what is committed is in it."""
        if name not in picture.clusters:
            for renamed in picture.clusters.keys() - self._possible[0].clusters.keys():
                picture = picture.has(renamed, picture.clusters[renamed].in_flight(number, mode))
        return picture

    def _meet_fate(self, worker: Worker, verb: str, answer: Answer) -> None:
        if answer.outcome == "stopped":
            self._workers.remove(worker)
            self._stopped.append(worker)
        elif answer.outcome == "died" or verb in ("open", "close"):
            self._gone(worker)
        else:
            return
        self._events.append(Event("", "death"))

    def _refused(self, worker: Worker, verb: str, answer: Answer) -> None:
        if any(text in str(answer.value) for text in ("writes are refused until", "could not be written")):
            self._kill(worker)  # it was interrupted when nobody could know what had reached the device
        elif not self._stopped and self._is_certain and "locked" not in str(answer.value):
            raise Violation(f"{verb} was refused: {answer}; {self._story()}")
        elif verb == "open":
            self._gone(worker)

    @staticmethod
    def _applicable(pictures: list[Picture], change: Change) -> list[Picture]:
        """Those in which the clusters are that the change is of."""
        fitting = []
        for picture in pictures:
            try:
                change(picture)
            except KeyError:
                continue
            fitting.append(picture)
        return fitting

    def _worlds(self, pictures: list[Picture]) -> list[World]:
        return [picture.world(self._numbers) for picture in pictures]

    def _doom(self) -> Doom | None:
        if not self._dies or self.rng.random() < 0.8 or len(self.worlds) < 6:
            return None
        fate: Fate = self.rng.choice(["dies", "dies", "is interrupted", "dies" if self._stopped else "stops"])
        if self.rng.random() < 0.5:
            return Doom(self.rng.choice([1, 1, 2]), self.rng.choice(POINTS), fate)
        return Doom(int(self.rng.expovariate(1 / 6)) + 1, "", fate)

    def _story(self) -> str:
        return "\n".join(line for line in self.log if line)

    # --- looking ------------------------------------------------------------------------------------------------------
    def _look(self) -> None:
        """See what is so: that must be one of the possible pictures."""
        answer = self._do(self.rng.choice(self._workers) if self._stopped else self._workers[-1], "look")
        if answer is None:
            self._kill_stopped()
            return
        numbers, snapshots = answer
        fitting = [
            picture
            for picture in self._possible
            if set(picture.clusters) == set(numbers)
            and set(picture.snapshots) == set(snapshots)
            and all(number in picture.clusters[name].live for name, number in numbers.items())
        ]
        if not fitting:
            raise Violation(f"{numbers} and {snapshots}, expected one of {self._possible}; {self._story()}")
        seen = fitting[0]
        for name, number in numbers.items():
            seen = seen.has(name, seen.clusters[name].seen(number))
        self.log.append("look")
        others = [picture for picture in self._possible if picture not in fitting]
        self._possible = [seen, *others]
        self._is_certain = True
        self.worlds.append(self._worlds([seen, *fitting, *others]))
        self._events.append(Event("", "mark", 1 - len(self.worlds)))

    # --- the verbs ----------------------------------------------------------------------------------------------------
    def _random_verb(self, worker: Worker) -> None:
        rng, picture = self.rng, self._possible[0]
        names, snapshots = sorted(picture.clusters), sorted(picture.snapshots)
        if not names:
            return self._create(worker)
        name = rng.choice(names)
        if not self._is_certain or rng.random() < 0.45:
            return self._commit(worker, name)
        verbs = [self._clone] * 4 + [self._drop] * 3 + [self._rename, self._create, self._reset, self._snapshot] * 2
        verbs += [self._keep_past, self._keep_past, self._backtrack, self._backtrack, self._give_up, self._clone_past]
        verbs += [self._read, self._read, self._read_on, self._write_ahead, self._space, self._space, self._vacuum]
        verb: Any = rng.choice(verbs)
        if snapshots and rng.random() < 0.1:
            return self._with_snapshot(worker, name, rng.choice(snapshots))
        return verb(worker) if verb in (self._create, self._read_on, self._space) else verb(worker, name)  # type: ignore[no-any-return]

    def _new(self) -> str:
        return f"c{next(self._serial)}"

    def _number(self) -> int:
        number = next(self._serial)
        self._numbers |= {number}
        return number

    def _newest(self, name: str) -> int:
        (number,) = self._possible[0].clusters[name].live
        return number

    def _commit(self, worker: Worker, name: str) -> None:
        number, mode = self._number(), self.rng.choice(self.modes)
        self._verb(
            worker,
            "commit",
            (name, number, mode, self.rng.randrange(1, 40), self.rng.random() < 0.7),
            lambda picture: picture.has(name, picture.clusters[name].acknowledged(number, mode)),
            half=lambda picture: picture.has(name, picture.clusters[name].in_flight(number, mode)),
        )

    def _create(self, worker: Worker) -> None:
        new, number = self._new(), self._number()
        self._verb(worker, "create", (new, number), lambda picture: picture.has(new, State.of(number)), commits=True)

    def _clone(self, worker: Worker, name: str) -> None:
        new, number = self._new(), self._newest(name)
        self._verb(worker, "clone", (name, new), lambda picture: picture.has(new, State.of(number)), commits=True)

    def _drop(self, worker: Worker, name: str) -> None:
        if len(self._possible[0].clusters) > 1:
            self._verb(worker, "drop", (name,), lambda picture: picture.lacks(name), commits=True)

    def _rename(self, worker: Worker, name: str) -> None:
        new = self._new()
        state = self._possible[0].clusters[name]
        self._verb(worker, "rename", (name, new), lambda picture: picture.lacks(name).has(new, state), commits=True)

    def _reset(self, worker: Worker, name: str) -> None:
        source = self._do(worker, "source_of", name)
        if isinstance(source, str) and source in self._possible[0].clusters:
            number = self._newest(source)
            self._verb(worker, "reset", (name,), lambda picture: picture.has(name, State.of(number)), commits=True)

    def _snapshot(self, worker: Worker, name: str) -> None:
        new, number = f"s{next(self._serial)}", self._newest(name)
        self._verb(
            worker,
            "snapshot",
            (name, new),
            lambda picture: replace(picture, snapshots=picture.snapshots | {new: number}),
            commits=True,
        )

    def _with_snapshot(self, worker: Worker, name: str, snapshot: str) -> None:
        number, new = self._possible[0].snapshots[snapshot], self._new()
        others = {key: value for key, value in self._possible[0].snapshots.items() if key != snapshot}
        verb, arguments, change = self.rng.choice(
            [
                ("restore", (snapshot, new), lambda picture: picture.has(new, State.of(number))),
                ("reset_to", (name, snapshot), lambda picture: picture.has(name, State.of(number))),
                ("delete_snapshot", (snapshot,), lambda picture: replace(picture, snapshots=others)),
            ]
        )
        self._verb(worker, verb, arguments, change, commits=True)

    def _keep_past(self, worker: Worker, name: str) -> None:
        self._verb(
            worker, "keep_past", (name, self.rng.choice([0, 3600, 3600, 3600])), lambda picture: picture, commits=True
        )

    def _give_up(self, worker: Worker, name: str) -> None:
        self._verb(worker, "give_up_past", (name, self.rng.randrange(1000)), lambda picture: picture)

    def _past(self, worker: Worker, name: str) -> tuple[int, int] | None:
        answer = self._do(worker, "past", name, self.rng.randrange(1000))
        if answer is None:
            return None
        version, number = answer
        if number not in self._numbers:
            raise Violation(f"{name} at version {version} has {number}, never written; {self._story()}")
        return version, number

    def _backtrack(self, worker: Worker, name: str) -> None:
        past = self._past(worker, name)
        if past is not None:
            state = State.of(past[1])
            self._verb(worker, "backtrack", (name, past[0]), lambda picture: picture.has(name, state), commits=True)

    def _clone_past(self, worker: Worker, name: str) -> None:
        past, new = self._past(worker, name), self._new()
        if past is not None:
            state = State.of(past[1])
            self._verb(
                worker, "clone_past", (name, past[0], new), lambda picture: picture.has(new, state), commits=True
            )

    def _read(self, worker: Worker, name: str) -> None:
        number = self._do(worker, "begin_read", name)
        if number is None:
            return
        if number != self._newest(name):
            raise Violation(f"{name} is read as {number}, expected {self._newest(name)}; {self._story()}")
        self._reads[worker.number, name] = self._newest(name)

    def _read_on(self, worker: Worker) -> None:
        numbers = self._do(worker, "read_again")
        for name, number in (numbers or {}).items():
            began = self._reads.pop((worker.number, name), None)
            if began is not None and began != number:
                raise Violation(f"a reader of {name} saw {began} and now {number}; {self._story()}")

    def _write_ahead(self, worker: Worker, name: str) -> None:
        self._verb(worker, "begin_write", (name, self._number()), lambda picture: picture)
        if worker in self._workers and self.rng.random() < 0.5:
            self._verb(worker, "roll_back", (), lambda picture: picture)

    def _vacuum(self, worker: Worker, name: str) -> None:
        self._verb(worker, "vacuum", (name,), lambda picture: picture)

    def _space(self, worker: Worker) -> None:
        self._verb(worker, self.rng.choice(["reclaim", "shrink", "expire", "hang_up"]), (), lambda picture: picture)

    # --- images -------------------------------------------------------------------------------------------------------
    def images(self, events: list[Event], per_point: int, every: int = 1) -> Iterator[tuple[Image, bool]]:
        """Images of every point of the log (of some, before a death and a sweep), and whether those were before."""
        device = Device()
        worlds, doing, has_died, combines = self.worlds[0], 0, False, False
        for position, event in enumerate(events):
            if event.kind == "mark":
                doing = abs(event.at)
                worlds = self.worlds[doing]
            has_died |= event.kind == "death"
            combines |= has_died and event.kind == "sweep"
            device.take(event)
            if not event.file or not device.has_catalog() or self.rng.random() * every >= (1 if combines else 0.1):
                continue
            for how in HOW if per_point >= len(HOW) else self.rng.sample(HOW, per_point):
                where = f"event {position} ({event.file} {event.kind}), {how}, in {doing} ({self.log[doing]})"
                yield Image(device.image(self.rng, how), worlds, where), combines


COMBINED = "behind a death and a sweep"
AGAIN = "images of a second power failure"


def run_seed(seed: int, per_point: int = 1, every: int = 1) -> Counter[str]:
    """Record one scenario and verify its images; what was tried.  Raises Violation."""
    base, tried = working_directory(), Counter[str]()
    try:
        scenario = Scenario(seed, base)
        events = scenario.run()
        tried["deaths"] = sum(event.kind == "death" for event in events)
        for image, combines in scenario.images(events, per_point, every):
            image.verify(base, tried["images"], f"seed {seed}")
            tried["images"] += 1
            if tried["images"] % 50 == 0:
                for second in image.again(base, scenario.rng, 5):
                    second.verify(base, tried[AGAIN], f"seed {seed}")
                    tried[AGAIN] += 1
            if combines:
                tried[COMBINED] += 1
                tried[f"{COMBINED}, {'+'.join(sorted(set(scenario.modes)))}"] += 1
        return tried
    except Violation as error:
        raise Violation(f"deaths, seed {seed}: {error}") from error
    finally:
        shutil.rmtree(base)
