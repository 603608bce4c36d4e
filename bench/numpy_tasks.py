"""A task of NumPy's: some 20 ms in one core, without threads of BLAS's."""

import numpy as np

grid = np.linspace(0.0, 1.0, 250_000)


def wave(number: int) -> float:
    """Return a number that takes array operations to work out."""
    values = grid + number
    for _ in range(4):
        values = np.sin(values) * 0.5 + values
    return float(values.mean())
