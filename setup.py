"""Builds the extension module ``vfs._native`` and the library ``vfs/clusterdb_vfs.so``, an extension of SQLite that
needs no Python; everything else about the package is in ``pyproject.toml``.

Both are optional: without a compiler, or where compiling fails, the package is installed without them and uses its data
plane in Python.  ``CLUSTERDB_CFLAGS`` adds flags for the compiler and the linker, such as ``-Werror``; where
it is set, a failure to compile is an error.
"""

from __future__ import annotations

import os
import shlex
import sysconfig
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ABI = "cp311"
"""The oldest Python whose stable ABI the extension uses: one build serves this Python and all later ones."""
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""Python without the GIL has no stable ABI (before 3.15): the extension is then built for this version only."""
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla"]


NEED_PYTHON = {"vfs/c/module.c", "vfs/c/extension.c"}
LIBRARY = "vfs.clusterdb_vfs"
"""The library for other programs: SQLite derives the name of its entry point from the name of its file."""


def files(pattern: str) -> list[str]:
    """The paths that match a pattern, relative to this directory, in which setuptools runs."""
    return sorted(str(path) for path in Path().glob(pattern))


class BuildExtension(build_ext):
    """Always compiles, since flags may have changed, and leaves no earlier build in place where this fails."""

    def finalize_options(self) -> None:
        """Compile whatever the times of the files are."""
        super().finalize_options()
        self.force = True

    def get_ext_filename(self, fullname: str) -> str:
        """The library has no Python version in its name."""
        if fullname.rpartition(".")[2] == LIBRARY.rpartition(".")[2]:
            return f"{fullname.replace('.', '/')}.so"
        return str(super().get_ext_filename(fullname))

    def build_extension(self, ext: Extension) -> None:
        """Remove what an earlier run built, then compile."""
        Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
        super().build_extension(ext)

    def copy_extensions_to_source(self) -> None:
        """Remove what an earlier editable installation built, then copy what this one has built."""
        for extension in self.extensions:
            for built in files(f"{extension.name.replace('.', '/')}*.so"):
                Path(built).unlink()
        super().copy_extensions_to_source()


extra_flags = shlex.split(os.environ.get("CLUSTERDB_CFLAGS", ""))
settings: dict[str, Any] = {
    "depends": [*files("vfs/c/*.h"), *files("vfs/c/*/*.h")],
    "include_dirs": ["vfs/c/vendor"],
    "extra_compile_args": ["-O2", "-std=c11", "-fvisibility=hidden", *WARNINGS, *extra_flags],
    "extra_link_args": extra_flags,
    "optional": not extra_flags,
}
GNU = ("_GNU_SOURCE", "1")
setup(
    ext_modules=[
        Extension(
            "vfs._native",
            sources=files("vfs/c/*.c"),
            define_macros=[GNU, *([] if IS_FREE_THREADED else [("Py_LIMITED_API", f"0x03{int(ABI[3:]):02x}0000")])],
            py_limited_api=not IS_FREE_THREADED,
            **settings,
        ),
        Extension(
            LIBRARY,
            sources=sorted({*files("vfs/c/*.c"), *files("vfs/c/standalone/*.c")} - NEED_PYTHON),
            define_macros=[GNU],
            **settings,
        ),
    ],
    cmdclass={"build_ext": BuildExtension},
    options={} if IS_FREE_THREADED else {"bdist_wheel": {"py_limited_api": ABI}},
)
