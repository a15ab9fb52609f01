"""The options that stand for settings of a cluster, for the verbs that take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["chosen", "settings_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


class _SecondsOrNever(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Seconds, or ``never``."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if value == "never":
            return "never"
        try:
            return float(value)
        except ValueError:
            self.fail(f"'{value}': use a number of seconds, or never", param, ctx)


class _Tag(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``KEY=VALUE``."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals:
            self.fail(f"'{value}': use KEY=VALUE", param, ctx)
        return key, text


_OPTIONS = (
    click.option("--backup-retention-days", type=int, help="Keep the past so long for clones: 0 to 35."),
    click.option("--backtrack-window", "backtrack_window_s", type=int, help="Seconds to go back in: 0 to 259200."),
    click.option("--deletion-protection/--no-deletion-protection", default=None, help="Refuse to delete it."),
    click.option("--ttl", "ttl_s", type=_SecondsOrNever(), help="Seconds from creation until it expires, or never."),
    click.option("--idle", "idle_s", type=_SecondsOrNever(), help="Seconds without use until it expires, or never."),
    click.option("--clone-limit", type=int, help="So many clones share pages; further ones are full copies."),
    click.option("--tag", "tags", type=_Tag(), multiple=True, help="KEY=VALUE; several times for several tags."),
)


def settings_options(command: Command) -> Command:
    """Give a command the options; it hands what it gets of them to :func:`chosen`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen(options: dict[str, Any]) -> dict[str, Any]:
    """The settings that were given on the command line."""
    made = {name: value for name, value in options.items() if value is not None and value != ()}
    for name in ("ttl_s", "idle_s"):
        if made.get(name) == "never":
            made[name] = None
    if "tags" in made:
        made["tags"] = dict(made["tags"])
    return made
