"""The tiny trainer on several ranks of this machine."""

import os
import socket
from pathlib import Path
from typing import Any

import torch
from train.processes import FORKSERVER
from train.tiny import ALONE, gradients, sequences, trainer, weights

from otr.train.parallel import Ranks, started

BATCH = sequences(9)


def measured(settings: dict[str, Any], ranks: Ranks = ALONE) -> dict[str, Any]:
    """Gradients and metrics of a step, and the weights after it."""
    made = trainer(ranks=ranks, batch_size=9, **settings)
    found: dict[str, Any] = {"metrics": made.gradient(0, BATCH), "gradients": gradients(made)}
    made.optimizer.zero_grad()
    norm = made.step(0, 10, BATCH)["gradient_norm"]
    return found | {"norm": norm, "weights": weights(made)}


def one_rank(rank: int, count: int, port: int, settings: list[dict[str, Any]], file: Path) -> None:
    torch.set_num_threads(1)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # one GPU would not do for two ranks
    places = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in places.items()})
    with started() as ranks:
        torch.save([measured(one, ranks) for one in settings], file.with_suffix(f".{rank}"))


def on_ranks(count: int, settings: list[dict[str, Any]], file: Path) -> list[list[dict[str, Any]]]:
    """What each rank measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [FORKSERVER.Process(target=one_rank, args=(rank, count, port, settings, file)) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    return [torch.load(file.with_suffix(f".{rank}")) for rank in range(count)]
