"""The extension module ``vfs._native``: its sources, and installing without it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("vfs/c/**/*.c"), *ROOT.glob("vfs/c/**/*.h")])


def test_only_the_module_needs_python() -> None:
    """The other sources also serve processes without Python, as a loadable extension of SQLite."""
    users = [path.name for path in SOURCES if re.search(r"^\s*#\s*include\s*[<\"]Python\.h", path.read_text(), re.M)]
    assert users == ["module.c"]


def test_build_compiles_and_packs_every_source() -> None:
    """No file needs an entry in a list."""
    setup = (ROOT / "setup.py").read_text()
    assert 'sources=files("vfs/c/*.c")' in setup
    assert '{*files("vfs/c/*.c"), *files("vfs/c/standalone/*.c")} - NEED_PYTHON' in setup
    assert "graft vfs/c" in (ROOT / "MANIFEST.in").read_text().splitlines()


USE = """
import clusterdb

assert clusterdb.implementation == "python", clusterdb.implementation
with clusterdb.open("store") as store:
    prod = store.create_cluster("prod")
    prod.connect().execute("CREATE TABLE t (n); INSERT INTO t VALUES (7)")
    dev = prod.clone("dev")
    dev.connect().execute("DELETE FROM t")
    print(prod.connect().execute("SELECT n FROM t").fetchall(), dev.connect().execute("SELECT n FROM t").fetchall())
"""


@pytest.mark.slow
def test_source_distribution_installs_without_a_compiler(tmp_path: Path) -> None:
    """From the package index, into a new environment, as ``pip install clusterdb`` does where no wheel fits."""
    environment = {**os.environ, "CC": "/nonexistent", "PYTHONPATH": "", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for name in ("CLUSTERDB_IMPL", "CLUSTERDB_CFLAGS"):
        environment.pop(name, None)

    def run(*command: object) -> str:
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(sys.executable, "-m", "build", "--sdist", "--outdir", tmp_path, ROOT)
    (archive,) = tmp_path.glob("clusterdb-*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert names >= {str(path.relative_to(ROOT)) for path in (ROOT / "vfs" / "c").rglob("*.[ch]")}
    run(sys.executable, "-m", "venv", "new")
    run("new/bin/python", "-m", "pip", "install", "--quiet", archive)
    assert run("new/bin/python", "-I", "-c", USE) == "[(7,)] []\n"
    shown = run("new/bin/clusterdb", "--version")
    assert "data plane: python" in shown
