"""The command ``shell``; it imports the shell itself (``clusterdb/shell``) when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clusterdb.cli.app import MODE, POINT, cli, endpoint_option, opened, split_point, yes_option

if TYPE_CHECKING:
    from clusterdb.shell import ClusterShell

__all__ = ["cli"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@cli.command()
@click.argument("cluster", required=False, type=POINT)
@click.option("-f", "--file", "files", multiple=True, type=_FILE, help="Run a script and exit; may be repeated.")
@click.option(
    "-c",
    "--command",
    "commands",
    multiple=True,
    metavar="SQL",
    help="Run SQL or a dot command and exit; may be repeated.",
)
@endpoint_option
@click.option("--read-only", is_flag=True, help="Refuse SQL and dot commands that write.")
@click.option("--bail", "-bail", is_flag=True, help="Stop at the first error.")
@click.option(
    "--mode",
    type=MODE,
    metavar="TEXT",
    help="How rows are shown: list, box, csv, json, line, ...  [default: box, list in a pipe]",
)
@click.option("--header", is_flag=True, help="Show column names in modes that omit them.")
@yes_option
@click.option("--plain", is_flag=True, help="Use readline even if prompt_toolkit is installed.")
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
    """Run SQL and dot commands on CLUSTER.

    They are typed, or come from standard input, from files, or from -c (after files). CLUSTER can name a point in time,
    to read: prod@1234, prod@'5 minutes ago'. It defaults to the only cluster of the store; if there are several,
    .use NAME chooses one. The exit code of files, -c and standard input is 1 if a statement or command failed.
    """
    from clusterdb.cli.flags import message_of
    from clusterdb.shell import ClusterShell, run

    with opened(context) as store:
        session = ClusterShell(store, read_only=read_only)
        session.message_of = message_of
        _set_mode(session, mode)
        session.header, session.bail, session.confirms_all = header, bail, yes
        names = [record.name for record in store.clusters()] if cluster is None else [cluster]
        if len(names) == 1:
            name, at = split_point(names[0])
            session.use(store.cluster(name), endpoint, at)
        elif endpoint != "writer":
            raise click.UsageError("--endpoint needs a cluster: name it too")
        try:
            code = run(session, files, commands, plain=plain)
        finally:
            session.leave()
    sys.exit(code)


def _set_mode(session: ClusterShell, mode: str | None) -> None:
    """Set the output mode, as ``.mode`` does.  Raises UsageError for an unknown one."""
    from clusterdb.rules.names import suggestion

    if mode is None:
        return
    modes = [name.removeprefix("output_") for name in dir(session) if name.startswith("output_")]
    if mode not in [*modes, "tabs"]:
        near = suggestion(mode, modes) or f"; use one of {', '.join(modes)}"
        raise click.UsageError(f"no mode '{mode}'{near}")
    session.command_mode([mode])
