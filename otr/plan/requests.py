"""What jobs ask a cluster's scheduler for: minutes, main memory and cores, each rule and each job its own.

    requests = Requests(machine, experiment, Path("results"), planned=True)
    requests.minutes("train", wildcards, attempt)     # 1.5 x what otr.plan expects, and 20 minutes

A job that the scheduler ended for its time (SIGTERM, noted beside its log by otr/command/stage.py) asks for more time
when it is submitted again; one that failed otherwise, killed for its memory most likely, asks for more memory. One
machine limits jobs side by side by their cores, their devices and, with models not made here, their memory.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from otr.command.stage import STOPPED
from otr.config import Experiment, Machine
from otr.errors import UserError

MARGIN, SPARE = 1.5, 20
"""Times what the plan expects, and minutes on top."""
USUAL = {"subset": 120, "base": 120, "overlap": 120, "train": 1440, "sample": 1440, "grade": 240}
"""Minutes of a job that no plan speaks of: rows and weights have to be fetched, too."""
MEMORY = {"subset": 4000, "overlap": 4000, "math": 8000, "code": 8000, "general": 8000}
"""MB. A subset peaks at 2 GB whatever its source's size; graders hold the completions of a suite."""
MOST_STOPS = 3


class Requests:
    def __init__(self, machine: Machine, experiment: Experiment, results: Path, planned: bool) -> None:
        """planned: whether minutes are worth the seconds that a plan takes: only where a scheduler reads them."""
        self._machine, self._experiment, self._planned = machine, experiment, planned
        self._results = results
        self._logs = results / experiment.name / "logs"
        self.gpu_type = machine.gpu_type

    def minutes(self, stage: str, log: str, attempt: int, job: str = "") -> int:
        """Of a job of a stage. log: its log's name without .log; job: its name in the plan."""
        hours = self.hours(stage, job) if self._planned and job else None
        usual = USUAL[stage.split(" ")[0]] if hours is None else MARGIN * 60 * hours + SPARE
        return math.ceil(usual * (1 + self._stops(log)))

    def hours(self, stage: str, job: str) -> float | None:
        """That a job takes by the plan; None where that does not speak of it."""
        return self._hours.get((stage, job))

    def megabytes(self, usual: int, log: str, attempt: int) -> int:
        return usual * max(1, attempt - self._stops(log))

    def training(self, model: str, log: str, attempt: int) -> int:
        return self.megabytes(1000 * self._experiment.models[model].memory_gb, log, attempt)

    def sampling(self, model: str, engines: int, log: str, attempt: int) -> int:
        settings = self._experiment.models[model]
        return self.megabytes(1000 * (settings.sampling_memory_gb or settings.memory_gb) * engines, log, attempt)

    def cores(self, jobs: int, gpus: int) -> int:
        """Of a job with so many ranks or engines on so many devices: each keeps its own threads busy, and on a GPU a
        front end, a tokenizer and the driver's threads besides."""
        return max(self._experiment.threads * jobs, self._machine.cores_per_gpu * gpus)

    def grading_cores(self, gpus: int) -> int:
        """Where there are GPUs to wait for there are cores to grade with."""
        return self._machine.grading_cores if gpus else self._experiment.threads

    def _stops(self, log: str) -> int:
        try:
            return min(MOST_STOPS, len((self._logs / f"{log}.log{STOPPED}").read_text().splitlines()))
        except OSError:
            return 0

    @cached_property
    def _hours(self) -> Mapping[tuple[str, str], float]:
        """By stage and name of the plan's jobs; nothing where a model's shape is not known yet."""
        from otr.data.sources import Folders
        from otr.machine.hardware import Hardware
        from otr.plan.jobs import Plan

        folders = Folders(Path(self._machine.data), self._results / self._experiment.name / "generated")
        try:
            hardware = Hardware.named(self._machine.gpu_type)
            plan = Plan(self._experiment, hardware, self._results, folders, Path(self._machine.models))
            return {(job.stage, job.name): _wall_hours(job, self._machine) for job in plan.jobs}
        except UserError:
            return {}


def _wall_hours(job: Any, machine: Machine) -> float:
    if "hours" in job.detail:
        return float(job.detail["hours"])
    return float(job.cost.core_hours) / (machine.grading_cores if job.stage.startswith("grade") else 1)


def profile_block(requests: Requests, experiment: Experiment, jobs: list[Any]) -> str:
    """The most that jobs of each rule ask for, as lines of a Snakemake profile: to see it, or to set other values."""
    rules: dict[str, tuple[int, int]] = {}

    def most(rule: str, minutes: int, megabytes: int) -> None:
        before = rules.get(rule, (0, 0))
        rules[rule] = max(before[0], minutes), max(before[1], megabytes)

    for job in jobs:
        words = job.name.split(" ")
        minutes = requests.minutes(job.stage, "", 1, job.name)
        if job.stage in ("base", "train"):
            most(job.stage, minutes, requests.training(words[0], "", 1))
        elif job.stage == "sample":
            engines = experiment.engines.get(words[2], 1)
            most(f"sample_{words[2]}", minutes, requests.sampling(words[0], engines, "", 1))
        elif job.stage == "subset":
            most("subset", minutes, MEMORY["subset"])
        else:
            most(f"{job.stage.replace(' ', '_')}_{words[2]}", minutes, MEMORY[job.stage.removeprefix("grade ")])
    lines = [f"# The largest job of each rule of experiment {experiment.name}: minutes and MB.", "set-resources:"]
    for rule, (minutes, megabytes) in rules.items():
        lines += [f"  {rule}:", f"    runtime: {minutes}", f"    mem_mb: {megabytes}"]
    return "\n".join(lines) + "\n"
