"""The history of a cluster: its log, and the version in which an answer changed."""

from __future__ import annotations

import click

from clusterdb.cli.app import CLUSTER, cli, opened
from clusterdb.cli.output import json_option, print_json
from clusterdb.rules.points import parse
from clusterdb.views.json import to_json

__all__ = ["cli"]

_LIMIT = 20


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.option("--graph", is_flag=True, help="Mark the versions that a backtrack or a reset has left.")
@click.option("--since", metavar="POINT", help="The oldest point to show: a version, a time, '1 hour ago', a snapshot.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), help=f"The number of versions [default: {_LIMIT} without --since]"
)
@json_option
@click.pass_context
def log(context: click.Context, cluster: str, graph: bool, since: str | None, limit: int | None, as_json: bool) -> None:
    """List the versions of CLUSTER, newest first, with the tables that they changed.

    The pages that differ between two versions tell the tables. Versions are kept as long as the setting
    backup_retention_days or backtrack_window_s of CLUSTER states. A version can be read or cloned as CLUSTER@VERSION.
    """
    from clusterdb.history.text import log_text

    if limit is None and since is None:
        limit = _LIMIT
    with opened(context) as store:
        target = store.cluster(cluster)
        entries = target.log(since=None if since is None else parse(since), limit=limit)
        if as_json:
            print_json([to_json(entry) for entry in entries])
            return
        click.echo(log_text(entries, graph=graph))
        if not target.settings.keeps_past_ns:
            keep = store.context.hint("modify", cluster, "--backup-retention-days", "1")
            click.echo(f"clusterdb: '{cluster}' keeps no past: {keep} keeps that of a day from now on", err=True)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("query")
@json_option
@click.pass_context
def bisect(context: click.Context, cluster: str, query: str, as_json: bool) -> None:
    """Find the version of CLUSTER since which the SQL QUERY has the answer that it has now.

    clusterdb bisect prod "SELECT count(*) FROM orders WHERE id = 7" finds the version that deleted an order. The search
    reads temporary clones: 10 of them in a past of 1000 versions.
    """
    from clusterdb.history.text import bisection_text

    with opened(context) as store:
        result = store.cluster(cluster).bisect(query)
        if as_json:
            print_json(to_json(result))
        else:
            click.echo(bisection_text(result))
