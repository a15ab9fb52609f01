"""The parts that all commands share: their group, the store, arguments with a point in time, questions, progress.

The options of the group are options of every command too, so that they can stand anywhere on the line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clusterdb import __version__
from clusterdb.rules.urls import is_url, plain_url
from clusterdb.views.text import no_terminal_text

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    import clusterdb
    from clusterdb.access.copies import Progress
    from clusterdb.rules.points import Point

__all__ = [
    "endpoint_option",
    "CLUSTER",
    "Common",
    "CUSTOM_ENDPOINT",
    "ENGINE",
    "INSTANCE",
    "MODE",
    "MOMENT",
    "POINT",
    "READER",
    "SNAPSHOT",
    "SOURCE",
    "ZONE_OR_NODE",
    "cli",
    "common",
    "confirm",
    "note_plane",
    "opened",
    "progress_bar",
    "split_point",
    "store_path",
    "yes_option",
]

_SECTIONS = {
    "Clusters": "create import clone ls show modify rename stop start rm export",
    "SQL": "sql shell diff apply",
    "Object storage": "push pull fetch evict remote",
    "Six copies in three zones": "zones recover",
    "AWS": "serve",
    "The past": "log bisect snapshot snapshots restore copy-snapshot export-snapshot rm-snapshot backtrack reset",
    "Instances": "add-instance instances modify-instance rm-instance endpoints add-endpoint rm-endpoint failover crash "
    "replica-status",
    "The store": "events bills metrics expire check repair dump reclaim shrink upgrade",
    "More": "demo bench completion help",
}
_OTHER_WORDS = {
    "branch": "clone",
    "connect": "shell",
    "copy": "clone",
    "delete": "rm, rm-snapshot, rm-instance, rm-endpoint",
    "describe": "show",
    "drop": "rm, rm-snapshot, rm-instance, rm-endpoint",
    "fork": "clone",
    "history": "log, events",
    "info": "show",
    "init": "create",
    "list": "ls, snapshots",
    "mv": "rename",
    "new": "create",
    "query": "sql",
    "remove": "rm, rm-snapshot, rm-instance, rm-endpoint",
    "revert": "backtrack, reset",
    "rollback": "backtrack",
    "status": "show, ls",
    "tree": "ls --tree",
    "undo": "backtrack",
    "update": "modify",
}
"""Words that other tools have for commands, with the commands that are meant, the likeliest first."""


@dataclass(slots=True)
class Common:
    """What the options that all commands have choose.  ``store``: a path or a URL; None for the default."""

    store: Path | str | None = None
    is_verbose: bool = False


def common(context: click.Context) -> Common:
    """The options that all commands have, as they are on the command line."""
    return context.find_root().ensure_object(Common)


def _choose_store(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    if path is not None:
        common(context).store = path if is_url(path) else Path(path)


def _choose_verbose(context: click.Context, parameter: click.Parameter, is_verbose: bool) -> None:
    if is_verbose:
        common(context).is_verbose = True


_COMMON_OPTIONS = (
    click.Option(
        ["--store"],
        metavar="DIRECTORY",
        type=click.Path(),
        expose_value=False,
        callback=_choose_store,
        help="The store's directory, or the URL of a repository to read; default: $CLUSTERDB_STORE, else .clusterdb "
        "here or in a directory above.",
    ),
    click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_choose_verbose,
        help="Print to standard error which store is used, and the traceback of an internal error.",
    ),
)


class _Sections(click.Group):
    """A group whose help lists the commands by section, and that suggests a command for an unknown word."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        cmd.params.extend(_COMMON_OPTIONS)
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        placed = " ".join(_SECTIONS.values()).split()
        others = [name for name in self.list_commands(ctx) if name not in placed]
        for title, names in {**_SECTIONS, "Others": " ".join(others)}.items():
            commands = [(name, self.commands[name]) for name in names.split() if name in self.commands]
            if commands:
                with formatter.section(title):
                    formatter.write_dl([(name, command.get_short_help_str(90)) for name, command in commands])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in self.commands or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise click.UsageError(self._no_command(args[0], ctx), ctx)

    def _no_command(self, word: str, ctx: click.Context) -> str:
        """The message for an unknown command: the command that is meant, if it is known, and its usage."""
        import difflib

        verb, *others = _OTHER_WORDS.get(word.lower(), "").split(", ")
        verb, _, option = verb.partition(" ")
        verb = verb or "".join(difflib.get_close_matches(word, self.commands, n=1))
        if not verb:
            return f"no command '{word}'"
        usage = " ".join(self.commands[verb].collect_usage_pieces(click.Context(self.commands[verb])))
        also = f" (also: {', '.join(others)})" if others else ""
        meant = f"{verb} {option}".rstrip()
        return f"no command '{word}': did you mean '{meant}'? {ctx.command_path} {verb} {usage}{also}"


def note_plane() -> None:
    """Write to standard error why the data plane in C is not in use, if it is not: for commands where speed matters."""
    from clusterdb.access.build import notice

    reason = notice()
    if reason is not None:
        click.echo(f"clusterdb: note: {reason}", err=True)


def _show_version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from clusterdb.access.build import description

    click.echo(f"clusterdb {__version__} ({description()})")
    note_plane()
    context.exit()


@click.group(
    cls=_Sections,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success, 1 error or something found, 2 wrong usage, 130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version, the data plane and the version of SQLite, and exit.",
)
def cli() -> None:
    """Clusters of SQLite databases that clone in constant time."""


cli.params.extend(_COMMON_OPTIONS)


def store_path(context: click.Context) -> Path | str:
    """The path or the URL of the store that ``--store`` names, or the default; ``--verbose`` prints it."""
    from clusterdb.store import default_path

    path: Path | str = common(context).store or os.environ.get("CLUSTERDB_STORE", "")
    if not path or not is_url(str(path)):
        path = common(context).store or default_path()
    if common(context).is_verbose:
        shown = plain_url(path) if isinstance(path, str) else os.path.abspath(path)  # noqa: PTH100
        click.echo(f"clusterdb: store {shown}", err=True)
    return path


@contextmanager
def opened(context: click.Context, *, create: bool = False) -> Iterator[clusterdb.Store]:
    """The store that ``--store`` names, open.  Raises what :func:`clusterdb.open` raises."""
    from clusterdb.store import open

    with open(store_path(context), create=create) as store:
        yield store


class _Named(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A name, completed from those of its kind in the store; the kinds are those of :mod:`clusterdb.cli.completion`."""

    def __init__(self, kind: str) -> None:
        self.name = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from clusterdb.cli import completion
        from clusterdb.errors import Error

        try:
            if self.name in ("engine", "mode"):
                every = completion.engines() if self.name == "engine" else completion.modes()
                names = [name for name in every if name.text.startswith(incomplete)]
            else:
                cluster = ctx.params.get("cluster") or next(iter(ctx.args), "")  # click leaves it there after an option
                with opened(ctx) as store:
                    names = completion.candidates(self.name, store, str(cluster), incomplete)
        except Error:
            return []  # the command itself will report the error
        return [CompletionItem(text, help=what or None) for text, what in names]


CLUSTER = _Named("cluster")
CUSTOM_ENDPOINT = _Named("custom endpoint")
ENDPOINT = _Named("endpoint")
ENGINE = _Named("engine")
INSTANCE = _Named("instance")
MODE = _Named("mode")
MOMENT = _Named("point")
POINT = _Named("cluster[@point]")
READER = _Named("reader")
SNAPSHOT = _Named("snapshot")
SOURCE = _Named("source")
ZONE_OR_NODE = _Named("zone or node")


def split_point(text: str) -> tuple[str, Point | None]:
    """``prod@5 minutes ago`` as a name and a point in time.  Raises UsageError, InvalidArgumentError."""
    from clusterdb.errors import InvalidArgumentError
    from clusterdb.rules.points import split

    try:
        return split(text)
    except InvalidArgumentError as error:
        if text.rstrip().endswith("@"):
            raise click.UsageError(str(error)) from None
        raise


endpoint_option = click.option(
    "--endpoint",
    type=ENDPOINT,
    metavar="TEXT",
    default="writer",
    show_default=True,
    help="writer, reader, an instance, a custom endpoint.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is lost.  Raises UsageError without a terminal to ask on, Abort if the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(no_terminal_text(question))
    click.confirm(question, abort=True, err=True)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress | None]:
    """A progress callback that draws a bar on standard error; None if that is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield show
