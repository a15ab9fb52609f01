"""Clusters: made, cloned, listed, changed, deleted, exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clusterdb.cli.app import CLUSTER, POINT, cli, confirm, opened, progress_bar, split_point, yes_option
from clusterdb.cli.output import json_option, plain, tell, tell_json, warn_of_collations
from clusterdb.cli.settings import chosen, settings_options
from clusterdb.format import table
from clusterdb.listings import CLUSTERS, local, sizes

__all__ = ["cli"]

_no_check_option = click.option("--no-check", is_flag=True, help="Import without a check of the file's pages.")


@cli.command()
@click.argument("name")
@click.option("--from", "from_file", metavar="FILE", type=click.Path(path_type=Path), help="Import a SQLite database.")
@_no_check_option
@click.option("--page-size", type=int, help="Bytes, 512 to 65536; only for an empty cluster.  [default: 4096]")
@click.option("--engine", help="sqlite, or aurora-mysql, aurora-postgresql: the SQL it understands.  [default: sqlite]")
@settings_options
@click.pass_context
def create(
    context: click.Context,
    /,
    name: str,
    from_file: Path | None,
    no_check: bool,
    page_size: int | None,
    **settings: Any,
) -> None:
    """Create a cluster NAME, empty or with the content of a database file."""
    _create(context, name, from_file, page_size, settings, check=not no_check)


@cli.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.argument("name", required=False)
@click.option(
    "--dump",
    is_flag=True,
    help="FILE is SQL of mysqldump, mariadb-dump or pg_dump, perhaps gzipped; - reads it from standard input.",
)
@click.option(
    "--engine", help="With --dump: aurora-mysql or aurora-postgresql.  [default: as the dump's first comment]"
)
@click.option("--strict", is_flag=True, help="With --dump: refuse what has no counterpart instead of skipping it.")
@_no_check_option
@settings_options
@click.pass_context
def import_(
    context: click.Context,
    /,
    file: Path,
    name: str | None,
    dump: bool,
    engine: str | None,
    strict: bool,
    no_check: bool,
    **settings: Any,
) -> None:
    """Create a cluster with the content of the database FILE, called NAME or like the file.

    A dump is loaded whole or not at all. What has no counterpart here (triggers, functions, grants, owners, ...) is
    skipped, and told on standard error by kind and count.
    """
    if not dump:
        if engine is not None or strict:
            raise click.UsageError("--engine and --strict are for dumps: add --dump")
        _create(context, name or file.stem, file, None, settings, check=not no_check)
        return
    if no_check:
        raise click.UsageError("--no-check is for database files: a dump has no pages")
    if name is None:
        if str(file) == "-":
            raise click.UsageError("a dump from standard input needs a NAME for the cluster")
        name = file.name.partition(".")[0]
    with opened(context, create=True) as store:
        with progress_bar("importing") as progress:
            loaded = store.import_dump(name, file, engine=engine, strict=strict, progress=progress, **chosen(settings))
        for line in loaded.summary():
            click.echo(line, err=True)


def _create(
    context: click.Context,
    name: str,
    from_file: Path | None,
    page_size: int | None,
    settings: dict[str, Any],
    *,
    check: bool,
) -> None:
    with opened(context, create=True) as store, progress_bar("importing") as progress:
        store.create_cluster(
            name, from_file=from_file, page_size=page_size, check=check, progress=progress, **chosen(settings)
        )


@cli.command()
@click.argument("source", type=POINT)
@click.argument("name")
@click.option("--full-copy", is_flag=True, help="Share no pages; takes as long as the database is large.")
@settings_options
@click.pass_context
def clone(context: click.Context, /, source: str, name: str, full_copy: bool, **settings: Any) -> None:
    """Clone the cluster SOURCE as NAME, in constant time.

    A point in its past: prod@1234 (a version), prod@'5 minutes ago', prod@2026-01-31T12:00:00, or prod@SNAPSHOT.
    """
    with opened(context) as store:
        cluster, point = split_point(source)
        copy_type = "full-copy" if full_copy else "copy-on-write"
        store.cluster(cluster).clone(name, at=point, copy_type=copy_type, **chosen(settings))


@cli.command()
@json_option
@click.pass_context
def ls(context: click.Context, as_json: bool) -> None:
    """List the clusters with what each holds."""
    with opened(context) as store:
        tell([cluster.stats() for cluster in store.clusters()], CLUSTERS, as_json=as_json)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@json_option
@click.pass_context
def show(context: click.Context, cluster: str, as_json: bool) -> None:
    """Show all that is known of CLUSTER."""
    with opened(context) as store:
        found = store.cluster(cluster)
        stats, settings, status, group = found.stats(), found.settings, found.status, found.clone_group_id
        earliest, latest = found.restorable()
    if as_json:
        times = {"earliest_restorable_time": earliest, "latest_restorable_time": latest}
        tell_json({**plain(stats), "status": status, "clone_group_id": group, **plain(times), **plain(settings)})
        return
    rows = [
        ("status", status),
        ("version", stats.version),
        ("created", local(stats.created_at)),
        ("cloned from", stats.source or ""),
        ("clone group", group),
        *sizes(stats),
        ("restorable", f"{local(earliest)} to {local(latest)}"),
        ("engine", settings.engine),
        ("backup retention", f"{settings.backup_retention_days} days"),
        ("backtrack window", f"{settings.backtrack_window_s} s"),
        ("deletion protection", "on" if settings.deletion_protection else "off"),
        ("time to live", f"{settings.ttl_s:g} s" if settings.ttl_s is not None else "unlimited"),
        ("idle time", f"{settings.idle_s:g} s" if settings.idle_s is not None else "unlimited"),
        ("clone limit", settings.clone_limit if settings.clone_limit is not None else "none"),
        *((f"tag {key}", value) for key, value in sorted(settings.tags.items())),
    ]
    click.echo(table([(name, str(value)) for name, value in rows], (f"cluster {stats.name}", "")))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@settings_options
@click.pass_context
def modify(context: click.Context, /, cluster: str, **settings: Any) -> None:
    """Change settings of CLUSTER; --tag replaces all tags."""
    with opened(context) as store:
        store.cluster(cluster).modify(**chosen(settings))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("name")
@click.pass_context
def rename(context: click.Context, cluster: str, name: str) -> None:
    """Give CLUSTER another NAME."""
    with opened(context) as store:
        store.cluster(cluster).rename(name)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.pass_context
def stop(context: click.Context, cluster: str) -> None:
    """Refuse connections to CLUSTER until it is started."""
    with opened(context) as store:
        store.cluster(cluster).stop()


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.pass_context
def start(context: click.Context, cluster: str) -> None:
    """Accept connections to CLUSTER again."""
    with opened(context) as store:
        store.cluster(cluster).start()


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=CLUSTER)
@yes_option
@click.pass_context
def rm(context: click.Context, names: tuple[str, ...], yes: bool) -> None:
    """Delete clusters; clones of them live on."""
    with opened(context) as store:
        clusters = [store.cluster(name) for name in names]  # all are known before any goes
        confirm(f"Delete {', '.join(names)} from {store.path}?", yes=yes)
        for cluster in clusters:
            cluster.delete()


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.pass_context
def export(context: click.Context, cluster: str, file: Path, overwrite: bool) -> None:
    """Write CLUSTER as a plain SQLite database FILE.

    A new file has the mode that the umask leaves, one that is replaced keeps its mode.
    """
    with opened(context) as store, progress_bar("exporting") as progress:
        collations = store.cluster(cluster).export(file, overwrite=overwrite, progress=progress)
    warn_of_collations(file, collations)
