"""Long runs that count what is lost: python -m tests.soak."""
