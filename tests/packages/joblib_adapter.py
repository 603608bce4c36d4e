"""joblib's own tests of its backends, for ours: see test_joblib_suite.

joblib lists the backends in its test module and parametrizes with them at import. Here the module's
text is run again with our backend in the place of those for processes; of each test, only the
parameters that name our backend are left, and tests without any are left out.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from interp_executor.contrib.joblib import InterpretersBackend

NAME = "interpreters"
_REGISTER = "import interp_executor.contrib.joblib as ours; ours.register()"
_REPLACED = (
    ('PROCESS_BACKENDS = ["multiprocessing", "loky"]', f'PROCESS_BACKENDS = ["{NAME}"]'),
    (
        'PARALLEL_BACKENDS = PROCESS_BACKENDS + ["threading"]',
        "PARALLEL_BACKENDS = PROCESS_BACKENDS",
    ),
    ('["threading", "loky", "multiprocessing", "back_compat_backend"]', f'["{NAME}"]'),
    ('["loky", "threading"]', f'["{NAME}"]'),
    # In the programs that the tests write:
    ('\nbackend = "{}"\n', f'\n{_REGISTER}\nbackend = "{{}}"\n'),
    ('\n    backend = "{backend}"\n', f'\n    {_REGISTER}\n    backend = "{{backend}}"\n'),
)


def load(name: str) -> ModuleType:
    """Return joblib's test module with our backend in its lists, under the name given."""
    spec = importlib.util.find_spec("joblib.test.test_parallel")
    assert spec is not None and spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8")
    for theirs, ours in _REPLACED:
        assert theirs in text, f"joblib's tests have changed: {theirs!r} is gone"
        text = text.replace(theirs, ours)
    module = ModuleType(name)
    module.__file__ = spec.origin
    module.__package__ = "joblib.test"
    exec(compile(text, spec.origin, "exec"), module.__dict__)
    return module


def our_tests(module: ModuleType, skipped: dict[str, str]) -> dict[str, Callable[..., Any]]:
    """Return the tests that have parameters for our backend, with those alone.

    `skipped` says what does not apply, and why.
    """
    tests = {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_") and callable(test) and _keep_ours(test)
    }
    unknown = skipped.keys() - tests.keys()
    assert not unknown, f"not among joblib's tests: {unknown}"
    return {
        name: pytest.mark.skip(skipped[name])(test) if name in skipped else test
        for name, test in tests.items()
    }


def _keep_ours(test: Callable[..., Any]) -> bool:
    kept = False
    marks: list[Any] = []
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize" and "backend" in mark.args[0]:
            ours = [value for value in mark.args[1] if _names_ours(value)]
            kept = kept or bool(ours)
            marks.append(pytest.mark.parametrize(mark.args[0], ours).mark if ours else mark)
        elif mark.name != "thread_unsafe":
            marks.append(mark)
    test.pytestmark = marks  # type: ignore[attr-defined]
    return kept


def _names_ours(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_names_ours, value))
    return value == NAME or isinstance(value, InterpretersBackend)
