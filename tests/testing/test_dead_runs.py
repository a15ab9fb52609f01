"""Clones and templates that killed runs, reboots and damage leave."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

import clusterdb
import clusterdb.sqlalchemy
import clusterdb.testing.cases
import clusterdb.testing.fixtures
from clusterdb.testing import owners, runs, seeds, templates
from tests.support.inside import catalog_of
from tests.support.stores import assert_clean
from tests.testing.plugin import CONFTEST, FAILING, STORE, Runner, built, names, printed_commands
from vfs.storage import device
from vfs.tools.check import CheckReport


def test_clones_of_a_killed_run_are_deleted_by_the_next(
    pytester: pytest.Pytester, run: Runner, run_apart: Runner
) -> None:
    """Its snapshots too; what is kept stays."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(FAILING)
    (command,) = printed_commands(run())
    pytester.makepyfile("""
        import os, signal
        def test_dies(clusterdb):
            clusterdb.snapshot()
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert run_apart("-p", "no:xdist").ret == -signal.SIGKILL
    assert len([name for name in names() if name.startswith("test-")]) == 2
    pytester.makepyfile("def test_it(clusterdb): ...")
    run().assert_outcomes(passed=1)
    assert [name for name in names() if name.startswith("test-")] == [command.split()[-1]]
    with clusterdb.open(STORE) as store:
        assert store.snapshots() == []


def test_owner_is_alive_dead_or_unknown() -> None:
    """This process lives, one that has ended does not; after a reboot nobody does; of other containers nobody knows."""
    child = subprocess.Popen(
        [sys.executable, "-c", "from clusterdb.testing.owners import this_process; print(this_process())"], stdout=-1
    )
    output, _ = child.communicate()
    mine = owners.this_process()
    boot, namespace, pid, started = mine.split()
    assert not owners.has_ended(mine)
    assert owners.has_ended(output.decode())
    assert owners.has_ended(f"{boot} {namespace} {pid} 1")
    assert owners.has_ended(f"other {namespace} {pid} {started}")
    assert not owners.has_ended(f"{boot} pid:[1] {pid} 1")
    assert owners.has_ended("")


def test_templates_expire_unused_and_clones_always(tmp_path: Path) -> None:
    """Templates when nobody uses them, clones in any case: a store does not grow for ever."""
    run = runs.Run(tmp_path / "store")
    clone = run.clone(seeds.recipe("CREATE TABLE t (n)"))
    assert clone.template.settings.idle_s == templates.IDLE_S
    assert clone.cluster.settings.ttl_s == runs.CLONE_TTL_S
    clone.template.modify(idle_s=1e-9)
    clone.cluster.modify(ttl_s=1e-9)
    assert sorted(run.store.expire()) == sorted([clone.template.name, clone.name])
    run.drop(clone)
    run.close()


def test_template_deleted_meanwhile_is_rebuilt(tmp_path: Path) -> None:
    """Another run may build it anew; a cluster that is no template is not missed so quietly."""
    run = runs.Run(tmp_path / "store")
    recipe = seeds.recipe("CREATE TABLE t (n)")
    template = run.clone(recipe).template
    template.delete()
    clone = run.clone(template)
    assert clone.connect().execute("SELECT count(*) FROM t").fetchone() == (0,)
    clone.drop()
    other = run.store.create_cluster("other")
    other.delete()
    with pytest.raises(clusterdb.ClusterNotFoundError):
        run.clone(other)
    run.close()


def test_damaged_store_message_says_to_delete_it(tmp_path: Path) -> None:
    """It holds nothing but test data."""
    runs.Run(tmp_path / "store").close()
    (tmp_path / "store" / "catalog.db-wal").unlink()
    (tmp_path / "store" / "catalog.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(clusterdb.CorruptStoreError, match="holds test data only: delete the directory"):
        runs.Run(tmp_path / "store")


def test_store_is_checked_after_a_boot(tmp_path: Path) -> None:
    """A page that never reached the device is found before a test believes it; what is whole is used."""
    recipe = seeds.recipe("CREATE TABLE t (s); INSERT INTO t VALUES (printf('%5000s', 'here'))")
    run = runs.Run(tmp_path / "store")
    run.templates.cluster(recipe)
    run.close()
    note, pool = tmp_path / "store" / "testing" / "boot", tmp_path / "store" / "pool"
    note.write_text("another")
    run = runs.Run(tmp_path / "store")
    assert run.templates.cluster(recipe) and not run.stats.built
    run.close()
    content = pool.read_bytes()
    at = content.index(b"here") // 4096 * 4096
    pool.write_bytes(content[:at] + bytes(4096) + content[at + 4096 :])
    note.write_text("another")
    with pytest.raises(
        clusterdb.CorruptStoreError, match=r"was damaged when the system went down .*delete the directory"
    ):
        runs.Run(tmp_path / "store")


def test_disposable_store_syncs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither pool nor catalog are synced, even with PRAGMA synchronous = FULL; those of other stores are."""
    synced: list[int] = []
    monkeypatch.setattr(device.CALLS, "fdatasync", synced.append)
    for disposable in (True, False):
        with clusterdb.open(tmp_path / f"{disposable}", disposable=disposable) as store:
            synced.clear()
            clone = store.create_cluster("base").clone("clone")
            connection = clone.connect()
            connection.execute("PRAGMA synchronous = FULL; CREATE TABLE t (n)").fetchall()
            connection.close()
            clone.delete()
            assert catalog_of(store).database._db.pragma("synchronous") == (1 if disposable else 3)
            assert bool(synced) is not disposable
            assert_clean(store)


@pytest.mark.slow
def test_killed_xdist_worker_leaves_a_clean_store(pytester: pytest.Pytester, run_apart: Runner) -> None:
    """xdist starts another; the store is clean, and the next run uses it again."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        import os, signal
        import pytest

        @pytest.mark.parametrize("n", range(1000))
        def test_it(clusterdb_connection, n):
            assert clusterdb_connection.execute("SELECT count(*) FROM accounts").fetchone() == (10,)
            clusterdb_connection.execute("UPDATE accounts SET balance = ?", (n,))
            clusterdb_connection.commit()
            if n == 300 and os.environ.get("DIES"):
                os.kill(os.getpid(), signal.SIGKILL)
    """)
    os.environ["DIES"] = "1"
    try:
        result = run_apart("-n", "2", "--max-worker-restart=1")
    finally:
        del os.environ["DIES"]
    result.assert_outcomes(passed=999, failed=1)
    assert len([name for name in names() if name.startswith("test-")]) <= 1
    result = run_apart("-n", "2", "--clusterdb-stats")
    result.assert_outcomes(passed=1000)
    result.stdout.fnmatch_lines(["clones made: 1000, in *", "template found: *"])
    assert [name[:9] for name in names()] == ["template-"]
    assert built() == ["accounts"]


def test_torn_note_of_a_failed_seed_is_ignored(tmp_path: Path) -> None:
    """A power failure can leave an empty one; the seeds are run again."""
    recipe = seeds.recipe("CREATE TABLE t (a)")
    run = runs.Run(tmp_path / "store")
    (tmp_path / "store" / "testing" / f"{recipe.name}.failed").write_text("")
    assert run.clone(recipe).connect().execute("SELECT * FROM t").fetchall() == []
    run.close()


def test_workers_wait_while_one_checks_the_store_after_a_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another worker changes meanwhile would look like damage."""
    runs.Run(tmp_path / "store").close()
    note = tmp_path / "store" / "testing" / "boot"
    note.write_text("an earlier boot".ljust(len(note.read_text())))
    locked: list[bool] = []

    def check_beside_others(store: clusterdb.Store) -> CheckReport:
        with note.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked.append(False)
            except BlockingIOError:
                locked.append(True)
        return CheckReport()

    monkeypatch.setattr(clusterdb.Store, "check", check_beside_others)
    runs.Run(tmp_path / "store").close()
    assert locked == [True]
    runs.Run(tmp_path / "store").close()
    assert locked == [True]  # it was noted
