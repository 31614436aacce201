"""What a reader sees while a stage works.

On a terminal of its own a stage shows a progress bar. Under Snakemake several stages share the screen and each has a
log: `log_to` sends everything else (libraries' chatter, warnings) there, and the screen gets a line now and then:

    train large otr: 120 of 256 steps, loss 0.4132, 9871 tokens/s, 18 s left
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

INTERVAL = 10.0
"""Seconds between two lines on the screen."""

_screen: TextIO | None = None
"""The screen, where standard error goes to a log instead."""


def log_to(path: Path) -> None:
    """Send standard output and error of this process, and of libraries below Python, to a file."""
    global _screen
    _screen = os.fdopen(os.dup(2), "w", buffering=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def screen() -> TextIO:
    """Where the reader is, wherever libraries' output goes."""
    return _screen or sys.stderr


def say(text: str) -> None:
    """One line for the reader: to the screen, and to the log if there is one. A log that cannot be written, on a full
    disk for one, does not keep the reader from knowing."""
    for stream in (_screen, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):
                print(text, file=stream, flush=True)


def duration(seconds: float) -> str:
    """24 s, 6.2 min or 1.4 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class Progress:
    """How far a stage is: with Progress("train large otr", total=256, unit="steps") as progress: progress.update()"""

    def __init__(self, title: str, total: int | None, unit: str, done: int = 0, estimate_from: float = 0.0) -> None:
        """total: None where nobody knows it beforehand. estimate_from: share that must be done before a line says how
        long the rest takes, for units that are worked on side by side and so end late."""
        self._title, self._total, self._unit = title, total, unit
        self._first = self._done = done
        self._note = ""
        self._estimate_from = estimate_from
        self._started = self._shown = time.monotonic()
        self._bar = (
            tqdm(total=total, initial=done, desc=title, unit=unit.rstrip("s"), dynamic_ncols=True, mininterval=1)
            if _screen is None
            else None
        )

    def update(self, count: int = 1, note: str = "") -> None:
        """`count` more units are done; `note` is shown behind them."""
        self._done += count
        self._note = note
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._shown >= INTERVAL:
            self._shown = time.monotonic()
            say(self._line())

    def _line(self) -> str:
        if self._total is None:
            return f"{self._title}: {self._done:,} {self._unit}"
        seconds = (time.monotonic() - self._started) / max(1, self._done - self._first) * (self._total - self._done)
        left = f"{duration(seconds)} left" if self._done >= self._estimate_from * self._total else ""
        parts = [f"{self._done} of {self._total} {self._unit}", self._note, left]
        return f"{self._title}: {', '.join(filter(None, parts))}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
