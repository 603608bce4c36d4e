"""Every example of the README and the guides runs, and prints what the page says.

- A ``python`` block is a program. One that begins with a comment such as ``# name.py`` is a file
  that the page's commands need; every other runs by itself.
- A ``text`` block right below a program is what it prints.
- In a ``console`` block, each line of ``$ python -m interp_executor`` or ``$ pytest`` is run.
- ``<!-- needs: module -->`` above a block names what it cannot do without.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import interp_executor

SOURCE = Path(interp_executor.__file__).parent.parent
PAGES = [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- needs: (?P<needs>[\w, ]+) -->\n+)?^```(?P<kind>\w+)\n(?P<text>.*?)^```\n"
    r"(?:\n```text\n(?P<printed>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)
FILE = re.compile(r"# (\w+\.py)\n")
COMMAND = re.compile(r"^\$ (.*(?:python -m interp_executor|pytest).*)$", re.MULTILINE)


class Example(NamedTuple):
    """Something on a page that runs."""

    page: Path
    line: int
    kind: str
    text: str
    printed: str | None
    needs: list[str]

    def __str__(self) -> str:
        return f"{self.page.stem}-{self.line}"


def blocks(page: Path) -> list[Example]:
    text = page.read_text(encoding="utf-8")
    return [
        Example(
            page,
            text.count("\n", 0, found.start("text")),
            found["kind"],
            found["text"],
            found["printed"],
            re.findall(r"\w+", found["needs"] or ""),
        )
        for found in BLOCK.finditer(text)
    ]


def programs() -> list[Example]:
    """Return the programs and, of the console blocks, each command."""
    found = []
    for block in (block for page in PAGES for block in blocks(page)):
        if block.kind == "python" and not FILE.match(block.text):
            found.append(block)
        elif block.kind == "console":
            found += [block._replace(text=line) for line in COMMAND.findall(block.text)]
    return found


@pytest.fixture
def folder(example: Example, tmp_path: Path) -> Path:
    """A folder with the files of the example's page."""
    for block in blocks(example.page):
        named = FILE.match(block.text)
        if block.kind == "python" and named:
            (tmp_path / named[1]).write_text(block.text, encoding="utf-8")
    return tmp_path


def run(folder: Path, *command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        cwd=folder,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("example", programs(), ids=str)
def test_an_example_runs_and_prints_what_the_page_says(example: Example, folder: Path) -> None:
    for module in example.needs:
        pytest.importorskip(module)
    if example.kind == "python":
        (folder / "example.py").write_text(example.text, encoding="utf-8")
        warnings = "default" if example.needs else "error"  # of other packages
        printed = run(folder, sys.executable, "-W", warnings, "example.py")
        if example.printed is not None:
            assert printed == example.printed
    elif "pytest" in example.text:
        pytest.importorskip("pytest_benchmark")
        plugins = "-p interp_executor.pytest_plugin -p pytest_benchmark.plugin"
        pytest_here = f'"{sys.executable}" -m pytest {plugins}'
        command = example.text.replace("pytest", pytest_here, 1)
        run(folder, "sh", "-c", command, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    else:
        command = example.text.replace("python", f'"{sys.executable}"', 1)
        if " compare " in command:
            command += " --rounds 1 --quiet"  # the last one counts
        run(folder, "sh", "-c", command)


def test_every_page_has_examples_and_every_block_a_language() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fences = re.findall(r"^```(\w*)$", text, re.MULTILINE)
        assert fences[1::2] == [""] * (len(fences) // 2), f"{page.name}: a fence is not closed"
        assert "" not in fences[::2], f"{page.name}: a block has no language"
        if page.stem != "api":
            assert blocks(page), f"{page.name} has no example"


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_reference_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("reference", SOURCE / "tools" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (SOURCE / "docs" / "api.md").read_text(encoding="utf-8")
    assert written == module.reference(), "docstrings have changed since: run `make docs`"
