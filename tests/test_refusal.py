"""Recognising that an extension cannot load in an interpreter, however a package words it."""

import importlib
from pathlib import Path

import pytest

from interp_executor._refusal import refused_module, refused_modules

REFUSAL = "module fast.core does not support loading in subinterpreters"
NUMPY = f"IMPORTANT: PLEASE READ THIS FOR ADVICE\n\nOriginal error was: {REFUSAL}\n"


def raised(*steps: tuple[type[Exception], str]) -> Exception:
    """Raise the first exception, and each further one from the one before."""
    error: Exception | None = None
    for kind, text in steps:
        try:
            raise kind(text) from error
        except kind as caught:
            error = caught
    assert error is not None
    return error


def test_cpythons_own_refusal_names_the_extension() -> None:
    assert refused_module(ImportError(REFUSAL)) == "fast.core"


def test_a_refusal_that_is_the_cause_is_found() -> None:
    error = raised((ImportError, REFUSAL), (ImportError, "no fast core"), (RuntimeError, "broken"))
    assert refused_module(error) == "fast.core"


def test_a_refusal_quoted_as_numpy_quotes_it_is_found() -> None:
    assert refused_module(ImportError(NUMPY)) == "fast.core"


def test_a_refusal_quoted_as_pandas_quotes_it_is_found() -> None:
    text = f"Unable to import required dependencies:\nnumpy: {NUMPY}"
    assert refused_module(ImportError(text)) == "fast.core"


def test_a_refusal_met_while_handling_another_failure_is_found() -> None:
    with pytest.raises(AttributeError) as caught:
        try:
            raise ImportError(REFUSAL)
        except ImportError:
            raise AttributeError("fallback") from None
    assert refused_module(caught.value) == "fast.core"


def test_the_wording_of_cython_names_the_module_that_was_imported() -> None:
    text = "Interpreter change detected - this module can only be loaded into one interpreter"
    assert refused_module(ImportError(text, name="cythonised")) == "cythonised"


@pytest.mark.parametrize(
    "error",
    [
        ImportError("No module named 'fast'"),
        ValueError(REFUSAL),  # a text that merely speaks of it
        RuntimeError("out of luck"),
    ],
)
def test_other_failures_are_no_refusals(error: Exception) -> None:
    assert refused_module(error) is None


def test_the_modules_whose_import_was_spoilt_are_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outer_one.py").write_text("import inner_one\n")
    (tmp_path / "inner_one.py").write_text(f"raise ImportError({REFUSAL!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError) as caught:
        importlib.import_module("outer_one")
    assert refused_modules(caught.value) == ["fast.core", "outer_one", "inner_one"]
