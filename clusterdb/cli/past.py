"""The past of clusters: snapshots, restores, backtrack, reset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clusterdb.cli.app import (
    CLUSTER,
    POINT,
    SNAPSHOT,
    cli,
    confirm,
    opened,
    progress_bar,
    split_point,
    yes_option,
)
from clusterdb.cli.output import json_option, tell, warn_of_collations
from clusterdb.cli.settings import chosen, settings_options
from clusterdb.listings import SNAPSHOTS

__all__ = ["cli"]


@cli.command()
@click.argument("cluster", type=POINT)
@click.argument("name")
@click.pass_context
def snapshot(context: click.Context, cluster: str, name: str) -> None:
    """Keep what CLUSTER (or a point in its past: prod@1234, prod@'5 minutes ago') has now, as the snapshot NAME."""
    with opened(context) as store:
        name_of, at = split_point(cluster)
        store.cluster(name_of).snapshot(name, at=at)


@cli.command()
@json_option
@click.pass_context
def snapshots(context: click.Context, as_json: bool) -> None:
    """List the snapshots."""
    with opened(context) as store:
        tell(store.snapshots(), SNAPSHOTS, as_json=as_json)


@cli.command()
@click.argument("snapshot", type=SNAPSHOT)
@click.argument("name")
@settings_options
@click.pass_context
def restore(context: click.Context, /, snapshot: str, name: str, **settings: Any) -> None:
    """Create the cluster NAME with what SNAPSHOT shows, in constant time."""
    with opened(context) as store:
        store.restore_snapshot(snapshot, name, **chosen(settings))


@cli.command("copy-snapshot")
@click.argument("snapshot", type=SNAPSHOT)
@click.argument("name")
@click.pass_context
def copy_snapshot(context: click.Context, snapshot: str, name: str) -> None:
    """Keep what SNAPSHOT shows under another NAME too."""
    with opened(context) as store:
        store.copy_snapshot(snapshot, name)


@cli.command("export-snapshot")
@click.argument("snapshot", type=SNAPSHOT)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.pass_context
def export_snapshot(context: click.Context, snapshot: str, file: Path, overwrite: bool) -> None:
    """Write what SNAPSHOT shows as a plain SQLite database FILE."""
    with opened(context) as store, progress_bar("exporting") as progress:
        collations = store.export_snapshot(snapshot, file, overwrite=overwrite, progress=progress)
    warn_of_collations(file, collations)


@cli.command("rm-snapshot")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=SNAPSHOT)
@yes_option
@click.pass_context
def rm_snapshot(context: click.Context, names: tuple[str, ...], yes: bool) -> None:
    """Delete snapshots."""
    with opened(context) as store:
        for name in names:  # all are known before any goes
            store.snapshot(name)
        confirm(f"Delete the snapshots {', '.join(names)} from {store.path}?", yes=yes)
        for name in names:
            store.delete_snapshot(name)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("point")
@click.pass_context
def backtrack(context: click.Context, cluster: str, point: str) -> None:
    """Let CLUSTER go back in place to POINT: a version, '5 minutes ago', or a time; or forward again."""
    from clusterdb.rules.points import parse

    with opened(context) as store:
        store.cluster(cluster).backtrack(parse(point))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.option("--to", "snapshot", type=SNAPSHOT, help="A snapshot instead of the source's present state.")
@yes_option
@click.pass_context
def reset(context: click.Context, cluster: str, snapshot: str | None, yes: bool) -> None:
    """Give the clone CLUSTER its source's present state again, under its name; its own changes are lost."""
    with opened(context) as store:
        found = store.cluster(cluster)
        confirm(f"Reset {cluster} in {store.path} and lose what it has changed?", yes=yes)
        found.reset(snapshot)
