"""What the jobs of a dry run ask for and take, as far as it is known without data: a line a rule.

    where there are GPUs, jobs ask for (hours on h100, as `gpu_type` of config.yaml says):
    sample_general       22 jobs   2 GPUs     8 cores   32-48 GB    1.2-5.7 h each, 149 GPU-hours
    openr1: 5000 examples, 625 from each of 8 intervals up to 8191 tokens; 156 steps of 64, ...

In: the jobs that Snakemake found, and the plan (otr/plan). What needs data is said by `ready`, before any GPU is taken.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from otr.config import Experiment
from otr.plan.requests import Requests


def needs(jobs: Iterable[Any], experiment: Experiment, requests: Requests) -> Iterator[str]:
    """The lines. jobs: Snakemake's, those that would run."""
    rules: dict[str, list[Any]] = {}
    for job in jobs:
        if job.rule.name.startswith(("train", "sample_")):
            rules.setdefault(job.rule.name, []).append(job)
    if not rules:
        return
    yield f"where there are GPUs, jobs ask for (hours on {requests.gpu_type}, as `gpu_type` of config.yaml says):"
    rows = [[rule, *_row(rule, found, experiment, requests)] for rule, found in sorted(rules.items(), reverse=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    yield from _fits(experiment)
    yield "before any of them, `ready` checks all prompts' lengths, the counts of intervals and the room on the disk"


def _row(rule: str, jobs: list[Any], experiment: Experiment, requests: Requests) -> list[str]:
    gpus = [_devices(rule, job.wildcards, experiment) for job in jobs]
    hours = [requests.hours(*_planned(rule, job.wildcards)) for job in jobs]
    times = "time not known"  # a model's shape that is neither shipped nor fetched yet
    if None not in hours:
        known = [found or 0.0 for found in hours]
        total = sum(found * devices for found, devices in zip(known, gpus, strict=True))
        times = f"{_range(known, 2)} h each, {total:.3g} GPU-hours"
    return [
        f"{len(jobs)} jobs",
        f"{_range(gpus)} GPU{'s' if max(gpus) > 1 else ''}",
        f"{_range([requests.cores(count, count) for count in gpus])} cores",
        f"{_range([job.resources.get('mem_mb', 0) / 1000 for job in jobs])} GB",
        times,
    ]


def _devices(rule: str, wildcards: Any, experiment: Experiment) -> int:
    """That a job takes where there are as many."""
    if rule == "train":
        return experiment.models[wildcards.model].gpus
    return experiment.engines.get(rule.removeprefix("sample_"), 1)


def _planned(rule: str, wildcards: Any) -> tuple[str, str]:
    """Stage and name that the plan gives a job."""
    if rule == "train":
        return "train", f"{wildcards.model} {wildcards.tuned}"
    return "sample", f"{wildcards.model} {wildcards.run} {rule.removeprefix('sample_')}"


def _range(values: list[Any], digits: int = 3) -> str:
    ends = [f"{value:.{digits}g}" for value in (min(values), max(values))]
    return "-".join(dict.fromkeys(ends))


def _fits(experiment: Experiment) -> Iterator[str]:
    """Numbers of the settings that must fit each other, and by how much they do."""
    protocols, benchmarks = experiment.protocols, experiment.benchmarks.values()
    longest = max(protocols.base.max_tokens, protocols.tuned.max_tokens, *(each.max_tokens or 0 for each in benchmarks))
    room = experiment.context - longest
    yield f"context {experiment.context}: {room} tokens for a prompt beside the longest completion of {longest}"
    recipes = {recipe.dataset: recipe for recipe in map(experiment.recipe, experiment.methods)}
    for name, recipe in recipes.items():
        size, lengths = experiment.datasets[name].size, experiment.datasets[name].lengths
        if size is not None:
            steps = recipe.epochs * (size // recipe.batch_size)
            intervals = f", {size // lengths.intervals} from each of {lengths.intervals} intervals" if lengths else ""
            limit = f" up to {lengths.maximum} tokens" if lengths else ""
            yield (
                f"{name}: {size} examples{intervals}{limit}; {steps} steps of {recipe.batch_size}, sequences of at "
                f"most {recipe.max_length} tokens"
            )
