"""Processes that are killed at the named points of pushes, lazy clones, fetches and collections."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

import clusterdb
from clusterdb.remote import Remote
from clusterdb.remote.objects import NEW
from tests.support.mishaps import assert_accounted, fill, letters, letters_of, rewrite
from tests.support.points import REMOTE_POINTS
from tests.support.stores import assert_clean

ROWS = 120
SCRIPT = """
import os, signal, sys
from datetime import timedelta
import clusterdb
from clusterdb.remote import Remote
from vfs import failpoints

path, url, point, count, work = sys.argv[1:]
left = int(count)

def reached():
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

with clusterdb.open(path) as store:
    failpoints.armed[point] = reached
    exec(work)
"""
WORKS: dict[str, str] = {
    "push": "store.cluster('prod').push(url)",
    "first push": "store.cluster('prod').push(url + '-2')",
    "clone": "store.clone(url + '/prod', 'dev')",
    "full copy": "store.clone(url + '/prod', 'dev', copy_type='full-copy')",
    "fetch": "store.cluster('lazy').fetch()",
    "collect": "Remote(url).collect(timedelta(0))",
}
DEATHS = [
    ("push", "object: written", 1),
    ("push", "object: linked", 1),
    ("push", "push: segment sent", 1),
    ("push", "state: before it is created", 1),
    ("push", "object: linked", 2),
    ("push", "state: created", 1),
    ("clone", "object: written", 1),
    ("clone", "clone: state pinned", 1),
    ("clone", "clone: pages named", 1),
    ("clone", "clone: places synced", 1),
    ("fetch", "fetch: page received", 20),
    ("fetch", "fetch: page written", 20),
    ("collect", "collect: state expired", 1),
    ("collect", "collect: object deleted", 1),
]
"""What the process does, the point, and the how manieth time there is the last."""
PUSHED = {("object: linked", 2), ("object: written", 3), ("state: created", 1)}
"""Where the state that a push adds is there."""
MORE_DEATHS = [
    *(("push", "object: written", count) for count in (2, 3)),
    *(("first push", point, count) for point in ("object: written", "object: linked") for count in range(1, 4)),
    *(("first push", point, 1) for point in ("push: segment sent", "state: before it is created", "state: created")),
    *(("clone", point, 1) for point in ("catalog: before commit", "catalog: committed", "commit: published")),
    *(("full copy", point, 1) for point in ("catalog: before commit", "catalog: committed", "commit: published")),
    *(("fetch", "fetch: page written", count) for count in (1, 30)),
    *(("collect", point, count) for point in ("object: written", "collect: state expired") for count in (2, 3)),
    *(("collect", "collect: object deleted", count) for count in (2, 3)),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose cluster ``prod`` was pushed with letter a, then with b, and has c since; the repository.

    The repository has had other databases, and segments that nothing names.
    """
    folder = tmp_path_factory.mktemp("deaths")
    url = f"file://{folder}/repository"
    with clusterdb.open(folder / "store") as store:
        prod = store.create_cluster("prod")
        with closing(prod.connect()) as connection:
            fill(connection, ROWS, "a")
            prod.push(url)
            rewrite(connection, "b")
            prod.push(url)
            prod.push(url, name="gone")
            rewrite(connection, "c")
    (folder / "repository" / "segment" / ("0" * 16)).write_bytes(bytes(4096))
    (folder / "repository" / "segment" / ("1" * 16)).write_bytes(bytes(4096))
    (folder / "repository" / NEW / "left").write_bytes(bytes(4096))
    return folder


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Path:
    """A copy of the store and of the repository; a lazy clone ``lazy`` has read nothing yet."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    with clusterdb.open(tmp_path / "store") as store:
        store.clone(f"file://{tmp_path}/repository/prod", "lazy")
    Remote(f"file://{tmp_path}/repository").remove("gone")
    let_days_pass(tmp_path / "repository")
    return tmp_path


def let_days_pass(repository: Path) -> None:
    """Make all objects two days older."""
    for path in repository.rglob("*"):
        before = path.stat().st_mtime
        os.utime(path, (before, min(before, time.time()) - 2 * 86_400))


def letters_at(url: str) -> dict[str, int]:
    """The letters of the database in a repository."""
    with clusterdb.open(":memory:") as store:
        with closing(store.clone(f"{url}/prod", "look").connect()) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            found_letters = letters(connection)
        assert_clean(store)
    return found_letters


def needed_in(repository: Path) -> set[str]:
    """The segments that the newest state names, and those of states that are pinned."""
    opened = Remote(f"file://{repository}").repository
    numbers = {opened.require_newest().number} | opened.pinned(time.time_ns())
    states = [state for number in numbers if (state := opened.state(number)) is not None]
    return {segment.name for state in states for segment in opened.all_segments(state)}


@pytest.mark.parametrize(("work", "point", "count"), DEATHS)
def test_killed_process_leaves_nothing_half_done(place: Path, work: str, point: str, count: int) -> None:
    assert_survives_a_death(place, work, point, count)


@pytest.mark.slow
@pytest.mark.parametrize(("work", "point", "count"), MORE_DEATHS)
def test_process_killed_elsewhere_leaves_nothing_half_done(place: Path, work: str, point: str, count: int) -> None:
    assert_survives_a_death(place, work, point, count)


def assert_survives_a_death(place: Path, work: str, point: str, count: int) -> None:
    """What was acknowledged is there, a second attempt works, and a collection deletes what the dead one left."""
    path, repository = place / "store", place / "repository"
    url = f"file://{repository}"
    arguments = [str(path), url, point, str(count), WORKS[work]]
    process = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.DEVNULL)
    assert process.returncode == -signal.SIGKILL, f"it did not come to '{point}'"

    is_pushed = work == "push" and (point, count) in PUSHED
    with clusterdb.open(path) as store:
        assert_clean(store)
        assert letters_of(store, "prod") == {"c": ROWS}
        assert Remote(url).check() == []
        assert letters_at(url) == {"c" if is_pushed else "b": ROWS}
        attempts: dict[str, Callable[[], object]] = {
            "push": lambda: store.cluster("prod").push(url),
            "first push": lambda: store.cluster("prod").push(f"{url}-2"),
            "clone": lambda: again(store, url, "copy-on-write"),
            "full copy": lambda: again(store, url, "full-copy"),
            "fetch": lambda: store.cluster("lazy").fetch(),
            "collect": lambda: Remote(url).collect(timedelta(0)),
        }
        attempts[work]()
        assert letters_of(store, "lazy") == {"b": ROWS}
    assert_accounted(path)
    for place_of_objects in (repository, place / "repository-2"):
        if place_of_objects.exists():
            let_days_pass(place_of_objects)
            there = Remote(f"file://{place_of_objects}")
            there.collect(timedelta(0))
            assert there.check() == []
            assert not list((place_of_objects / NEW).iterdir())
            assert {path.name for path in (place_of_objects / "segment").iterdir()} == needed_in(place_of_objects)
    assert letters_at(url) == ({"c": ROWS} if work == "push" else {"b": ROWS})
    if work == "first push":
        assert letters_at(f"{url}-2") == {"c": ROWS}
    with clusterdb.open(path) as store:
        assert letters_of(store, "lazy") == {"b": ROWS}


def again(store: clusterdb.Store, url: str, copy_type: str) -> None:
    """Clone it, unless the clone was complete when the process died."""
    if "dev" not in [cluster.name for cluster in store.clusters()]:
        store.clone(f"{url}/prod", "dev", copy_type=copy_type)
    assert letters_of(store, "dev") == {"b": ROWS}


def test_every_named_point_of_repositories_has_a_case() -> None:
    assert {point for _, point, _ in DEATHS} == REMOTE_POINTS
