"""Markers of the packages' own test suites, which are run here with our executor."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known that those suites use."""
    for marker in ("thread_unsafe", "no_cover", "timeout(seconds)"):
        config.addinivalue_line("markers", f"{marker}: of a package's own tests; ignored here")
