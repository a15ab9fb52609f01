"""What all commands have in common: their group, the store, names of clusters with points, questions, progress."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from clusterdb import __version__

if TYPE_CHECKING:
    import clusterdb

__all__ = ["CLUSTER", "POINT", "SNAPSHOT", "cli", "confirm", "opened", "progress_bar", "split_point", "yes_option"]

_SECTIONS = {
    "Clusters": "create import clone ls show modify rename stop start rm export",
    "SQL": "sql shell diff apply",
    "The past": "snapshot snapshots restore copy-snapshot export-snapshot rm-snapshot backtrack reset",
    "Instances": "add-instance instances modify-instance rm-instance endpoints add-endpoint rm-endpoint failover crash "
    "replica-status",
    "The store": "events bills metrics expire check repair dump reclaim shrink",
    "More": "demo bench completion",
}


class _Sections(click.Group):
    """A group whose help has its commands by what they are about, and that guesses what a wrong one was to be."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        placed = " ".join(_SECTIONS.values()).split()
        others = [name for name in self.list_commands(ctx) if name not in placed]
        for title, names in {**_SECTIONS, "Others": " ".join(others)}.items():
            commands = [(name, self.commands[name]) for name in names.split() if name in self.commands]
            if commands:
                with formatter.section(title):
                    formatter.write_dl([(name, command.get_short_help_str(90)) for name, command in commands])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            if near and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from None
            raise


@click.group(
    cls=_Sections,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 refused or something found, 2 wrong usage, 130 interrupted.",
)
@click.version_option(__version__)
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
    """The store that the command line says.  Raises NotAStoreError and others of :func:`clusterdb.open`."""
    from clusterdb.store import open

    with open(context.find_root().obj, create=create) as store:
        yield store


class _Named(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A name of something in the store, completed from what is there."""

    def __init__(self, name: str, kinds: tuple[str, ...], *, with_point: bool = False) -> None:
        self.name = name
        self._kinds = kinds
        self._with_point = with_point

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from clusterdb.errors import Error

        before, at, after = incomplete.partition("@") if self._with_point else (incomplete, "", "")
        kinds = ("snapshots",) if at else self._kinds
        try:
            with opened(ctx) as store:
                names = [each.name for kind in kinds for each in getattr(store, kind)()]
        except Error:
            return []  # no store, no names: the command will say so
        prefix = before + at if at else ""
        return [CompletionItem(prefix + name) for name in names if name.startswith(after if at else before)]


CLUSTER = _Named("cluster", ("clusters",))
POINT = _Named("cluster[@point]", ("clusters",), with_point=True)
SNAPSHOT = _Named("snapshot", ("snapshots",))


def split_point(text: str) -> tuple[str, Any]:
    """``prod@5 minutes ago`` as a name and a point.  Raises UsageError, InvalidArgumentError."""
    from clusterdb.points import parse

    name, at, point = text.partition("@")
    if at and not point.strip():
        raise click.UsageError(f"'{text}': say which point in time behind the @, or leave it out")
    return name, parse(point) if point else None


yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is lost.  Raises UsageError if there is nobody to ask, Abort for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"standard input is no terminal to ask on ({question}): add --yes")
    click.confirm(question, abort=True, err=True)


@contextmanager
def progress_bar(label: str) -> Iterator[Any]:
    """A progress callback that draws a bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield show
