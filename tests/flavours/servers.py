"""Real servers, each in a directory of its own that goes when it stops, and DB-API connections to them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

__all__ = ["PATH", "Server", "mysql", "postgresql"]

POSTGRESQL_BIN = Path("/usr/lib/postgresql/15/bin")
STARTING_S = 60
SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION"
)
"""The SQL mode that MySQL 8 starts with; MariaDB's own is laxer."""


class Server(Protocol):
    """A running server."""

    def connect(self) -> Any:
        """A DB-API connection, in autocommit mode and UTC, to a database that is emptied for it."""

    def execute(self, connection: Any, sql: str, parameters: Any) -> Any:
        """The cursor of a statement."""

    def dump(self, *options: str) -> bytes:
        """What the server's own program writes of that database: mariadb-dump or pg_dump, with some options."""


class _PostgreSQL:
    """PostgreSQL by psycopg."""

    def __init__(self, driver: Any, port: int) -> None:
        self._driver = driver
        self._port = port

    def connect(self) -> Any:
        connection = self._driver.connect(
            host="127.0.0.1",
            port=self._port,
            user="postgres",
            dbname="postgres",
            autocommit=True,
            options="-c timezone=UTC -c client_min_messages=warning",
        )
        connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
        connection.execute("CREATE SCHEMA public")
        return connection

    def execute(self, connection: Any, sql: str, parameters: Any) -> Any:
        raw = "$1" in sql and bool(parameters)
        cursor = self._driver.RawCursor(connection) if raw else connection.cursor()
        return cursor.execute(sql, parameters or None)

    def dump(self, *options: str) -> bytes:
        where = ["--host=127.0.0.1", f"--port={self._port}", "--username=postgres"]
        return _output([POSTGRESQL_BIN / "pg_dump", *where, *options, "postgres"])


class _MySQL:
    """MariaDB, as MySQL 8 starts, by PyMySQL."""

    def __init__(self, driver: Any, path: Path) -> None:
        self._driver = driver
        self.socket = str(path)

    def connect(self) -> Any:
        connection = self._driver.connect(
            unix_socket=self.socket,
            user="root",
            charset="utf8mb4",
            autocommit=True,
            init_command=f"SET sql_mode = '{SQL_MODE}', time_zone = '+00:00'",
        )
        cursor = connection.cursor()
        for sql in ("SET foreign_key_checks = 0", "CREATE OR REPLACE DATABASE fresh", "SET foreign_key_checks = 1"):
            cursor.execute(sql)
        connection.select_db("fresh")
        return connection

    def execute(self, connection: Any, sql: str, parameters: Any) -> Any:
        cursor = connection.cursor()
        cursor.execute(sql, parameters or None)
        return cursor

    def dump(self, *options: str) -> bytes:
        program = shutil.which("mariadb-dump", path=PATH) or "mariadb-dump"
        where = ["--no-defaults", f"--socket={self.socket}", "--user=root", "--default-character-set=utf8mb4"]
        return _output([program, *where, *options, "fresh"])


@contextmanager
def postgresql() -> Iterator[Server]:
    """PostgreSQL 15.  Skips the test where the server or psycopg is not installed."""
    driver = pytest.importorskip("psycopg", reason="psycopg is not installed")
    if not (POSTGRESQL_BIN / "postgres").exists():
        pytest.skip(f"PostgreSQL 15 is not installed in {POSTGRESQL_BIN}")
    port = _free_port()
    with _directory("postgres") as directory:
        data = directory / "data"
        initdb: list[str | Path] = [
            POSTGRESQL_BIN / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        _run("postgres", [*initdb, "--locale=C.UTF-8"], directory)
        settings = [f"-p {port}", "-h 127.0.0.1", f"-k {directory}", "-F"]
        control: list[str | Path] = [POSTGRESQL_BIN / "pg_ctl", "-D", data, "-w", "-t", str(STARTING_S)]
        _run("postgres", [*control, "-l", directory / "log", "-o", " ".join(settings), "start"], directory)
        try:
            yield _PostgreSQL(driver, port)
        finally:
            _run("postgres", [*control, "-m", "immediate", "stop"], directory)


@contextmanager
def mysql() -> Iterator[Server]:
    """MariaDB, which stands for MySQL.  Skips the test where the server or PyMySQL is not installed."""
    driver = pytest.importorskip("pymysql", reason="PyMySQL is not installed")
    server, install = shutil.which("mariadbd", path=PATH), shutil.which("mariadb-install-db", path=PATH)
    if server is None or install is None:
        pytest.skip("MariaDB (mariadbd, mariadb-install-db) is not installed")
    with _directory("mysql") as directory:
        data, path = directory / "data", directory / "socket"
        common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={directory}"]
        _run("mysql", [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"], directory)
        settings = [f"--socket={path}", "--skip-networking", "--innodb-flush-log-at-trx-commit=0", "--debug-no-sync"]
        characters = ["--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci"]
        command = [*_as("mysql"), server, *common, *settings, *characters]
        with open(directory / "log", "wb") as log:
            process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await_mysql(path, directory / "log")
            yield _MySQL(driver, path)
        finally:
            _stop_mysql(driver, path, process)


PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def _await_mysql(path: Path, log: Path) -> None:
    """Wait until the server takes connections, as its own client says."""
    admin = shutil.which("mariadb-admin", path=PATH) or "mariadb-admin"
    command = [admin, "--no-defaults", f"--socket={path}", "--user=root", f"--wait={STARTING_S}", "--silent", "ping"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"MariaDB does not start: {answer.stderr}{log.read_text(errors='replace')[-2000:]}")


def _stop_mysql(driver: Any, path: Path, process: subprocess.Popen[bytes]) -> None:
    """Ask the server to stop; kill the process if it cannot be asked."""
    try:
        with driver.connect(unix_socket=str(path), user="root") as connection:
            connection.cursor().execute("SHUTDOWN")
        process.wait(STARTING_S)
    except (driver.Error, subprocess.TimeoutExpired):
        process.kill()
        process.wait()


@contextmanager
def _directory(owner: str) -> Iterator[Path]:
    """A directory that the server's user owns."""
    with tempfile.TemporaryDirectory(prefix="flavours-") as name:
        if _as(owner):
            shutil.chown(name, owner)
        yield Path(name)


def _as(user: str) -> list[str]:
    """What makes a command run as a user of the server's package, since servers refuse to run as root."""
    return ["runuser", "-u", user, "--"] if os.getuid() == 0 else []


def _run(user: str, command: list[str | Path], directory: Path) -> None:
    done = subprocess.run(
        [*_as(user), *command],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.decode(errors='replace')}")


def _output(command: list[str | Path]) -> bytes:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
