"""To try it out: a demonstration, a benchmark of this machine, completion for the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from clusterdb.cli.app import cli, progress_bar
from clusterdb.cli.output import json_option, plain, tell_json

__all__ = ["cli"]

_SHELLS = ("bash", "zsh", "fish")


@cli.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Import real data, clone it, change the clone, drop the source, and show what each holds.

    Works in ./demo-store unless --store says otherwise.
    """
    from clusterdb.demo import run

    with progress_bar("importing") as progress:
        run(context.obj, click.echo, progress)


@cli.command()
@click.option("--size", "size_mb", type=click.IntRange(1, 10_000), default=64, show_default=True, help="In megabytes.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=20, show_default=True, help="The median is shown.")
@json_option
@click.pass_context
def bench(context: click.Context, size_mb: int, rounds: int, as_json: bool) -> None:
    """Measure clones on this machine, beside copies of a file.

    Works in a directory of its own beside the store that --store says, and removes it.
    """
    from clusterdb.bench import run, told

    with progress_bar("measuring") as progress:
        found = run(context.obj, size_mb, rounds, progress)
    if as_json:
        tell_json(plain(found))
    else:
        click.echo(told(found))


@cli.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and cluster names in SHELL.

    For bash, in ~/.bashrc: eval "$(clusterdb completion bash)"
    """
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, "clusterdb", "_CLUSTERDB_COMPLETE").source())
