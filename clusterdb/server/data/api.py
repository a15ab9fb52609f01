"""The operations of the Data API.

A statement without a transaction runs on an idle session of its cluster and is committed by itself; a batch is one
transaction.  The engine decides what a statement means; besides that, as AWS has it:

- Statements run on the cluster's writer.
- A statement that takes longer than 45 seconds, or waits for another writer as long, raises StatementTimeoutException.
  It is interrupted, unless the call has ``continueAfterTimeout``.  In a transaction, an interrupted write rolls the
  transaction back.
- A second call in a transaction that is running a statement is refused at once.
- After an error in a transaction, PostgreSQL accepts only ROLLBACK and ROLLBACK TO SAVEPOINT.
- Where the text of a statement ends a transaction (COMMIT, or a change of the schema in MySQL), the next statement
  begins one.

A cluster has one writer at a time.  A transaction that has only read begins anew, with the present state, to write:
what PostgreSQL does for every statement at its level READ COMMITTED.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import clusterdb.dbapi2 as dbapi
from clusterdb.errors import Error
from clusterdb.rules import status
from clusterdb.server.call import Call, Operation
from clusterdb.server.data.fields import Formats, converter, formatted, too_large
from clusterdb.server.data.gatekeeper import Gatekeeper, OpenGate
from clusterdb.server.data.parameters import values_of
from clusterdb.server.data.problems import (
    bad_request,
    database_error,
    endpoint_disabled,
    fault_of,
    invalid,
    is_lost,
    shutting_down,
    statement_timeout,
    too_many,
    transaction_not_found,
)
from clusterdb.server.data.resources import cluster_of
from clusterdb.server.data.sessions import Pool, Session, SessionBusyError, SessionTimeoutError
from clusterdb.server.data.settings import DataSettings
from clusterdb.server.data.statements import Result, Runner, Statement, is_rollback, is_stateless
from clusterdb.server.data.transactions import ABORTED, ENDED, Transaction, Transactions
from clusterdb.server.data.work import as_transaction, begin, end, in_open_transaction, with_runner
from clusterdb.server.faults import Fault
from clusterdb.store import Cluster

__all__ = ["ACTIONS", "DataApi"]

ACTIONS = (
    *("ExecuteStatement", "BatchExecuteStatement", "BeginTransaction", "CommitTransaction", "RollbackTransaction"),
    "ExecuteSql",
)
_T = TypeVar("_T")
_SQL_MAX = 65536
_SWEEP_S = 5
"""The longest pause between two looks at the limits of open transactions."""
_IN_FAILED = "ERROR: current transaction is aborted, commands ignored until end of transaction block; SQLState: 25P02"
_ROLLED_BACK = "The database returned ROLLBACK, so the transaction cannot be committed."
_LOST = "Transaction has been aborted: the writer of the cluster failed over, was restarted, or the cluster is gone."


class DataApi:
    """The Data API of one server, whose open transactions it has; :meth:`close` rolls them back.

    :param gatekeeper: decides on endpoints and secrets
    :param clock: seconds that only grow, for the limits of transactions
    """

    def __init__(
        self,
        settings: DataSettings | None = None,
        *,
        gatekeeper: Gatekeeper | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or DataSettings()
        self.gatekeeper: Gatekeeper = gatekeeper or OpenGate()
        self._clock = clock
        self._pool = Pool(clock, read_only=self.settings.read_only, waiting_max=self.settings.waiting_max)
        self._transactions = Transactions(
            clock, idle_s=self.settings.transaction_idle_s, age_max_s=self.settings.transaction_age_max_s
        )
        self._guard = threading.Lock()
        self._sweeper: threading.Thread | None = None
        self._wake = threading.Event()
        self._is_closed = False
        methods: tuple[Operation, ...] = (
            *(self.execute_statement, self.batch_execute_statement, self.begin_transaction),
            *(self.commit_transaction, self.rollback_transaction, self.execute_sql),
        )
        self.operations: Mapping[str, Operation] = dict(zip(ACTIONS, methods, strict=True))

    # --- operations -------------------------------------------------------------------------------------------------
    def execute_statement(self, call: Call, input: dict[str, Any]) -> dict[str, Any]:
        """ExecuteStatement."""
        cluster = self._admitted(call, input)
        sql = _sql(input)
        statement = Statement(sql, values_of(input.get("parameters") or []))
        options = input.get("resultSetOptions") or {}
        formats = Formats(options.get("decimalReturnType") or "STRING", options.get("longReturnType") or "LONG")
        is_json = input.get("formatRecordsAs") == "JSON"
        limits = {
            "row_bytes_max": self.settings.row_bytes_max,
            "bytes_max": self.settings.json_bytes_max if is_json else self.settings.response_bytes_max,
        }
        result = self._run(
            cluster,
            input,
            lambda runner: runner.run(statement, **limits),
            continues=bool(input.get("continueAfterTimeout")),
        )
        return self._response(result, formats, is_json=is_json, has_metadata=bool(input.get("includeResultMetadata")))

    def batch_execute_statement(self, call: Call, input: dict[str, Any]) -> dict[str, Any]:
        """BatchExecuteStatement: all sets of parameters or, after an error, none; without sets nothing is run."""
        cluster = self._admitted(call, input)
        sql = _sql(input)
        sets = [values_of(parameters) for parameters in input.get("parameterSets") or []]
        if len(sets) > self.settings.batch_max:
            raise bad_request(f"A batch has at most {self.settings.batch_max} parameter sets, not {len(sets)}")
        if not sets:
            return {"updateResults": []}
        generated = self._run(cluster, input, lambda runner: runner.run_batch(sql, sets), is_batch=True)
        return {"updateResults": [{"generatedFields": _long_fields(numbers)} for numbers in generated]}

    def begin_transaction(self, call: Call, input: dict[str, Any]) -> dict[str, Any]:
        """BeginTransaction."""
        cluster = self._admitted(call, input)
        session = self._new_session(cluster)
        try:
            self._in_session(session, begin, continues=False)
            transaction = self._transactions.add(session)
        except SessionBusyError:
            raise shutting_down() from None
        except BaseException as error:
            session.close()
            raise self._fault(error, cluster) from None
        self._watch()
        return {"transactionId": transaction.id}

    def commit_transaction(self, call: Call, input: dict[str, Any]) -> dict[str, Any]:
        """CommitTransaction."""
        self._end(call, input, "COMMIT")
        return {"transactionStatus": "Transaction Committed"}

    def rollback_transaction(self, call: Call, input: dict[str, Any]) -> dict[str, Any]:
        """RollbackTransaction."""
        self._end(call, input, "ROLLBACK")
        return {"transactionStatus": "Rollback Complete"}

    def execute_sql(self, call: Call, input: dict[str, Any]) -> dict[str, Any]:
        """ExecuteSql, which AWS has replaced."""
        raise bad_request("ExecuteSql is not supported: use ExecuteStatement or BatchExecuteStatement")

    # --- for the server ---------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        """The number of open transactions."""
        return len(self._transactions)

    def sweep(self) -> float | None:
        """Roll back what has exceeded its limits, and close what is idle; returns when to do it again."""
        times = [at for at in (self._transactions.sweep(), self._pool.sweep()) if at is not None]
        return min(times, default=None)

    def close(self, wait_s: float = 5) -> None:
        """Interrupt what runs, roll back all transactions, and close all sessions."""
        self._is_closed = True
        self._wake.set()
        self._transactions.close()
        self._pool.close(wait_s)
        with self._guard:  # a call may be about to start it
            sweeper = self._sweeper
        if sweeper is not None:
            sweeper.join(wait_s)

    # --- a call -----------------------------------------------------------------------------------------------------
    def _admitted(self, call: Call, input: dict[str, Any]) -> Cluster:
        """The cluster of a call.  Raises Fault."""
        if self._is_closed:
            raise shutting_down()
        if input.get("schema"):
            raise invalid("The schema parameter isn't supported")
        resource = input["resourceArn"]
        cluster = cluster_of(call, resource)
        try:
            if not self.gatekeeper.endpoint_enabled(call, cluster):
                raise endpoint_disabled(resource)
            if self.settings.strict_secrets and not self.gatekeeper.secret_is_issued(call, cluster, input["secretArn"]):
                raise Fault("InvalidSecretException", "The Secrets Manager secret used with the request isn't valid.")
            status.after(cluster.name, cluster.status, "connect to")
        except Error as error:
            raise fault_of(error, "sqlite") from None
        return cluster

    def _run(
        self,
        cluster: Cluster,
        input: dict[str, Any],
        work: Callable[[Runner], _T],
        *,
        continues: bool = False,
        is_batch: bool = False,
    ) -> _T:
        """Run work in the transaction that the call names, else by itself.  Raises Fault."""
        id = input.get("transactionId")
        sql = input["sql"]
        if id:
            return self._in_transaction(cluster, id, sql, work, continues=continues)
        if is_batch:
            work = partial(as_transaction, work)
        return self._alone(cluster, sql, work, continues=continues)

    def _alone(self, cluster: Cluster, sql: str, work: Callable[[Runner], _T], *, continues: bool) -> _T:
        engine = cluster.settings.engine
        try:
            session, is_used = self._pool.take(cluster)
        except SessionBusyError:
            raise shutting_down() from None
        try:
            try:
                result = self._in_session(session, partial(with_runner, session, engine, work), continues=continues)
            except Exception as error:
                if not (is_used and is_lost(error)):
                    raise
                session.close()  # it was idle when the writer changed: nothing has been done
                session = self._pool.new(cluster)
                result = self._in_session(session, partial(with_runner, session, engine, work), continues=continues)
        except SessionBusyError:
            raise shutting_down() from None
        except BaseException as error:
            session.close()  # when its statement has ended, if that continues
            raise self._fault(error, cluster) from None
        if is_stateless(sql):
            self._pool.give(session)
            self._watch()
        else:
            session.close()
        return result

    def _new_session(self, cluster: Cluster) -> Session:
        try:
            return self._pool.new(cluster)
        except SessionBusyError:
            raise shutting_down() from None

    def _in_session(self, session: Session, work: Callable[[dbapi.Connection], _T], *, continues: bool) -> _T:
        """Run work in a session for as long as a call may take.  Raises Fault, and what the work raises."""
        future = session.start(work)
        try:
            return session.wait(future, self.settings.statement_timeout_s)
        except Error:
            if session.was_refused:
                raise too_many() from None
            if session.is_cancelled and self._is_closed:
                raise shutting_down() from None
            raise
        except SessionTimeoutError:
            if not continues:
                session.cancel()
            raise statement_timeout() from None

    def _fault(self, error: BaseException, cluster: Cluster) -> BaseException:
        """The fault for an error of the engine's; other errors as they are."""
        if isinstance(error, Fault) or not isinstance(error, Exception):
            return error
        try:
            engine = cluster.settings.engine
        except Error:
            engine = "sqlite"  # the cluster is gone
        try:
            return fault_of(error, engine)
        except Exception as unknown:
            return unknown

    # --- transactions -----------------------------------------------------------------------------------------------
    def _in_transaction(
        self, cluster: Cluster, id: str, sql: str, work: Callable[[Runner], _T], *, continues: bool
    ) -> _T:
        transaction = self._transactions.find(cluster, id)
        engine = cluster.settings.engine
        if not transaction.lock.acquire(blocking=False):
            raise database_error("Transaction is still running a query")
        try:
            if transaction.is_failed and not is_rollback(sql):
                raise database_error(_IN_FAILED)
            body = partial(in_open_transaction, transaction, work, sql)
            body = partial(with_runner, transaction.session, engine, body)
            result = self._in_session(transaction.session, body, continues=continues)
            transaction.is_failed = False
            return result
        except SessionBusyError:
            raise database_error("Transaction is still running a query") from None
        except BaseException as error:
            raise self._after_error(transaction, cluster, engine, error) from None
        finally:
            self._transactions.touch(transaction)
            transaction.lock.release()

    def _after_error(
        self, transaction: Transaction, cluster: Cluster, engine: str, error: BaseException
    ) -> BaseException:
        """What an error leaves of a transaction, and the fault for it."""
        if is_lost(error):
            self._transactions.end(transaction, _LOST)
            return transaction_not_found(transaction.id, _LOST)
        fault = self._fault(error, cluster)
        if transaction.session.is_running:  # it continues after the timeout
            return fault
        if not transaction.is_open:
            self._transactions.end(transaction, ABORTED)
        is_timeout = isinstance(fault, Fault) and fault.code == "StatementTimeoutException"
        if engine == "aurora-postgresql" and (isinstance(error, Error) or is_timeout):
            transaction.is_failed = True
        return fault

    def _end(self, call: Call, input: dict[str, Any], sql: str) -> None:
        """Commit or roll back.  Raises Fault."""
        cluster = self._admitted(call, input)
        transaction = self._transactions.find(cluster, input["transactionId"])
        if not transaction.lock.acquire(blocking=False):
            raise database_error("Transaction is still running a query")
        try:
            is_failed = transaction.is_failed and sql == "COMMIT"
            work = partial(end, sql="ROLLBACK" if is_failed else sql)
            self._in_session(transaction.session, work, continues=False)
        except SessionBusyError:
            raise database_error("Transaction is still running a query") from None
        except BaseException as error:
            self._transactions.end(transaction, _LOST if is_lost(error) else ABORTED)
            if is_lost(error):
                raise transaction_not_found(transaction.id, _LOST) from None
            raise self._fault(error, cluster) from None
        finally:
            transaction.lock.release()
        self._transactions.end(transaction, ENDED)
        transaction.session.join(1)
        if is_failed:
            raise database_error(_ROLLED_BACK)

    # --- limits -----------------------------------------------------------------------------------------------------
    def _watch(self) -> None:
        """See to it that the limits are kept when nobody calls."""
        with self._guard:
            if self._sweeper is None and not self._is_closed:
                self._sweeper = threading.Thread(target=self._keep_sweeping, name="clusterdb-data-limits", daemon=True)
                self._sweeper.start()

    def _keep_sweeping(self) -> None:
        while not self._is_closed:
            at = self.sweep()
            with self._guard:
                if at is None:
                    self._sweeper = None
                    return
            self._wake.wait(max(0.05, min(at - self._clock(), _SWEEP_S)))

    # --- responses --------------------------------------------------------------------------------------------------
    def _response(self, result: Result, formats: Formats, *, is_json: bool, has_metadata: bool) -> dict[str, Any]:
        if not result.columns:
            return {"generatedFields": _long_fields(result.generated), "numberOfRecordsUpdated": result.updated}
        converters = [converter(column.type, formats) for column in result.columns if column.type is not None]
        records = [
            [
                {"isNull": True} if value is None else convert(value)
                for value, convert in zip(row, converters, strict=True)
            ]
            for row in result.rows
        ]
        if is_json:
            text = formatted([column.label for column in result.columns], records)
            if len(text) > self.settings.json_bytes_max:
                raise too_large()
            return {"formattedRecords": text, "numberOfRecordsUpdated": 0}
        response: dict[str, Any] = {"records": records, "numberOfRecordsUpdated": 0}
        if has_metadata:
            response["columnMetadata"] = [column.metadata() for column in result.columns]
        return response


def _sql(input: dict[str, Any]) -> str:
    """The statement.  Raises Fault."""
    sql: str = input["sql"]
    if len(sql) > _SQL_MAX:
        constraint = f"Member must have length less than or equal to {_SQL_MAX}"
        raise invalid(f"1 validation error detected: Value at 'sql' failed to satisfy constraint: {constraint}")
    if not sql.strip():
        raise bad_request("sql is empty")
    return sql


def _long_fields(numbers: tuple[int, ...]) -> list[dict[str, Any]]:
    return [{"longValue": number} for number in numbers]
