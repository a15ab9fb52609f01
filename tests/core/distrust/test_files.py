"""Files of a store: rights, links, copies, other boots, remote file systems."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import clusterdb
from tests.core.distrust.family import assert_is_the_family, fill, put_word
from tests.support.stores import assert_clean, rows
from vfs import store as vfs_store
from vfs.format import shared
from vfs.format.shared import MapHeader


@pytest.fixture
def umask() -> Iterator[None]:
    """Nobody's rights are taken away by the umask."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_store_directory_is_private_under_any_umask(tmp_path: Path, umask: None) -> None:
    """The directory of a new store belongs to its owner only, also where its parents had to be created."""
    clusterdb.open(tmp_path / "parent" / "store").close()
    assert mode(tmp_path / "parent" / "store") == 0o700
    for name in ("pool", "map", "readers", "locks"):
        assert mode(tmp_path / "parent" / "store" / name) == 0o600


def test_catalog_is_private_under_any_umask(tmp_path: Path, umask: None) -> None:
    """The catalog, which has the names, is private even in a directory that others can enter."""
    with clusterdb.open(tmp_path / "store") as store:
        fill(store.create_cluster("one"), 1)
        assert {file.name: mode(file) for file in (tmp_path / "store").glob("catalog.db*")} == {
            "catalog.db": 0o600,
            "catalog.db-wal": 0o600,
            "catalog.db-shm": 0o600,
        }


LINKED = ["pool", "map", "readers", "locks", "catalog.db", "catalog.db-wal", "catalog.db-shm"]


def plant(path: Path, name: str, target: Path) -> None:
    """Put a link in the place of a file of the store."""
    (path / name).unlink(missing_ok=True)
    (path / name).symlink_to(target)


def open_and_use(path: Path) -> None:
    """Open a store and write to it."""
    with clusterdb.open(path) as store:
        fill(store.create_cluster("new"), 9)


@pytest.mark.parametrize("name", LINKED)
def test_link_to_a_file_outside_is_refused(own: Path, tmp_path: Path, name: str) -> None:
    """A store one of whose files is a link is refused, and the target of the link is unchanged."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"somebody else's " * 1000)
    plant(own, name, outside)
    with pytest.raises(clusterdb.Error):
        open_and_use(own)
    assert outside.read_bytes() == b"somebody else's " * 1000


@pytest.mark.parametrize("name", [pytest.param(name, id=f"link to the same {name}") for name in LINKED[:-1]])
def test_link_to_a_valid_file_is_refused(own: Path, tmp_path: Path, name: str) -> None:
    """A link is refused even if its target is a valid file: it may lie where others can write."""
    outside = tmp_path / "outside"
    shutil.copy(own / name, outside)
    before = outside.read_bytes()
    plant(own, name, outside)
    with pytest.raises(clusterdb.Error):
        open_and_use(own)
    assert outside.read_bytes() == before


@pytest.mark.parametrize("name", LINKED)
def test_dangling_link_is_refused_and_creates_nothing(own: Path, tmp_path: Path, name: str) -> None:
    """A dangling link is refused, and its target is not created."""
    plant(own, name, tmp_path / "outside")
    with pytest.raises(clusterdb.Error):
        open_and_use(own)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", [pytest.param(name, id=f"new link {name}") for name in LINKED])
def test_link_in_a_new_store_is_refused(tmp_path: Path, name: str) -> None:
    """A link that is put where a store is about to be created is refused."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "locks").touch()
    plant(tmp_path / "store", name, tmp_path / "outside")
    with pytest.raises(clusterdb.Error):
        open_and_use(tmp_path / "store")
    assert not (tmp_path / "outside").exists()


def test_store_directory_may_be_a_link(own: Path, tmp_path: Path) -> None:
    """The owner of a store chooses where it lies."""
    (tmp_path / "link").symlink_to(own)
    open_and_use(tmp_path / "link")
    assert_is_the_family(tmp_path / "link", new=1)


def test_copy_of_a_closed_store_is_independent(own: Path, tmp_path: Path) -> None:
    """Changes to a copy of a closed store do not reach the original, and the other way round."""
    copy = tmp_path / "copy"
    shutil.copytree(own, copy)
    with clusterdb.open(own) as store, clusterdb.open(copy) as other:
        fill(store.create_cluster("here"), 7)
        other.cluster("one").delete()
        fill(other.cluster("two"), 8)
        fill(store.cluster("heir").clone("there"), 9)
    assert_is_the_family(own, here=7, there=9)
    with clusterdb.open(copy) as other:
        assert_clean(other)
        assert [cluster.name for cluster in other.clusters()] == ["heir", "joint-heir", "three", "two"]
        assert rows(other.cluster("two").connect(), "SELECT min(n), max(n) FROM t") == [(8, 8)]
        assert rows(other.cluster("three").connect(), "SELECT min(n), max(n) FROM t") == [(2, 2)]


def test_store_can_be_moved(own: Path) -> None:
    """A closed store can be renamed, and back."""
    moved = own.with_name("moved")
    own.rename(moved)
    assert_is_the_family(moved)
    open_and_use(moved)
    moved.rename(own)
    assert_is_the_family(own, new=9)


@pytest.mark.parametrize("names", [("pool", "catalog.db"), ("pool", "catalog.db", "catalog.db-wal")], ids=len)
def test_store_opens_from_pool_and_catalog_alone(own: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    """All other files are derived: a copy of the pool and the catalog is the store."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in names:
        shutil.copy(own / name, copy / name)
    assert_is_the_family(copy)


def test_store_opens_from_pool_catalog_and_empty_lock_file(own: Path, tmp_path: Path) -> None:
    """The lock file has no bytes and may be copied as well."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("pool", "catalog.db", "catalog.db-wal"):
        shutil.copy(own / name, copy / name)
    (copy / "locks").touch()
    assert_is_the_family(copy)


def scramble_map(path: Path) -> None:
    """Make every slot of the map free: who believes it will write over data."""
    size = (path / "map").stat().st_size
    with open(path / "map", "r+b") as file:
        file.seek(shared.MAP_HEADER_BYTES)
        file.write(bytes(size - shared.MAP_HEADER_BYTES))


@pytest.mark.parametrize(
    "word", [MapHeader.word("boot_low"), MapHeader.word("boot_low") + 1], ids=["first half", "second half"]
)
def test_map_of_another_boot_is_rebuilt(own: Path, word: int) -> None:
    """A map written in another boot is not believed."""
    scramble_map(own)
    put_word(own, "map", word, 0x1234)
    assert_is_the_family(own)
    open_and_use(own)
    assert_is_the_family(own, new=9)


@pytest.mark.parametrize("word", [MapHeader.word("device"), MapHeader.word("inode")], ids=["device", "inode"])
def test_map_of_another_pool_is_rebuilt(own: Path, word: int) -> None:
    """A map of another pool file is not believed."""
    scramble_map(own)
    put_word(own, "map", word, 0x1234)
    assert_is_the_family(own)


def test_map_is_rebuilt_once_after_a_boot(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a boot the map is rebuilt once, and believed from then on."""
    scramble_map(own)
    monkeypatch.setattr(vfs_store, "boot_id", lambda: b"another boot now")
    assert_is_the_family(own)
    rebuilds: list[object] = []
    monkeypatch.setattr("vfs.tools.recovery.rebuild", rebuilds.append)
    assert_is_the_family(own)
    assert rebuilds == []


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p"])
def test_store_on_a_remote_file_system_is_refused(own: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """An existing store on a remote file system is refused, too, and not changed."""

    def files() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in own.rglob("*") if file.is_file()}

    before = files()
    monkeypatch.setattr("vfs.store.file_system_of", lambda _: kind)
    for verb in (clusterdb.open, clusterdb.repair):
        with pytest.raises(clusterdb.UnsupportedFileSystemError, match=f"{kind} file system"):
            verb(own)
    assert files() == before
