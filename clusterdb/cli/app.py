"""The parts that all commands share: their group, the store, arguments with a point in time, questions, progress."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from clusterdb import __version__
from clusterdb.views.text import no_terminal_text

if TYPE_CHECKING:
    import clusterdb
    from clusterdb.access.copies import Progress
    from clusterdb.rules.points import Point

__all__ = [
    "CLUSTER",
    "POINT",
    "SNAPSHOT",
    "cli",
    "confirm",
    "note_plane",
    "opened",
    "progress_bar",
    "split_point",
    "yes_option",
]

_SECTIONS = {
    "Clusters": "create import clone ls show modify rename stop start rm export",
    "SQL": "sql shell diff apply",
    "The past": "log bisect snapshot snapshots restore copy-snapshot export-snapshot rm-snapshot backtrack reset",
    "Instances": "add-instance instances modify-instance rm-instance endpoints add-endpoint rm-endpoint failover crash "
    "replica-status",
    "The store": "events bills metrics expire check repair dump reclaim shrink upgrade",
    "More": "demo bench completion",
}


class _Sections(click.Group):
    """A group whose help lists the commands by section, and that suggests the nearest name for an unknown command."""

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
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            if near and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from None
            raise


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
@click.option(
    "--store",
    "store_path",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    help="The store's directory; default: $CLUSTERDB_STORE, else ./.clusterdb.",
)
@click.pass_context
def cli(context: click.Context, store_path: Path | None) -> None:
    """Clusters of SQLite databases that clone in constant time."""
    context.obj = store_path


@contextmanager
def opened(context: click.Context, *, create: bool = False) -> Iterator[clusterdb.Store]:
    """The store that ``--store`` names, open.  Raises what :func:`clusterdb.open` raises."""
    from clusterdb.store import open

    with open(context.find_root().obj, create=create) as store:
        yield store


class _Named(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The name of a cluster or snapshot, completed from those in the store."""

    def __init__(self, name: str, kind: str, *, with_point: bool = False) -> None:
        self.name = name
        self._kind = kind
        self._with_point = with_point

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from clusterdb.errors import Error

        before, at, after = incomplete.partition("@") if self._with_point else (incomplete, "", "")
        kind = "snapshots" if at else self._kind
        try:
            with opened(ctx) as store:
                records = store.snapshots() if kind == "snapshots" else store.clusters()
                names = [record.name for record in records]
        except Error:
            return []  # the command itself will report the error
        prefix = before + at if at else ""
        return [CompletionItem(prefix + name) for name in names if name.startswith(after if at else before)]


CLUSTER = _Named("cluster", "clusters")
POINT = _Named("cluster[@point]", "clusters", with_point=True)
SNAPSHOT = _Named("snapshot", "snapshots")


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
