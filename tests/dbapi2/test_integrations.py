"""SQLAlchemy, Alembic, Django, pandas and aiosqlite on clusters, as their users write them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from clusterdb.dbapi2.opening import shared_store

sqlalchemy = pytest.importorskip("sqlalchemy")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a store with a cluster 'prod'."""
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod")
    return tmp_path / "store"


# --- SQLAlchemy -------------------------------------------------------------------------------------------------------
def test_sqlalchemy_engines_of_cluster_and_clone_are_separate(path: Path) -> None:
    """An engine for a cluster, another for its clone: what one writes the other does not see."""
    engine = sqlalchemy.create_engine(f"sqlite+clusterdb:///prod?store={path}")
    metadata = sqlalchemy.MetaData()
    table = sqlalchemy.Table("t", metadata, sqlalchemy.Column("n", sqlalchemy.Integer, primary_key=True))
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"n": n} for n in range(5)])
    shared_store(path).cluster("prod").clone("dev")
    dev = sqlalchemy.create_engine(f"sqlite+clusterdb:///dev?store={path}")
    with dev.begin() as connection:
        connection.execute(table.delete())
    with engine.connect() as first, dev.connect() as second:
        count = sqlalchemy.select(sqlalchemy.func.count()).select_from(table)
        assert (first.scalar(count), second.scalar(count)) == (5, 0)
    engine.dispose()
    dev.dispose()


def test_sqlalchemy_reads_through_readers(path: Path) -> None:
    """An engine of the reader endpoint cannot write."""
    prod = shared_store(path).cluster("prod")
    prod.add_instance("w")
    prod.add_instance("r")
    engine = sqlalchemy.create_engine(f"sqlite+clusterdb:///prod?store={path}&endpoint=reader")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").all() == [(1,)]
        with pytest.raises(sqlalchemy.exc.OperationalError, match="readonly"):
            connection.exec_driver_sql("CREATE TABLE t (n)")
    engine.dispose()


def test_sqlalchemy_recovers_from_a_failover(path: Path) -> None:
    """The first statement fails, and the pool has new connections then."""
    prod = shared_store(path).cluster("prod")
    prod.add_instance("w")
    prod.add_instance("r")
    engine = sqlalchemy.create_engine(f"sqlite+clusterdb:///prod?store={path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n)")
    prod.failover()
    with pytest.raises(sqlalchemy.exc.OperationalError, match="failed over") as caught, engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    assert caught.value.connection_invalidated
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (2)")
        assert connection.exec_driver_sql("SELECT n FROM t").all() == [(2,)]
    engine.dispose()


def test_sqlalchemy_without_a_database_is_an_anonymous_cluster_per_thread() -> None:
    """Without a database it is an anonymous cluster, one for each thread."""
    engine = sqlalchemy.create_engine("sqlite+clusterdb://")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n)")
        assert sqlalchemy.inspect(connection).get_table_names() == ["t"]
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sqlite+clusterdb://host/prod", "without a host"),
        ("sqlite+clusterdb:///prod?stroe=x", "unknown option 'stroe'"),
    ],
)
def test_sqlalchemy_refuses_invalid_urls(url: str, text: str) -> None:
    """They are refused before anything is opened."""
    with pytest.raises(sqlalchemy.exc.ArgumentError, match=text):
        sqlalchemy.create_engine(url).connect()


def test_sqlalchemy_names_the_nearest_cluster(path: Path) -> None:
    """A name that is not there."""
    engine = sqlalchemy.create_engine(f"sqlite+clusterdb:///prof?store={path}")
    with pytest.raises(sqlalchemy.exc.OperationalError, match="did you mean 'prod'"):
        engine.connect()


# --- Alembic ----------------------------------------------------------------------------------------------------------
def test_alembic_rehearses_a_migration_on_a_clone(path: Path, tmp_path: Path) -> None:
    """Upgrade and downgrade, with a batch migration, on a clone; the source is as it was."""
    pytest.importorskip("alembic")
    from alembic import command
    from alembic.config import Config

    prod = shared_store(path).cluster("prod")
    connection = clusterdb.connect(prod)
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, price TEXT)")
    connection.execute("INSERT INTO t VALUES (1, '12')")
    connection.commit()
    connection.close()
    rehearsal = prod.clone("rehearsal")
    config = Config()
    config.set_main_option("script_location", str(tmp_path / "migrations"))
    config.set_main_option("sqlalchemy.url", f"sqlite+clusterdb:///rehearsal?store={path}")
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").write_text(
        textwrap.dedent(
            """
            from alembic import context
            from sqlalchemy import create_engine
            engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
            with engine.begin() as connection:
                context.configure(connection=connection, render_as_batch=True)
                context.run_migrations()
            engine.dispose()
            """
        )
    )
    (tmp_path / "migrations" / "versions" / "one.py").write_text(
        textwrap.dedent(
            """
            import sqlalchemy as sa
            from alembic import op
            revision, down_revision = "one", None
            def upgrade():
                with op.batch_alter_table("t") as batch:
                    batch.alter_column("price", type_=sa.Integer(), existing_type=sa.Text())
                    batch.add_column(sa.Column("tax", sa.Integer(), server_default="19"))
            def downgrade():
                with op.batch_alter_table("t") as batch:
                    batch.drop_column("tax")
            """
        )
    )
    command.upgrade(config, "head")
    with clusterdb.connect(rehearsal) as connection:
        assert connection.execute("SELECT n, price, tax FROM t").fetchall() == [(1, 12, 19)]
    connection.close()
    command.downgrade(config, "base")
    columns = [row[1] for row in rehearsal.connect().execute("PRAGMA table_info(t)")]
    assert columns == ["n", "price"]
    assert [row[2] for row in prod.connect().execute("PRAGMA table_info(t)")] == ["INTEGER", "TEXT"]


# --- Django -----------------------------------------------------------------------------------------------------------
SHOP = {
    "settings.py": """
        DATABASES = {"default": {"ENGINE": "clusterdb.django", "NAME": "prod", "OPTIONS": {"store": %r}}}
        SECRET_KEY, INSTALLED_APPS, DEFAULT_AUTO_FIELD = "x", ["shop"], "django.db.models.AutoField"
        """,
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models
        class Order(models.Model):
            name = models.CharField(max_length=20)
            price = models.DecimalField(max_digits=8, decimal_places=2)
            at = models.DateTimeField(auto_now_add=True)
        """,
    "shop/tests.py": """
        from decimal import Decimal
        from django.db import connection, transaction
        from django.test import TestCase, TransactionTestCase
        from clusterdb.django.test import SnapshotMixin
        from shop.models import Order
        class Committing(SnapshotMixin, TransactionTestCase):
            @classmethod
            def setUpClass(cls):
                Order.objects.create(name="base", price="1.5")
                super().setUpClass()
            def tearDown(self):
                assert connection.in_atomic_block is False
            def test_one(self):
                with transaction.atomic():
                    Order.objects.create(name="x", price=2)
                self.assertEqual(Order.objects.count(), 2)
            def test_two(self):
                self.assertEqual([order.price for order in Order.objects.all()], [Decimal("1.50")])
                Order.objects.all().delete()
            def test_three(self):
                self.assertEqual(Order.objects.get().at.year > 2000, True)
        class Rolling(TestCase):
            def test_nothing_there(self):
                self.assertTrue(connection.cluster.name.startswith("test_prod"), connection.cluster.name)
                Order.objects.create(name="y", price=3)
        """,
}


@pytest.mark.parametrize("parallel", [1, 2])
def test_django_tests_run_on_clones(path: Path, tmp_path: Path, parallel: int) -> None:
    """Migrations, tests that commit, in several processes; afterwards nothing of it is left."""
    pytest.importorskip("django")
    for name, text in SHOP.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text.replace("%r", repr(str(path)))))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }

    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "django", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout + done.stderr

    manage("makemigrations", "shop")
    manage("migrate")
    out = manage("test", f"--parallel={parallel}", "--noinput")
    assert "Ran 4 tests" in out
    with clusterdb.open(path) as store:
        assert [cluster.name for cluster in store.clusters()] == ["prod"]
        assert store.snapshots() == []
        prod = store.cluster("prod").connect()
        assert prod.execute("SELECT count(*) FROM shop_order").fetchall() == [(0,)]
        prod.close()
        assert store.check().ok


IN_MEMORY = {
    "settings.py": """
        DATABASES = {
            "default": {"ENGINE": "clusterdb.django", "NAME": %r},
            "other": {"ENGINE": "clusterdb.django", "NAME": ":memory:"},
        }
        SECRET_KEY, INSTALLED_APPS, DEFAULT_AUTO_FIELD = "x", ["shop"], "django.db.models.AutoField"
        """,
    "shop/__init__.py": "",
    "shop/models.py": SHOP["shop/models.py"],
    "shop/migrations/__init__.py": "",
    "shop/migrations/0002_first.py": """
        from django.db import migrations
        def fill(apps, editor):
            Order = apps.get_model("shop", "Order")
            Order.objects.using(editor.connection.alias).create(name=editor.connection.alias, price=1)
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [migrations.RunPython(fill)]
        """,
    "shop/tests.py": """
        import os, threading
        from django.db import connections
        from django.test import TestCase, TransactionTestCase
        from shop.models import Order
        class Base:
            databases = "__all__"
            def test_content(self):
                for alias in ("default", "other"):
                    self.assertEqual([order.name for order in Order.objects.using(alias).all()], [alias])
            def test_write(self):
                Order.objects.create(name=str(os.getpid()), price=3)
                self.assertEqual(Order.objects.count(), 2)
        class First(Base, TestCase): pass
        class Second(Base, TestCase): pass
        class Third(TransactionTestCase):
            def test_threads(self):
                Order.objects.all().delete()
                Order.objects.create(name="x", price=3)
                counts = []
                def work():
                    counts.append(Order.objects.count())
                    connections.close_all()
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
                self.assertEqual(counts, [1])
        """,
    "manage.py": """
        import multiprocessing, os, sys
        from django.core.management import execute_from_command_line
        if __name__ == "__main__":
            multiprocessing.set_start_method(os.environ["START"])
            execute_from_command_line(sys.argv)
        """,
}


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory&cache=shared"])
@pytest.mark.parametrize("parallel", [1, 2])
def test_django_tests_in_memory_run_in_several_processes(tmp_path: Path, name: str, start: str, parallel: int) -> None:
    """Every worker has a copy of what the migrations have made, of all databases."""
    pytest.importorskip("django")
    for file, text in IN_MEMORY.items():
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / file).write_text(textwrap.dedent(text.replace("%r", repr(name))))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "START": start,
    }
    later = tmp_path / "shop/migrations/0002_first.py"
    later.rename(tmp_path / "later")
    for arguments in (["makemigrations", "shop"], ["test", "--noinput", f"--parallel={parallel}"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr + done.stdout
        if not later.exists():
            (tmp_path / "later").rename(later)
    assert "Ran 5 tests" in done.stderr
    assert not list(tmp_path.glob("*sqlite*")) and not (tmp_path / ".clusterdb").exists()


PYTEST_DJANGO = {
    "settings.py": """
        OPTIONS = {"store": %r}
        DATABASES = {"default": {"ENGINE": "clusterdb.django", "NAME": "site", "OPTIONS": OPTIONS}}
        SECRET_KEY, INSTALLED_APPS, DEFAULT_AUTO_FIELD = "x", ["shop"], "django.db.models.AutoField"
        """,
    "shop/__init__.py": "",
    "shop/models.py": SHOP["shop/models.py"],
    "test_shop.py": """
        import os
        import pytest
        from shop.models import Order
        @pytest.mark.django_db
        @pytest.mark.parametrize("number", range(6))
        def test_order(number):
            from django.db import connection
            worker = os.environ.get("PYTEST_XDIST_WORKER")
            wanted = {"site": f"test_site_{worker}" if worker else "test_site"}
            name = connection.settings_dict["NAME"]
            assert "mode=memory" in name or name == wanted["site"]
            Order.objects.create(name=str(number), price=number)
            assert [order.name for order in Order.objects.all()] == [str(number)]
        @pytest.mark.django_db(transaction=True)
        def test_transaction():
            Order.objects.create(name="x", price=1)
            assert Order.objects.count() == 1
        """,
}


@pytest.mark.parametrize(
    "name",
    ["site", *(pytest.param(name, marks=pytest.mark.slow) for name in (":memory:", "file:x?mode=memory&cache=shared"))],
)
@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["one process", "xdist"])
def test_pytest_django_runs_on_clusters(path: Path, tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    """With workers too, for which it adds underscores to the name; nothing is left."""
    pytest.importorskip("pytest_django")
    for file, text in PYTEST_DJANGO.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        text = text.replace("%r", repr(str(path))).replace('"NAME": "site"', f'"NAME": "{name}"')
        (tmp_path / file).write_text(textwrap.dedent(text))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_shop.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout
    if name == "site":
        with clusterdb.open(path) as store:
            assert [cluster.name for cluster in store.clusters()] == ["prod"]


def test_django_refuses_plain_file_paths(path: Path, tmp_path: Path) -> None:
    """A plain file is for Django's own backend."""
    pytest.importorskip("django")
    script = (
        "from django.conf import settings; import django;"
        "settings.configure(DATABASES={'default': {'ENGINE': 'clusterdb.django', 'NAME': './app.db'}}); django.setup();"
        "from django.db import connection; connection.cursor()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "use the engine django.db.backends.sqlite3" in done.stderr.splitlines()[-1]


# --- pandas, aiosqlite ------------------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy")
def test_pandas_reads_and_writes_clusters(path: Path) -> None:
    """read_sql and to_sql, with a connection and with an engine."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": [1, 2], "name": ["a", None]})
    connection = clusterdb.connect("prod", store=path)
    frame.to_sql("t", connection, index=False)
    assert pandas.read_sql("SELECT sum(n) AS n FROM t", connection)["n"].tolist() == [3]
    connection.close()
    engine = sqlalchemy.create_engine(f"sqlite+clusterdb:///prod?store={path}")
    frame.to_sql("t", engine, index=False, if_exists="append")
    assert pandas.read_sql("t", engine)["name"].isna().tolist() == [False, True, False, True]
    engine.dispose()


def test_aiosqlite_connects_reads_and_writes(path: Path) -> None:
    """Connect, write, read in a loop, see the errors of PEP 249."""
    pytest.importorskip("aiosqlite")
    from clusterdb import aio

    async def work() -> list[Any]:
        async with aio.connect("prod", store=path) as connection:
            await connection.execute("CREATE TABLE t (n)")
            await connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(100)])
            await connection.commit()
            with pytest.raises(clusterdb.OperationalError, match="no such table"):
                await connection.execute("SELECT * FROM nowhere")
            async with connection.execute("SELECT n FROM t WHERE n > 97") as cursor:
                return [row async for row in cursor]

    assert asyncio.run(work()) == [(98,), (99,)]
