"""The pytest plugin: a clone of the whole database for every test.  Options and fixtures; no effect unless used.

    def test_a_withdrawal(clusterdb_connection):
        clusterdb_connection.execute("UPDATE accounts SET balance = balance - 10")
        clusterdb_connection.commit()                     # for real; the next test has a clone of its own

Which database, says ``clusterdb_seed`` in the ini file, or a conftest.py by :func:`clusterdb.testing.template_fixture`.
Importing this does not import the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from clusterdb.testing import fixtures
from clusterdb.testing import session as sessions

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clusterdb.dbapi2 import Connection
    from clusterdb.store import Cluster, Store
    from clusterdb.testing.clones import Clone

_OTHERS = pytest.StashKey[list[dict[str, Any]]]()
_MARKERS = (
    "clusterdb(*seeds, template=None, engine=None, settings={}): which template the test's clone is made of (seeds, "
    "a fixture or its name), the SQL it understands, and settings of the clone.",
    "clusterdb_template(*seeds): the seeds of the template that the test's clone is made of.",
)


# --- options ----------------------------------------------------------------------------------------------------------
def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, each with an ini key of its name."""
    group = parser.getgroup("clusterdb", "clones of a database for tests (clusterdb)")
    path_help = "directory of the store that workers and runs share (default: in pytest's cache), or :memory:"
    group.addoption("--clusterdb-store", metavar="DIR", dest="clusterdb_store", help=path_help)
    parser.addini("clusterdb_store", f"{path_help}; relative to rootdir", default="")
    seed_help = "what the template is made of: a .sql or .db file, SQL, or package.module:function; several times"
    group.addoption("--clusterdb-seed", action="append", metavar="SEED", dest="clusterdb_seed", help=seed_help)
    parser.addini("clusterdb_seed", "what the template is made of, a seed a line", type="linelist", default=[])
    keep_help = "which clones stay for a look, with the command that opens them: failed (default), all, none"
    group.addoption("--clusterdb-keep", choices=sessions.KEEP, dest="clusterdb_keep", help=keep_help)
    parser.addini("clusterdb_keep", keep_help, default="failed")
    stats_help = "say at the end what clones and templates have cost"
    group.addoption("--clusterdb-stats", action="store_true", default=None, dest="clusterdb_stats", help=stats_help)
    parser.addini("clusterdb_stats", stats_help, type="bool", default=False)
    rebuild_help = "build templates anew, once in this run"
    group.addoption(
        "--clusterdb-rebuild", action="store_true", default=None, dest="clusterdb_rebuild", help=rebuild_help
    )
    parser.addini("clusterdb_rebuild", rebuild_help, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    sessions.session_started(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    sessions.session_ended(config)


# --- fixtures ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def clusterdb_store(request: pytest.FixtureRequest) -> Store:
    """The store of templates and clones, shared by all workers and later runs (about 10 ms, once a worker)."""
    return sessions.run_of(request.config).store


@pytest.fixture(scope="session")
def clusterdb_template(request: pytest.FixtureRequest) -> Cluster:
    """The template cluster of ``clusterdb_seed``: built once over all workers and runs; finding it takes about 1 ms."""
    from clusterdb.testing.seeds import recipe

    config = request.config
    folders = [config.rootpath, config.invocation_params.dir]
    return sessions.template_of(config, lambda: recipe(sessions.option(config, "seed"), folders=folders))


@pytest.fixture
def clusterdb(request: pytest.FixtureRequest) -> Iterator[Clone]:
    """A clone of the template for this test alone: commit, change the schema, use threads and processes at will.

    A ``clusterdb.testing.Clone`` with ``connect()``, ``url``, ``sqlalchemy_url``, ``snapshot()``, ``restore()``,
    ``diff()``, ``reader()``, ``engine()``, ``name``, ``cluster``.  Cloning and dropping take under 1 ms together,
    whatever the size.
    """
    wish = fixtures.wish_of(request)
    yield from fixtures.clone_for(request, fixtures.template_for(request, wish.template, wish.engine), wish.settings)


@pytest.fixture
def clusterdb_connection(clusterdb: Clone) -> Connection:
    """A DB-API connection to the test's clone, closed afterwards (0.2 ms)."""
    return clusterdb.connect()


@pytest.fixture
def clusterdb_engine(clusterdb: Clone) -> Engine:
    """An SQLAlchemy engine on the test's clone, disposed of afterwards (about 1 ms)."""
    return clusterdb.engine()


@pytest.fixture
def clusterdb_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., Clone]]:
    """Makes more clones: ``clusterdb_factory(template=None, engine=None, **settings)``, under 1 ms each.

    ``template`` is a fixture or its name, or seeds; all are dropped when the test ends.
    """
    with ExitStack() as clones:

        def make(template: Any = None, *, engine: str | None = None, **settings: Any) -> Clone:
            found = fixtures.template_for(request, template, engine)
            return clones.enter_context(contextmanager(fixtures.clone_for)(request, found, settings))

        yield make


# --- what is kept, and told -------------------------------------------------------------------------------------------
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Keep the clones of a failed test, and say how to open them."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    run = sessions.existing_run_of(item.config)
    if run is None or report.when == "teardown":
        return
    keep = sessions.option(item.config, "keep")
    clones = fixtures.used_by(item)
    if clones and keep != "none" and (report.failed or (keep == "all" and report.when == "call")):
        report.sections.append(("clusterdb: the clone is kept", "\n".join(run.keep(clones, item.nodeid))))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the store; a worker tells its controller what it did."""
    _finish(session.config)


def _finish(config: pytest.Config) -> None:
    run = sessions.existing_run_of(config)
    if run is not None:
        run.close()
        if hasattr(config, "workeroutput"):
            config.workeroutput["clusterdb"] = run.stats.plain()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker of xdist did."""
    told = getattr(node, "workeroutput", {}).get("clusterdb")
    if told is not None:
        node.config.stash.setdefault(_OTHERS, []).append(told)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What --clusterdb-stats tells."""
    if not sessions.option(config, "stats"):
        return
    from clusterdb.testing.stats import Stats

    run, stats = sessions.existing_run_of(config), Stats()
    for told in [*([run.stats.plain()] if run is not None else []), *config.stash.get(_OTHERS, [])]:
        stats.add(told)
    terminalreporter.section("clusterdb")
    for line in stats.lines():
        terminalreporter.write_line(line)
