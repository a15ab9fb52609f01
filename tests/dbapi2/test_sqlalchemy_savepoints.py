"""Savepoints of SQLAlchemy: they belong to the transaction around them, without the help of the user."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from clusterdb.dbapi2.opening import shared_store

sqlalchemy = pytest.importorskip("sqlalchemy")
from sqlalchemy import Engine, event, text  # noqa: E402
from sqlalchemy.engine import Connection  # noqa: E402
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column  # noqa: E402

Creator = Callable[..., Engine]


class Base(DeclarativeBase):
    """The base of the classes here."""


class Item(Base):
    """A row."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)


def taken_over(engine: Engine) -> Engine:
    """The engine with the events by which SQLAlchemy's documentation takes over control of transactions."""

    @event.listens_for(engine, "connect")
    def on_connect(driver: Any, _record: object) -> None:
        driver.isolation_level = None

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


CONTROLS: dict[str, Callable[[str], Engine]] = {
    "default": lambda url: sqlalchemy.create_engine(url),
    "immediate": lambda url: sqlalchemy.create_engine(f"{url}&isolation_level=IMMEDIATE"),
    "autocommit off": lambda url: sqlalchemy.create_engine(url, connect_args={"autocommit": False}),
    "events of SQLAlchemy's documentation": lambda url: taken_over(sqlalchemy.create_engine(url)),
    "split": lambda url: sqlalchemy.create_engine(url, connect_args={"factory": clusterdb.SplitConnection}),
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a cluster with the table, which is empty."""
    with clusterdb.open(tmp_path / "store") as store:
        connection = store.create_cluster("my_app").connect()
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY)")
        connection.close()
    return f"sqlite+clusterdb:///my_app?store={tmp_path / 'store'}"


@pytest.fixture(params=CONTROLS)
def engine(request: pytest.FixtureRequest, url: str) -> Iterator[Engine]:
    """An engine, with each way to control transactions."""
    engine = CONTROLS[request.param](url)
    yield engine
    engine.dispose()


def insert(connection: Connection, *ids: int) -> None:
    for number in ids:
        connection.execute(text("INSERT INTO items VALUES (:id)"), {"id": number})


def ids(engine: Engine) -> list[int]:
    """The committed rows."""
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT id FROM items ORDER BY id")).scalars())


# --- connections ------------------------------------------------------------------------------------------------------
def test_rows_of_a_released_savepoint_vanish_with_the_outer_rollback(engine: Engine) -> None:
    """Also those of several savepoints, in each other and after each other."""
    with engine.connect() as connection:
        outer = connection.begin()
        with connection.begin_nested():
            insert(connection, 1)
            with connection.begin_nested():
                insert(connection, 2)
        with connection.begin_nested():
            insert(connection, 3)
        outer.rollback()
    assert ids(engine) == []


def test_nested_rollback_keeps_the_rows_of_the_outer_transaction(engine: Engine) -> None:
    """Those from before and from after; a rollback of the outer savepoint takes the released inner one with it."""
    with engine.begin() as connection:
        insert(connection, 1)
        nested = connection.begin_nested()
        with connection.begin_nested():
            insert(connection, 2)
        insert(connection, 3)
        nested.rollback()
        insert(connection, 4)
    assert ids(engine) == [1, 4]


def test_savepoint_before_the_first_write_can_be_rolled_back_alone(engine: Engine) -> None:
    """After reads only, and with a table that the savepoint creates."""
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM items")).scalar() == 0
        nested = connection.begin_nested()
        connection.execute(text("CREATE TABLE more (id)"))
        nested.rollback()
        with connection.begin_nested():
            insert(connection, 5)
    assert ids(engine) == [5]
    assert sqlalchemy.inspect(engine).get_table_names() == ["items"]


# --- sessions ---------------------------------------------------------------------------------------------------------
def test_session_joins_an_external_transaction(engine: Engine) -> None:
    """SQLAlchemy's recipe for test suites: whatever the session commits or rolls back, nothing of it stays."""
    for _ in range(2):
        connection = engine.connect()
        transaction = connection.begin()
        session = Session(bind=connection, join_transaction_mode="create_savepoint")
        session.add(Item(id=1))
        session.commit()
        session.add(Item(id=2))
        session.flush()
        session.rollback()
        with session.begin_nested():
            session.add(Item(id=3))
        session.commit()
        assert [item.id for item in session.query(Item).order_by(Item.id)] == [1, 3]
        session.close()
        transaction.rollback()
        connection.close()
        assert ids(engine) == []


def test_session_continues_after_a_nested_conflict(engine: Engine) -> None:
    """The usual use of begin_nested(): insert a row unless it is there."""
    with Session(engine) as session, session.begin():
        for number in (1, 2, 1, 3):
            try:
                with session.begin_nested():
                    session.execute(text("INSERT INTO items VALUES (:id)"), {"id": number})
            except sqlalchemy.exc.IntegrityError:
                pass
    assert ids(engine) == [1, 2, 3]
    with Session(engine) as session:
        with session.begin_nested():
            session.add(Item(id=4))
        session.rollback()
    assert ids(engine) == [1, 2, 3]


def test_anonymous_cluster_has_the_same_savepoints() -> None:
    """``sqlite+clusterdb://``"""
    engine = sqlalchemy.create_engine("sqlite+clusterdb://")
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        outer = connection.begin()
        with connection.begin_nested():
            insert(connection, 1)
        outer.rollback()
    assert ids(engine) == []
    engine.dispose()


# --- what stays as it is ----------------------------------------------------------------------------------------------
def test_reads_begin_no_transaction(url: str) -> None:
    """As in ``sqlite3``, so that a write after a read does not conflict with a commit in between."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection, engine.connect() as other:
        assert connection.execute(text("SELECT count(*) FROM items")).scalar() == 0
        assert connection.connection.in_transaction is False
        insert(other, 1)
        other.commit()
        insert(connection, 2)
        connection.commit()
    assert ids(engine) == [1, 2]
    engine.dispose()


def test_autocommit_stays_autocommit(url: str) -> None:
    """A savepoint is a transaction of its own there, as in SQLite."""
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        outer = connection.begin()
        with connection.begin_nested():
            insert(connection, 1)
        outer.rollback()
    assert ids(engine) == [1]
    engine.dispose()


def test_db_api_is_that_of_sqlite3(tmp_path: Path) -> None:
    """Without SQLAlchemy a savepoint begins no other transaction."""
    outcomes = []
    for module, name in ((clusterdb, ":memory:"), (sqlite3, ":memory:")):
        connection = module.connect(name)
        connection.execute("CREATE TABLE items (id)")
        connection.execute("SAVEPOINT a")
        connection.execute("INSERT INTO items VALUES (1)")
        connection.execute("RELEASE a")
        in_transaction = connection.in_transaction
        connection.rollback()
        outcomes.append((in_transaction, connection.execute("SELECT count(*) FROM items").fetchone()))
        connection.close()
    assert outcomes == [(False, (1,))] * 2


# --- errors -----------------------------------------------------------------------------------------------------------
def test_busy_cluster_is_an_error_of_sqlalchemy(url: str) -> None:
    """Beginning the transaction can fail as any statement can."""
    engine = sqlalchemy.create_engine(f"{url}&isolation_level=IMMEDIATE&timeout=0")
    with engine.connect() as connection, engine.connect() as other:
        insert(connection, 1)
        with pytest.raises(sqlalchemy.exc.OperationalError, match="locked"):
            other.begin_nested()
    engine.dispose()


def test_closed_store_is_an_error_of_sqlalchemy(url: str) -> None:
    """As for any statement; the pool opens new connections then."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        transaction = connection.begin()
        shared_store(connection.connection.cluster.store.path).close()
        with pytest.raises(sqlalchemy.exc.ProgrammingError, match="closed"):
            connection.begin_nested()
        transaction.close()
    assert ids(engine) == []
    engine.dispose()


def test_failover_before_a_savepoint_replaces_the_connection(url: str) -> None:
    """A savepoint on a reader reads; one on the former writer fails, and the pool has new connections then."""
    engine, reader = sqlalchemy.create_engine(url), sqlalchemy.create_engine(f"{url}&endpoint=reader")
    with engine.connect() as connection:
        cluster = connection.connection.cluster
        cluster.add_instance("w_1")
        cluster.add_instance("r_1")
    engine.dispose()
    with reader.connect() as connection, connection.begin_nested():
        assert connection.execute(text("SELECT count(*) FROM items")).scalar() == 0
    reader.dispose()
    with engine.connect() as connection:
        connection.begin()
        cluster.failover()
        failing = pytest.raises(sqlalchemy.exc.OperationalError, match="failed over")
        with failing as caught, connection.begin_nested():
            insert(connection, 1)
        assert caught.value.connection_invalidated
    with engine.begin() as connection, connection.begin_nested():
        insert(connection, 2)
    assert ids(engine) == [2]
    engine.dispose()


@pytest.mark.parametrize("sql", ["aurora-mysql", "aurora-postgresql"])
def test_cluster_of_another_engine_is_refused_by_name(tmp_path: Path, sql: str) -> None:
    """The dialect writes SQLite's SQL; the error names the cluster and its engine."""
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("my_app", engine=sql)
    engine = sqlalchemy.create_engine(f"sqlite+clusterdb:///my_app?store={tmp_path / 'store'}")
    with pytest.raises(sqlalchemy.exc.NotSupportedError) as caught:
        engine.connect()
    assert str(caught.value.orig) == (
        f"cluster 'my_app' has the engine {sql}: sqlite+clusterdb needs a cluster with the engine sqlite; use "
        "clusterdb.connect() for this one"
    )
    engine.dispose()
