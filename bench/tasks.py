"""Task functions that workers import: light, and importable from anywhere.

Nothing here may import more than a worker of any executor already has, or the
memory and start-up rows would measure this module.
"""

import os


def noop() -> None:
    """Do nothing."""


def echo(value: int) -> int:
    """Return what came in."""
    return value


def spin(iterations: int) -> int:
    """Burn CPU in pure Python, for as long as the iterations last."""
    total = 0
    for i in range(iterations):
        total += i & 3
    return total


def rendezvous(arrivals: str, gate: str) -> None:
    """Report in through one FIFO, then wait for a byte from another.

    While it waits it holds its worker, so as many calls as there are workers
    bring every worker up.
    """
    descriptor = os.open(arrivals, os.O_WRONLY)
    os.write(descriptor, b"x")
    os.close(descriptor)
    wait_for_byte(gate)


def wait_for_byte(gate: str) -> None:
    """Hold the worker until somebody writes a byte into the FIFO ``gate``."""
    descriptor = os.open(gate, os.O_RDONLY)
    os.read(descriptor, 1)
    os.close(descriptor)


def run_pickled(payload: bytes, *args: object) -> object:
    """Call the function that ``cloudpickle.dumps`` made ``payload`` of."""
    import pickle

    return pickle.loads(payload)(*args)


def factorial(number: int) -> int:
    """Multiply 1 * 2 * ... * number the naive way and return the bit length."""
    product = 1
    for factor in range(2, number + 1):
        product *= factor
    return product.bit_length()
