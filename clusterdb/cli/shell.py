"""The command ``shell``; the shell itself (``clusterdb/shell``) is imported when it runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from clusterdb.cli.app import POINT, cli, opened, split_point, yes_option

__all__ = ["cli"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@cli.command()
@click.argument("cluster", required=False, type=POINT)
@click.option("-f", "--file", "files", multiple=True, type=_FILE, help="Run a script and leave; several for several.")
@click.option("-c", "--command", "commands", multiple=True, metavar="SQL", help="Run SQL or a dot command and leave.")
@click.option("--endpoint", default="writer", show_default=True, help="writer, reader, an instance, a custom endpoint.")
@click.option("--read-only", is_flag=True, help="Refuse writes, and dot commands that change something.")
@click.option("--bail", "-bail", is_flag=True, help="Stop at the first error.")
@click.option("--mode", help="How answers are shown: list, box, csv, json, line, ...  [default: box, list in a pipe]")
@click.option("--header", is_flag=True, help="Show column names where the mode leaves them out.")
@yes_option
@click.option("--plain", is_flag=True, help="Use readline even if prompt_toolkit is there.")
@click.pass_context
def shell(
    context: click.Context,
    cluster: str | None,
    files: tuple[Path, ...],
    commands: tuple[str, ...],
    endpoint: str,
    read_only: bool,
    bail: bool,
    mode: str | None,
    header: bool,
    yes: bool,
    plain: bool,
) -> None:
    """SQL and dot commands on CLUSTER: typed, from standard input, from files (first), or from -c.

    A point in its past can be read: prod@1234, prod@'5 minutes ago'. Without CLUSTER the only one of the store is used,
    or none until .use NAME. The exit code of files, -c and standard input is 1 if anything failed.
    """
    from clusterdb.rules.names import suggestion
    from clusterdb.shell import ClusterShell, run

    with opened(context) as store:
        made = ClusterShell(store, read_only=read_only)
        modes = [name.removeprefix("output_") for name in dir(made) if name.startswith("output_")]
        if mode is not None and mode not in [*modes, "tabs"]:
            near = suggestion(mode, modes) or f"; use one of {', '.join(modes)}"
            raise click.UsageError(f"no mode '{mode}'{near}")
        if mode is not None:
            made.command_mode([mode])
        made.header, made.bail, made.is_sure = header, bail, yes
        names = [each.name for each in store.clusters()] if cluster is None else [cluster]
        if len(names) == 1:
            name, at = split_point(names[0])
            made.use(store.cluster(name), endpoint, at)
        elif endpoint != "writer":
            raise click.UsageError("an endpoint is one of a cluster's: name the cluster too")
        try:
            code = run(made, files, commands, plain=plain)
        finally:
            made.leave()
    sys.exit(code)
