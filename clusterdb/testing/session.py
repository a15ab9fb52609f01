"""The run of a pytest session: created from options and ini keys when a fixture first needs it.

The engine is imported only then.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from clusterdb.store import Cluster
    from clusterdb.testing.runs import Run
    from clusterdb.testing.seeds import Recipe

__all__ = ["KEEP", "current", "existing_run_of", "option", "run_of", "session_ended", "session_started", "template_of"]

KEEP = ("failed", "all", "none")
PYTEST_MIN = (7, 4)
XDIST_MIN = (2, 5)
_RUN = pytest.StashKey["Run"]()
_sessions: list[pytest.Config] = []


def session_started(config: pytest.Config) -> None:
    """Note that a session has started, possibly within another one."""
    _sessions.append(config)


def session_ended(config: pytest.Config) -> None:
    """Note that a session has ended."""
    if config in _sessions:
        _sessions.remove(config)


def current() -> pytest.Config | None:
    """The innermost session that is running in this process."""
    return _sessions[-1] if _sessions else None


def option(config: pytest.Config, name: str) -> Any:
    """The value of an option on the command line, else in the ini file.  Raises UsageError."""
    value = config.getoption(f"clusterdb_{name}", None)
    if value is None:
        value = config.getini(f"clusterdb_{name}")
    if name == "keep" and value not in KEEP:
        raise pytest.UsageError(f"clusterdb_keep = {value}: use {', '.join(KEEP)}")
    return value


def run_of(config: pytest.Config) -> Run:
    """The session's run, created if there is none.  Raises UsageError."""
    run = existing_run_of(config)
    if run is None:
        _require_releases(config)
        from clusterdb.testing.runs import Run

        run = config.stash[_RUN] = Run(
            _store_path(config),
            run=getattr(config, "workerinput", {}).get("testrunuid"),
            rebuilds=option(config, "rebuild"),
            measures_bytes=option(config, "stats"),
        )
    return run


def template_of(config: pytest.Config, recipe_of: Callable[[], Recipe]) -> Cluster:
    """The template of a recipe.  If a seed fails, so does the test, with the seed's error only."""
    run = run_of(config)
    from clusterdb.testing.seeds import SeedError

    try:
        return run.templates.cluster(recipe_of())
    except SeedError as error:
        report = error.report()
    pytest.fail(report, pytrace=False)


def existing_run_of(config: pytest.Config) -> Run | None:
    """The session's run; None if none was created yet."""
    return config.stash.get(_RUN, None)


def _store_path(config: pytest.Config) -> str | Path:
    """The path of the store: as configured, else in pytest's cache, else in the directory for temporary files."""
    store = option(config, "store")
    if store == ":memory:":
        return ":memory:"
    if store:
        from_command_line = config.getoption("clusterdb_store", None)
        folder = config.invocation_params.dir if from_command_line else config.rootpath
        return Path(folder, Path(os.path.expandvars(store)).expanduser())
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache is None:  # -p no:cacheprovider
        digest = hashlib.sha256(os.fsencode(config.rootpath)).hexdigest()
        return Path(tempfile.gettempdir(), f"clusterdb-pytest-{os.getuid()}-{digest[:12]}")
    folder = Path(config.rootpath, Path(os.path.expandvars(config.getini("cache_dir"))).expanduser())
    cache.set("clusterdb/store", str(folder / "clusterdb"))  # creates the cache directory, with a .gitignore
    return folder / "clusterdb"  # not in a directory that --cache-clear deletes, once in every worker


def _require_releases(config: pytest.Config) -> None:
    _require_release("pytest", pytest.__version__, PYTEST_MIN)
    if hasattr(config, "workerinput"):
        import xdist

        _require_release("pytest-xdist", xdist.__version__, XDIST_MIN)


def _require_release(package: str, version: str, least: tuple[int, int]) -> None:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < least:
        wanted = ".".join(map(str, least))
        raise pytest.UsageError(f"clusterdb's fixtures need {package} {wanted} or later, this is {version}: upgrade it")
