"""What the sdist and the wheel hold, and that the one can be built from the other and used.

The build backend is called as pip calls it, in a process and a folder of its own: this needs no
network, and leaves nothing in the tree.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys, setuptools.build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"
USE = """
import interp_executor
with interp_executor.InterpreterPoolExecutor(1) as executor:
    print(interp_executor.__file__)
    print(executor.submit(pow, 2, 10).result())
"""
LITTER = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "*.so", "*.png")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a Python command; its output, or a failure that shows what it said."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env=environment or None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(what: str, source: Path, out: Path) -> Path:
    # Unoptimised: it is compiled to be looked at, once.
    name = run("-c", BUILD, what, out, cwd=source, CFLAGS="-O0", PATH="/usr/bin:/bin")
    return out / name.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree") / "project"
    shutil.copytree(ROOT, tree, ignore=LITTER)
    return build("build_sdist", tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return build("build_wheel", source, tmp_path_factory.mktemp("wheel"))


def names_in_tree(folder: str, *suffixes: str) -> set[str]:
    found = (path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)
    return {path.relative_to(ROOT).as_posix() for path in found}


def names_in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_sdist_holds_all_sources_tests_and_benchmarks(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    wanted = names_in_tree("_native", ".c", ".h") | names_in_tree("interp_executor", ".py", ".pyi")
    wanted |= names_in_tree("tests", ".py") | names_in_tree("bench", ".py", ".c")
    wanted |= {"LICENSE", "Makefile", "pyproject.toml", "setup.cfg", "setup.py", "tools/setup"}
    wanted |= {path.name for path in ROOT.glob("*.md")} | names_in_tree("docs", ".md")
    assert wanted - held == set()
    assert not [name for name in held if name.endswith((".so", ".pyc", ".o"))]


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    held = names_in_wheel(wheel)
    strangers = {name for name in held if not name.startswith("interp_executor")}
    assert strangers == set()
    assert not [name for name in held if name.endswith((".c", ".h", ".pyc", ".o"))]


def test_the_wheel_holds_every_module_the_types_and_the_extension(wheel: Path) -> None:
    held = names_in_wheel(wheel)
    wanted = names_in_tree("interp_executor", ".py", ".pyi") | {"interp_executor/py.typed"}
    assert wanted - held == set()
    assert len([name for name in held if name.startswith("interp_executor/_native.cpython")]) == 1


def test_the_wheel_names_its_python_and_its_dependency(wheel: Path) -> None:
    (metadata,) = (name for name in names_in_wheel(wheel) if name.endswith("/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read(metadata).decode().splitlines()
    assert "Name: interp-executor" in lines
    assert "Requires-Python: >=3.13" in lines
    required = [line for line in lines if line.startswith("Requires-Dist:")]
    assert [line for line in required if "extra ==" not in line] == [
        "Requires-Dist: cloudpickle>=3.1"
    ]


def test_the_wheel_tells_pytest_of_its_fixture(wheel: Path) -> None:
    (name,) = (name for name in names_in_wheel(wheel) if name.endswith("/entry_points.txt"))
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(name).decode()
    assert "[pytest11]\ninterp_executor = interp_executor.pytest_plugin" in text


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        ("import sys; sys.platform = 'win32'", "does not run on Windows yet"),
        (
            "import sysconfig; sysconfig.get_config_var = 'Py_GIL_DISABLED'.__eq__",
            "does not support free-threaded builds",
        ),
    ],
)
def test_a_build_where_it_cannot_run_is_refused_in_a_sentence(world: str, reason: str) -> None:
    # setuptools itself is imported first: it must not see the changed world.
    program = f"import setuptools, runpy\n{world}\nrunpy.run_path('setup.py')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("interp_executor cannot be built: it ")
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("platform", "wanted"), [("linux", ("manylinux", "musllinux")), ("macos", ("macosx",))]
)
def test_wheels_are_made_for_each_platform_and_version(
    platform: str, wanted: tuple[str, ...]
) -> None:
    pytest.importorskip("cibuildwheel")
    command = ["-m", "cibuildwheel", "--platform", platform, "--print-build-identifiers"]
    builds = run(*command, cwd=ROOT).split()
    for version in ("cp313", "cp314", "cp315"):
        for kind in wanted:
            assert any(build.startswith(f"{version}-{kind}") for build in builds)
    assert not [build for build in builds if "t-" in build or "win" in build]


@pytest.mark.slow
def test_the_executor_works_where_there_is_no_futex(sdist: Path, tmp_path: Path) -> None:
    """Elsewhere than on Linux, threads wait on mutexes and conditions: here they do, too."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    build = ("setup.py", "-q", "build_ext", "--inplace")
    compiler = {"CFLAGS": "-O1", "PATH": "/usr/bin:/bin"}
    run(*build, cwd=source, IX_PARK="posix", IX_DEV="1", **compiler)
    quick = (
        "tests/test_hive.py tests/test_scrub.py tests/test_map_job.py tests/test_crossing_values.py"
    )
    told = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", *quick.split()),
        cwd=source, PYTHONPATH=str(source), PATH="/usr/bin:/bin",
    )  # fmt: skip
    assert " passed" in told


def test_an_executor_works_from_the_unpacked_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    shown = run("-c", USE, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert shown.splitlines() == [str(tmp_path / "site/interp_executor/__init__.py"), "1024"]
