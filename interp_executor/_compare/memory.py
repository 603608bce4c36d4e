"""What a process and its descendants hold in memory, as the kernel counts it (Linux)."""

from pathlib import Path


def tree_memory(pid: int) -> int | None:
    """Return the memory of a process tree in bytes, or None where the kernel does not say.

    The proportional set size, so pages that processes share (after a fork) count once; anonymous
    memory alone, since the pages of files, such as Python's own code, are shared with every
    other Python on the machine and would be divided by however many there are.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    try:
        return sum(_anonymous_memory(each) for each in _tree(pid))
    except (OSError, ValueError):
        return None


def _anonymous_memory(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has just ended
    fields = dict(line.split(":", 1) for line in text.splitlines()[1:])
    if "Pss_Anon" not in fields:
        raise ValueError("a kernel before 5.9")
    return int(fields["Pss_Anon"].split()[0]) * 1024


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is read
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue  # that thread has just ended
    return found
