"""A demonstration, a benchmark of this machine, and completion for the user's shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from clusterdb.cli.app import cli, note_plane, progress_bar
from clusterdb.cli.output import json_option, print_json
from clusterdb.views.json import to_json

__all__ = ["cli"]

_SHELLS = ("bash", "zsh", "fish")


@cli.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Import real data, clone it, change the clone, drop the source, and show the sizes of each.

    The store is ./demo-store unless --store names another.
    """
    from clusterdb.demo import run

    with progress_bar("importing") as progress:
        run(context.obj, click.echo, progress)


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
        measurements = run(context.obj, size_mb, rounds, progress)
    if as_json:
        print_json(to_json(measurements))
    else:
        click.echo(table_of(measurements))


@cli.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and cluster names in SHELL.

    For bash, in ~/.bashrc: eval "$(clusterdb completion bash)"
    """
    from clusterdb.cli.completion import register

    register()
    completion_class = get_completion_class(shell)
    assert completion_class is not None
    click.echo(completion_class(cli, {}, "clusterdb", "_CLUSTERDB_COMPLETE").source())
