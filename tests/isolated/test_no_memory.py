"""Allocations fail one after the other: see no_memory.py."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from . import script

HERE = Path(__file__).parent
COMPILER = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")

pytestmark = pytest.mark.skipif(
    "IX_SANITIZE" in os.environ, reason="a sanitizer has allocations of its own"
)


@pytest.fixture(autouse=True)
def time_for_many_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a moment, of which there are more on a machine with more to do."""
    monkeypatch.setattr(script, "TIMEOUT", 110.0)


def run(scene: str, **environment: str) -> int:
    """Let allocations fail; return how many did."""
    program = str(HERE / "no_memory.py")
    result = script.run(program, scene, check=False, **environment)
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


@pytest.fixture(scope="module")
def failing_malloc(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library to preload."""
    if platform.libc_ver()[0] != "glibc" or shutil.which(COMPILER[0]) is None:
        pytest.skip("it takes glibc and a C compiler")
    library = tmp_path_factory.mktemp("preload") / "failing_malloc.so"
    source = str(HERE / "failing_malloc.c")
    subprocess.run([*COMPILER, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return str(library)


@pytest.mark.parametrize(("scene", "least"), [("core", 60), ("start", 8)])
def test_whichever_allocation_of_the_core_fails_nothing_hangs_or_is_lost(
    scene: str, least: int, failing_malloc: str
) -> None:
    assert run(scene, LD_PRELOAD=failing_malloc) >= least


@pytest.mark.parametrize(
    ("scene", "least"),
    [
        pytest.param(
            "owner",
            30,
            marks=pytest.mark.skipif(
                hasattr(sys, "gettotalrefcount"),
                reason="a debug CPython 3.14 aborts where a list that grows finds no memory",
            ),
        ),
        ("worker", 20),
    ],
)
def test_whichever_allocation_of_pythons_fails_nothing_hangs_or_is_lost(
    scene: str, least: int
) -> None:
    pytest.importorskip("_testcapi", reason="CPython's own test modules are not installed")
    assert run(scene) >= least
