"""The URLs and settings with which programs connect to a cluster."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

__all__ = ["connections", "dbapi_url", "django_settings", "sqlalchemy_url"]


def dbapi_url(store: str, cluster: str, endpoint: str = "writer") -> str:
    """The URL for :func:`clusterdb.connect` and ``clusterdb.aio``, from any directory."""
    return f"clusterdb:{cluster}?{_query(store, endpoint)}"


def sqlalchemy_url(store: str, cluster: str, endpoint: str = "writer") -> str:
    """The URL for SQLAlchemy's ``create_engine``, and what builds on it."""
    return f"sqlite+clusterdb:///{cluster}?{_query(store, endpoint)}"


def django_settings(store: str, cluster: str, endpoint: str = "writer") -> str:
    """The entry of Django's ``DATABASES``."""
    options = {"store": _absolute(store), **({"endpoint": endpoint} if endpoint != "writer" else {})}
    entry = {"ENGINE": "clusterdb.django", "NAME": cluster, "OPTIONS": options}
    return repr(entry).replace("'", '"')


def connections(store: str, cluster: str, endpoint: str = "writer") -> dict[str, str]:
    """All of them by the name of the interface.  A store in memory belongs to its process: there are none."""
    if store == ":memory:":
        return {}
    return {
        "DB-API": dbapi_url(store, cluster, endpoint),
        "SQLAlchemy": sqlalchemy_url(store, cluster, endpoint),
        "Django": django_settings(store, cluster, endpoint),
    }


def _query(store: str, endpoint: str) -> str:
    return f"store={quote(_absolute(store))}" + (f"&endpoint={quote(endpoint)}" if endpoint != "writer" else "")


def _absolute(store: str) -> str:
    return store if store == ":memory:" else str(Path(store).absolute())
