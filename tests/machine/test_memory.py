"""Peak memory is a process's own, not that of the one that started it."""

import subprocess
import sys

import numpy as np

from otr.machine import memory


def test_a_child_of_a_large_process_is_small() -> None:
    held = np.ones(300_000_000, dtype=np.uint8)
    assert memory.peak() > held.nbytes
    program = "from otr.machine import memory; print(memory.peak())"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(child.stdout) < 100_000_000 < held.sum()
