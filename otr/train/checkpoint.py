"""Checkpoints: resumable ones, while a run goes on.

They lie in a folder of their own beside the run's outputs (never inside one: Snakemake deletes outputs before
a rerun):

    .resume/settings.json      what the run was started with: a run of other settings does not go on from here
    .resume/metrics.jsonl      one line a finished step
    .resume/step-120/          weights and moments after 120 steps, and nothing else
    .resume/step-120/digests-0.json    what rank 0 wrote of it: {"files": {"__0_0.distcp": "5f3a..."}, ...}

A step-<n> is written under another name and renamed when whole, so any folder of that name is complete, whatever
moment the process was killed at; one that is not what its digests say is not gone on from. The final checkpoint is
written by otr/models/export.py.
"""

import os
import re
import shutil
import warnings
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import (
    get_state_dict,
    set_state_dict,
)

from otr import files
from otr.command.progress import say
from otr.errors import UserError, first_line
from otr.files import Row, flat, read_json, read_record, read_sha256, remove, write_json, write_record
from otr.train.parallel import Ranks
from otr.train.reading import Planner, Reader

METRICS = "metrics.jsonl"
_STEP = re.compile(r"step-(\d+)")


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Keep other processes from training into `out`, and remove what killed ones left half written.

    UserError when another process is at it.
    """
    with files.claimed(out, "training"):
        for leftover in (*out.glob(".*.partial"), *out.glob(".resume/.*.partial"), *out.glob(".resume/outdated-*")):
            remove(leftover)
        yield


def changed_settings(resume: Path, settings: Row, ignored: Set[str]) -> list[str]:
    """Make `resume` the folder of a run with these settings. Returns what differs from the run it was of: dotted keys,
    whose last part is not `ignored`, with both values. Where something does, that run's checkpoints are deleted."""
    file = resume / "settings.json"
    changes = []
    if file.exists():
        before, now = flat(read_json(file)), flat(settings)
        changes = [
            f"{key}: {before.get(key)} before, {now.get(key)} now"
            for key in before | now
            if before.get(key) != now.get(key) and key.rpartition(".")[2] not in ignored
        ]
    if changes or not file.exists():
        remove(resume)
        write_json(file, settings)
    return changes


def save(resume: Path, step: int, policy: Any, optimizer: torch.optim.Optimizer, ranks: Ranks) -> None:
    """Write the state after `step` finished steps, all ranks together, and remove older checkpoints.

    UserError when it cannot be written (a full disk); the previous checkpoint is then as it was.
    """
    target, temporary = resume / f"step-{step}", resume / f".step-{step}.partial"
    try:
        _transfer(state_dict_saver.save, temporary, policy, optimizer)
        _write_digests(temporary, resume / METRICS, ranks)
    except (CheckpointException, OSError, RuntimeError) as error:
        if ranks.first:
            remove(temporary)
        size = sum(parameter.numel() for parameter in policy.parameters()) * 12 / 1e9
        raise UserError(
            f"{target}: the checkpoint cannot be written ({_reason(error)}); it takes {size:.2g} GB, and "
            f"{shutil.disk_usage(resume).free / 1e9:.2g} GB are free. The previous checkpoint is kept: make room and "
            "run again"
        ) from None
    ranks.wait()
    if ranks.first:
        temporary.rename(target)
        _flush(resume)
        for older in _checkpoints(resume)[:-1]:
            # Renamed first: a folder called step-<n> is always whole, also while an old one is being deleted.
            remove(older.rename(resume / f"outdated-{older.name}"))
    ranks.wait()


def latest(resume: Path, ranks: Ranks) -> Path | None:
    """The newest checkpoint that is what was written. All ranks together; damaged ones are removed, which is said."""
    for folder in reversed(_checkpoints(resume)):
        damage = _damage(folder, resume / METRICS, ranks)
        if not any(ranks.any(damage is not None)):
            return folder
        if damage is not None:
            say(f"{folder}: {damage} is not what was written; training goes on from an earlier checkpoint or afresh")
        ranks.wait()
        if ranks.first:
            remove(folder)
        ranks.wait()
    return None


def _write_digests(folder: Path, metrics: Path, ranks: Ranks) -> None:
    """Each rank speaks of the files that it wrote; the first one of the table of contents and of the metrics so far."""
    names = [file.name for file in folder.glob(f"__{ranks.rank}_*")] + [".metadata"] * ranks.first
    record: Row = {"files": {name: read_sha256(folder / name) for name in names}}
    if ranks.first and metrics.exists():
        size = metrics.stat().st_size
        record["metrics"] = {"bytes": size, "sha256": read_sha256(metrics, size)}
    write_record(folder / f"digests-{ranks.rank}.json", record)


def _damage(folder: Path, metrics: Path, ranks: Ranks) -> str | None:
    """The first file that is missing or not what was written, of this rank's share of all."""
    try:
        records = [read_record(file) for file in sorted(folder.glob("digests-*.json"))]
    except UserError:
        return "a digest"
    files = {name: digest for record in records for name, digest in record["files"].items()}
    if ".metadata" not in files or len(list(folder.glob("__*"))) != len(files) - 1:
        return "its list of files"
    for name in sorted(files)[ranks.rank :: ranks.count]:
        if not (folder / name).exists() or read_sha256(folder / name) != files[name]:
            return str(name)
    for written in [record["metrics"] for record in records if "metrics" in record]:
        if not metrics.exists() or read_sha256(metrics, written["bytes"]) != written["sha256"]:
            return metrics.name
    return None


def load(checkpoint: Path, policy: Any, optimizer: torch.optim.Optimizer) -> int:
    """Put a checkpoint's state into policy and optimizer; returns the number of steps it was written after.

    It may have been written by another number of ranks. UserError when it is damaged.
    """
    try:
        reading = {"storage_reader": Reader(checkpoint), "planner": Planner()}
        weights, moments = _transfer(state_dict_loader.load, checkpoint, policy, optimizer, **reading)
    except (CheckpointException, OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{checkpoint}: cannot be read ({_reason(error)}); delete this folder and run again") from None
    set_state_dict(policy, optimizer, model_state_dict=weights, optim_state_dict=moments)
    return int(checkpoint.name.removeprefix("step-"))


def _transfer(
    move: Any, folder: Path, policy: Any, optimizer: torch.optim.Optimizer, **options: Any
) -> tuple[Any, Any]:
    """Save to or load from a folder with torch's distributed checkpoints; returns the weights and moments moved."""
    weights, moments = get_state_dict(policy, optimizer)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # said to one process, which knows it
        state, alone = {"model": weights, "optimizer": moments}, not dist.is_initialized()
        move(state, checkpoint_id=folder, no_dist=alone, **options)
    return weights, moments


def _checkpoints(resume: Path) -> list[Path]:
    found = [path for path in resume.glob("step-*") if _STEP.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _reason(error: BaseException) -> str:
    """The cause in a few words; a checkpoint error carries one error a rank."""
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    return first_line(error)


def _flush(folder: Path) -> None:
    """Make a rename last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
