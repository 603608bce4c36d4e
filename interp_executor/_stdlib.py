"""What the standard library is told to remember, and how it forgets it again.

Its modules stay loaded when an interpreter is scrubbed, since they take long to import. What they
are commonly told is undone here, where a module is loaded at all.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def restore() -> None:
    """Make the loaded modules of the standard library forget what tasks have told them."""
    for name, forget in _FORGET.items():
        module = sys.modules.get(name)
        if module is not None:
            forget(module)
    sys.set_asyncgen_hooks(None, None)
    if hasattr(sys, "tracebacklimit"):
        del sys.tracebacklimit


def _threading(threading: "Any") -> None:
    threading.excepthook = threading.__excepthook__
    threading.settrace(None)
    threading.setprofile(None)
    threading.stack_size(0)


def _random(random: "Any") -> None:
    random.seed()


def _decimal(decimal: "Any") -> None:
    default = decimal.DefaultContext  # what new contexts are like
    default.prec, default.rounding = 28, decimal.ROUND_HALF_EVEN
    default.Emin, default.Emax = -999999, 999999
    default.capitals, default.clamp = 1, 0
    default.clear_flags()
    default.clear_traps()
    for trapped in (decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow):
        default.traps[trapped] = True
    decimal.setcontext(decimal.Context())


def _socket(socket: "Any") -> None:
    socket.setdefaulttimeout(None)


def _tempfile(tempfile: "Any") -> None:
    tempfile.tempdir = None


def _re(re: "Any") -> None:
    import copyreg

    copyreg.pickle(re.Pattern, re._pickle)  # where a task has told otherwise


def _typing(typing: "Any") -> None:
    for clear in typing._cleanups:  # its caches hold the classes of tasks, and so their modules
        clear()
    typing.clear_overloads()


def _ctypes(ctypes: "Any") -> None:
    cache = ctypes._pointer_type_cache
    if isinstance(cache, dict):  # 3.13: a later ctypes keeps pointer types with what they point to
        for pointed in cache.keys() - {None}:
            if getattr(pointed, "__module__", "").partition(".")[0] not in sys.stdlib_module_names:
                del cache[pointed]
    ctypes._c_functype_cache.clear()


def _asyncio(events: "Any") -> None:
    events._event_loop_policy = None


def _logging(logging: "Any") -> None:
    logging.shutdown()
    logging.captureWarnings(False)
    logging.disable(logging.NOTSET)
    logging.setLoggerClass(logging.Logger)
    logging.setLogRecordFactory(logging.LogRecord)
    for name, logger in [("", logging.root), *logging.root.manager.loggerDict.items()]:
        if isinstance(logger, logging.Logger):  # in place: its module may hold it
            _reset(logger, logging.NOTSET if name else logging.WARNING)
        if name and name.partition(".")[0] not in sys.stdlib_module_names:
            del logging.root.manager.loggerDict[name]
    _run_at_exit_again(logging.shutdown)


def _reset(logger: "Any", level: int) -> None:
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
    for each in logger.filters[:]:
        logger.removeFilter(each)
    logger.setLevel(level)
    logger.propagate, logger.disabled = True, False


def _multiprocessing(util: "Any") -> None:
    util._exiting = False
    _run_at_exit_again(util._exit_function)


def _contexts(context: "Any") -> None:
    context._default_context._actual_context = None  # the start method, which is set once


def _run_at_exit_again(function: "Any") -> None:
    """Register what a module registers when it is imported: it has been run."""
    import atexit

    atexit.unregister(function)
    atexit.register(function)


_FORGET = {
    "threading": _threading,
    "random": _random,
    "decimal": _decimal,
    "socket": _socket,
    "tempfile": _tempfile,
    "re": _re,
    "typing": _typing,
    "ctypes": _ctypes,
    "asyncio.events": _asyncio,
    "logging": _logging,
    "multiprocessing.util": _multiprocessing,
    "multiprocessing.context": _contexts,
}
