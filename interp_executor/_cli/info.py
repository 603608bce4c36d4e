"""``info``: the Python, the build, the platform and the versions that a bug report needs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
import sysconfig

import interp_executor

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_PACKAGES = ("cloudpickle", "numpy", "joblib", "dask", "loky")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(options: argparse.Namespace) -> int:
    """Print the facts; return 0."""
    found = facts()
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    width = max(map(len, found))
    for name, value in found.items():
        print(f"{name.ljust(width)}  {value}")
    return 0


def facts() -> dict[str, str]:
    """Return what is to be told, in order."""
    return {
        "interp_executor": interp_executor.__version__,
        "Python": " ".join(sys.version.split()),
        "implementation": f"{platform.python_implementation()} {sys.implementation.cache_tag}",
        "GIL": _gil(),
        "build flags": _build_flags(),
        "compiler": platform.python_compiler(),
        "platform": platform.platform(),
        "C library": " ".join(platform.libc_ver()).strip() or "unknown",
        "processors": f"{os.cpu_count()}, of which {os.process_cpu_count()} for this process",
        "start methods": _start_methods(),
        "packages": ", ".join(_versions()) or "none",
    }


def _gil() -> str:
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "with GIL"
    return f"free-threaded build, GIL {'on' if sys._is_gil_enabled() else 'off'}"


def _build_flags() -> str:
    flags = ["debug"] if hasattr(sys, "gettotalrefcount") else ["release"]
    flags += [
        name
        for name in ("Py_TRACE_REFS", "WITH_DTRACE", "Py_ENABLE_SHARED", "_Py_TAIL_CALL_INTERP")
        if sysconfig.get_config_var(name)
    ]
    wanted = ("--with-lto", "--enable-optimizations", "--enable-experimental-jit", "--with-address")
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    return " ".join([*flags, *(flag for flag in wanted if flag in arguments)])


def _start_methods() -> str:
    import multiprocessing

    return ", ".join(multiprocessing.get_all_start_methods())


def _versions() -> list[str]:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
