"""Factories of fixtures for a conftest.py, and the template that each fixture clones."""

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

__all__ = [
    "MarkerOptions",
    "clone_fixture",
    "clone_for",
    "marker_options_of",
    "template_fixture",
    "template_for",
    "used_by",
]

Scope = Literal["session", "package", "module", "class", "function"]
_RECIPE = "_clusterdb_recipe"
_LIVE = pytest.StashKey["list[tuple[Clone, pytest.FixtureRequest]]"]()


def template_fixture(
    *seeds: object,
    base: object = None,
    engine: str | None = None,
    watched: Sequence[str | Path] = (),
    remote: str | None = None,
    name: str | None = None,
) -> Any:
    """A session fixture: a template cluster built from ``seeds``, see :mod:`clusterdb.testing.seeds`.

        shop_template = template_fixture("schema.sql", seed_products)
        orders_template = template_fixture("app.testing:seed_orders", base=shop_template)

    ``base``: another template fixture, which this one is cloned from first.  ``engine``: the SQL that it accepts.
    ``watched``: patterns of files that the seeds read.  Relative paths are looked up in the directory of the calling
    file, then in pytest's rootdir.  The fixture ``clusterdb`` clones the template fixture named ``clusterdb_template``.

    ``remote``: the URL of a repository on object storage, as ``s3://BUCKET/PATH``, which machines share.  A template
    that is there is cloned; one that is not is built and pushed.  If the repository cannot be used, that is a warning.

    Raises TypeError if ``base`` is not a template fixture.
    """
    beside = Path(sys._getframe(1).f_globals.get("__file__", ".")).parent
    base_recipe = _required_recipe(base) if base is not None else None

    def recipe_in(root: Path) -> Recipe:
        from clusterdb.testing.seeds import recipe

        base = base_recipe(root) if base_recipe is not None else None
        return recipe(seeds, folders=[beside, root], base=base, engine=engine, watched=watched, remote=remote)

    @pytest.fixture(scope="session", name=name)
    def template(request: pytest.FixtureRequest) -> Cluster:
        """A template cluster: built once for all workers and runs; reusing it takes about 1 ms."""
        return template_of(request.config, lambda: recipe_in(request.config.rootpath))

    setattr(template, _RECIPE, recipe_in)
    return template


def _recipe_of(template: object) -> Callable[[Path], Recipe] | None:
    """The recipe of a template fixture, by pytest's rootdir; None for other objects."""
    recipe: Callable[[Path], Recipe] | None = getattr(template, _RECIPE, None)
    return recipe


def _required_recipe(template: object) -> Callable[[Path], Recipe]:
    recipe = _recipe_of(template)
    if recipe is None:
        raise TypeError(f"base={template!r}: use a fixture that template_fixture() has returned")
    return recipe


def clone_fixture(
    scope: Scope = "function", template: object = None, *, name: str | None = None, **settings: object
) -> Any:
    """A fixture: a :class:`Clone` of a template for every test, or for every class, module, ...

        shop = clone_fixture(template=shop_template)
        archive = clone_fixture("module", template="archive_template", backtrack_window_s=60)

    ``template``: a fixture that :func:`template_fixture` has returned, the name of a fixture, or seeds; default:
    ``clusterdb_template``.  ``settings``: as for :class:`clusterdb.ClusterSettings`.
    """
    beside = Path(sys._getframe(1).f_globals.get("__file__", ".")).parent

    @pytest.fixture(scope=scope, name=name)
    def clone(request: pytest.FixtureRequest) -> Iterator[Clone]:
        """A clone of a template, dropped at the end (under 1 ms together, whatever the size)."""
        yield from clone_for(request, template_for(request, template, None, beside), settings)

    return clone


# --- for the fixtures of the plugin -----------------------------------------------------------------------------------
class MarkerOptions:
    """The markers of a test: the template that it uses, and the settings of its clone."""

    def __init__(self) -> None:
        self.template: object = None
        self.engine: str | None = None
        self.settings: dict[str, object] = {}


def marker_options_of(request: pytest.FixtureRequest) -> MarkerOptions:
    """The nearest template and engine, and all settings, where nearer markers win.  Raises UsageError."""
    markers = MarkerOptions()
    given = [marker for marker in request.node.iter_markers() if marker.name in ("clusterdb", "clusterdb_template")]
    for marker in given:
        if marker.name != "clusterdb":
            continue
        options = dict(marker.kwargs)
        markers.template = _nearest(markers.template, options.pop("template", None), marker.args or None)
        markers.engine = _nearest(markers.engine, options.pop("engine", None))
        markers.settings = {**options.pop("settings", {}), **markers.settings}
        if options:
            raise pytest.UsageError(
                f"{request.node.nodeid}: marker clusterdb has no option {sorted(options)[0]!r}: use template, engine, "
                "settings"
            )
    for marker in given:
        if marker.name == "clusterdb_template":
            markers.template = _nearest(markers.template, marker.args)
    return markers


def _nearest(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def template_for(
    request: pytest.FixtureRequest, template: object, engine: str | None = None, beside: Path | None = None
) -> Cluster:
    """The template cluster of a fixture, of the name of a fixture, or of seeds; None for ``clusterdb_template``."""
    root = request.config.rootpath
    if template is None and engine is not None:
        template = option(request.config, "seed")
    if template is None or (isinstance(template, str) and template.isidentifier()):
        cluster: Cluster = request.getfixturevalue(template or "clusterdb_template")
        return cluster
    recipe_in = _recipe_of(template)
    if recipe_in is not None:
        return template_of(request.config, lambda: recipe_in(root))
    from clusterdb.testing.seeds import recipe

    folders = [beside or request.path.parent, root]
    return template_of(request.config, lambda: recipe(template, folders=folders, engine=engine))


def clone_for(
    request: pytest.FixtureRequest, template: Cluster, settings: dict[str, object] | None = None
) -> Iterator[Clone]:
    """The body of a fixture: create a clone, yield it, and drop it unless it is kept."""
    run = run_of(request.config)
    clone = run.clone(template, settings, request.fixturename or "")
    live = _live_clones(request.config)
    live.append((clone, request))
    try:
        yield clone
    finally:
        live[:] = [(other, owner) for other, owner in live if other is not clone]
        if clone.is_kept:
            clone.close()
        else:
            run.drop(clone)


def _live_clones(config: pytest.Config) -> list[tuple[Clone, pytest.FixtureRequest]]:
    """The clones whose fixtures have not ended, with the requests of those fixtures."""
    return config.stash.setdefault(_LIVE, [])


def used_by(item: pytest.Item) -> list[Clone]:
    """The clones of a test: its own, and those that it shares with other tests of its class, module, ..."""
    around, names = item.listchain(), getattr(item, "fixturenames", ())
    return [
        clone
        for clone, request in _live_clones(item.config)
        if request.node is item or (request.node in around and request.fixturename in names)
    ]
