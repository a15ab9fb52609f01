"""The past of clusters: snapshots, restore, backtrack, reset."""

from __future__ import annotations

from pathlib import Path

import click

from clusterdb.cli.app import (
    CLUSTER,
    MOMENT,
    POINT,
    SNAPSHOT,
    cli,
    confirm,
    opened,
    progress_bar,
    split_point,
    yes_option,
)
from clusterdb.cli.notes import note, quiet_option
from clusterdb.cli.output import (
    columns_option,
    file_name,
    filter_option,
    json_option,
    output_file,
    print_records,
    warn_about_collations,
)
from clusterdb.cli.settings import given_settings, settings_options, zones_option
from clusterdb.views import messages
from clusterdb.views.columns import SNAPSHOTS
from clusterdb.views.filters import is_wanted

__all__ = ["cli"]


@cli.command()
@click.argument("cluster", type=POINT)
@click.argument("name")
@quiet_option
@click.pass_context
def snapshot(context: click.Context, cluster: str, name: str) -> None:
    """Take the snapshot NAME of CLUSTER, or of a point in time: prod@1234, prod@'5 minutes ago'."""
    with opened(context) as store:
        cluster_name, at = split_point(cluster)
        taken = store.cluster(cluster_name).snapshot(name, at=at)
        note(context, messages.snapshot_taken(taken))


@cli.command()
@filter_option
@columns_option
@json_option
@click.pass_context
def snapshots(context: click.Context, filters: tuple[str, ...], columns: str | None, as_json: bool) -> None:
    """List the snapshots; a field for --filter is cluster."""
    with opened(context) as store:
        shown = [item for item in store.snapshots() if is_wanted(item.name, {"cluster": item.cluster}, filters)]
        print_records(shown, SNAPSHOTS, as_json=as_json, chosen=columns)


@cli.command()
@click.argument("snapshot", type=SNAPSHOT)
@click.argument("name")
@settings_options
@zones_option
@quiet_option
@click.pass_context
def restore(context: click.Context, /, snapshot: str, name: str, **settings: object) -> None:
    """Create the cluster NAME from SNAPSHOT, in constant time."""
    with opened(context) as store:
        record = store.snapshot(snapshot)
        store.restore_snapshot(snapshot, name, **given_settings(settings))
        note(context, messages.restored(record, name))


@cli.command("copy-snapshot")
@click.argument("snapshot", type=SNAPSHOT)
@click.argument("name")
@quiet_option
@click.pass_context
def copy_snapshot(context: click.Context, snapshot: str, name: str) -> None:
    """Copy SNAPSHOT to the snapshot NAME."""
    with opened(context) as store:
        store.copy_snapshot(snapshot, name)
        note(context, messages.copied_snapshot(snapshot, name))


@cli.command("export-snapshot")
@click.argument("snapshot", type=SNAPSHOT)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@quiet_option
@click.pass_context
def export_snapshot(context: click.Context, snapshot: str, file: Path, overwrite: bool) -> None:
    """Write SNAPSHOT as a plain SQLite database FILE; - is standard output."""
    with opened(context) as store, output_file(file) as path, progress_bar("exporting") as progress:
        collations = store.export_snapshot(snapshot, path, overwrite=overwrite, progress=progress)
        size_bytes = path.stat().st_size
    warn_about_collations(file, collations)
    note(context, messages.exported(f"snapshot {snapshot}", file_name(file), size_bytes))


@cli.command("rm-snapshot")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=SNAPSHOT)
@yes_option
@quiet_option
@click.pass_context
def rm_snapshot(context: click.Context, names: tuple[str, ...], yes: bool) -> None:
    """Delete snapshots."""
    with opened(context) as store:
        for name in names:  # all names are checked before the first snapshot is deleted
            store.snapshot(name)
        confirm(f"Delete the snapshots {', '.join(names)} from {store.path}?", yes=yes)
        for name in names:
            store.delete_snapshot(name)
            note(context, messages.deleted_snapshot(name))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("point", type=MOMENT)
@quiet_option
@click.pass_context
def backtrack(context: click.Context, cluster: str, point: str) -> None:
    """Backtrack CLUSTER in place to POINT, or forward again.

    POINT is a version, '5 minutes ago', or a time.
    """
    from clusterdb.rules.points import parse

    with opened(context) as store:
        switched = store.cluster(cluster).backtrack(parse(point))
        note(context, messages.backtracked(cluster, switched))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.option("--to", "snapshot", type=SNAPSHOT, help="Reset to this snapshot instead of the source's present state.")
@yes_option
@quiet_option
@click.pass_context
def reset(context: click.Context, cluster: str, snapshot: str | None, yes: bool) -> None:
    """Reset the clone CLUSTER to the present state of its source; its own changes are lost."""
    with opened(context) as store:
        clone = store.cluster(cluster)
        confirm(f"Reset {cluster} in {store.path} and lose its own changes?", yes=yes)
        to = f"snapshot {snapshot}" if snapshot is not None else clone.source
        note(context, messages.reset(cluster, str(to), clone.reset(snapshot)))
