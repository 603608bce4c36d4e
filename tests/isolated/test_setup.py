"""What the Makefile's targets do first: find a Python, or say in one sentence what to install.

The Pythons here are shell scripts that answer as tools/probe.py would and tell who was chosen.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("cut", "dirname", "sed", "sh", "sort", "tr")


class Machine:
    """A machine that has these Pythons and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in TOOLS:
            path = shutil.which(name)
            assert path is not None
            (self.bin / name).symlink_to(path)

    def add(self, place: str, answer: str) -> Path:
        """Put a Python whose probe gives this answer into bin/, or any other place."""
        path = self._folder / place if "/" in place else self.bin / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'#!/bin/sh\ncase $1 in\n*probe.py) echo "{answer}" ;;\n-c) ;;\n'
            f'*) echo chosen "$0" "$3" ;;\nesac\n'
        )
        path.chmod(0o755)
        return path

    def setup(self, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": str(self.bin),
            "PYENV_ROOT": str(self._folder / "pyenv"),
            "VENV": str(self._folder / "venv"),
            **variables,
        }
        return subprocess.run(
            [ROOT / "tools/setup", "extra"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def chosen(self, **variables: str) -> Path:
        done = self.setup(**variables)
        assert done.returncode == 0, done.stderr
        word, path, extra = done.stdout.split()
        assert (word, extra) == ("chosen", "extra")
        return Path(path)

    def sentence(self, **variables: str) -> str:
        return one_sentence(self.setup(**variables))


def one_sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """Return what a command said that could not do its work."""
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("interp_executor: ")
    assert line.endswith(".")
    return line


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_python_on_the_path_is_taken_though_python3_is_older(machine: Machine) -> None:
    machine.add("python3", "old 3.11")
    machine.add("python3.9", "old 3.9")
    machine.add("python3.13", "ok 3.13")
    newest = machine.add("python3.15", "ok 3.15")
    machine.add("python3.15-config", "ok 3.15")
    assert machine.chosen() == newest


def test_python3_is_taken_where_there_is_no_numbered_one(machine: Machine) -> None:
    python = machine.add("python3", "ok 3.14")
    assert machine.chosen() == python


def test_pyenvs_versions_come_last_and_are_compared_as_numbers(machine: Machine) -> None:
    machine.add("python3", "old 3.11")
    machine.add("pyenv/versions/3.12.9/bin/python3", "old 3.12")
    machine.add("pyenv/versions/3.14.2/bin/python3", "ok 3.14")
    newest = machine.add("pyenv/versions/3.14.10/bin/python3", "ok 3.14")
    assert machine.chosen() == newest
    on_path = machine.add("python3.13", "ok 3.13")
    assert machine.chosen() == on_path


def test_the_variable_python_wins(machine: Machine) -> None:
    machine.add("python3.15", "ok 3.15")
    wanted = machine.add("elsewhere/python", "ok 3.13")
    machine.add("venv/bin/python", "ok 3.14")
    assert machine.chosen(PYTHON=str(wanted)) == wanted


def test_the_python_of_the_environment_is_kept(machine: Machine) -> None:
    machine.add("python3.15", "ok 3.15")
    kept = machine.add("venv/bin/python", "ok 3.13")
    assert machine.chosen() == kept


def test_one_that_lacks_something_yields_to_one_that_is_whole(machine: Machine) -> None:
    machine.add("python3.16", "nogil 3.16")
    machine.add("python3.15", "headers 3.15")
    machine.add("python3.14", "venv 3.14")
    whole = machine.add("python3.13", "ok 3.13")
    assert machine.chosen() == whole


def test_a_pre_release_yields_to_a_release(machine: Machine) -> None:
    newest = machine.add("python3.16", "pre 3.16")
    assert machine.chosen() == newest
    release = machine.add("python3.13", "ok 3.13")
    assert machine.chosen() == release


def test_without_a_suitable_python_a_sentence_says_what_to_install(machine: Machine) -> None:
    nothing_there = machine.sentence()
    machine.add("python3", "old 3.11")
    assert machine.sentence() == nothing_there
    assert "no CPython 3.13 or newer" in nothing_there
    assert "apt-get install python3.13 " in nothing_there
    assert "PYTHON=" in nothing_there


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        ("headers 3.14", "apt-get install python3.14-dev"),
        ("venv 3.14", "apt-get install python3.14-venv"),
    ],
)
def test_a_sentence_says_what_the_only_python_lacks(
    machine: Machine, answer: str, cure: str
) -> None:
    machine.add("python3.14", answer)
    assert cure in machine.sentence()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("old 3.12", "is Python 3.12, and CPython 3.13 or newer is needed"),
        ("other 3.11", "is not CPython"),
        ("nogil 3.14", "free-threaded build"),
        ("headers 3.14", "no C headers"),
    ],
)
def test_a_python_that_was_named_and_does_not_do_is_explained(
    machine: Machine, answer: str, reason: str
) -> None:
    machine.add("python3.15", "ok 3.15")
    named = machine.add("elsewhere/python", answer)
    assert reason in machine.sentence(PYTHON=str(named))


def test_a_path_that_is_no_python_is_named(machine: Machine) -> None:
    assert "/no/such/python does not run as a Python" in machine.sentence(PYTHON="/no/such/python")


def test_the_readme_opens_with_two_commands_that_the_makefile_has() -> None:
    readme, makefile = ROOT / "README.md", ROOT / "Makefile"
    if not readme.exists():
        pytest.skip("the README is not part of this tree")
    opening, _, _ = readme.read_text(encoding="utf-8").partition("\n## ")
    commands = [line.split()[1:3] for line in opening.splitlines() if line.startswith("$ ")]
    assert commands == [["make", "demo"], ["make", "test"]]
    targets = makefile.read_text(encoding="utf-8")
    assert all(f"\n{target}: " in targets for _, target in commands)


# ---- the environment ----


def prepare(
    folder: Path, launcher: Sequence[str] = (), **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Have this Python make an environment, with none of the settings of pip's that there are."""
    environment = {name: value for name, value in os.environ.items() if "PIP_" not in name.upper()}
    return subprocess.run(
        [*launcher, sys.executable, "tools/environment.py", str(folder), "test"],
        env={**environment, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("compiler", "what"),
    [("no-such-compiler", "was not found"), ("false", "cannot build a C11 program")],
)
def test_without_a_compiler_a_sentence_says_what_to_install(
    tmp_path: Path, compiler: str, what: str
) -> None:
    sentence = one_sentence(prepare(tmp_path / "venv", CC=compiler))
    assert f"the C compiler '{compiler}' {what}" in sentence
    assert "apt-get install gcc" in sentence
    assert not (tmp_path / "venv").exists()


def test_without_a_network_a_sentence_says_so(tmp_path: Path) -> None:
    pytest.importorskip("ensurepip")
    done = prepare(
        tmp_path / "venv",
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",  # the discard port: nobody listens
        PIP_RETRIES="0",
    )
    sentence = one_sentence(done)
    assert "pip could not download the packages that the project needs" in sentence
    assert "connect this machine to the network" in sentence


def test_a_place_that_cannot_be_written_to_is_named() -> None:
    if not os.path.isdir("/proc/self"):
        pytest.skip("here is no folder that nobody, root included, may write to")
    sentence = one_sentence(prepare(Path("/proc/self/venv")))
    assert "cannot be written to (" in sentence
    assert "VENV=" in sentence


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'


def test_a_tree_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    # Permissions would not keep root from writing: a mount does, in a namespace of its own.
    launcher = ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, str(ROOT)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("nothing may be mounted here")
    sentence = one_sentence(prepare(tmp_path / "venv", launcher))
    assert f"{ROOT}/interp_executor cannot be written to (Read-only file system)" in sentence
    assert "copy of the project" in sentence
    assert not (tmp_path / "venv").exists()
