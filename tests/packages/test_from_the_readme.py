"""With the README alone: from nothing to a comparison chart of one's own function.

The commands are the README's, in a new environment and a copy of the tree. pip brings setuptools
and cloudpickle, so this takes a network or a folder of packages.
"""

import faulthandler
import os
import re
import shutil
import subprocess
import time
import venv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import interp_executor

SOURCE = Path(interp_executor.__file__).parent.parent
FIVE_MINUTES = 300
MINE = """
def vowels(text):
    return sum(letter in "aeiou" for letter in text * 2000)
"""

pytestmark = pytest.mark.skipif(
    "IX_INSTALLS" not in os.environ, reason="it installs packages: see `make test-packages`"
)


def commands(section: str) -> list[str]:
    """Return the lines of the README that a section would have typed."""
    text = (SOURCE / "README.md").read_text(encoding="utf-8")
    _, _, text = text.partition(f"\n## {section}\n")
    text, _, _ = text.partition("\n## ")
    return re.findall(r"^\$ (.*)$", text, re.MULTILINE)


def test_a_chart_of_ones_own_function_takes_less_than_five_minutes(tmp_path: Path) -> None:
    faulthandler.cancel_dump_traceback_later()  # pytest's, after two minutes
    checkout, folder, environment = tmp_path / "checkout", tmp_path / "mine", tmp_path / "venv"
    litter = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "*.so")
    shutil.copytree(SOURCE, checkout, ignore=litter)
    folder.mkdir()
    (folder / "mine.py").write_text(MINE)
    (install,) = commands("Install")
    (compare,) = (each for each in commands("What would it do for you?") if " compare " in each)
    compare, count = re.subn(
        r"compare \S+ --args \S+", "compare mine:vowels --args abcdef", compare
    )
    assert count == 1

    def run(command: str, place: Path) -> str:
        path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            ["sh", "-c", command],
            capture_output=True,
            cwd=place,
            encoding="utf-8",
            env={**variables, "PATH": path},
            timeout=FIVE_MINUTES,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    started = time.monotonic()
    venv.create(environment, with_pip=True, symlinks=True)
    run(install, checkout)
    table = run(compare, folder)
    assert time.monotonic() - started < FIVE_MINUTES
    assert "mine:vowels" in table
    assert re.search(r"^Use .*\.$", table, re.MULTILINE)
    words = [each.text or "" for each in ET.parse(folder / "chart.svg").iter()]
    assert any("mine:vowels" in each for each in words)
    assert any("interp_executor" in each for each in words)
    installed = run("python -c 'import interp_executor; print(interp_executor.__file__)'", folder)
    assert installed.startswith(str(environment))
