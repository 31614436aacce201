"""Buffers that outlive a call: on a CPU, fresh pages of memory cost more than the arithmetic on them.

    with workspace(torch.device("cpu")) as work:
        work.take("exp", (1024, 512), torch.float32)        # not initialised; the same memory at the next call

A process keeps as many sets as ever worked at once (one a thread), each about 20 MB for a group of 2^19 logits. Without
them the OTR head took 39 ms at N = 2000, V = 512 in a process that allocates much beside it, with them 25. A GPU has an
allocator that keeps memory, and gets new buffers each time.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_idle: list["Workspace"] = []


class Workspace:
    """Named buffers of one device, each grown to the largest size it was asked for."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._flat: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor of this shape in the buffer of this name and type, whatever it held before."""
        size = math.prod(shape)
        flat = self._flat.get((name, dtype))
        if flat is None or len(flat) < size:
            with torch.inference_mode(False):  # a tensor made inside could not be written to outside
                flat = self._flat[name, dtype] = torch.empty(size, dtype=dtype, device=self.device)
        return flat[:size].view(shape)


@contextmanager
def workspace(device: torch.device) -> Iterator[Workspace]:
    """A workspace that nobody else uses meanwhile: not another thread, and not a call inside this one."""
    try:
        work = _idle.pop() if device.type == "cpu" else Workspace(device)
    except IndexError:
        work = Workspace(device)
    yield work
    if device.type == "cpu":
        _idle.append(work)
