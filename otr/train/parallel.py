"""From one process to many: launching ranks, sharding a model over them (FSDP2), and agreeing on numbers.

    otr train --gpus 2 ...       # starts two ranks under torchrun on this machine, on free devices

Over several machines, torchrun is started on each of them; all see the same files. Two nodes of eight GPUs, on Slurm:

    srun --nodes 2 --ntasks-per-node 1 --gpus-per-node 8 torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d \\
        --rdzv-endpoint FIRST_NODE:29500 --rdzv-id "$SLURM_JOB_ID" -m -- otr.train ...

Each rank knows the whole batch and takes its share of micro-batches, so what a step's loss is divided by needs no
communication. A rank is a GPU (NCCL), or a process on a machine without one (gloo).
"""

import argparse
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from otr.command.progress import say
from otr.errors import UserError
from otr.machine import devices, memory

_SHUTDOWN_SECONDS = 180
"""How long torchrun lets ranks write a checkpoint after SIGTERM before it kills them."""


@dataclass(frozen=True)
class Ranks:
    """This process among its peers."""

    rank: int
    count: int
    device: torch.device
    memory: float | None = None
    """Bytes of the smallest GPU among the ranks, free before anything was put there; None without GPUs."""

    @property
    def first(self) -> bool:
        """Whether this rank is the one that talks and writes."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """`values` added up over the ranks, the same on each."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Whether each flag is set on any rank: all ranks take the same turn."""
        if self.count == 1:
            return flags
        return tuple(
            bool(count) for count in self.sum(torch.tensor(flags, dtype=torch.int32, device=self.device)).tolist()
        )

    def peak_memory(self) -> int:
        """Most bytes held at once, of GPU memory or, without one, of main memory; of this rank."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return memory.peak()

    def wait(self) -> None:
        """Return when all ranks are here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def started() -> Iterator[Ranks]:
    """Join the ranks that torchrun started, if it did. A single GPU is a group of one, which can be sharded over as
    well. A single process without a GPU needs none of that."""
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if count == 1 and device.type == "cpu":
        yield Ranks(rank, count, device)
        return
    if count > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    else:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group("nccl", store=store, rank=0, world_size=1)
    yield Ranks(rank, count, device, _smallest_memory(device) if device.type == "cuda" else None)
    dist.destroy_process_group()


def _smallest_memory(device: torch.device) -> float:
    free = torch.tensor(torch.cuda.mem_get_info(device)[0], dtype=torch.float64, device=device)
    dist.all_reduce(free, op=dist.ReduceOp.MIN)
    return float(free)


def launch(module: str, arguments: list[str]) -> list[str]:
    """Lease devices; become torchrun when `--gpus` asks for several ranks; else return this rank's arguments. Ranks
    that torchrun started use what it was given.

    Ranks above the first log to a file of their own, <log>.rank<n>.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--log")
    options, _ = parser.parse_known_args(arguments)
    rank = int(os.environ.get("RANK", "-1"))
    if rank < 0:
        try:
            devices.lease(options.gpus, say=say)
        except UserError as error:
            sys.exit(f"error: {error}")
    if options.gpus > 1 and rank < 0:
        torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={options.gpus}"]
        command = ["-m", *torchrun, f"--shutdown-timeout={_SHUTDOWN_SECONDS}", "-m", "--", module, *arguments]
        os.execv(sys.executable, [sys.executable, *command])
    return [*arguments, "--log", f"{options.log}.rank{rank}"] if options.log and rank > 0 else arguments


def shard(policy: Any, ranks: Ranks, precision: str) -> None:
    """Spread parameters, gradients and optimizer state over the ranks; float32 shards, computing in `precision`.

    Each layer is gathered when its turn comes, and so are an embedding and a head of their own. Tied, these two and the
    last norm form the root's group, which stays gathered over the forward and backward pass of a micro-batch.
    Gradients are added over ranks in float32, not averaged: the loss is already divided for the whole step.
    """
    mesh = init_device_mesh(ranks.device.type, (ranks.count,))
    compute = torch.bfloat16 if precision == "bfloat16" else None
    mixed = MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32, cast_forward_inputs=False)
    settings: dict[str, Any] = {"mesh": mesh, "mp_policy": mixed}
    embedding, head = policy.model.get_input_embeddings(), policy.head
    sharded = [fully_shard(layer, **settings) for layer in policy.model.model.layers]
    if embedding.weight is not head.weight:
        sharded.append(fully_shard(embedding, **settings))
        # Its backward pass follows at once: freeing it in between would gather it twice.
        sharded.append(fully_shard(head, reshard_after_forward=False, **settings))
    sharded.append(fully_shard(policy, **settings))
    for module in sharded:
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
    head.register_forward_pre_hook(functools.partial(_keep_gradients_exact, policy))


def _keep_gradients_exact(policy: nn.Module, *_: Any) -> None:
    """The head's group, gathered by now, gets float32 gradients of its bfloat16 copies: the head adds up its own in
    float32, and rounding that once a micro-batch would cost more than all later sums. A group has one type."""
    for parameter in policy.parameters():
        if not isinstance(parameter, DTensor):
            parameter.grad_dtype = torch.float32
