"""Peak memory is a process's own, not that of the one that started it; set-up is left alone by the collector."""

import gc
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


def test_set_up_is_not_looked_through_for_garbage() -> None:
    before = gc.get_freeze_count()
    try:
        with memory.uncollected():
            inside = gc.isenabled()
            kept = [[number] for number in range(1000)]
        assert (inside, gc.isenabled()) == (False, True)
        assert gc.get_freeze_count() - before > len(kept)
        gc.disable()
        with memory.uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
