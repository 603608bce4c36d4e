"""Tasks on arrays of NumPy's, which load in processes alone."""

import os
from typing import Any

import numpy as np

kept: list[Any] = []


def double_in_place(array: Any) -> Any:
    array *= 2
    return array


def total(array: Any) -> float:
    return float(array.sum())


def make(shape: tuple[int, ...], order: Any) -> Any:
    return np.asarray(np.arange(np.prod(shape), dtype="f8").reshape(shape), order=order)


def is_writeable(array: Any) -> bool:
    return bool(array.flags.writeable)


def keep(array: Any) -> None:
    kept.append(array)


def kept_totals() -> list[float]:
    return [total(array) for array in kept]


def abort_at(number: int, bad: int) -> int:
    if number == bad:
        os.abort()
    return int(np.int64(number) * 2)
