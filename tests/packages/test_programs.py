"""Programs written for ProcessPoolExecutor, with packages that refuse to load in an interpreter.

Each runs twice: as it was written, and with nothing changed but the import. The outputs are equal.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from isolated.script import SOURCE, TIMEOUT, write

THEIRS = "from concurrent.futures import ProcessPoolExecutor"
OURS = "from interp_executor import InterpreterPoolExecutor as ProcessPoolExecutor"

NUMPY = """
import numpy as np

def solve(n):
    random = np.random.default_rng(n)
    a, b = random.random((n, n)), random.random(n)
    x = np.linalg.solve(a, b)
    return n, float(np.abs(a @ x - b).max()) < 1e-6, x

def main():
    with ProcessPoolExecutor(2) as executor:
        for n, exact, x in executor.map(solve, range(10, 60, 10)):
            print(n, exact, x.shape, x.dtype)
        total = executor.submit(np.sum, np.arange(1000.0)).result()
        print(total)
"""

PILLOW = """
import tempfile
from pathlib import Path
from PIL import Image

def thumbnail(path):
    with Image.open(path) as image:
        image.thumbnail((32, 32))
        small = path.with_suffix(".small.png")
        image.save(small)
    return small

def main():
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as executor:
        paths = [Path(folder, f"{i}.png") for i in range(6)]
        for i, path in enumerate(paths):
            Image.new("RGB", (100 + i, 200), (i, i, i)).save(path)
        for small in executor.map(thumbnail, paths):
            with Image.open(small) as image:
                print(small.name, image.size, image.getpixel((0, 0)))
"""

LXML = """
from lxml import etree

class Counter:
    def __init__(self, tag):
        self.tag = tag

    def count(self, text):
        try:
            return len(etree.fromstring(text).findall(f".//{self.tag}"))
        except etree.XMLSyntaxError as error:
            return error.msg

def main():
    texts = [b"<root>" + b"<item><part/></item>" * n + b"</root>" for n in range(8)]
    with ProcessPoolExecutor(2) as executor:
        print(list(executor.map(Counter("part").count, texts)))
        print(executor.submit(Counter("part").count, b"<root>").result())
"""

PYDANTIC = """
from pydantic import BaseModel, ValidationError

class Order(BaseModel):
    number: int
    tags: list[str] = []

def validate(line):
    try:
        return Order.model_validate_json(line)
    except ValidationError as error:
        return error.error_count()

def main():
    lines = [f'{{"number": {n}, "tags": ["a", "b"]}}' for n in range(20)] + ['{"number": "x"}']
    with ProcessPoolExecutor(2) as executor:
        for futures in [[executor.submit(validate, line) for line in lines]]:
            results = [future.result() for future in futures]
    print(results[0], results[-2].number, results[-1])
"""

MODEL = """
import sys

def load_model(size):
    global model
    import numpy
    model = numpy.eye(size) * 3

def predict(values):
    return (model @ values).tolist()

def main():
    with ProcessPoolExecutor(2, initializer=load_model, initargs=(3,)) as executor:
        print(list(executor.map(predict, [[1, 2, 3], [4, 5, 6]])))
        print([executor.submit(predict, [n] * 3).result() for n in range(3)])
"""

PANDAS = """
import pandas as pd

def mean(frame):
    return frame.groupby("key")["value"].mean().to_dict()

def main():
    frame = pd.DataFrame({"key": list("abab"), "value": [1.0, 2.0, 3.0, 4.0]})
    with ProcessPoolExecutor(2) as executor:
        print(executor.submit(mean, frame).result())
        print(list(executor.map(mean, [frame, frame.head(2)])))
"""

PROGRAMS = {
    "numpy": NUMPY,
    "PIL": PILLOW,
    "lxml": LXML,
    "pydantic": PYDANTIC,
    "pandas": PANDAS,
}

USES = {
    "numpy": "numpy.arange(5).sum().item()",
    "pandas": "int(pandas.Series([1, 2]).sum())",
    "lxml.etree": "lxml.etree.fromstring('<a><b/></a>')[0].tag",
    "pydantic": "pydantic.TypeAdapter(int).validate_python('17')",
    "cryptography.fernet": "len(cryptography.fernet.Fernet.generate_key())",
    "PIL.Image": "PIL.Image.new('L', (2, 3), 9).getpixel((1, 1))",
    "orjson": "orjson.dumps({'a': [1]})",
    "yaml": "yaml.safe_load('a: [1, 2]')",
    "msgspec": "msgspec.json.decode(msgspec.json.encode({'a': 1}))",
    "regex": "regex.findall(r'\\\\p{Lu}', 'aBcD')",
    "psutil": "psutil.Process().is_running()",
    "multidict": "multidict.MultiDict(a=1)['a']",
}

USE = """
import {module}

def use(number):
    return number, {expression}

def main():
    with ProcessPoolExecutor(2) as executor:
        print(executor.submit(use, 0).result())
        print(list(executor.map(use, range(1, 5))))
"""

GUARD = "\nif __name__ == '__main__':\n    main()\n"


def output(path: Path, program: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, write(path, program + GUARD)],
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT * 2,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def compare(folder: Path, program: str) -> None:
    theirs = output(folder / "theirs.py", f"{THEIRS}\n{program}")
    ours = output(folder / "ours.py", f"{OURS}\n{program}")
    assert ours == theirs
    assert ours.strip()


@pytest.mark.parametrize("package", PROGRAMS)
def test_a_typical_program_needs_no_change_but_the_import(package: str, tmp_path: Path) -> None:
    pytest.importorskip(package)
    compare(tmp_path, PROGRAMS[package])


def test_an_initializer_that_loads_a_model_needs_no_change(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    compare(tmp_path, MODEL)


@pytest.mark.parametrize("module", USES)
def test_a_task_may_use_the_module(module: str, tmp_path: Path) -> None:
    pytest.importorskip(module)
    compare(tmp_path, USE.format(module=module, expression=USES[module]))


@pytest.mark.parametrize("module", ["numpy", "lxml.etree", "orjson", "regex", "msgspec"])
def test_the_extension_that_refuses_is_told(module: str) -> None:
    pytest.importorskip(module)
    from interp_executor import InterpreterPoolExecutor

    def import_it(name: str) -> None:
        __import__(name)

    with InterpreterPoolExecutor(1, fallback=None) as executor:
        error = executor.submit(import_it, module).exception()
    assert isinstance(error, ImportError) and error.name is not None
    assert error.name.partition(".")[0] == module.partition(".")[0]
