"""A demonstration, a benchmark of this machine, and completion for the user's shell."""

from __future__ import annotations

from pathlib import Path

import click

from clusterdb.cli.app import cli, common, note_plane, progress_bar, store_path
from clusterdb.cli.output import json_option, print_json
from clusterdb.views.json import to_json

__all__ = ["COMPLETION_VARIABLE", "cli"]

COMPLETION_VARIABLE = "_CLUSTERDB_COMPLETE"
"""The variable in which the shell's completion script asks for completions."""
_SHELLS = ("bash", "zsh", "fish")


def _directory(store: Path | str | None) -> Path | None:
    """The directory that ``--store`` names.  Raises UsageError for the URL of a repository."""
    if isinstance(store, str):
        raise click.UsageError("this command writes to a store: name a directory with --store")
    return store


@cli.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Import real data, clone it, change the clone, drop the source, and show the sizes of each.

    The store is ./demo-store unless --store names another.
    """
    from clusterdb.demo import run

    with progress_bar("importing") as progress:
        run(_directory(common(context).store), click.echo, progress)


@cli.command()
@click.option(
    "--size",
    "size_mb",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    help="Size of the database in megabytes.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Number of measurements; the median is shown.",
)
@json_option
@click.pass_context
def bench(context: click.Context, size_mb: int, rounds: int, as_json: bool) -> None:
    """Compare the time to clone a cluster with the time to copy a file, on this machine.

    Works in a temporary directory beside the store that --store names.
    """
    from clusterdb.bench import run, table_of

    note_plane()
    with progress_bar("measuring") as progress:
        measurements = run(_directory(store_path(context)), size_mb, rounds, progress)
    if as_json:
        print_json(to_json(measurements))
    else:
        click.echo(table_of(measurements))


@cli.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and cluster names in SHELL.

    For bash, in ~/.bashrc: eval "$(cldb completion bash)"
    """
    from click.shell_completion import get_completion_class

    from clusterdb.access import command
    from clusterdb.cli.completion import register

    register()
    completion_class = get_completion_class(shell)
    assert completion_class is not None
    for name in command.NAMES:
        if name == command.NAMES[0] or command.is_own(name):  # a program of another package must not be run
            click.echo(completion_class(cli, {}, name, COMPLETION_VARIABLE).source())


@cli.command("help")
@click.argument("name", metavar="[COMMAND]", required=False)
@click.pass_context
def help_(context: click.Context, name: str | None) -> None:
    """Show the help of COMMAND, or the list of commands."""
    root = context.find_root()
    if name is None:
        click.echo(cli.get_help(root))
        return
    _, command, _ = cli.resolve_command(root, [name])
    assert command is not None
    click.echo(command.get_help(click.Context(command, parent=root, info_name=name)))
