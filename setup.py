"""The C extension alone: all metadata is in setup.cfg.

``IX_DEV=1`` builds with warnings as errors and assertions on. ``IX_SANITIZE=address`` (with UBSan)
and ``IX_SANITIZE=thread`` build an instrumented extension; `make help` says how to run one.
``IX_PARK=posix`` lets threads wait on Linux as they do elsewhere, on mutexes and conditions.
"""

import os
import sys
import sysconfig
from glob import glob

from setuptools import Extension, setup

SANITIZERS = {"address": "address,undefined", "thread": "thread"}


def refusal() -> str | None:
    """Say why there is nothing to build here, if so."""
    if sys.platform == "win32":
        return (
            "it does not run on Windows yet, where it has not been tested; "
            "use concurrent.futures.ProcessPoolExecutor"
        )
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return (
            "it does not support free-threaded builds of CPython; there, "
            "concurrent.futures.ThreadPoolExecutor runs in parallel by itself"
        )
    return None


def sources() -> list[str]:
    """Every file of the core but the park_*.c of other platforms."""
    kind = os.environ.get("IX_PARK") or ("linux" if sys.platform == "linux" else "posix")
    park = f"_native/park_{kind}.c"
    return [path for path in sorted(glob("_native/*.c")) if "/park_" not in path or path == park]


def development_flags() -> list[str]:
    # Python's own headers are exempt from the warnings: -isystem takes them off the -I list.
    headers = sysconfig.get_path("include")
    return ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-UNDEBUG", "-g", "-isystem", headers]


def sanitizer_flags(kind: str) -> list[str]:
    if kind not in SANITIZERS:
        raise SystemExit(f"IX_SANITIZE is {kind!r}: it must be one of {', '.join(SANITIZERS)}")
    return [f"-fsanitize={SANITIZERS[kind]}", "-fno-omit-frame-pointer", "-g", "-O1", "-UNDEBUG"]


def extension() -> Extension:
    sanitize = os.environ.get("IX_SANITIZE", "")
    extra = sanitizer_flags(sanitize) if sanitize else []
    development = development_flags() if os.environ.get("IX_DEV") == "1" else []
    return Extension(
        "interp_executor._native",
        sources=sources(),
        depends=["setup.py", *glob("_native/*.h")],
        include_dirs=["_native"],
        # Hidden: what one file calls of another needs no detour through the linker's table.
        extra_compile_args=["-std=c11", "-fvisibility=hidden", *development, *extra],
        extra_link_args=extra,
    )


reason = refusal()
if reason is not None:
    raise SystemExit(f"interp_executor cannot be built: {reason}.")
# On another Python there is nothing to build, and the import says why in one plain sentence.
setup(ext_modules=[extension()] if sys.implementation.name == "cpython" else [])
