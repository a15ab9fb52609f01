"""For ``unittest``: a mixin that gives every test a clone."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from clusterdb.cluster import Cluster
from clusterdb.testing.clones import Clone
from clusterdb.testing.runs import Run
from clusterdb.testing.seeds import Recipe, recipe

__all__ = ["ClusterTestCase"]

_runs: dict[str, Run] = {}


class ClusterTestCase:
    """A clone for every test of a ``unittest.TestCase``, as ``self.clone``.

        class TestOrders(ClusterTestCase, unittest.TestCase):
            template = ["schema.sql", seed_products]

            def test_an_order(self):
                with self.clone.connect() as connection: ...

    ``template``: seeds (see :mod:`clusterdb.testing.seeds`), or a :class:`Cluster`; built once for all classes, and
    over all runs if the store is on disk.  ``store``: its directory; without it pytest's, if that runs the tests, else
    ``$CLUSTERDB_TEST_STORE``, else one in memory.  A failed test's clone is kept if the store is on disk, and the
    command that opens it goes to standard error; not with ``keeps_failed = False``.
    """

    template: ClassVar[Cluster | Sequence[object] | str | Path] = ()
    store: ClassVar[str | Path | None] = None
    keeps_failed: ClassVar[bool] = True
    clone: Clone
    _is_skipped = False
    _template: ClassVar[Cluster | Recipe]

    @classmethod
    def setUpClass(cls) -> None:
        """Find or build the template."""
        super().setUpClass()  # type: ignore[misc]
        given = cls.template
        if isinstance(given, Cluster):
            cls._template = given
            return
        folder = Path(getattr(sys.modules.get(cls.__module__), "__file__", None) or ".").parent
        cls._template = recipe(given, folders=[folder, Path()])
        _run_for(cls.store).templates.cluster(cls._template)

    def setUp(self) -> None:
        """Make the clone."""
        self.clone = _run_for(self.store).clone(self._template)
        super().setUp()  # type: ignore[misc]

    def doCleanups(self) -> Any:
        """Behind ``tearDown`` and the cleanups that tests have added, the clone goes."""
        done = super().doCleanups()  # type: ignore[misc]
        clone = vars(self).pop("clone", None)
        if clone is not None:
            self._end(clone)
        return done

    def _end(self, clone: Clone) -> None:
        run = _run_for(self.store)
        if not (self.keeps_failed and run.store.path != ":memory:" and self._has_failed()):
            run.drop(clone)
            return
        clone.close()
        for line in run.keep([clone], self.id()):  # type: ignore[attr-defined]
            print(f"the clone is kept: {line}", file=sys.stderr)

    def skipTest(self, reason: Any) -> Any:
        """A test that is skipped leaves no clone."""
        self._is_skipped = True
        super().skipTest(reason)  # type: ignore[misc]

    def _has_failed(self) -> bool:
        outcome: Any = getattr(self, "_outcome", None)  # unittest tells it nowhere else while a test is running
        return outcome is not None and not outcome.success and not self._is_skipped


def _run_for(path: str | Path | None) -> Run:
    """The run of a store in this process: pytest's own, or one for each path."""
    if path is None:
        run = _run_of_pytest()
        if run is not None:
            return run
    key = str(path or os.environ.get("CLUSTERDB_TEST_STORE") or ":memory:")
    key = key if key == ":memory:" else str(Path(key).absolute())
    if key not in _runs or _runs[key].store._closed or _runs[key].store._pid != os.getpid():
        _runs[key] = Run(key)
    return _runs[key]


def _run_of_pytest() -> Run | None:
    session: Any = sys.modules.get("clusterdb.testing.session")  # not imported for the sake of those without pytest
    config = session.current() if session is not None else None
    return session.run_of(config) if config is not None else None
