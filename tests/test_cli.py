"""``python -m interp_executor check`` and ``info``, as programs."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import interp_executor

SOURCE = Path(interp_executor.__file__).parent.parent
CRASH = "import os\nos.abort()\n"


def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    places = [str(place) for place in (path, SOURCE) if place is not None]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.run(
        [sys.executable, "-m", "interp_executor", *arguments],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=120,
        check=False,
    )


def rows(*arguments: str, path: Path | None = None) -> tuple[int, dict[str, dict[str, object]]]:
    done = run("check", "--json", *arguments, path=path)
    return done.returncode, {row["module"]: row for row in json.loads(done.stdout)}


def test_modules_that_load_are_told_with_time_and_memory() -> None:
    status, found = rows("json", "sqlite3")
    assert status == 0
    for row in found.values():
        assert row["status"] == "loads"
        assert isinstance(row["seconds"], float) and row["seconds"] > 0
        assert isinstance(row["bytes"], int)


def test_a_module_that_is_not_there_is_missing() -> None:
    status, found = rows("json", "no_such_module_anywhere")
    assert status == 1
    assert found["no_such_module_anywhere"]["status"] == "missing"
    assert found["json"]["status"] == "loads"


def test_an_extension_that_refuses_is_named() -> None:
    pytest.importorskip("_cffi_backend")
    status, found = rows("cffi", "_cffi_backend")
    assert status == 1
    assert found["_cffi_backend"]["status"] == "refused"
    assert found["_cffi_backend"]["extension"] == "_cffi_backend"


def test_a_module_that_crashes_is_a_row_and_no_end(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text(CRASH)
    status, found = rows("crashing", "json", path=tmp_path)
    assert status == 1
    assert found["crashing"]["status"] == "crashes"
    assert "SIGABRT" in str(found["crashing"]["detail"])
    assert found["json"]["status"] == "loads"


def test_a_module_that_raises_tells_what(tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text("raise ValueError('out of order')\n")
    status, found = rows("raising", path=tmp_path)
    assert status == 1
    assert found["raising"]["status"] == "fails"
    assert found["raising"]["detail"] == "ValueError: out of order"


def test_a_module_that_misses_another_fails_and_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text("import no_such_module_anywhere\n")
    _, found = rows("needy", path=tmp_path)
    assert found["needy"]["status"] == "fails"
    assert "no_such_module_anywhere" in str(found["needy"]["detail"])


def test_the_table_has_a_line_for_each_module() -> None:
    done = run("check", "json", "no_such_module_anywhere")
    title, first, second = done.stdout.splitlines()
    assert title.split()[:2] == ["module", "version"]
    assert first.split()[:2] == ["json", "loads"]
    assert second.split()[:2] == ["no_such_module_anywhere", "missing"]
    assert done.returncode == 1


def test_requirements_stand_for_the_modules_of_their_distributions(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("not-installed-anywhere ; python_version >= '3'\n")
    listed = tmp_path / "requirements.txt"
    listed.write_text(
        "# what we need\ncloudpickle>=3  # by value\n--no-binary :all:\n-r more.txt\n"
    )
    status, found = rows("-r", str(listed))
    assert status == 1
    assert found["cloudpickle"]["status"] == "loads"
    assert found["cloudpickle"]["version"]
    assert found["not-installed-anywhere"]["status"] == "missing"


def test_a_requirements_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    done = run("check", "-r", str(tmp_path / "nothing.txt"))
    assert done.returncode == 2
    assert "nothing.txt" in done.stderr and "Traceback" not in done.stderr


def test_a_check_of_nothing_is_refused() -> None:
    done = run("check")
    assert done.returncode == 2
    assert "name a module" in done.stderr


def test_info_tells_what_a_bug_report_needs() -> None:
    done = run("info", "--json")
    facts = json.loads(done.stdout)
    assert done.returncode == 0
    assert platform.python_version() in facts["Python"]
    assert facts["interp_executor"] == interp_executor.__version__
    assert "GIL" in facts["GIL"]
    assert facts["platform"] == platform.platform()
    lines = run("info").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == list(facts)


def test_an_unknown_command_is_refused() -> None:
    done = run("chekc")
    assert done.returncode == 2
    assert "chekc" in done.stderr
