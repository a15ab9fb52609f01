"""For ``unittest``: a mixin that gives every test a clone."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from clusterdb.store import Cluster
from clusterdb.testing.clones import Clone
from clusterdb.testing.runs import Run
from clusterdb.testing.seeds import Recipe, recipe

__all__ = ["ClusterTestCase"]

_runs: dict[str, Run] = {}


class ClusterTestCase:
    """A clone for every test of a ``unittest.TestCase``: ``self.clusterdb``, a :class:`clusterdb.testing.Clone`.

        class TestOrders(ClusterTestCase, unittest.TestCase):
            clusterdb_template = ["schema.sql", seed_products]

            def test_an_order(self):
                with self.clusterdb.connect() as connection: ...

    ``clusterdb_template``: seeds (see :mod:`clusterdb.testing.seeds`), or a :class:`Cluster`; built once for all
    classes, and over all runs if the store is on disk.  ``clusterdb_store``: its directory; without it pytest's, if
    that runs the tests, else ``$CLUSTERDB_TEST_STORE``, else one in memory.  ``clusterdb_keep``: ``"failed"`` keeps the
    clone of a failed test, if the store is on disk, and says on standard error how to open it; ``"none"``, ``"all"``;
    without it as pytest's option, else ``"failed"``.
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
        given = cls.clusterdb_template
        if isinstance(given, Cluster):
            cls._template = given
            return
        folder = Path(getattr(sys.modules.get(cls.__module__), "__file__", None) or ".").parent
        cls._template = recipe(given, folders=[folder, Path()])
        _run_for(cls.clusterdb_store).templates.cluster(cls._template)

    def setUp(self) -> None:
        """Make the clone."""
        self.clusterdb = _run_for(self.clusterdb_store).clone(self._template)
        super().setUp()  # type: ignore[misc]

    def doCleanups(self) -> Any:
        """Behind ``tearDown`` and the cleanups that tests have added, the clone goes."""
        done = super().doCleanups()  # type: ignore[misc]
        clone = vars(self).pop("clusterdb", None)
        if clone is not None:
            self._end(clone)
        return done

    def skipTest(self, reason: Any) -> Any:
        """A test that is skipped leaves no clone."""
        self._is_skipped = True
        super().skipTest(reason)  # type: ignore[misc]

    def _end(self, clone: Clone) -> None:
        run = _run_for(self.clusterdb_store)
        if run.store.path == ":memory:" or not self._is_wanted():
            run.drop(clone)
            return
        clone.close()
        for line in run.keep([clone], self.id()):  # type: ignore[attr-defined]
            print(f"the clone is kept: {line}", file=sys.stderr)

    def _is_wanted(self) -> bool:
        keep = self.clusterdb_keep or _pytest_says("keep") or "failed"
        outcome: Any = getattr(self, "_outcome", None)  # unittest tells it nowhere else while a test is running
        has_failed = outcome is not None and not outcome.success and not self._is_skipped
        return keep == "all" or (keep == "failed" and has_failed)


def _run_for(path: str | Path | None) -> Run:
    """The run of a store in this process: pytest's own, or one for each path."""
    session, config = _pytest()
    if path is None and config is not None:
        run: Run = session.run_of(config)
        return run
    key = str(path or os.environ.get("CLUSTERDB_TEST_STORE") or ":memory:")
    key = key if key == ":memory:" else str(Path(key).absolute())
    if key not in _runs or not _runs[key].store.context.is_usable:
        _runs[key] = Run(key)
    return _runs[key]


def _pytest_says(name: str) -> str | None:
    session, config = _pytest()
    return session.option(config, name) if config is not None else None


def _pytest() -> tuple[Any, Any]:
    """The module that knows of sessions, not imported for the sake of those without pytest; and the session."""
    session: Any = sys.modules.get("clusterdb.testing.session")
    return session, session.current() if session is not None else None
