"""SIGTERM to Snakemake alone, as a batch system or a service manager sends it, stops it as Ctrl-C does.

Snakemake itself would first wait for all running jobs, which may take hours; and a signal to one process, unlike Ctrl-C
in a terminal, does not reach the jobs.
"""

import signal
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType

import psutil  # type: ignore[import-untyped]

_SHELLS = {"bash", "sh", "dash"}


def stop_on_sigterm() -> None:
    """Pass SIGTERM on to the stages that run, then stop. Call it when Snakemake's scheduler stands: it sets its own."""

    def stop(number: int, frame: FrameType | None) -> None:
        for stage in _stages(psutil.Process()):
            with suppress(psutil.NoSuchProcess):
                stage.terminate()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _stages(process: psutil.Process) -> Iterator[psutil.Process]:
    """The programs that the shells of jobs run; not what those start, which is theirs to end."""
    try:
        for child in process.children():
            if child.name() in _SHELLS:
                yield from _stages(child)
            else:
                yield child
    except psutil.NoSuchProcess:
        pass
