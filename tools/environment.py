"""Make the virtual environment ready: packages, the project itself, its C core.

Usage: environment.py FOLDER EXTRA...   (tools/setup finds the Python that runs this)

A stamp in the environment records what was done, so that a second run costs nothing and needs no
network. What cannot be done is said in one sentence that names the cure.
"""

import configparser
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
# What the compiled extension depends on, beside the C files.
BUILD_VARIABLES = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "IX_DEV", "IX_PARK")
C_PROGRAM = "#include <stdatomic.h>\n#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n"
UNREACHABLE = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "SSLError",
    "Failed to establish",
    "name resolution",
    "NameResolutionError",
    "No matching distribution found",
    "Could not fetch URL",
)


def fail(sentence: str) -> NoReturn:
    print(f"interp_executor: {sentence}", file=sys.stderr)
    raise SystemExit(1)


def say(text: str) -> None:
    print(f"interp_executor: {text}", flush=True)


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class Environment:
    """One virtual environment and the stamp of what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._stamp_path = folder / "interp-executor.json"
        self.stamp: dict[str, str] = {}

    def load(self, wanted: str) -> bool:
        """Read the stamp; false when there is none or it is of another Python or place."""
        try:
            self.stamp = json.loads(self._stamp_path.read_text())
        except (OSError, ValueError):
            return False
        return self.stamp.get("python") == wanted

    def record(self, **entries: str) -> None:
        self.stamp.update(entries)
        self._stamp_path.write_text(json.dumps(self.stamp, indent=1))

    def create(self, wanted: str) -> None:
        if self.folder.exists() and not (self.folder / "pyvenv.cfg").exists():
            fail(f"{self.folder} is in the way and is no virtual environment: move it away.")
        say(f"making {self.folder} with CPython {sys.version.split()[0]} ({sys.executable})")
        made = subprocess.run(
            [base_python(), "-m", "venv", "--clear", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if made.returncode:
            print(made.stdout, file=sys.stderr)
            fail(f"the virtual environment {self.folder} could not be made: see above.")
        self.stamp = {}
        self.record(python=wanted)

    def pip(self, what: str, *arguments: str) -> None:
        """Run pip install; its output is shown only where it may help."""
        log = self.folder / "setup.log"
        with log.open("w") as output:
            done = subprocess.run(
                [self.python, "-m", "pip", "--no-input", "install", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                check=False,
            )
        if done.returncode == 0:
            return
        text = log.read_text(errors="replace")
        if any(sign in text for sign in UNREACHABLE):
            fail(
                f"pip could not download {what}: connect this machine to the network, or set "
                f"PIP_INDEX_URL to a package index that it can reach (pip's words: {log})."
            )
        print(text, file=sys.stderr)
        fail(f"pip could not install {what}: its own words are above.")

    def run_setup(self, *arguments: str) -> None:
        command = [str(self.python), "setup.py", "-q", *arguments]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            fail("the C core did not compile: the compiler's own words are above.")


def base_python() -> str:
    """The interpreter itself, also when this runs in the environment made of it."""
    return str(getattr(sys, "_base_executable", sys.executable))


def metadata() -> configparser.ConfigParser:
    """The project's metadata."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def requirements(extras: Sequence[str]) -> list[str]:
    """What the project, its build and these extras need, from the project's own files."""
    config = metadata()
    listed = [config["options"]["install_requires"]]
    for extra in extras:
        if extra not in config["options.extras_require"]:
            fail(f"setup.cfg has no extra named {extra!r}.")
        listed.append(config["options.extras_require"][extra])
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build: list[str] = pyproject["build-system"]["requires"]
    return build + [line for block in listed for line in block.splitlines() if line.strip()]


def native_digest() -> str:
    """Changes with anything that would change the compiled extension."""
    files = [ROOT / "setup.py", *sorted((ROOT / "_native").glob("*.[ch]"))]
    settings = [os.environ.get(name, "") for name in BUILD_VARIABLES]
    return digest(settings, [(path.name, path.read_bytes()) for path in files])


def extension_file() -> Path:
    return ROOT / "interp_executor" / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"


def check_compiler() -> None:
    """Compile and link a small C11 program with the compiler that setuptools will use."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    cure = "install one ('apt-get install gcc libc6-dev' on Debian and Ubuntu) or name one with CC="
    if shutil.which(command[0]) is None:
        fail(f"the C compiler {command[0]!r} was not found: {cure}.")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(C_PROGRAM)
        tried = subprocess.run(
            [*command, "-std=c11", str(source), "-o", str(source.with_suffix(""))],
            capture_output=True,
            check=False,
        )
    if tried.returncode:
        fail(f"the C compiler {command[0]!r} cannot build a C11 program: {cure}.")


def check_writable(*folders: Path) -> None:
    """Write to each of these folders, or to where it will be made."""
    for folder in folders:
        place = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            tempfile.TemporaryFile(dir=place).close()
        except OSError as error:
            fail(
                f"{place} cannot be written to ({error.strerror}): work on a copy of the project "
                "in a folder of your own, or name another place for the environment (VENV=)."
            )


def install_packages(environment: Environment, extras: Sequence[str]) -> None:
    """Install what is needed for the extras, old and new, unless the stamp says it is there."""
    known = set(environment.stamp.get("extras", "").split())
    known &= set(metadata()["options.extras_require"])  # some may have gone since
    extras = sorted(known | set(extras))
    wanted = requirements(extras)
    if environment.stamp.get("packages") == digest(wanted):
        return
    say(f"installing into {environment.folder}: {', '.join(wanted)}")
    environment.pip("the packages that the project needs", *wanted)
    environment.record(packages=digest(wanted), extras=" ".join(extras))


def build(environment: Environment) -> None:
    """Compile the extension beside the package, when it is missing or anything in it changed."""
    wanted = native_digest()
    if environment.stamp.get("native") != wanted or not extension_file().exists():
        say("compiling the C core")
        environment.run_setup("build_ext", "--inplace", "--force")
        environment.record(native=wanted)


def link(environment: Environment) -> None:
    """Install the project so that it is imported from this tree, with its metadata.

    The compat mode writes a plain path file. The default writes an import hook, which every
    interpreter made in the process would load: the benchmarks would measure it.
    """
    wanted = digest((ROOT / "setup.cfg").read_bytes(), (ROOT / "pyproject.toml").read_bytes())
    if environment.stamp.get("link") == wanted:
        return
    environment.pip(
        "the project itself",
        "--no-deps",
        "--no-build-isolation",
        "--config-settings=editable_mode=compat",
        "--editable=.",
    )
    environment.record(link=wanted)


def main(folder: str, *extras: str) -> None:
    environment = Environment(Path(folder).absolute())
    with (ROOT / "setup.cfg").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once take turns
        wanted = f"{os.path.realpath(base_python())} {sys.version} {ROOT}"
        ready = environment.load(wanted)
        if not (ready and environment.stamp.get("native") == native_digest()):
            check_writable(ROOT / "interp_executor", environment.folder)
            check_compiler()
        if not ready:
            environment.create(wanted)
        install_packages(environment, extras)
        build(environment)
        link(environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
