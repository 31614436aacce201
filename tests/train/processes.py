"""Trainings in processes of their own, to be stopped, killed and starved."""

import multiprocessing
import os
import resource
import signal
from pathlib import Path

# A server that has imported torch and transformers, and run nothing, forks a process in no time.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["otr.train.loop", "otr.figures", "pandas", "transformers.models.qwen3"])


class Process:
    """`python -m otr.train` in a process of its own, which writes resumable checkpoints as often as its recipe says."""

    def __init__(self, arguments: list[str], errors: Path, largest_file: int | None, gpu: bool) -> None:
        self._errors = errors
        self._process = FORKSERVER.Process(target=_main, args=(arguments, errors, largest_file, gpu))
        self._process.start()

    def send(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self) -> int | None:
        self._process.join(300)
        return self._process.exitcode

    def alive(self) -> bool:
        return self._process.is_alive()

    def errors(self) -> str:
        return self._errors.read_text()


def _main(arguments: list[str], errors: Path, largest_file: int | None, gpu: bool) -> None:
    if not gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with errors.open("w") as file:
        os.dup2(file.fileno(), 2)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    from otr.train import loop
    from otr.train.__main__ import main

    # A tiny training is over before writing has cost its share of the time: here every step may write.
    loop.CHECKPOINT_SHARE = float("inf")
    main(arguments)
