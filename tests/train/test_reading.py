"""A resumable checkpoint that somebody tampered with is refused, and nothing in it is run."""

import io
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from train.tiny import ALONE, sequences, trainer, weights

from otr.errors import UserError
from otr.train import checkpoint


class Harmful:
    """What a pickle can do: unpickled by an ordinary reader, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._folder),)


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    made = trainer(batch_size=9)
    made.step(0, 10, sequences(9))
    checkpoint.save(tmp_path, 1, made.policy, made.optimizer, ALONE)
    return made


def test_what_was_saved_is_read(saved: Any, tmp_path: Path) -> None:
    fresh = trainer(batch_size=9)
    assert checkpoint.load(tmp_path / "step-1", fresh.policy, fresh.optimizer) == 1
    assert torch.equal(weights(fresh), weights(saved))
    for made in (fresh, saved):
        made.step(1, 10, sequences(9))
    assert torch.equal(weights(fresh), weights(saved))  # the moments and the learning rate came along


def test_a_harmful_table_of_contents_is_refused(saved: Any, tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    (tmp_path / "step-1" / ".metadata").write_bytes(pickle.dumps(Harmful(harm)))
    with pytest.raises(UserError, match="step-1: cannot be read .*it names posix.mkdir.*delete this folder"):
        checkpoint.load(tmp_path / "step-1", saved.policy, saved.optimizer)
    assert not harm.exists()


def test_a_harmful_small_value_is_refused(saved: Any, tmp_path: Path) -> None:
    """The learning rate lies as a file of torch.save between the tensors."""
    harm = tmp_path / "harm"
    table = pickle.loads((tmp_path / "step-1" / ".metadata").read_bytes())  # our own, made above
    place = next(place for index, place in table.storage_data.items() if index.fqn.endswith(".lr"))
    stream = io.BytesIO()
    torch.save(Harmful(harm), stream)
    shard = tmp_path / "step-1" / place.relative_path
    place.offset, place.length = shard.stat().st_size, len(stream.getvalue())
    shard.write_bytes(shard.read_bytes() + stream.getvalue())
    (tmp_path / "step-1" / ".metadata").write_bytes(pickle.dumps(table))
    with pytest.raises(UserError, match="step-1: cannot be read"):
        checkpoint.load(tmp_path / "step-1", saved.policy, saved.optimizer)
    assert not harm.exists()


@pytest.mark.parametrize("damaged", ["*.distcp", ".metadata", "digests-0.json", "../metrics.jsonl"])
@pytest.mark.parametrize("fault", ["one bit", "missing", "cut"])
def test_a_damaged_checkpoint_is_not_gone_on_from(
    tmp_path: Path, damaged: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one before it is, where it is still there: a process may be killed between writing and removing."""
    made = trainer(batch_size=9)
    rows = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        rows.write_text("".join(f'{{"step": {number}, "loss": 0.5}}\n' for number in range(1, step + 1)))
        checkpoint.save(tmp_path, step, made.policy, made.optimizer, ALONE)
        shutil.copytree(tmp_path / f"step-{step}", tmp_path / f"kept-{step}")
    (tmp_path / "kept-1").rename(tmp_path / "step-1")
    with rows.open("a") as more:
        more.write('{"step": 3, "loss": 0.5}\n')  # of steps after the checkpoint
    assert checkpoint.latest(tmp_path, ALONE) == tmp_path / "step-2"
    (file,) = (tmp_path / "step-2").glob(damaged)
    content = bytearray(file.read_bytes())
    content[-(len(content) // 2)] ^= 1
    if fault == "missing":
        file.unlink()
    else:
        file.write_bytes(content if fault == "one bit" else content[: len(content) // 3])
    # Metrics are of all checkpoints; unless they are gone, their first row is whole, which is all that step 1 needs.
    expected = None if damaged == "../metrics.jsonl" and fault == "missing" else tmp_path / "step-1"
    assert checkpoint.latest(tmp_path, ALONE) == expected
    assert "step-2: " in (said := capsys.readouterr().err) and "is not what was written" in said
    assert not (tmp_path / "step-2").exists()


@pytest.mark.parametrize("damage", ["cut", "deleted", "empty table"])
def test_a_damaged_checkpoint_is_one_error(saved: Any, tmp_path: Path, damage: str) -> None:
    shard = next((tmp_path / "step-1").glob("*.distcp"))
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    elif damage == "deleted":
        shard.unlink()
    else:
        (tmp_path / "step-1" / ".metadata").write_bytes(b"")
    with pytest.raises(UserError, match="step-1: cannot be read .*delete this folder and run again"):
        checkpoint.load(tmp_path / "step-1", saved.policy, saved.optimizer)
