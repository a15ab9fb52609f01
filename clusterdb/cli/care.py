"""The store: what has happened, what it costs, whether it is sound, and its space."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from clusterdb.cli.app import CLUSTER, cli, opened, progress_bar
from clusterdb.cli.output import json_option, plain, tell, tell_json
from clusterdb.format import bytes_text
from clusterdb.listings import local

if TYPE_CHECKING:
    import clusterdb

__all__ = ["cli"]


@cli.command()
@click.argument("source", required=False)
@json_option
@click.pass_context
def events(context: click.Context, source: str | None, as_json: bool) -> None:
    """List what has happened (to the cluster, instance or snapshot SOURCE)."""
    with opened(context) as store:
        columns = {
            "time": lambda each: local(each.time),
            "kind": lambda each: each.kind,
            "name": lambda each: each.source,
            "what": lambda each: each.message,
        }
        tell(store.events(source), columns, as_json=as_json)


@cli.command()
@json_option
@click.pass_context
def bills(context: click.Context, as_json: bool) -> None:
    """List what every cluster and snapshot pays for; the sum is the live bytes of the pool."""
    with opened(context) as store:
        columns = {
            "kind": lambda each: each.kind,
            "name": lambda each: each.name,
            "own": lambda each: bytes_text(each.own_bytes),
            "its part of what is shared": lambda each: bytes_text(round(each.shared_bytes)),
        }
        tell(store.bills(), columns, as_json=as_json)


@cli.command()
@json_option
@click.pass_context
def metrics(context: click.Context, as_json: bool) -> None:
    """Print metrics as a Prometheus text page."""
    from clusterdb.metrics import prometheus

    with opened(context) as store:
        found = store.metrics()
    if as_json:
        tell_json(plain(found))
    else:
        click.echo(prometheus(found), nl=False)


@cli.command()
@click.pass_context
def expire(context: click.Context) -> None:
    """Delete the clusters whose time is over, and give up what settings keep of the past no longer; prints names."""
    with opened(context) as store:
        for name in store.expire():
            click.echo(name)


@cli.command()
@json_option
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Check everything in the store against its checksums; exits with 1 if something is damaged."""
    with opened(context) as store, progress_bar("checking") as progress:
        report = store.check(progress)
    _report(report, as_json=as_json)


@cli.command()
@json_option
@click.pass_context
def repair(context: click.Context, as_json: bool) -> None:
    """Rebuild what is derived in the store, which nobody else may have open, and check it."""
    from clusterdb.store import repair as rebuild

    with progress_bar("checking") as progress:
        report = rebuild(context.obj, progress=progress)
    _report(report, as_json=as_json)


def _report(report: clusterdb.CheckReport, *, as_json: bool) -> None:
    if as_json:
        tell_json({"ok": report.ok, **plain(report)})
    else:
        for problem in report.problems:
            click.echo(problem, err=True)
        leaked = f", {report.leaked_count} leaked" if report.leaked_count else ""
        click.echo(f"{report.checked_count} slots checked{leaked}: {'no damage' if report.ok else 'damaged'}")
    if not report.ok:
        sys.exit(1)


@cli.command()
@click.argument("cluster", required=False, type=CLUSTER)
@click.option("--slot", type=click.IntRange(0), help="A slot of the pool instead of clusters.")
@click.pass_context
def dump(context: click.Context, cluster: str | None, slot: int | None) -> None:
    """Print what CLUSTER (or every cluster, or a slot) is made of, in words."""
    with opened(context) as store:
        click.echo(store.dump(cluster=cluster, slot=slot))


@cli.command()
@click.pass_context
def reclaim(context: click.Context) -> None:
    """Bring back the space that killed processes leaked, while others go on."""
    with opened(context) as store:
        click.echo(f"{store.reclaim().freed_count} slots brought back")


@cli.command()
@click.pass_context
def shrink(context: click.Context) -> None:
    """Give the free space of the pool back to the file system, while others go on."""
    with opened(context) as store:
        click.echo(f"{bytes_text(store.shrink())} given back")
