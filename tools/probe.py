"""Print what keeps the Python that runs this from building and running the project, or "ok".

One word and the version, for tools/setup. Any Python may have to run this, however old.
"""

import os
import platform
import sys


def missing(major, minor):
    if platform.python_implementation() != "CPython":
        return "other"
    if (major, minor) < (3, 13):
        return "old"
    import sysconfig

    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "nogil"
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        return "headers"
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "venv"
    return "ok" if sys.version_info[3] == "final" else "pre"


version = sys.version_info[:2]
print("%s %d.%d" % (missing(*version), version[0], version[1]))
