"""What a conftest.py makes its own fixtures with, and how fixtures find the template that a test wishes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from clusterdb.testing.session import option, run_of, template_of

if TYPE_CHECKING:
    from clusterdb.store import Cluster
    from clusterdb.testing.clones import Clone
    from clusterdb.testing.seeds import Recipe

__all__ = ["Wish", "clone_fixture", "clone_for", "template_fixture", "template_for", "used_by", "wish_of"]

Scope = Literal["session", "package", "module", "class", "function"]
_RECIPE = "_clusterdb_recipe"
_LIVE = pytest.StashKey["list[tuple[Clone, pytest.FixtureRequest]]"]()


def template_fixture(
    *seeds: object,
    base: Any = None,
    engine: str | None = None,
    watched: Sequence[str | Path] = (),
    name: str | None = None,
) -> Any:
    """A session fixture: a template cluster made of ``seeds``, see :mod:`clusterdb.testing.seeds`.

        shop_template = template_fixture("schema.sql", seed_products)
        orders_template = template_fixture("app.testing:seed_orders", base=shop_template)

    ``base``: another such fixture, which this one begins with.  ``engine``: the SQL that it understands.  ``watched``:
    patterns of files that the seeds read.  Paths begin at the directory of the calling file, or at pytest's rootdir.
    One that is named ``clusterdb_template`` is what the fixture ``clusterdb`` clones.
    """
    beside = Path(sys._getframe(1).f_globals.get("__file__", ".")).parent
    base_recipe = _maker(base) if base is not None else None

    def recipe_in(root: Path) -> Recipe:
        from clusterdb.testing.seeds import recipe

        begun = base_recipe(root) if base_recipe is not None else None
        return recipe(seeds, folders=[beside, root], base=begun, engine=engine, watched=watched)

    @pytest.fixture(scope="session", name=name)
    def template(request: pytest.FixtureRequest) -> Cluster:
        """A template cluster: built once over all workers and runs, found by its seeds later (about 1 ms)."""
        return template_of(request.config, lambda: recipe_in(request.config.rootpath))

    setattr(template, _RECIPE, recipe_in)
    return template


def _maker(template: object) -> Callable[[Path], Recipe]:
    found = getattr(template, _RECIPE, None)
    if found is None:
        raise TypeError(f"base={template!r}: use what template_fixture() gave")
    return found  # type: ignore[no-any-return]


def clone_fixture(scope: Scope = "function", template: Any = None, *, name: str | None = None, **settings: Any) -> Any:
    """A fixture: a :class:`Clone` of a template, for every test, or for a class, a module, ...

        shop = clone_fixture(template=shop_template)
        archive = clone_fixture("module", template="archive_template", backtrack_window_s=60)

    ``template``: what :func:`template_fixture` gave, the name of a fixture, or seeds; ``clusterdb_template`` if it is
    not given.  ``settings`` of :class:`clusterdb.ClusterSettings`.
    """
    beside = Path(sys._getframe(1).f_globals.get("__file__", ".")).parent

    @pytest.fixture(scope=scope, name=name)
    def clone(request: pytest.FixtureRequest) -> Iterator[Clone]:
        """A clone of a template, dropped afterwards (under 1 ms for both, whatever the size)."""
        yield from clone_for(request, template_for(request, template, None, beside), settings)

    return clone


# --- for the fixtures of the plugin -----------------------------------------------------------------------------------
class Wish:
    """What the markers of a test say: which template, and which settings its clone gets."""

    def __init__(self) -> None:
        self.template: Any = None
        self.engine: str | None = None
        self.settings: dict[str, Any] = {}


def wish_of(request: pytest.FixtureRequest) -> Wish:
    """The nearest template and engine, and all settings, the nearest ones first.  Raises UsageError."""
    wish = Wish()
    for marker in request.node.iter_markers("clusterdb"):
        options = dict(marker.kwargs)
        wish.template = _nearest(wish.template, options.pop("template", None), marker.args or None)
        wish.engine = _nearest(wish.engine, options.pop("engine", None))
        wish.settings = {**options.pop("settings", {}), **wish.settings}
        if options:
            raise pytest.UsageError(
                f"{request.node.nodeid}: marker clusterdb has no option {sorted(options)[0]!r}: use template, engine, "
                "settings"
            )
    for marker in request.node.iter_markers("clusterdb_template"):
        wish.template = _nearest(wish.template, marker.args)
    return wish


def _nearest(*given: Any) -> Any:
    return next((each for each in given if each is not None), None)


def template_for(
    request: pytest.FixtureRequest, wished: Any, engine: str | None = None, beside: Path | None = None
) -> Cluster:
    """The template cluster that is meant by a fixture, the name of one, or seeds; None is ``clusterdb_template``."""
    root = request.config.rootpath
    if wished is None and engine is not None:
        wished = option(request.config, "seed")
    if wished is None or (isinstance(wished, str) and wished.isidentifier()):
        found: Cluster = request.getfixturevalue(wished or "clusterdb_template")
        return found
    made = getattr(wished, _RECIPE, None)
    if made is not None:
        return template_of(request.config, lambda: made(root))
    from clusterdb.testing.seeds import recipe

    folders = [beside or request.path.parent, root]
    return template_of(request.config, lambda: recipe(wished, folders=folders, engine=engine))


def clone_for(
    request: pytest.FixtureRequest, template: Cluster, settings: dict[str, Any] | None = None
) -> Iterator[Clone]:
    """The life of a clone in a fixture."""
    run = run_of(request.config)
    clone = run.clone(template, settings, request.fixturename or "")
    live = _live_clones(request.config)
    live.append((clone, request))
    try:
        yield clone
    finally:
        live[:] = [each for each in live if each[0] is not clone]
        if clone.is_kept:
            clone.close()
        else:
            run.drop(clone)


def _live_clones(config: pytest.Config) -> list[tuple[Clone, pytest.FixtureRequest]]:
    """The clones whose fixtures have not ended, with who asked for them."""
    return config.stash.setdefault(_LIVE, [])


def used_by(item: pytest.Item) -> list[Clone]:
    """The clones that a test has for itself, or shares with others of its module, class, ..."""
    around, names = item.listchain(), getattr(item, "fixturenames", ())
    return [
        clone
        for clone, request in _live_clones(item.config)
        if request.node is item or (request.node in around and request.fixturename in names)
    ]
