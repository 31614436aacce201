"""How long a run of the workflow still takes: honest from its first minute, silent where nobody knows.

In: how many jobs of each rule there are, which run since when, how long finished ones took. For the shipped experiments
also the seconds that a job of each rule took when they were measured (otr/resources/seconds.json names the machine),
and what an earlier run in the same folder measured. Out: seconds; None while a rule remains of which nothing is known.

    Remaining({"base": 1, "train": 4}, cores=2, expected={"base": 180, "train": 10}).seconds(...)  →  200

A rule's jobs wait for the rules before it, as stages do: the time is the sum over stages of the longest chain that so
many jobs at once leave. A slower machine shows in the finished jobs, and scales what is only expected.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from otr.files import write_json

STAGES = ("generate", "base", "subset", "problems", "train", "sample", "grade", "")
"""Rules by their beginning, in the order in which they wait for one another; at the end all others (tables, ...)."""
QUICK = 1.0
"""Seconds of a rule that is none of the above, until one was measured: a table, a copy."""


@dataclass
class Remaining:
    """`jobs` counts all jobs of a run by rule; what is finished is told by `finished`."""

    jobs: Mapping[str, int]
    cores: int
    expected: Mapping[str, float] = field(default_factory=dict)
    measured: dict[str, list[float]] = field(default_factory=dict)

    def finished(self, rule: str, seconds: float) -> None:
        self.measured.setdefault(rule, []).append(seconds)

    @property
    def means(self) -> dict[str, float]:
        """Seconds of a job by rule, measured in this run."""
        return {rule: sum(times) / len(times) for rule, times in self.measured.items()}

    def seconds(self, running: Iterable[tuple[str, float]]) -> float | None:
        """From now on. running: (rule, seconds since its start) of each job at work; None where a rule is unknown."""
        elapsed: dict[str, list[float]] = {}
        for rule, since in running:
            elapsed.setdefault(rule, []).append(since)
        stages: dict[int, list[float]] = {}
        for rule, count in self.jobs.items():
            left = count - len(self.measured.get(rule, ()))
            each = self._each(rule)
            if left > 0 and each is None:
                return None
            if left > 0 and each is not None:
                begun = [max(0.0, each - since) for since in elapsed.get(rule, ())][:left]
                stages.setdefault(_stage(rule), []).extend([*begun, *[each] * (left - len(begun))])
        return sum(self._wall(times) for times in stages.values())

    def _wall(self, times: list[float]) -> float:
        """So many jobs at once: no sooner than the longest one, nor than the cores allow."""
        return max(max(times, default=0.0), sum(times) / max(1, self.cores))

    def _each(self, rule: str) -> float | None:
        means = self.means
        if rule in means:
            return means[rule]
        if rule in self.expected:
            return self.expected[rule] * self._slowness
        return QUICK if _stage(rule) == len(STAGES) - 1 else None

    @property
    def _slowness(self) -> float:
        """This machine's time for the finished jobs against the expected one; jobs of seconds say nothing."""
        known = [(mean, self.expected[rule]) for rule, mean in self.means.items() if self.expected.get(rule, 0) >= 5]
        return sum(mean for mean, _ in known) / sum(usual for _, usual in known) if known else 1.0


def _stage(rule: str) -> int:
    return next(place for place, name in enumerate(STAGES) if rule.startswith(name))


def expected(experiment: str, records: Path) -> dict[str, float]:
    """Seconds of a job by rule: of a shipped experiment as measured once, and of an earlier run (`records`)."""
    shipped = json.loads(files("otr.resources").joinpath("seconds.json").read_text(encoding="utf-8"))
    found: dict[str, float] = dict(shipped["experiments"].get(experiment, {}))
    try:
        earlier: Any = json.loads(records.read_text(encoding="utf-8"))
        found |= {rule: float(mean) for rule, mean in earlier.items() if math.isfinite(float(mean))}
    except (OSError, ValueError, TypeError, AttributeError):
        pass  # a convenience: a file that is not there or not whole tells nothing
    return found


def record(remaining: Remaining, records: Path) -> None:
    """Keep what was measured for the next run in this folder; rules of which no job ran stay as they were."""
    known = dict(remaining.expected) | {rule: round(mean, 1) for rule, mean in remaining.means.items()}
    if remaining.measured:
        write_json(records, known)
