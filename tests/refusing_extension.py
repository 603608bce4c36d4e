"""Stands for an extension: it loads in a main interpreter, and refuses as CPython refuses."""

import _interpreters

if _interpreters.get_current()[0] != _interpreters.get_main()[0]:
    raise ImportError("module refusing_extension does not support loading in subinterpreters")
