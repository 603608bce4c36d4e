"""How much longer things may take since others want the processors, too."""

import os
from pathlib import Path

NOW = Path("/proc/loadavg")  # of Linux; its fourth word is "ready/all": threads


def crowding() -> float:
    """Return how many want each processor: now or on the average of a minute, and 1 at least."""
    wanting = os.getloadavg()[0]
    if NOW.exists():
        ready, _, _ = NOW.read_text(encoding="ascii").split()[3].partition("/")
        wanting = max(wanting, float(ready))
    return max(1.0, wanting / (os.process_cpu_count() or 1))
