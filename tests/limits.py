"""A limit for work that must not grow with the square of its input."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

CPU_SECONDS = 6.0
"""Three times what the slowest of these inputs takes, less than half of what copies of every rest of one cost."""


@contextmanager
def not_quadratic(what: str = "") -> Iterator[None]:
    """Fails where the block takes more than CPU_SECONDS of this process. How fast it is, benchmarks tell."""
    started = time.process_time()
    yield
    spent = time.process_time() - started
    assert spent < CPU_SECONDS, f"{spent:.0f} s of CPU {what}"
