"""Whether processes can be made here, how, and why one that was made did not get ready."""

from __future__ import annotations

import errno
import multiprocessing
import multiprocessing.process
import multiprocessing.spawn
import os
import select

from interp_executor import _serialize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SERVER_ENDS_IN = 5  # seconds at most: threads of modules that it has loaded may keep it for ever
_LIMITS = "the limits on processes (ulimit -u), open files (ulimit -n) and memory"


def default_context() -> Any:
    """Return the multiprocessing context of executors that were given none."""
    serves = "forkserver" in multiprocessing.get_all_start_methods()
    serves = serves and not _is_server_inherited()
    return multiprocessing.get_context("forkserver" if serves else "spawn")


def _is_server_inherited() -> bool:
    """Whether this process was forked from one with a fork server, whoever had started that.

    multiprocessing takes it for its own child, and fails to find out whether it lives.
    """
    server = fork_server()
    if server is None:
        return False
    try:
        os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def why_unavailable(context: Any) -> str | None:
    """Return why no process can be made here, and what to do about it, or None if one can."""
    if multiprocessing.process.current_process().daemon:
        return (
            "this is a daemonic process, which may not have children: start it with "
            "daemon=False, or use concurrent.futures.ProcessPoolExecutor instead of "
            "multiprocessing.Pool around it"
        )
    if context.get_start_method() == "fork":
        return (
            "the executor's mp_context forks, and a fork of a process with interpreters at work "
            "kills the child: give it multiprocessing.get_context('forkserver') or 'spawn'"
        )
    executable = multiprocessing.spawn.get_executable()
    if not executable or not os.path.exists(os.fsdecode(executable)):
        return (
            "the program has no Python executable to start a process with (it is frozen or "
            "embedded): name one with multiprocessing.set_executable()"
        )
    return None


def fork_server() -> int | None:
    """Return the process id of the fork server, or None if there is none yet."""
    from multiprocessing import forkserver

    pid: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    return pid


def server_has_ended(server: int) -> bool:
    """Whether a fork server that gave no answer has ended: it may take a moment.

    It answers no more as soon as its sockets are closed, and multiprocessing asks it, not a new
    one, until it has ended.
    """
    try:
        fd = os.pidfd_open(server)
    except ProcessLookupError:
        return True  # multiprocessing has taken its exit status, for a start in another thread
    except (AttributeError, OSError):  # a system without
        return False
    try:
        end = select.poll()
        end.register(fd, select.POLLIN)
        return bool(end.poll(_SERVER_ENDS_IN * 1000))
    finally:
        os.close(fd)


def hint(error: Exception) -> str:
    """Return what to do about a process that could not be started."""
    scarce = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
    return f": see {_LIMITS}" if isinstance(error, OSError) and error.errno in scarce else ""


def why_not_started(epitaph: str, made: bool) -> str:
    """Explain why a process ended before its first task: all it does is to load the main module.

    Where none was made, the fork server ended, which loads it too, or found no room for another.
    """
    main = _serialize.find_main()
    if main is None:
        return f"a process could not be set up ({epitaph}; its words are on stderr): see {_LIMITS}"
    where = repr(main[1])
    if main[0] == "path" and not _is_guarded(main[1]):
        return (
            f"the main module {where} is not guarded: a new process loads it to find what it "
            "defines, so what is to run only once belongs under if __name__ == '__main__':"
        )
    reason = (
        f"the main module {where} cannot be loaded in a new process ({epitaph}; its words are on "
        "stderr): what it does outside of if __name__ == '__main__': must work there too"
    )
    if not made:
        reason += f". Or the system had no room for a process: see {_LIMITS}"
    return reason


def _is_guarded(path: str) -> bool:
    """Whether a script has an ``if __name__ == "__main__":`` at its top level, for all we see."""
    import ast

    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (SyntaxError, OSError):  # it is compiled, or gone, and cannot be looked at
        return True
    return any(
        isinstance(node, ast.Name) and node.id == "__name__"
        for statement in tree.body
        if isinstance(statement, ast.If)
        for node in ast.walk(statement.test)
    )
