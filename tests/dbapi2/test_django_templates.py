"""Django's test database as a clone of a cluster (TEST TEMPLATE), and errors about the names in DATABASES."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from clusterdb.access.command import command
from tests.support.stores import assert_clean, rows

pytest.importorskip("django")

PROJECT = {
    "settings.py": """
        import json, os
        DATABASES = json.loads(os.environ["DATABASES"])
        SECRET_KEY, INSTALLED_APPS, DEFAULT_AUTO_FIELD = "x", ["shop"], "django.db.models.AutoField"
        """,
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models
        class Order(models.Model):
            name = models.CharField(max_length=20)
            price = models.IntegerField(default=7)
        """,
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_initial.py": """
        from django.db import migrations, models
        class Migration(migrations.Migration):
            initial = True
            operations = [migrations.CreateModel("Order", [
                ("id", models.AutoField(primary_key=True)), ("name", models.CharField(max_length=20))])]
        """,
    "shop/migrations/0002_price.py": """
        from django.db import migrations, models
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [migrations.AddField("order", "price", models.IntegerField(default=7))]
        """,
    "shop/tests.py": """
        from django.db import connection
        from django.test import TestCase, TransactionTestCase
        from clusterdb.django.test import SnapshotMixin
        from shop.models import Order
        class Base:
            def check(self):
                assert connection.cluster.name.startswith("test_site"), connection.cluster.name
                assert connection.cluster.settings.backup_retention_days == 0
                self.assertEqual([(order.name, order.price) for order in Order.objects.all()], [("of prod", 7)])
                Order.objects.create(name="of a test", price=1)
            def test_one(self):
                self.check()
            def test_two(self):
                self.check()
        class First(Base, TestCase): pass
        class Second(Base, TestCase): pass
        class Serialized(Base, TransactionTestCase):
            serialized_rollback = True
        class Snapshots(SnapshotMixin, TransactionTestCase):
            def test_one(self):
                Order.objects.create(name="of a snapshot test")
            def test_two(self):
                self.assertFalse(Order.objects.filter(name="of a snapshot test").exists())
                self.test_one()
        """,
    "test_shop.py": """
        import os
        import pytest
        from django.db import connection
        from shop.models import Order
        @pytest.mark.django_db
        @pytest.mark.parametrize("number", range(6))
        def test_order(number):
            worker = os.environ.get("PYTEST_XDIST_WORKER")
            assert connection.cluster.name == (f"test_site_{worker}" if worker else "test_site")
            assert connection.cluster.stats().source == "prod"
            assert [order.name for order in Order.objects.all()] == ["of prod"]
            Order.objects.create(name=str(number))
        """,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project, and a store with the cluster 'prod': the first migration, and a row."""
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod")
    done = run(tmp_path, "-m", "django", "migrate", "shop", "0001", name="prod")
    assert done.returncode == 0, done.stderr
    with clusterdb.open(tmp_path / "store") as store:
        prod = store.cluster("prod")
        connection = prod.connect()
        connection.execute("INSERT INTO shop_order (name) VALUES ('of prod')")
        connection.close()
        prod.modify(deletion_protection=True, backup_retention_days=2)
    return tmp_path


def run(folder: Path, *arguments: str, name: str = "site", **test: Any) -> subprocess.CompletedProcess[str]:
    """Run Python in the project; ``test`` are the settings of the test database."""
    databases = {"default": {"ENGINE": "clusterdb.django", "NAME": name, "OPTIONS": {"store": "store"}, "TEST": test}}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"DJANGO_SETTINGS_MODULE": "settings", "DATABASES": json.dumps(databases)}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), *sys.path])
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def names(folder: Path) -> list[str]:
    """The clusters of the store, which must be clean."""
    with clusterdb.open(folder / "store") as store:
        assert_clean(store)
        return [cluster.name for cluster in store.clusters()]


def assert_template_is_unchanged(folder: Path) -> None:
    """It has one migration and one row."""
    with clusterdb.open(folder / "store") as store:
        connection = store.cluster("prod").connect()
        assert rows(connection, "SELECT * FROM shop_order") == [(1, "of prod")]
        connection.close()


# --- manage.py test ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [(), ("--parallel=2",), ("--reverse",), ("--shuffle=3", "--parallel=2")],
    ids=lambda value: " ".join(value),
)
def test_test_database_is_a_clone_with_the_missing_migrations(folder: Path, options: tuple[str, ...]) -> None:
    """Each test sees the rows of the template; afterwards nothing is left, and the template is as it was."""
    done = run(folder, "-m", "django", "test", "--noinput", *options, TEMPLATE="prod")
    assert done.returncode == 0, done.stderr
    assert "Ran 8 tests" in done.stderr
    assert names(folder) == ["prod"]
    assert_template_is_unchanged(folder)


def test_point_in_time_of_the_template_is_cloned(folder: Path) -> None:
    """A snapshot keeps the tests' data as it is while the template changes."""
    with clusterdb.open(folder / "store") as store:
        store.cluster("prod").snapshot("fixed_data")
        connection = store.cluster("prod").connect()
        connection.execute("DELETE FROM shop_order")
        connection.close()
    done = run(folder, "-m", "django", "test", "--noinput", TEMPLATE="prod@fixed_data")
    assert done.returncode == 0, done.stderr


def test_keepdb_keeps_the_clones(folder: Path) -> None:
    """The second run clones nothing, and needs no template."""
    clusters = {}
    for template in ("prod", "gone"):
        done = run(folder, "-m", "django", "test", "--keepdb", "--parallel=2", "shop.tests.First", "shop.tests.Second",
                   TEMPLATE=template)  # fmt: skip
        assert done.returncode == 0, done.stderr
        with clusterdb.open(folder / "store") as store:
            clusters[template] = {cluster.name: cluster.id for cluster in store.clusters()}
    assert sorted(clusters["prod"]) == ["prod", "test_site", "test_site_1", "test_site_2"]
    assert clusters["gone"] == clusters["prod"]
    done = run(folder, "-m", "django", "test", "--noinput", "shop.tests.First", TEMPLATE="prod")
    assert done.returncode == 0, done.stderr
    assert "test_site" not in names(folder)


def test_without_migrations_the_tables_of_the_template_are_used(folder: Path) -> None:
    """MIGRATE False: tables that exist stay as they are, with their rows; tables of new models are created."""
    with (folder / "shop/models.py").open("a") as file:
        file.write("\nclass New(models.Model): pass\n")
    (folder / "shop/migrations/0001_initial.py").unlink()
    (folder / "shop/migrations/0002_price.py").unlink()
    (folder / "shop/migrations/__init__.py").unlink()
    (folder / "shop/tests.py").write_text(
        textwrap.dedent("""
            from django.test import TestCase
            from shop.models import New, Order
            class Case(TestCase):
                def test_rows(self):
                    self.assertEqual(list(Order.objects.values_list("name", flat=True)), ["of prod"])
                    self.assertEqual(New.objects.count(), 0)
            """)
    )
    done = run(folder, "-m", "django", "test", "--noinput", TEMPLATE="prod", MIGRATE=False)
    assert done.returncode == 0, done.stderr
    assert_template_is_unchanged(folder)


# --- pytest-django ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [(), ("-n2",), pytest.param(("-n2", "--nomigrations"), marks=pytest.mark.slow)],
    ids=lambda value: " ".join(value),
)
def test_workers_of_xdist_clone_the_template(folder: Path, options: tuple[str, ...]) -> None:
    """Each worker has a clone of its own, with an underscore in its name."""
    pytest.importorskip("pytest_django")
    if "--nomigrations" in options:
        run(folder, "-m", "django", "migrate", name="prod")
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_shop.py", TEMPLATE="prod")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
    assert names(folder) == ["prod"]


# --- manage.py dbshell ------------------------------------------------------------------------------------------------
def test_dbshell_is_the_shell_on_the_cluster(folder: Path) -> None:
    """With its options, and its exit code; no plain file of that name is created."""
    query = "SELECT name FROM shop_order"
    done = run(folder, "-m", "django", "dbshell", "--", "--mode", "csv", "-c", query, name="prod")
    assert (done.returncode, done.stdout.split()[-2:]) == (0, ["of", "prod"]), done.stderr
    assert run(folder, "-m", "django", "dbshell", "--", "-c", "SELECT", name="prod").returncode == 1
    assert not (folder / "prod").exists()
    done = run(folder, "-m", "django", "dbshell", name=":memory:")
    assert done.stderr.splitlines()[-1] == (
        "django.core.exceptions.ImproperlyConfigured: NAME = ':memory:' is in the memory of its process: no other "
        "program can open it; use a cluster in a store on disk"
    )
    done = run(folder, "-m", "django", "dbshell", name="./shop.db")
    assert f"`{command()} --store store import ./shop.db shop`" in done.stderr.splitlines()[-1]


# --- errors -----------------------------------------------------------------------------------------------------------
ERRORS_OF_TESTS = {
    "unknown": (
        {"TEMPLATE": "prd"},
        "DATABASES['unknown']['TEST']['TEMPLATE'] = 'prd': store 'store' has no such cluster: use 'mysql', 'prod'",
    ),
    "path": (
        {"TEMPLATE": "prod.db"},
        "DATABASES['path']['TEST']['TEMPLATE'] = 'prod.db': store 'store' has no such cluster: use 'mysql', 'prod'",
    ),
    "snapshot": (
        {"TEMPLATE": "prod@nightly"},
        "DATABASES['snapshot']['TEST']['TEMPLATE'] = 'prod@nightly': store 'store' has no snapshot 'nightly'",
    ),
    "point": (
        {"TEMPLATE": "prod@"},
        "DATABASES['point']['TEST']['TEMPLATE'] = 'prod@': 'prod@': point in time missing after the @: add one, "
        "or remove the @",
    ),
    "engine": (
        {"TEMPLATE": "mysql"},
        "DATABASES['engine']['TEST']['TEMPLATE'] = 'mysql': the cluster has the engine aurora-mysql, and "
        "clusterdb.django needs sqlite: use another cluster",
    ),
    "memory": (
        {"TEMPLATE": "prod", "NAME": ":memory:"},
        "DATABASES['memory']['TEST']['TEMPLATE'] = 'prod': a test database in memory cannot be a clone: set TEST "
        "NAME to the name of a cluster, or remove TEMPLATE",
    ),
    "itself": (
        {"TEMPLATE": "prod", "NAME": "prod"},
        "DATABASES['itself']['TEST']['TEMPLATE'] = 'prod' is also the name of the test database, which is deleted "
        "before the tests: set TEST NAME to another name",
    ),
    "own": (
        {"NAME": "site"},
        "DATABASES['own']['NAME'] = 'site' is also the name of the test database, which is deleted before the "
        "tests: set TEST NAME to another name",
    ),
    "file": (
        {"NAME": "test.sqlite3"},
        "DATABASES['file']['TEST']['NAME'] = 'test.sqlite3': invalid cluster name 'test.sqlite3': use a letter "
        "followed by up to 62 letters, digits, hyphens or underscores",
    ),
}
ERRORS_OF_NAMES = {
    "./db.sqlite3": (
        "DATABASES['default']['NAME'] = './db.sqlite3' is a path, not the name of a cluster: import the file with "
        f"`{command()} --store store import ./db.sqlite3 site` and use the name 'site', or use the engine "
        "django.db.backends.sqlite3"
    ),
    "/srv/my shop.db": (
        "DATABASES['default']['NAME'] = '/srv/my shop.db' is a path, not the name of a cluster: import the file "
        f"with `{command()} --store store import '/srv/my shop.db' site` and use the name 'site', or use the engine "
        "django.db.backends.sqlite3"
    ),
    "shop.db": (
        "DATABASES['default']['NAME'] = 'shop.db' is a path, not the name of a cluster: import the file with "
        f"`{command()} --store store import shop.db shop` and use the name 'shop', or use the engine "
        "django.db.backends.sqlite3"
    ),
    "site": (
        "DATABASES['default']['NAME'] = 'site': store 'store' has no cluster 'site'. To create the cluster: "
        f"`{command()} --store store import db.sqlite3 site`, or OPTIONS['create'] = True for an empty one"
    ),
    "prof": (
        "DATABASES['default']['NAME'] = 'prof': store 'store' has no cluster 'prof'; did you mean 'prod'? To "
        f"create the cluster: `{command()} --store store import db.sqlite3 prof`, or OPTIONS['create'] = True for an "
        "empty one"
    ),
    "my site": (
        "DATABASES['default']['NAME'] = 'my site': invalid cluster name 'my site': use a letter followed by up to "
        "62 letters, digits, hyphens or underscores"
    ),
    "mysql": (
        "DATABASES['default']['NAME'] = 'mysql': the cluster has the engine aurora-mysql, and clusterdb.django "
        "needs sqlite: use another cluster"
    ),
}
SCRIPT = """
import json, os, pathlib, sys
import django
from django.conf import settings
databases = json.loads(sys.argv[1])
aliases = [alias for alias in databases if databases[alias]]
settings.configure(DATABASES=databases, INSTALLED_APPS=[])
django.setup()
from django.db import connections
errors = {}
for alias in aliases:
    try:
        if sys.argv[2] == "test":
            connections[alias].creation.create_test_db(verbosity=0, autoclobber=True)
        else:
            connections[alias].cursor()
    except Exception as error:
        errors[alias] = [type(error).__name__, str(error)]
print(json.dumps(errors))
"""


def errors_of(folder: Path, databases: dict[str, dict[str, Any]], what: str) -> dict[str, tuple[str, str]]:
    """The errors of each database, as class and text."""
    databases = {alias: {"ENGINE": "clusterdb.django", **settings} for alias, settings in databases.items()}
    done = run(folder, "-c", SCRIPT, json.dumps({"default": {}, **databases}), what)
    assert done.returncode == 0, done.stderr
    return {alias: (kind, text) for alias, (kind, text) in json.loads(done.stdout).items()}


@pytest.fixture
def clusters(tmp_path: Path) -> Path:
    """A directory with a store that has the clusters 'prod' and, of another engine, 'mysql'."""
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod")
        store.create_cluster("mysql", engine="aurora-mysql")
    return tmp_path


def test_errors_about_test_databases_name_the_setting(clusters: Path) -> None:
    """And nothing is created or deleted."""
    databases = {
        alias: {"NAME": "site", "OPTIONS": {"store": "store"}, "TEST": test}
        for alias, (test, _) in ERRORS_OF_TESTS.items()
    }
    errors = errors_of(clusters, databases, "test")
    assert errors == {alias: ("ImproperlyConfigured", text) for alias, (_, text) in ERRORS_OF_TESTS.items()}
    assert names(clusters) == ["mysql", "prod"]


def test_error_about_a_template_without_clusters_names_the_import(clusters: Path) -> None:
    """And one about a store with many clusters names the first of them."""
    with clusterdb.open(clusters / "store") as store:
        for cluster in store.clusters():
            cluster.delete()
    settings = {"NAME": "site", "OPTIONS": {"store": "store"}, "TEST": {"TEMPLATE": "prod"}}
    errors = errors_of(clusters, {"one": settings}, "test")
    assert errors["one"][1].endswith(
        "store 'store' has no such cluster: import a database first "
        f"(`{command()} --store store import db.sqlite3 prod`)"
    )
    with clusterdb.open(clusters / "store") as store:
        for number in range(23):
            store.create_cluster(f"c{number:02}")
    errors = errors_of(clusters, {"one": settings}, "test")
    assert errors["one"][1].endswith(
        "use 'c00', " + ", ".join(f"'c{n:02}'" for n in range(1, 20)) + ", or one of 3 others"
    )


@pytest.mark.parametrize("name", ERRORS_OF_NAMES)
def test_errors_about_names_tell_how_to_import(clusters: Path, name: str) -> None:
    """Whether the application or its tests connect."""
    databases = {"default": {"NAME": name, "OPTIONS": {"store": "store"}}}
    ((kind, text),) = errors_of(clusters, databases, "connect").values()
    assert text == ERRORS_OF_NAMES[name]
    assert kind == ("OperationalError" if "To create" in text else "ImproperlyConfigured")


def test_error_about_a_missing_store_tells_how_to_import(tmp_path: Path) -> None:
    """The default store is not named in the command."""
    for what in ("connect", "test"):
        ((_, text),) = errors_of(tmp_path, {"default": {"NAME": "site"}}, what).values()
        assert text.startswith("DATABASES['default']['NAME'] = 'site': ")
        assert "no store at '.clusterdb'" in text
        assert text.endswith(
            f" To create the cluster: `{command()} import db.sqlite3 site`, "
            "or OPTIONS['create'] = True for an empty one"
        )
