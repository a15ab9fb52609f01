"""The run that belongs to a session of pytest: made when a fixture first needs it, from options and ini keys.

Imports the engine only then.
"""

from __future__ import annotations

import os
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
    """A session begins; it may lie inside another one."""
    _sessions.append(config)


def session_ended(config: pytest.Config) -> None:
    """It has ended."""
    if config in _sessions:
        _sessions.remove(config)


def current() -> pytest.Config | None:
    """The session that is running in this process."""
    return _sessions[-1] if _sessions else None


def option(config: pytest.Config, name: str) -> Any:
    """What the command line says, else the ini file.  Raises UsageError."""
    given = config.getoption(f"clusterdb_{name}", None)
    value = config.getini(f"clusterdb_{name}") if given is None else given
    if name == "keep" and value not in KEEP:
        raise pytest.UsageError(f"clusterdb_keep = {value}: use {', '.join(KEEP)}")
    return value


def run_of(config: pytest.Config) -> Run:
    """The session's run.  Raises UsageError."""
    found = existing_run_of(config)
    if found is None:
        _require_releases(config)
        from clusterdb.testing.runs import Run

        found = config.stash[_RUN] = Run(
            _store_path(config),
            run=getattr(config, "workerinput", {}).get("testrunuid"),
            rebuilds=option(config, "rebuild"),
            measures_bytes=option(config, "stats"),
        )
    return found


def template_of(config: pytest.Config, recipe_of: Callable[[], Recipe]) -> Cluster:
    """The template of a recipe.  When a seed fails, the test ends with that error alone."""
    run = run_of(config)
    from clusterdb.testing.seeds import SeedError

    try:
        return run.templates.cluster(recipe_of())
    except SeedError as error:
        told = error.told()
    pytest.fail(told, pytrace=False)


def existing_run_of(config: pytest.Config) -> Run | None:
    """The session's run, if there is one already."""
    return config.stash.get(_RUN, None)


def _store_path(config: pytest.Config) -> str | Path:
    """Where the store is.  Raises UsageError."""
    given = option(config, "store")
    if given == ":memory:":
        return ":memory:"
    if given:
        from_command_line = config.getoption("clusterdb_store", None)
        folder = config.invocation_params.dir if from_command_line else config.rootpath
        return Path(folder, Path(os.path.expandvars(given)).expanduser())
    cache: Any = getattr(config, "cache", None)
    if cache is None:
        raise pytest.UsageError(
            "clusterdb: pytest's cache, where the store of templates and clones is, is switched off: say where it "
            "shall be with --clusterdb-store=DIRECTORY, or :memory:"
        )
    folder = Path(config.rootpath, Path(os.path.expandvars(config.getini("cache_dir"))).expanduser())
    cache.set("clusterdb/store", str(folder / "clusterdb"))  # pytest makes its directory, with a .gitignore
    return folder / "clusterdb"  # beside what --cache-clear deletes, as every worker does it for itself


def _require_releases(config: pytest.Config) -> None:
    _require("pytest", pytest.__version__, PYTEST_MIN)
    if hasattr(config, "workerinput"):
        import xdist

        _require("pytest-xdist", xdist.__version__, XDIST_MIN)


def _require(what: str, version: str, least: tuple[int, int]) -> None:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < least:
        wanted = ".".join(map(str, least))
        raise pytest.UsageError(f"clusterdb's fixtures need {what} {wanted} or later, this is {version}: upgrade it")
