"""How much memory this process has held."""

import resource
import sys
from pathlib import Path


def peak() -> int:
    """Most bytes held at a time since the program started.

    On Linux from /proc: getrusage also counts what the process held that started this one, since it was forked from it.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
