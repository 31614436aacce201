"""Checkpoints: resumable ones while a run goes on, and the final one that others load.

A resumable checkpoint is a folder step-<n> beside the run's outputs (never inside one, as Snakemake deletes outputs
before a rerun). It is written under another name and renamed when whole, so any step-<n> folder is complete. The
final checkpoint is a plain Hugging Face folder: safetensors, tokenizer with its chat template, generation_config.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from otr.data.chat import Chat
from otr.files import Row, read_json, replacing, write_json

_NAME = re.compile(r"step-(\d+)")


def save(folder: Path, step: int, model: Any, optimizer: torch.optim.Optimizer, extra: Row) -> None:
    """Write the state after `step` finished steps and remove older checkpoints."""
    weights, moments = get_state_dict(model, optimizer)
    with replacing(folder / f"step-{step}") as target:
        dcp.save({"model": weights, "optimizer": moments}, checkpoint_id=target, no_dist=not dist.is_initialized())
        write_json(target / "run.json", extra | {"step": step})
    for older in _checkpoints(folder)[:-1]:
        # Renamed first: a folder called step-<n> is always whole, also while an old one is being deleted.
        shutil.rmtree(older.rename(folder / f"outdated-{older.name}"))


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def load(checkpoint: Path, model: Any, optimizer: torch.optim.Optimizer) -> Row:
    """Put a checkpoint's state into model and optimizer; returns the `extra` it was saved with, and its step."""
    weights, moments = get_state_dict(model, optimizer)
    dcp.load({"model": weights, "optimizer": moments}, checkpoint_id=checkpoint, no_dist=not dist.is_initialized())
    set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=moments)
    return dict(read_json(checkpoint / "run.json"))


def export(folder: Path, model: Any, tokenizer: Any, dtype: torch.dtype) -> None:
    """Write the final checkpoint, its weights rounded to `dtype`, with a generation_config that holds the stop tokens
    and nothing that would change sampling behind a reader's back."""
    from transformers import GenerationConfig

    stop = Chat(tokenizer).stop_ids(model.generation_config.eos_token_id)
    model.generation_config = GenerationConfig(
        eos_token_id=stop, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id
    )
    state = {name: tensor.to(dtype) for name, tensor in model.state_dict().items()}
    model.config.dtype = dtype
    with replacing(folder) as target:
        model.save_pretrained(target, state_dict=state)
        tokenizer.save_pretrained(target)


def _checkpoints(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))
