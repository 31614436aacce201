"""Placeholder until the kernel lands."""

from torch import Tensor
from otr.loss.rows import row_pass as row_pass


def serves(logits: Tensor) -> bool:
    return False
