"""The commands of ``python -m interp_executor``: see ``__main__.py``."""
