"""``make race``: threads of several processes use the data plane in C at once, under ThreadSanitizer.

``driver.c`` is compiled together with the sources of the plane, and checks what every reader sees.  This module creates
the store and its volumes, and checks the store afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import clusterdb
from tests.support.inside import catalog_of, pages_of
from vfs.registry import VolumeState
from vfs.storage.verify import damage_in
from vfs.storage.volumes import NewVolume, create, pinned

ROOT = Path(__file__).parents[2]
SOURCES = ("arrays", "calls", "crc", "layout", "reclaim", "sessions", "slots", "table", "volume")
"""The sources that need neither Python nor SQLite."""
FLAGS = ("-std=c11", "-O1", "-g", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pthread", "-Wl,--wrap=fcntl")
SANITIZER = ("-fsanitize=thread",)
FOUND = 66
"""The exit code of a process in which ThreadSanitizer has found something."""


class Violation(AssertionError):
    """A race, or a reader that saw something else than one version."""


def compiler() -> str | None:
    """The C compiler, if there is one that has ThreadSanitizer."""
    name = os.environ.get("CC", "cc")
    if shutil.which(name) is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        probe = Path(directory, "probe.c")
        probe.write_text("int main(void) { return 0; }\n")
        command = [name, *SANITIZER, str(probe), "-o", str(probe.with_suffix(""))]
        compiled = subprocess.run(command, capture_output=True, check=False).returncode == 0
        return name if compiled and subprocess.run([probe.with_suffix("")], check=False).returncode == 0 else None


def build(compiler_name: str, target: Path) -> None:
    """Compile the driver."""
    sources = [str(ROOT / "vfs" / "c" / f"{name}.c") for name in SOURCES]
    driver = str(Path(__file__).with_name("driver.c"))
    command = [compiler_name, *FLAGS, *SANITIZER, f"-I{ROOT / 'vfs' / 'c'}", driver, *sources, "-o", str(target)]
    subprocess.run(command, check=True)


def run(compiler_name: str, *, seconds: int, processes: int = 2, threads: int = 6, volumes: int = 2) -> list[str]:
    """Race for a time; a line of figures for every process.  Raises Violation."""
    shared_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="race-", dir=shared_memory) as directory:
        driver, path = Path(directory, "driver"), Path(directory, "store")
        build(compiler_name, driver)
        with clusterdb.open(path) as store:
            pool = pages_of(store)
            with pool.session() as session:
                rows = [
                    create(
                        pool,
                        session,
                        NewVolume(VolumeState.LIVE),
                        None,
                        require=lambda: None,
                        add=lambda row: None,
                    )
                    for _ in range(volumes)
                ]
            named = [f"{row.volume}:{row.table_index}:{row.head_slot}:{row.base.version}" for row in rows]
            command = [driver, seconds, processes, threads, 40, path, *named]
            options = f"halt_on_error=0 exitcode={FOUND} second_deadlock_stack=1"
            done = subprocess.run(
                [str(word) for word in command],
                env={**os.environ, "TSAN_OPTIONS": options},
                capture_output=True,
                text=True,
                timeout=seconds + 300,
                check=False,
            )
            if done.returncode:
                raise Violation(f"exit code {done.returncode}\n{done.stderr[:20_000]}")
        for name in ("map", "readers"):  # rebuilt from what the commits have written, as after a boot
            (path / name).unlink()
        with clusterdb.open(path) as store:
            for row in catalog_of(store).volumes.volume_rows():
                with pinned(pages_of(store), row) as volume:
                    damage = damage_in(pages_of(store), volume.version, 0)
                    if damage or volume.version.version == row.base.version:
                        raise Violation(f"volume {row.volume}: {damage or 'nothing was committed'}")
        return done.stdout.splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=6)
    arguments = parser.parse_args()
    name = compiler()
    if name is None:
        sys.exit("no C compiler with ThreadSanitizer: install gcc and its libtsan, or set CC")
    lines = run(name, seconds=arguments.seconds, processes=arguments.processes, threads=arguments.threads)
    print(*lines, "no race", sep="\n")


if __name__ == "__main__":
    main()
