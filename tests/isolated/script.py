"""Runs programs in fresh processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import interp_executor

leaves_interpreters = pytest.mark.skipif(
    hasattr(sys, "gettotalrefcount"),
    reason="a debug CPython aborts where interpreters have not ended before the main one",
)
"""A test with programs that leave interpreters behind: in a forked child, or with stuck tasks."""

TIMEOUT = 100.0
"""Seconds after which a program is taken to hang: where ten others want the processor, one that
takes 5 takes 60. Less than pytest's own limit, which would end all the other tests too."""

SOURCE = Path(interp_executor.__file__).parent.parent


def run(
    *command: str,
    stdin: str | None = None,
    warnings: str = "error",
    folder: Path | None = None,
    check: bool = True,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; warnings are errors there too."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "PYTHONIOENCODING": "utf-8",
        **environment,
    }
    result = subprocess.run(
        [sys.executable, "-W", warnings, *command],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        cwd=folder,
        env=environment,
        check=False,
    )
    if check:
        assert result.returncode == 0, result.stderr
        assert result.stderr == "", result.stderr
    return result


def write(path: Path, source: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return str(path)


def named_memory() -> set[str]:
    """The memory that has a name, but for other programs' semaphores, which come and go."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith(("sem.", "joblib"))}
