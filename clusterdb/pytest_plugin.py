"""The pytest plugin: a clone of the whole database for every test.  Options and fixtures; no effect unless used.

    def test_withdrawal(clusterdb_connection):
        clusterdb_connection.execute("UPDATE accounts SET balance = balance - 10")
        clusterdb_connection.commit()                     # a real commit; the next test has its own clone

The database is set by ``clusterdb_seed`` in the ini file, or in a conftest.py by
:func:`clusterdb.testing.template_fixture`.  Importing this module does not import the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from clusterdb.testing import fixtures
from clusterdb.testing import session as sessions

if TYPE_CHECKING:
    import pluggy
    from sqlalchemy import Engine

    from clusterdb.dbapi2 import Connection
    from clusterdb.server import Running
    from clusterdb.store import Cluster, Store
    from clusterdb.testing.clones import Clone

_WORKER_STATS = pytest.StashKey[list[dict[str, Any]]]()
_MARKERS = (
    "clusterdb(*seeds, template=None, engine=None, settings={}): the template of the test's clone (seeds, a fixture or "
    "its name), the SQL that it accepts, and the settings of the clone.",
    "clusterdb_template(*seeds): the seeds of the template of the test's clone.",
)


# --- options ----------------------------------------------------------------------------------------------------------
def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each with an ini key of the same name."""
    group = parser.getgroup("clusterdb", "clones of a database for tests (clusterdb)")
    path_help = (
        "directory of the store that workers and runs share (default: in pytest's cache, without a cache in the "
        "directory for temporary files), or :memory:"
    )
    group.addoption("--clusterdb-store", metavar="DIR", dest="clusterdb_store", help=path_help)
    parser.addini("clusterdb_store", f"{path_help}; relative to rootdir", default="")
    seed_help = "a seed of the template: a .sql or .db file, SQL, or package.module:function; may be repeated"
    group.addoption("--clusterdb-seed", action="append", metavar="SEED", dest="clusterdb_seed", help=seed_help)
    parser.addini("clusterdb_seed", "the seeds of the template, one per line", type="linelist", default=[])
    keep_help = "tests whose clones are kept, with the command that opens them: failed (default), all, none"
    group.addoption("--clusterdb-keep", choices=sessions.KEEP, dest="clusterdb_keep", help=keep_help)
    parser.addini("clusterdb_keep", keep_help, default="failed")
    stats_help = "print the cost of clones and templates at the end"
    group.addoption("--clusterdb-stats", action="store_true", default=None, dest="clusterdb_stats", help=stats_help)
    parser.addini("clusterdb_stats", stats_help, type="bool", default=False)
    rebuild_help = "rebuild templates, once in this run"
    group.addoption(
        "--clusterdb-rebuild", action="store_true", default=None, dest="clusterdb_rebuild", help=rebuild_help
    )
    parser.addini("clusterdb_rebuild", rebuild_help, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    sessions.session_started(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    sessions.session_ended(config)


# --- fixtures ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def clusterdb_store(request: pytest.FixtureRequest) -> Store:
    """The store of templates and clones, shared by all workers and later runs (about 10 ms, once per worker)."""
    return sessions.run_of(request.config).store


@pytest.fixture(scope="session")
def clusterdb_template(request: pytest.FixtureRequest) -> Cluster:
    """The template cluster of ``clusterdb_seed``: built once for all workers and runs; reusing it takes about 1 ms."""
    from clusterdb.testing.seeds import recipe

    config = request.config
    folders = [config.rootpath, config.invocation_params.dir]
    return sessions.template_of(config, lambda: recipe(sessions.option(config, "seed"), folders=folders))


@pytest.fixture
def clusterdb(request: pytest.FixtureRequest) -> Iterator[Clone]:
    """A clone of the template for this test: it can commit, change the schema, use threads and processes.

    A ``clusterdb.testing.Clone`` with ``connect()``, ``url``, ``sqlalchemy_url``, ``snapshot()``, ``restore()``,
    ``diff()``, ``reader()``, ``engine()``, ``name``, ``cluster``.  Cloning and dropping take under 1 ms together,
    whatever the size.
    """
    options = fixtures.marker_options_of(request)
    template = fixtures.template_for(request, options.template, options.engine)
    yield from fixtures.clone_for(request, template, options.settings)


@pytest.fixture
def clusterdb_connection(clusterdb: Clone) -> Connection:
    """A DB-API connection to the test's clone, closed at its end (0.2 ms)."""
    return clusterdb.connect()


@pytest.fixture
def clusterdb_engine(clusterdb: Clone) -> Engine:
    """An SQLAlchemy engine on the test's clone, disposed of at its end (about 1 ms)."""
    return clusterdb.engine()


@pytest.fixture
def clusterdb_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., Clone]]:
    """A function that creates clones: ``clusterdb_factory(template=None, engine=None, **settings)``, under 1 ms each.

    ``template`` is a fixture or its name, or seeds.  The clones are dropped when the test ends.
    """
    with ExitStack() as clones:

        def create(template: object = None, *, engine: str | None = None, **settings: object) -> Clone:
            cluster = fixtures.template_for(request, template, engine)
            return clones.enter_context(contextmanager(fixtures.clone_for)(request, cluster, settings))

        yield create


@pytest.fixture
def clusterdb_server() -> Iterator[Running]:
    """A server of Amazon RDS on an empty store in memory (about 20 ms; needs the extra ``server``).

    ``url`` is its base URL, ``store`` its store, to create clusters with rows.
    """
    from clusterdb.server import running
    from clusterdb.store import open

    with open(":memory:") as store, running(store) as server:
        yield server


@pytest.fixture
def clusterdb_aws(clusterdb_server: Running) -> Any:
    """A ``boto3.Session`` whose clients call ``clusterdb_server`` (needs boto3)."""
    from clusterdb.server import session

    return session(clusterdb_server)


# --- kept clones and the summary --------------------------------------------------------------------------------------
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    """Keep the clones of a failed test, and report the commands that open them."""
    outcome = yield
    report = outcome.get_result()
    run = sessions.existing_run_of(item.config)
    if run is None or report.when == "teardown":
        return
    keep = sessions.option(item.config, "keep")
    clones = fixtures.used_by(item)
    if clones and keep != "none" and (report.failed or (keep == "all" and report.when == "call")):
        report.sections.append(("clusterdb: the clone is kept", "\n".join(run.keep(clones, item.nodeid))))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the store; a worker sends its statistics to its controller."""
    _finish(session.config)


def _finish(config: pytest.Config) -> None:
    run = sessions.existing_run_of(config)
    if run is not None:
        run.close()
        if hasattr(config, "workeroutput"):
            config.workeroutput["clusterdb"] = run.stats.plain()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect the statistics of a worker of xdist."""
    stats = getattr(node, "workeroutput", {}).get("clusterdb")
    if stats is not None:
        node.config.stash.setdefault(_WORKER_STATS, []).append(stats)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the summary of --clusterdb-stats."""
    if not sessions.option(config, "stats"):
        return
    from clusterdb.testing.stats import Stats

    run, stats = sessions.existing_run_of(config), Stats()
    for other in [*([run.stats.plain()] if run is not None else []), *config.stash.get(_WORKER_STATS, [])]:
        stats.add(other)
    terminalreporter.section("clusterdb")
    for line in stats.lines():
        terminalreporter.write_line(line)
