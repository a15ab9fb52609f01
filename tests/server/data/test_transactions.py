"""Transactions: isolation, limits, what becomes of them when their cluster changes, and a second writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

import clusterdb
from clusterdb.server.data import DataApi, DataSettings
from clusterdb.server.data.transactions import ABORTED, ENDED, EXPIRED
from clusterdb.server.faults import Fault
from tests.server.data.calling import Caller, Clock

FOREVER = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "


@pytest.fixture
def shop(store: clusterdb.Store, api: DataApi) -> Caller:
    """A client of a sqlite cluster with short timeouts and a clock that tests move."""
    store.create_cluster("shop", backtrack_window_s=3600)
    client = Caller(api, store, "shop")
    client.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    return client


def lost(client: Caller, sql: str = "SELECT 1") -> str:
    """Why a transaction is not found."""
    with pytest.raises(Fault) as caught:
        client.execute(sql)
    assert (caught.value.code, caught.value.status) == ("TransactionNotFoundException", 404)
    prefix = f"Transaction {client.transaction} is not found. "
    assert caught.value.message.startswith(prefix)
    return caught.value.message.removeprefix(prefix)


def refused(call: Callable[[], object]) -> str:
    """The code of a fault."""
    with pytest.raises(Fault) as caught:
        call()
    return caught.value.code


# --- commit and rollback ----------------------------------------------------------------------------------------------
def test_changes_are_seen_by_others_after_the_commit(client: Caller) -> None:
    transaction = client.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    assert transaction.rows("SELECT name FROM t") == [["a"]]
    assert client.rows("SELECT name FROM t") == []
    assert transaction.commit() == "Transaction Committed"
    assert client.rows("SELECT name FROM t") == [["a"]]


def test_rollback_undoes_all(client: Caller) -> None:
    transaction = client.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    transaction.batch("INSERT INTO t (name) VALUES (:n)", {"n": "b"}, {"n": "c"})
    assert transaction.rows("SELECT count(*) FROM t") == [[3]]
    assert transaction.rollback() == "Rollback Complete"
    assert client.rows("SELECT name FROM t") == []


def test_ids_are_opaque_and_short_enough(shop: Caller) -> None:
    ids = {str(shop.begin().transaction) for _ in range(5)}
    assert len(ids) == 5
    assert all(len(id) <= 192 and id[0] == "A" for id in ids)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_ended_transaction_is_not_found(shop: Caller, end: str) -> None:
    transaction = shop.begin()
    getattr(transaction, end)()
    assert lost(transaction) == ENDED
    assert refused(transaction.commit) == "TransactionNotFoundException"
    assert len(shop.api) == 0


def test_unknown_transaction_is_not_found(shop: Caller) -> None:
    stranger = Caller(shop.api, shop.store, "shop", "A-b_c")
    assert lost(stranger) == EXPIRED
    assert refused(stranger.rollback) == "TransactionNotFoundException"
    assert (
        refused(lambda: stranger.batch("INSERT INTO t (name) VALUES (:n)", {"n": "x"}))
        == "TransactionNotFoundException"
    )


def test_transaction_of_another_cluster_is_not_found(shop: Caller) -> None:
    shop.store.create_cluster("other")
    transaction = shop.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    stranger = Caller(shop.api, shop.store, "other", transaction.transaction)
    assert lost(stranger) == EXPIRED
    assert refused(stranger.commit) == "TransactionNotFoundException"
    transaction.commit()
    assert shop.rows("SELECT name FROM t") == [["a"]]


def test_renamed_cluster_keeps_its_transactions(shop: Caller) -> None:
    transaction = shop.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    shop.store.cluster("shop").rename("store")
    shop.cluster = transaction.cluster = "store"
    transaction.commit()
    assert shop.rows("SELECT name FROM t") == [["a"]]


def test_statement_that_ends_the_transaction_is_followed_by_another(client: Caller) -> None:
    transaction = client.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    transaction.execute("COMMIT")
    transaction.execute("INSERT INTO t (name) VALUES ('b')")
    assert client.rows("SELECT name FROM t") == [["a"]]
    transaction.rollback()
    assert client.rows("SELECT name FROM t") == [["a"]]


def test_schema_change_commits_in_mysql_and_not_in_postgresql(clients: Callable[[str], Caller]) -> None:
    client = clients("aurora-mysql")
    transaction = client.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    transaction.execute("CREATE TABLE u (id INT)")
    transaction.rollback()
    assert client.rows("SELECT name FROM t") == [["a"]]
    assert client.rows("SELECT * FROM u") == []


def test_schema_change_is_rolled_back_in_postgresql(clients: Callable[[str], Caller]) -> None:
    client = clients("aurora-postgresql")
    transaction = client.begin()
    transaction.execute("CREATE TABLE u (id INT)")
    transaction.rollback()
    assert refused(lambda: client.rows("SELECT * FROM u")) == "DatabaseErrorException"


def test_begin_outside_of_a_transaction_leaves_nothing_open(client: Caller) -> None:
    client.execute("BEGIN")
    client.execute("INSERT INTO t (name) VALUES ('a')")
    assert client.rows("SELECT name FROM t") == [["a"]]


# --- errors -----------------------------------------------------------------------------------------------------------
def test_error_leaves_the_transaction_open(clients: Callable[[str], Caller]) -> None:
    client = clients("aurora-mysql")
    transaction = client.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    assert refused(lambda: transaction.execute("INSERT INTO t (name) VALUES (NULL)")) == "DatabaseErrorException"
    transaction.commit()
    assert client.rows("SELECT name FROM t") == [["a"]]


def test_error_fails_the_transaction_in_postgresql(clients: Callable[[str], Caller]) -> None:
    client = clients("aurora-postgresql")
    transaction = client.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    assert refused(lambda: transaction.execute("INSERT INTO t (name) VALUES (NULL)")) == "DatabaseErrorException"
    with pytest.raises(Fault, match=r"current transaction is aborted.*SQLState: 25P02"):
        transaction.execute("SELECT 1")
    with pytest.raises(Fault, match="The database returned ROLLBACK"):
        transaction.commit()
    assert lost(transaction) == ENDED
    assert client.rows("SELECT name FROM t") == []


def test_rollback_to_savepoint_repairs_the_transaction_in_postgresql(clients: Callable[[str], Caller]) -> None:
    client = clients("aurora-postgresql")
    transaction = client.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    transaction.execute("SAVEPOINT s")
    assert refused(lambda: transaction.execute("SELECT * FROM missing")) == "DatabaseErrorException"
    transaction.execute("ROLLBACK TO SAVEPOINT s")
    transaction.execute("INSERT INTO t (name) VALUES ('b')")
    transaction.commit()
    assert client.rows("SELECT name FROM t ORDER BY id") == [["a"], ["b"]]


# --- limits -----------------------------------------------------------------------------------------------------------
def test_idle_transaction_is_rolled_back(shop: Caller, clock: Clock) -> None:
    transaction = shop.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    clock.now += 179
    transaction.execute("INSERT INTO t (name) VALUES ('b')")
    clock.now += 179
    assert transaction.rows("SELECT count(*) FROM t") == [[2]]
    clock.now += 180
    shop.api.sweep()
    assert len(shop.api) == 0
    shop.execute("INSERT INTO t (name) VALUES ('c')")  # nobody else is the writer
    assert lost(transaction) == EXPIRED
    assert shop.rows("SELECT name FROM t") == [["c"]]


def test_limits_hold_without_a_sweep(shop: Caller, clock: Clock) -> None:
    transaction = shop.begin()
    clock.now += 180
    assert lost(transaction) == EXPIRED


def test_transaction_is_rolled_back_after_a_day(shop: Caller, clock: Clock) -> None:
    transaction = shop.begin()
    for _ in range(24 * 30):
        clock.now += 119
        transaction.execute("SELECT 1")
    clock.now += 24 * 30
    assert lost(transaction) == EXPIRED


def test_limits_are_kept_when_nobody_calls(store: clusterdb.Store) -> None:
    store.create_cluster("shop")
    api = DataApi(DataSettings(transaction_idle_s=0.05))
    client = Caller(api, store, "shop")
    client.execute("CREATE TABLE t (name TEXT)")
    client.begin().execute("INSERT INTO t (name) VALUES ('a')")
    while len(api):
        time.sleep(0.01)
    client.execute("INSERT INTO t (name) VALUES ('b')")
    assert client.rows("SELECT name FROM t") == [["b"]]
    api.close()


def test_close_rolls_back(store: clusterdb.Store) -> None:
    store.create_cluster("shop")
    api = DataApi()
    client = Caller(api, store, "shop")
    client.execute("CREATE TABLE t (name TEXT)")
    client.begin().execute("INSERT INTO t (name) VALUES ('a')")
    before = set(threading.enumerate())
    api.close()
    assert not [thread for thread in before & set(threading.enumerate()) if thread.name.startswith("clusterdb-data")]
    with store.cluster("shop").connect() as db:
        assert db.execute("SELECT count(*) FROM t").get == 0


# --- a second writer --------------------------------------------------------------------------------------------------
def test_second_writer_waits_until_the_timeout(shop: Caller) -> None:
    first = shop.begin()
    first.execute("INSERT INTO t (name) VALUES ('a')")
    assert refused(lambda: shop.execute("INSERT INTO t (name) VALUES ('b')")) == "StatementTimeoutException"
    second = shop.begin()
    assert refused(lambda: second.execute("INSERT INTO t (name) VALUES ('c')")) == "StatementTimeoutException"
    first.commit()
    second.execute("INSERT INTO t (name) VALUES ('c')")  # the wait has not ended the transaction
    second.commit()
    assert shop.rows("SELECT name FROM t ORDER BY id") == [["a"], ["c"]]


def test_second_writer_goes_on_when_the_first_commits(store: clusterdb.Store, patient: DataApi) -> None:
    store.create_cluster("shop")
    client = Caller(patient, store, "shop")
    client.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    first = client.begin()
    first.execute("INSERT INTO t (name) VALUES ('a')")
    second = threading.Thread(target=client.execute, args=("INSERT INTO t (name) VALUES ('b')",))
    second.start()
    assert second.is_alive()
    first.commit()
    second.join()
    assert client.rows("SELECT name FROM t ORDER BY id") == [["a"], ["b"]]


def test_writers_beyond_the_limit_do_not_wait(store: clusterdb.Store) -> None:
    store.create_cluster("shop")
    api = DataApi(DataSettings(waiting_max=1, statement_timeout_s=30))
    client = Caller(api, store, "shop")
    client.execute("CREATE TABLE t (name TEXT)")
    first = client.begin()
    first.execute("INSERT INTO t VALUES ('a')")
    codes: list[str] = []

    def write() -> None:
        try:
            client.execute("INSERT INTO t VALUES ('b')")
        except Fault as fault:
            codes.append(fault.code)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(codes) < 2:
        time.sleep(0.01)
    third = client.begin()
    third.rows("SELECT * FROM t")
    assert refused(lambda: third.execute("INSERT INTO t VALUES ('c')")) == "ServiceUnavailableError"
    first.commit()
    for thread in threads:
        thread.join()
    assert codes == ["ServiceUnavailableError"] * 2
    third.execute("INSERT INTO t VALUES ('c')")
    third.commit()
    assert client.rows("SELECT * FROM t") == [["a"], ["b"], ["c"]]
    api.close()


def test_transaction_that_has_read_an_older_state_can_write(client: Caller) -> None:
    transaction = client.begin()
    assert transaction.rows("SELECT count(*) FROM t") == [[0]]
    client.execute("INSERT INTO t (name) VALUES ('a')")
    transaction.execute("INSERT INTO t (name) VALUES ('b')")
    assert transaction.rows("SELECT count(*) FROM t") == [[2]]
    transaction.commit()
    assert client.rows("SELECT count(*) FROM t") == [[2]]


def test_stale_transaction_with_a_savepoint_cannot_write(shop: Caller) -> None:
    transaction = shop.begin()
    transaction.execute("SAVEPOINT s")
    assert transaction.rows("SELECT count(*) FROM t") == [[0]]
    shop.execute("INSERT INTO t (name) VALUES ('a')")
    with pytest.raises(Fault, match="database is locked"):
        transaction.execute("INSERT INTO t (name) VALUES ('b')")


def test_read_is_not_hindered_by_a_writer(shop: Caller) -> None:
    first = shop.begin()
    first.execute("INSERT INTO t (name) VALUES ('a')")
    assert shop.rows("SELECT name FROM t") == []


# --- timeouts ---------------------------------------------------------------------------------------------------------
def test_long_query_is_interrupted(shop: Caller) -> None:
    with pytest.raises(Fault, match="Request timed out") as caught:
        shop.execute(f"{FOREVER} SELECT count(*) FROM c")
    assert (caught.value.code, caught.value.status) == ("StatementTimeoutException", 400)


def test_transaction_survives_an_interrupted_query(shop: Caller) -> None:
    transaction = shop.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    assert refused(lambda: transaction.execute(f"{FOREVER} SELECT count(*) FROM c")) == "StatementTimeoutException"
    transaction.commit()
    assert shop.rows("SELECT name FROM t") == [["a"]]


def test_interrupted_write_rolls_the_transaction_back(shop: Caller) -> None:
    transaction = shop.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    write = f"{FOREVER} INSERT INTO t (name) SELECT x FROM c"
    assert refused(lambda: transaction.execute(write)) == "StatementTimeoutException"
    assert lost(transaction) == ABORTED
    assert shop.rows("SELECT name FROM t") == []


def test_statement_may_continue_after_its_timeout(shop: Caller) -> None:
    first = shop.begin()
    first.execute("INSERT INTO t (name) VALUES ('a')")

    def write() -> None:
        shop.execute("INSERT INTO t (name) VALUES ('b')", continueAfterTimeout=True)

    assert refused(write) == "StatementTimeoutException"
    first.commit()
    while shop.rows("SELECT count(*) FROM t") != [[2]]:
        time.sleep(0.01)


def test_transaction_is_busy_while_its_statement_continues(shop: Caller) -> None:
    first, second = shop.begin(), shop.begin()
    first.execute("INSERT INTO t (name) VALUES ('a')")

    def write() -> None:
        second.execute("INSERT INTO t (name) VALUES ('b')", continueAfterTimeout=True)

    assert refused(write) == "StatementTimeoutException"
    with pytest.raises(Fault, match="Transaction is still running a query"):
        second.execute("SELECT 1")
    with pytest.raises(Fault, match="Transaction is still running a query"):
        second.commit()
    first.commit()
    while True:
        try:
            second.commit()
            break
        except Fault as fault:
            assert fault.message == "Transaction is still running a query"
            time.sleep(0.01)
    assert shop.rows("SELECT name FROM t ORDER BY id") == [["a"], ["b"]]


def test_concurrent_calls_of_a_transaction_are_refused(shop: Caller) -> None:
    transaction = shop.begin()
    codes: list[str] = []
    long = threading.Thread(
        target=lambda: codes.append(refused(lambda: transaction.execute(f"{FOREVER} SELECT count(*) FROM c")))
    )
    long.start()
    while not codes:
        try:
            transaction.execute("SELECT 1")
        except Fault as fault:
            if fault.message == "Transaction is still running a query":
                break
    long.join()
    assert codes == ["StatementTimeoutException"]
    transaction.execute("SELECT 1")


# --- the cluster changes ----------------------------------------------------------------------------------------------
def writing(shop: Caller) -> Caller:
    """A transaction that has written."""
    transaction = shop.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('lost')")
    return transaction


@pytest.mark.parametrize("end", ["execute", "commit"])
@pytest.mark.parametrize("begin", [Caller.begin, writing])
def test_failover_ends_transactions(shop: Caller, begin: Callable[[Caller], Caller], end: str) -> None:
    cluster = shop.store.cluster("shop")
    cluster.add_instance("one")
    cluster.add_instance("two")
    transaction = begin(shop)
    shop.rows("SELECT 1")
    cluster.failover()
    if end == "commit" and begin is writing:
        assert refused(transaction.commit) == "TransactionNotFoundException"
        assert "failed over" in lost(transaction)
    elif end == "execute":
        assert "failed over" in lost(transaction)
    assert shop.rows("SELECT name FROM t") == []  # on the new writer, not by an idle connection to the former one


@pytest.mark.parametrize("begin", [Caller.begin, writing])
def test_reset_and_backtrack_end_transactions(shop: Caller, begin: Callable[[Caller], Caller]) -> None:
    cluster = shop.store.cluster("shop")
    cluster.snapshot("before")
    shop.execute("INSERT INTO t (name) VALUES ('after')")
    transaction = begin(shop)
    transaction.execute("SELECT * FROM t")
    cluster.reset("before")
    assert "reset" in lost(transaction)
    assert shop.rows("SELECT name FROM t") == []
    shop.execute("INSERT INTO t (name) VALUES ('again')")


def test_transactions_of_deleted_clusters_end(shop: Caller) -> None:
    transaction = writing(shop)
    shop.store.cluster("shop").delete()
    assert refused(lambda: transaction.execute("SELECT 1")) == "HttpEndpointNotEnabledException"
    shop.api.sweep()
    assert len(shop.api) == 0
    shop.store.create_cluster("shop")
    assert "deleted" in lost(transaction)


def test_stopped_cluster_is_in_an_invalid_state(shop: Caller) -> None:
    transaction = writing(shop)
    cluster = shop.store.cluster("shop")
    cluster.stop()
    assert refused(lambda: shop.execute("SELECT 1")) == "InvalidResourceStateException"
    assert refused(lambda: transaction.execute("SELECT 1")) == "InvalidResourceStateException"
    cluster.start()
    assert shop.rows("SELECT name FROM t") == []


# --- many at once -----------------------------------------------------------------------------------------------------
def test_transfers_by_many_clients_keep_the_total(client: Caller) -> None:
    client.batch("INSERT INTO t (name, price) VALUES (:n, 100)", *({"n": f"n{at}"} for at in range(4)))
    problems: list[Exception] = []

    def transfer(number: int) -> None:
        try:
            for at in range(15):
                transaction = client.begin()
                if at % 3 == 0:
                    transaction.rows("SELECT sum(price) FROM t")
                move = "UPDATE t SET price = price + :by WHERE id = :id"
                transaction.execute(move, {"by": -1, "id": 1 + (number + at) % 4})
                transaction.execute(move, {"by": 1, "id": 1 + (number + at + 1) % 4})
                transaction.rollback() if at % 5 == 0 else transaction.commit()
                assert client.rows("SELECT sum(price) FROM t") == [["400.00"]] or not is_decimal
        except Exception as error:
            problems.append(error)

    is_decimal = isinstance(client.rows("SELECT sum(price) FROM t")[0][0], str)
    threads = [threading.Thread(target=transfer, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(client.api) == 0
    assert float(client.rows("SELECT sum(price) FROM t")[0][0]) == 400


def test_server_may_end_while_a_call_starts_the_thread_that_keeps_limits(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_cluster("shop")
    api = DataApi()
    client = Caller(api, store, "shop")
    start, is_starting = threading.Thread.start, threading.Event()

    def start_late(thread: threading.Thread) -> None:
        if thread.name == "clusterdb-data-limits":
            is_starting.set()
            time.sleep(0.1)
        start(thread)

    def ask() -> None:
        with suppress(Fault):
            client.rows("SELECT 1")

    monkeypatch.setattr(threading.Thread, "start", start_late)
    asking = threading.Thread(target=ask)
    asking.start()
    assert is_starting.wait(30)
    api.close()
    asking.join()


@pytest.mark.parametrize("in_transaction", [False, True])
def test_query_that_the_end_of_the_server_interrupts_is_refused(store: clusterdb.Store, in_transaction: bool) -> None:
    """The client may try again: it is not the statement that was wrong."""
    store.create_cluster("shop")
    api = DataApi()
    client = Caller(api, store, "shop")
    caller = client.begin() if in_transaction else client
    codes: list[str] = []
    query = f"{FOREVER} SELECT count(*) FROM c"
    thread = threading.Thread(target=lambda: codes.append(refused(lambda: caller.execute(query))))
    thread.start()
    while not any(session.is_running for session in api._pool._all):
        time.sleep(0.001)
    api.close()
    thread.join()
    assert codes == ["ServiceUnavailableError"]


def test_calls_while_the_server_ends_are_refused(store: clusterdb.Store) -> None:
    store.create_cluster("shop")
    api = DataApi()
    client = Caller(api, store, "shop")
    codes: list[str] = []

    def ask() -> None:
        while not codes:
            try:
                client.rows("SELECT 1")
            except Fault as fault:
                codes.append(fault.code)

    thread = threading.Thread(target=ask)
    thread.start()
    api.close()
    thread.join()
    assert codes == ["ServiceUnavailableError"]
    assert refused(lambda: client.begin()) == "ServiceUnavailableError"
