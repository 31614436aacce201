"""metrics.jsonl: one line an optimizer step, written before the next step begins.

    {"step": 1, "loss": 0.41, "nll": 0.52, "gt_probability": 0.81, "gt_count": 207.4, "learning_rate": 1e-06, ...}

loss: the objective; nll: negative log-likelihood of the ground truth, nats a token; gt_probability: mean of pi'(x);
gt_count: ground-truth tokens among the K drawn, a token (Figure 2); entropy: of the model's distribution, nats;
beta_share: part of the gradient that the beta term makes; gradient_norm: before clipping.
"""

import json
import os
from pathlib import Path

from otr.errors import UserError
from otr.files import Row, read_jsonl, write_text


class MetricsFile:
    """Appends rows; opening one keeps the rows of the first `keep` steps and drops what a dead run left after them.

    UserError when some of those are missing, or the disk is full.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self._path = path
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= keep]
        if [json.loads(line)["step"] for line in kept] != list(range(1, keep + 1)):
            raise UserError(f"{path}: the lines of steps 1 to {keep} are not all there; delete {path.parent}")
        write_text(path, "".join(kept))
        self._file = path.open("a", encoding="utf-8")

    def append(self, row: Row) -> None:
        """On return the line has left this process: killing it loses nothing."""
        try:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written ({error.strerror}); make room and run again") from None

    def sync(self) -> None:
        """On return the lines are on the disk: a power cut loses nothing."""
        os.fsync(self._file.fileno())

    def rows(self) -> list[Row]:
        return list(read_jsonl(self._path))


def _whole_lines(path: Path) -> list[str]:
    """Complete lines only: a killed process may have left half of one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
