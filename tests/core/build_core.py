"""Compile the pure C part of the core through cffi, as modules that tests can import.

Three variants of the same sources:

- ``futex`` parks threads with Linux's futex (on Linux only);
- ``posix`` parks them with mutexes and condition variables, as on macOS;
- ``stepped`` (not under a sanitizer) runs its threads as coroutines, one shared step at a time, so
  that a test chooses the interleaving.

Run as a script, it builds them all. They lie in the pytest cache, in a folder named after a hash of
sources and flags. ``IX_SANITIZE=address`` (with UBSan) or ``thread`` instruments them.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType

from cffi import FFI

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NATIVE = ROOT / "_native"
CACHE = ROOT / ".pytest_cache" / "core"

CORE = [
    "attachment.c",
    "buffer.c",
    "entry.c",
    "task.c",
    "seat.c",
    "crew.c",
    "queue.c",
    "outbox.c",
    "pace.c",
    "job.c",
    "claim.c",
    "gate.c",
    "alarm.c",
]
SANITIZERS = {"address": "address,undefined", "thread": "thread"}
FLAGS = ["-std=c11", "-O1", "-g", "-UNDEBUG", "-Wall", "-fvisibility=hidden"]
# In every variant tests count blocks and make allocations fail: see memory.c.
COUNTED = {
    name: f"ix_test_{name}"
    for name in ("malloc", "calloc", "realloc", "free", "pthread_mutex_init")
}
STEPPED = {name: f"ix_step_{name}" for name in ("pthread_mutex_lock", "pthread_mutex_unlock")}


def sanitizer() -> str:
    """Return which sanitizer is asked for, or an empty string."""
    kind = os.environ.get("IX_SANITIZE", "")
    if kind and kind not in SANITIZERS:
        raise SystemExit(f"IX_SANITIZE is {kind!r}: it must be one of {', '.join(SANITIZERS)}")
    return kind


def variants() -> list[str]:
    """Return the variants in which threads run freely on this platform."""
    return ["futex", "posix"] if sys.platform == "linux" else ["posix"]


def has_stepped() -> bool:
    """Whether there is a stepped variant: sanitizers do not follow its coroutines."""
    return sys.platform == "linux" and not sanitizer()


class Build:
    """How one variant is compiled."""

    def __init__(self, variant: str) -> None:
        self.name = f"ix_core_{variant}"
        park = {"futex": "park_linux.c", "posix": "park_posix.c"}
        tests = ["memory.c", *sorted(path.name for path in HERE.glob("stress*.c"))]
        self.declarations = ["core.cdef", "stress.cdef", "pairs.cdef"]
        self.macros = dict(COUNTED)
        self.sources = [NATIVE / name for name in CORE]
        self.flags = list(FLAGS)
        if variant == "stepped":
            tests = ["memory.c", "stepped.c", "scenes.c", "scene_actors.c"]
            self.declarations = ["core.cdef", "stepped.cdef"]
            self.macros |= STEPPED | {"_GNU_SOURCE": "1"}
            # Fortified, longjmp would take a change of stacks for an attack.
            self.flags += ["-include", str(HERE / "stepped.h"), "-U_FORTIFY_SOURCE"]
        else:
            self.sources.append(NATIVE / park[variant])
        self.sources += [HERE / name for name in tests]
        self.link: list[str] = []
        if sanitizer():
            self.link = [f"-fsanitize={SANITIZERS[sanitizer()]}"]
            self.flags += [*self.link, "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]

    def folder(self) -> Path:
        """Return where the module lies: another place for other sources, flags or Python."""
        files = [*self.sources, *NATIVE.glob("*.h"), *HERE.glob("*.h"), *HERE.glob("*.cdef")]
        settings = (self.flags, self.link, sorted(self.macros.items()), os.environ.get("CC"))
        digest = hashlib.sha256(repr((settings, sys.version, str(ROOT))).encode())
        digest.update(Path(__file__).read_bytes())
        for path in sorted(set(files)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return CACHE / f"{self.name}-{digest.hexdigest()[:16]}"

    def file(self) -> Path:
        """Return the path of the module, compiled already or not."""
        return self.folder() / f"{self.name}{sysconfig.get_config_var('EXT_SUFFIX')}"

    def ffi(self) -> FFI:
        """Return what cffi generates the module from."""
        ffi = FFI()
        for name in self.declarations:
            ffi.cdef((HERE / name).read_text())
        headers = ["crew.h", "outbox.h", "claim.h", "gate.h", "alarm.h", "memory.h"]
        headers += ["scenes.h"] if "stepped" in self.name else ["stress.h", "pairs.h"]
        ffi.set_source(
            self.name,
            "".join(f'#include "{header}"\n' for header in headers)
            + "typedef _Atomic uint32_t ix_word;\ntypedef _Atomic int64_t ix_time;\n",
            sources=[str(path) for path in self.sources],
            include_dirs=[str(NATIVE), str(HERE)],
            define_macros=sorted(self.macros.items()),
            extra_compile_args=self.flags,
            extra_link_args=[*self.link, "-pthread"],
        )
        return ffi

    def ensure(self) -> None:
        """Compile unless that has been done; processes that test side by side take turns."""
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.file().exists():
                self._compile()

    def _compile(self) -> None:
        """Compile in a folder aside, so that a half-made module is never in its place."""
        aside = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=CACHE))
        try:
            self.ffi().compile(tmpdir=str(aside))
            self._forget_older()
            aside.rename(self.folder())
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _forget_older(self) -> None:
        """Keep the cache from growing with every change of a source."""
        built = [
            path for path in CACHE.glob(f"{self.name}-*") if len(path.name.split("-")[-1]) == 16
        ]
        for path in sorted(built, key=lambda path: path.stat().st_mtime)[:-3]:
            shutil.rmtree(path, ignore_errors=True)


def load(variant: str) -> ModuleType:
    """Import a variant, compiled first where that has not been done: it has `ffi` and `lib`."""
    build = Build(variant)
    build.ensure()
    spec = importlib.util.spec_from_file_location(build.name, build.file())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    for variant in [*variants(), *(["stepped"] if has_stepped() else [])]:
        build = Build(variant)
        build.ensure()
        print(build.file())


if __name__ == "__main__":
    main()
