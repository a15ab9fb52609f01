"""The options for a cluster's settings, shared by the commands that accept them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

__all__ = ["Duration", "given_settings", "settings_options", "zones_option"]

Command = TypeVar("Command", bound=Callable[..., object])


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Seconds, or a number with a unit; with ``allows_never`` also ``never``, with ``is_positive`` only above 0."""

    name = "duration"

    def __init__(self, *, allows_never: bool = False, is_positive: bool = False) -> None:
        self._allows_never, self._is_positive = allows_never, is_positive

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        from clusterdb.errors import InvalidArgumentError
        from clusterdb.rules.durations import seconds_of

        if value == "never" and self._allows_never:
            return "never"
        try:
            seconds = seconds_of(str(value))
        except InvalidArgumentError as error:
            self.fail(f"{error}{', or never' if self._allows_never else ''}", param, ctx)
        if self._is_positive and seconds <= 0:
            self.fail("use a time above 0", param, ctx)
        return seconds


class _Bytes(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number of bytes, or a number with a unit; ``none`` for no limit."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        from clusterdb.errors import InvalidArgumentError
        from clusterdb.rules.sizes import bytes_of

        if value == "none":
            return "none"
        try:
            return bytes_of(str(value))
        except InvalidArgumentError as error:
            self.fail(f"{error}, or none", param, ctx)


class _Tag(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``KEY=VALUE``."""

    name = "KEY=VALUE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str] | tuple[object, ...]:
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals:
            self.fail(f"'{value}': use KEY=VALUE", param, ctx)
        return key, text


class _Zones(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``3``, or three zones with their places; ``none`` for no copies."""

    name = "zones"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | dict[str, list[str]]:
        from clusterdb.errors import InvalidArgumentError
        from clusterdb.rules.zones import parse

        try:
            return parse(str(value))
        except InvalidArgumentError as error:
            self.fail(str(error), param, ctx)


_OR_NEVER = Duration(allows_never=True)
_OPTIONS = (
    click.option(
        "--backup-retention-days",
        type=int,
        help="Days that the past is kept for clones: 0 to 35.  [default: 1, up to 256 MiB]",
    ),
    click.option(
        "--backup-retention-bytes",
        type=_Bytes(),
        help="What the past may take before its oldest part expires, as 500MB or 2g; none: any size.",
    ),
    click.option(
        "--backtrack-window",
        "backtrack_window_s",
        type=Duration(),
        help="Time that it can be backtracked, up to 3 days: seconds, or as 90s, 30m, 12h, 2d.",
    ),
    click.option("--deletion-protection/--no-deletion-protection", default=None, help="Refuse to delete the cluster."),
    click.option("--ttl", "ttl_s", type=_OR_NEVER, help="Time from creation until it expires, or never."),
    click.option("--idle", "idle_s", type=_OR_NEVER, help="Time without use until it expires, or never."),
    click.option("--clone-limit", type=int, help="Clones that share pages; further ones are full copies."),
    click.option("--tag", "tags", type=_Tag(), multiple=True, help="A tag as KEY=VALUE; may be repeated."),
)

zones_option: Callable[[Command], Command] = click.option(
    "--zones",
    type=_Zones(),
    metavar="3|a=PLACE,...",
    help="Keep six copies, two in each of three zones: 3 (directories beside the store, to rehearse), or "
    "a=/disk1,b=/disk2,c=s3://BUCKET/PATH; none: no copies, though the source has them.",
)
"""Not an option of ``modify``: the zones of a cluster cannot be changed."""


def settings_options(command: Command) -> Command:
    """Add the options to a command, which passes their values to :func:`given_settings`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given_settings(options: Mapping[str, object]) -> dict[str, Any]:
    """The settings whose options are on the command line, as keyword arguments of the API."""
    settings: dict[str, Any] = {name: value for name, value in options.items() if value is not None and value != ()}
    window = settings.get("backtrack_window_s")
    if isinstance(window, float) and window.is_integer():
        settings["backtrack_window_s"] = int(window)
    for name, word in (("ttl_s", "never"), ("idle_s", "never"), ("backup_retention_bytes", "none")):
        if settings.get(name) == word:
            settings[name] = None
    if settings.get("zones") == {}:
        settings["zones"] = ()
    if "tags" in settings:
        settings["tags"] = dict(settings["tags"])
    return settings
