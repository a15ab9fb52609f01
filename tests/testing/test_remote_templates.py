"""Templates in a repository that machines share: cloned if they are there, else built by one of them and pushed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
from clusterdb.errors import InvalidArgumentError
from clusterdb.remote import Remote
from clusterdb.store import Cluster
from clusterdb.testing.runs import Run
from clusterdb.testing.seeds import Recipe, recipe
from tests.support.stores import assert_clean
from tests.testing.plugin import CONFTEST, Runner, built

Machine = Callable[..., Run]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/shared"


@pytest.fixture(params=["disk", "memory"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A function that returns the run of another machine."""
    runs: list[Run] = []

    def start(*, rebuilds: bool = False) -> Run:
        path = tmp_path / f"machine{len(runs)}" if request.param == "disk" else ":memory:"
        runs.append(Run(path, rebuilds=rebuilds))
        return runs[-1]

    monkeypatch.setattr("clusterdb.testing.runs.shared_store", lambda path, create: clusterdb.open(path))

    yield start
    for run in runs:
        assert_clean(run.store)
        run.close()
        run.store.close()


class Seed:
    """A seed that counts how often it runs, and whose rows differ each time."""

    def __init__(self) -> None:
        self.count = 0

    def __repr__(self) -> str:
        return "Seed"

    def run(self, connection: object) -> None:
        self.count += 1
        connection.execute("CREATE TABLE t (n)")  # type: ignore[attr-defined]
        connection.execute("INSERT INTO t VALUES (randomblob(20000))")  # type: ignore[attr-defined]


_seed = Seed()


def seeded(connection: object) -> None:
    _seed.run(connection)


@pytest.fixture
def seed() -> Seed:
    global _seed
    _seed = Seed()
    return _seed


def content(cluster: Cluster) -> object:
    with closing(cluster.connect()) as connection:
        return connection.execute("SELECT hex(n) FROM t").fetchall()


def shared(url: str) -> Recipe:
    return recipe([seeded], remote=url)


def test_second_machine_clones_what_the_first_has_built(url: str, machine: Machine, seed: Seed) -> None:
    """And so does a run with an empty store; clones of the template are clones as ever."""
    first, second = machine(), machine()
    expected = content(first.templates.cluster(shared(url)))
    template = second.templates.cluster(shared(url))
    assert (seed.count, len(first.stats.built), len(second.stats.built)) == (1, 1, 0)
    assert list(second.stats.cloned) == [shared(url).title]
    clone = second.clone(template)
    with clone.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    assert clone.diff().tables[0].count("insert") == 1
    second.drop(clone)
    assert content(template) == expected
    assert [database.name for database in Remote(url).databases()] == [shared(url).shared_name]


def test_machine_that_is_second_to_push_uses_what_is_there(
    url: str, machine: Machine, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked before either has pushed."""
    first, second = machine(), machine()
    monkeypatch.setattr(second.templates, "_cloned", lambda recipe: monkeypatch.undo())
    expected = content(first.templates.cluster(shared(url)))
    assert content(second.templates.cluster(shared(url))) == expected
    assert seed.count == 2
    assert [cluster.name for cluster in second.store.clusters()] == [shared(url).name]


def test_derived_template_that_is_there_needs_no_base(url: str, machine: Machine, seed: Seed) -> None:
    derived = recipe(["INSERT INTO t VALUES (1)"], base=recipe([seeded]), remote=url)
    first, second = machine(), machine()
    expected = content(first.templates.cluster(derived))
    assert content(second.templates.cluster(derived)) == expected
    assert seed.count == 1
    assert len(second.store.clusters()) == 1


def test_rebuilt_template_replaces_the_one_in_the_repository(url: str, machine: Machine, seed: Seed) -> None:
    first, second, third = machine(), machine(rebuilds=True), machine()
    before = content(first.templates.cluster(shared(url)))
    after = content(second.templates.cluster(shared(url)))
    assert before != after == content(third.templates.cluster(shared(url)))
    assert seed.count == 2


@pytest.mark.parametrize("place", ["file:///proc/nowhere", "s3://bucket/path?endpoint=http://127.0.0.1:9"])
def test_repository_that_cannot_be_used_is_one_warning(
    place: str, machine: Machine, seed: Seed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For all templates; if warnings are errors, it is printed."""
    monkeypatch.setattr("clusterdb.remote.objects._PATIENCE_S", 1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    run = machine()
    with pytest.warns(UserWarning, match="templates are built here, since their repository cannot be used: ") as caught:
        run.templates.cluster(shared(place))
        run.templates.cluster(recipe(["CREATE TABLE u (a)"], remote=place))
    assert (len(caught), seed.count) == (1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        machine().templates.cluster(shared(place))
    assert capsys.readouterr().err.startswith("clusterdb: templates are built here, since ")


def test_damaged_template_is_built_here(url: str, machine: Machine, seed: Seed, tmp_path: Path) -> None:
    machine().templates.cluster(shared(url))
    for segment in (tmp_path / "shared" / "segment").iterdir():
        segment.write_bytes(bytes(segment.stat().st_size))
    with pytest.warns(UserWarning, match="cannot be used: .* is damaged"):
        machine().templates.cluster(shared(url))
    assert seed.count == 2


def test_url_that_is_wrong_is_an_error(machine: Machine, seed: Seed) -> None:
    with pytest.raises(InvalidArgumentError, match="is no URL of a repository"):
        machine().templates.cluster(shared("ftp://host/path"))
    with pytest.raises(InvalidArgumentError, match="set AWS_SECRET_ACCESS_KEY"):
        machine().templates.cluster(shared("s3://bucket/path?secret_access_key=XYZ"))


def test_shared_key_is_the_same_on_every_machine(tmp_path: Path) -> None:
    """It depends on the content of a database file, the key of a store on its place and time."""
    recipes: list[Recipe] = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        (folder / "shop.db").write_bytes(b"the same")
        os.utime(folder / "shop.db", (len(recipes), len(recipes)))
        recipes.append(recipe("shop.db", folders=[folder]))
    first, second = recipes
    assert first.key != second.key
    assert first.shared_key == second.shared_key
    (tmp_path / "b" / "shop.db").write_bytes(b"another")
    assert first.shared_key != recipe("shop.db", folders=[tmp_path / "b"]).shared_key


def test_fixture_takes_its_template_from_a_repository(run: Runner, url: str, pytester: pytest.Pytester) -> None:
    """A suite whose store was deleted, as on a new runner, does not build again."""
    conftest = CONFTEST.replace("template_fixture(accounts)", f"template_fixture(accounts, remote={url!r})")
    test = """
        def test_sum(clusterdb_connection):
            assert clusterdb_connection.execute("SELECT sum(balance) FROM accounts").fetchone() == (1000,)
    """
    pytester.makeconftest(conftest)
    pytester.makepyfile(test)
    run("--clusterdb-store=one").assert_outcomes(passed=1)
    result = run("--clusterdb-store=two", "--clusterdb-stats")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["template cloned from its repository in * s: *accounts"])
    assert built() == ["accounts"]
