"""The options for a cluster's settings, shared by the commands that accept them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

__all__ = ["given_settings", "settings_options"]

Command = TypeVar("Command", bound=Callable[..., object])


class _SecondsOrNever(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Seconds, or ``never``."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if value == "never":
            return "never"
        try:
            return float(str(value))
        except ValueError:
            self.fail(f"'{value}': use a number of seconds, or never", param, ctx)


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


_OPTIONS = (
    click.option("--backup-retention-days", type=int, help="Days that the past is kept for clones: 0 to 35."),
    click.option(
        "--backtrack-window", "backtrack_window_s", type=int, help="Seconds that it can be backtracked: 0 to 259200."
    ),
    click.option("--deletion-protection/--no-deletion-protection", default=None, help="Refuse to delete the cluster."),
    click.option("--ttl", "ttl_s", type=_SecondsOrNever(), help="Seconds from creation until it expires, or never."),
    click.option("--idle", "idle_s", type=_SecondsOrNever(), help="Seconds without use until it expires, or never."),
    click.option("--clone-limit", type=int, help="Clones that share pages; further ones are full copies."),
    click.option("--tag", "tags", type=_Tag(), multiple=True, help="A tag as KEY=VALUE; may be repeated."),
)


def settings_options(command: Command) -> Command:
    """Add the options to a command, which passes their values to :func:`given_settings`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given_settings(options: Mapping[str, object]) -> dict[str, Any]:
    """The settings whose options are on the command line, as keyword arguments of the API."""
    settings: dict[str, Any] = {name: value for name, value in options.items() if value is not None and value != ()}
    for name in ("ttl_s", "idle_s"):
        if settings.get(name) == "never":
            settings[name] = None
    if "tags" in settings:
        settings["tags"] = dict(settings["tags"])
    return settings
