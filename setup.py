"""Builds the extension module ``vfs._native``; everything else about the package is in ``pyproject.toml``.

The extension is optional: without a compiler, or where compiling fails, the package is installed without it and uses
its data plane in Python.  ``CLUSTERDB_CFLAGS`` adds flags for the compiler and the linker, such as ``-Werror``; where
it is set, a failure to compile is an error.
"""

from __future__ import annotations

import os
import shlex
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ABI = "cp311"
"""The oldest Python whose stable ABI the extension uses: one build serves this Python and all later ones."""
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""Python without the GIL has no stable ABI (before 3.15): the extension is then built for this version only."""
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla"]


def files(pattern: str) -> list[str]:
    """The paths that match a pattern, relative to this directory, in which setuptools runs."""
    return sorted(str(path) for path in Path().glob(pattern))


class BuildExtension(build_ext):
    """Always compiles, since flags may have changed, and leaves no earlier build in place where this fails."""

    def finalize_options(self) -> None:
        """Compile whatever the times of the files are."""
        super().finalize_options()
        self.force = True

    def build_extension(self, ext: Extension) -> None:
        """Remove what an earlier run built, then compile."""
        Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
        super().build_extension(ext)

    def copy_extensions_to_source(self) -> None:
        """Remove what an earlier editable installation built, then copy what this one has built."""
        for extension in self.extensions:
            for built in files(f"{extension.name.replace('.', '/')}.*.so"):
                Path(built).unlink()
        super().copy_extensions_to_source()


extra_flags = shlex.split(os.environ.get("CLUSTERDB_CFLAGS", ""))
setup(
    ext_modules=[
        Extension(
            "vfs._native",
            sources=files("vfs/c/*.c"),
            depends=[*files("vfs/c/*.h"), *files("vfs/c/vendor/*.h")],
            include_dirs=["vfs/c/vendor"],
            define_macros=[
                ("_GNU_SOURCE", "1"),
                *([] if IS_FREE_THREADED else [("Py_LIMITED_API", f"0x03{int(ABI[3:]):02x}0000")]),
            ],
            extra_compile_args=["-O2", "-std=c11", "-fvisibility=hidden", *WARNINGS, *extra_flags],
            extra_link_args=extra_flags,
            py_limited_api=not IS_FREE_THREADED,
            optional=not extra_flags,
        )
    ],
    cmdclass={"build_ext": BuildExtension},
    options={} if IS_FREE_THREADED else {"bdist_wheel": {"py_limited_api": ABI}},
)
