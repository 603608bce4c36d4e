"""How much longer things may take since others want the processors, too."""

import os


def crowding() -> float:
    """Return how many have wanted each processor in the last minute: 1 at least."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
