"""Warnings of a module that no worker loads before a task needs it."""

import warnings


class RootWarning(UserWarning):
    """A class of a library's own."""


class LeafWarning(RootWarning):
    """A more special one."""

    class Inner(UserWarning):
        """One whose name has a dot."""


def warn(category: type[Warning] = LeafWarning) -> str:
    """Warn; return whether there was anything to see of it, as text."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.warn("from a task", category, stacklevel=1)
    return "shown" if seen else "ignored"


def warn_by_name(name: str) -> str:
    """Warn with a class that only this module names."""
    return warn(globals()[name])


def warn_with_a_class_of_no_module() -> str:
    """Warn with a class that was made where nothing has a name."""
    names: dict[str, type[Warning]] = {}
    exec("LeafWarning = type('LeafWarning', (UserWarning,), {})", names)
    return warn(names["LeafWarning"])
