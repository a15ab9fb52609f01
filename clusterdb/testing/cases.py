"""A mixin for ``unittest`` test cases that gives every test a clone."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, NoReturn

from clusterdb.store import Cluster
from clusterdb.testing.clones import Clone
from clusterdb.testing.runs import Run
from clusterdb.testing.seeds import Recipe, recipe

if TYPE_CHECKING:
    import pytest

__all__ = ["ClusterTestCase"]

_runs: dict[str, Run] = {}


class ClusterTestCase:
    """Gives every test of a ``unittest.TestCase`` a clone: ``self.clusterdb``, a :class:`clusterdb.testing.Clone`.

        class TestOrders(ClusterTestCase, unittest.TestCase):
            clusterdb_template = ["schema.sql", seed_products]

            def test_an_order(self):
                with self.clusterdb.connect() as connection: ...

    ``clusterdb_template``: seeds (see :mod:`clusterdb.testing.seeds`), or a :class:`Cluster`.  A template is built once
    for all classes, and once for all runs if the store is on disk.

    ``clusterdb_store``: the directory of the store.  Default: the store of the plugin if pytest runs the tests, else
    ``$CLUSTERDB_TEST_STORE``, else a store in memory.

    ``clusterdb_keep``: ``"failed"`` keeps the clone of a failed test, if the store is on disk, and prints the command
    that opens it on standard error; or ``"all"``, ``"none"``.  Default: pytest's option, else ``"failed"``.
    """

    clusterdb_template: ClassVar[Cluster | Sequence[object] | str | Path] = ()
    clusterdb_store: ClassVar[str | Path | None] = None
    clusterdb_keep: ClassVar[str | None] = None
    clusterdb: Clone
    _template: ClassVar[Cluster | Recipe]
    _is_skipped = False

    @classmethod
    def setUpClass(cls) -> None:
        """Find or build the template."""
        super().setUpClass()  # type: ignore[misc]
        template = cls.clusterdb_template
        if isinstance(template, Cluster):
            cls._template = template
            return
        folder = Path(getattr(sys.modules.get(cls.__module__), "__file__", None) or ".").parent
        cls._template = recipe(template, folders=[folder, Path()])
        _run_for(cls.clusterdb_store).templates.cluster(cls._template)

    def setUp(self) -> None:
        """Create the clone."""
        self.clusterdb = _run_for(self.clusterdb_store).clone(self._template)
        super().setUp()  # type: ignore[misc]

    def doCleanups(self) -> bool:
        """Drop or keep the clone, after ``tearDown`` and the cleanups that the test has added."""
        is_successful: bool = super().doCleanups()  # type: ignore[misc]
        clone = vars(self).pop("clusterdb", None)
        if clone is not None:
            self._drop_or_keep(clone)
        return is_successful

    def skipTest(self, reason: object) -> NoReturn:
        """Skip the test; its clone is dropped."""
        self._is_skipped = True
        super().skipTest(reason)  # type: ignore[misc]
        raise AssertionError("BUG: skipTest returned")

    def _drop_or_keep(self, clone: Clone) -> None:
        run = _run_for(self.clusterdb_store)
        if run.store.path == ":memory:" or not self._is_to_be_kept():
            run.drop(clone)
            return
        clone.close()
        for line in run.keep([clone], self.id()):  # type: ignore[attr-defined]
            print(f"the clone is kept: {line}", file=sys.stderr)

    def _is_to_be_kept(self) -> bool:
        keep = self.clusterdb_keep or _pytest_option("keep") or "failed"
        outcome = getattr(self, "_outcome", None)  # unittest's only record of a running test
        has_failed = outcome is not None and not outcome.success and not self._is_skipped
        return keep == "all" or (keep == "failed" and has_failed)


def _run_for(path: str | Path | None) -> Run:
    """The run of a store in this process: pytest's own, else one for each path."""
    running = _pytest_session()
    if path is None and running is not None:
        sessions, config = running
        run: Run = sessions.run_of(config)
        return run
    key = str(path or os.environ.get("CLUSTERDB_TEST_STORE") or ":memory:")
    key = key if key == ":memory:" else str(Path(key).absolute())
    if key not in _runs or not _runs[key].store.context.is_usable:
        _runs[key] = Run(key)
    return _runs[key]


def _pytest_option(name: str) -> str | None:
    running = _pytest_session()
    if running is None:
        return None
    sessions, config = running
    value: str = sessions.option(config, name)
    return value


def _pytest_session() -> tuple[ModuleType, pytest.Config] | None:
    """The module ``session`` and the running session; the module is not imported here, as it needs pytest."""
    sessions = sys.modules.get("clusterdb.testing.session")
    config = sessions.current() if sessions is not None else None
    return (sessions, config) if sessions is not None and config is not None else None
