"""One suite over every executor: what they share, and what is expected to differ."""
