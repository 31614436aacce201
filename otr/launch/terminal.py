"""What Snakemake says on the screen while it works: less, and what a reader wants to know.

In: Snakemake's own log records, by way of a filter on its logger (workflow/rules/common.smk). Out: how much there is to
do, for each job its start, its stage's own lines, and one line when it is done

    start: training small with otr
    finished training small with otr: 12 of 28 jobs, about 6.2 min left

and for a failure the end of the job's log instead of its inputs and outputs. `--verbose` leaves everything as it is.
Where nobody knows how long the rest takes (otr/launch/remaining.py), no time is named.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from otr.command.progress import duration
from otr.launch.remaining import Remaining

CHATTER = (
    "Assuming unrestricted shared filesystem",
    "Using shell:",
    "Rules claiming more threads",
    "Provided resources:",
    "Conda environments: ignored",
    "Select jobs to execute",
    "Execute ",
)
"""Beginnings of lines that ask for nothing and tell a reader nothing."""
LOG_LINES = 12
"""Of a failed job's log, so many at its end."""
REASON = 100
"""Characters of the reason why a job runs."""


class Calm(logging.Filter):
    """Drops chatter and rewrites the lines on progress and on failures."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self.remaining = Remaining({}, 1)
        self._started: dict[Any, tuple[str, str, float]] = {}
        self._finished = ""
        self._is_ending = False
        self._is_stopped = False
        self._is_counted = False
        self._last_lines: Callable[[], Iterable[str]] = tuple

    def expect(self, cores: int, seconds: Mapping[str, float]) -> None:
        """cores: jobs at once; seconds: of a job by rule, where that is known before one has run."""
        self.remaining = Remaining({}, cores, seconds)

    def tell(self, lines: Callable[[], Iterable[str]]) -> None:
        """Lines to end a dry run with, which counts its jobs before and after it lists them."""
        self._last_lines = lines

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a record that nobody needs to see; others may be changed."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            stats = getattr(record, "stats", {})
            # `all` only names what is wanted; it takes no time.
            jobs = {rule: int(n) for rule, n in stats.items() if rule not in ("total", "all")}
            self.remaining = Remaining(jobs, self.remaining.cores, self.remaining.expected)
            lines, self._is_counted = self._last_lines() if self._is_counted else (), True
            record.msg = "\n".join([str(record.msg) + self._left("\nAll of it takes {}."), *lines])
        elif event == LogEvent.WORKFLOW_STARTED:
            return False
        elif event == LogEvent.JOB_INFO:
            return self._job_starts(record)
        elif event == LogEvent.JOB_FINISHED:
            self._job_ends(record)
            return False
        elif event == LogEvent.PROGRESS:
            self._say(record, self._progress(record))
        elif event == LogEvent.JOB_ERROR:
            _, title, _ = self._started.pop(
                getattr(record, "jobid", None), ("", str(getattr(record, "rule_name", "")), 0)
            )
            self._say(record, failure(record, title))
            return not self._is_stopped
        elif event == LogEvent.ERROR:
            # The job's own error says the same, with the job's log; a stopped job is no error at all.
            return "CalledProcessError" not in str(record.msg) and not self._is_stopped
        elif event in (None, LogEvent.JOB_STARTED, LogEvent.RESOURCES_INFO):
            if str(record.msg).startswith("Terminating processes on user request"):
                self._is_stopped = True
                record.msg = "stopping; a training writes a checkpoint first"
            return self._is_news(str(record.msg))
        return True

    def _is_news(self, text: str) -> bool:
        if text.startswith("Will exit after finishing"):
            first, self._is_ending = not self._is_ending, True
            return first
        return not text.startswith(CHATTER)

    def next_step(self, logs: str) -> str:
        """What to do after a run that did not finish; `logs` is the folder of all logs."""
        if self._is_stopped:
            return "stopped; the same command goes on where this one ended"
        return (
            "Fix the cause named above, then run the same command again: what is finished is kept. (After a killed"
            f" Snakemake: first `snakemake --unlock`.) All logs: {logs}/"
        )

    @staticmethod
    def _say(record: logging.LogRecord, text: str) -> None:
        """A record without an event is printed as its text."""
        record.event = None
        record.msg = text

    def _job_starts(self, record: logging.LogRecord) -> bool:
        rule, title = str(getattr(record, "rule_name", "")), str(getattr(record, "rule_msg", None) or "")
        self._started[getattr(record, "jobid", None)] = rule, title or rule, self._clock()
        reason = str(getattr(record, "reason", None) or "")
        # What is not there yet, or waits for another job, is why nearly every job runs; anything else is news.
        is_news = reason and not reason.startswith(("Missing output files", "Input files updated by another job"))
        if len(reason) > REASON:
            reason = f"{reason[:REASON].rpartition(' ')[0].rstrip(',')}, ..."
        self._say(record, f"start: {title or rule}" + (f" ({reason[0].lower()}{reason[1:]})" if is_news else ""))
        return rule != "all"

    def _job_ends(self, record: logging.LogRecord) -> None:
        started = self._started.pop(getattr(record, "job_id", None), None)
        if started is not None:
            rule, self._finished, begin = started
            self.remaining.finished(rule, self._clock() - begin)

    def _progress(self, record: logging.LogRecord) -> str:
        done, total = getattr(record, "done", 0), getattr(record, "total", 0)
        return f"finished {self._finished}: {done} of {total} jobs{self._left(', {} left') if done < total else ''}"

    def _left(self, pattern: str) -> str:
        """The pattern with the time that remains; nothing where it is not known or too short to speak of."""
        now = self._clock()
        seconds = self.remaining.seconds((rule, now - begin) for rule, _, begin in self._started.values())
        return pattern.format(f"about {duration(seconds)}") if seconds is not None and seconds >= 1 else ""


def failure(record: logging.LogRecord, title: str) -> str:
    """A failed job: what it was, what the cluster says of it, the end of its log."""
    logs: Sequence[str] = getattr(record, "log", None) or ()
    lines = [f"FAILED: {title}"]
    lines += [f"  {key}: {value}" for key, value in (getattr(record, "aux", None) or {}).items()]
    for log in logs:
        lines += [f"  the end of {log}:", *(f"  | {line}" for line in _tail(Path(log)))]
    if not logs and getattr(record, "shellcmd", None):
        lines.append(f"  command: {getattr(record, 'shellcmd', '')}")
    return "\n".join(lines)


def _tail(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ["(no log was written)"]
    return [line for line in lines if line.strip()][-LOG_LINES:] or ["(the log is empty)"]
