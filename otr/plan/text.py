"""A plan as Markdown: its stages, trainings and samplings, and the assumptions that they rest on."""

import math
from collections.abc import Callable, Sequence

from otr.config import BASE_TUNED_RUN
from otr.machine.hardware import BANDWIDTH_SHARE, DISK_BYTES_A_SECOND
from otr.plan.jobs import (
    CHECKPOINT_SHARE,
    DEMONSTRATION,
    GRADE_SECONDS,
    HOST_PROCESS_GB,
    PROMPT,
    STEP_OVERHEAD,
    SUBSET_HOURS,
    Flops,
    Job,
    Plan,
)
from otr.results import RunFile

STAGES = ("subset", "base", "train", "sample", "grade math", "grade code", "grade general")


TRAINING = (
    "training of", "parameters", "devices", "tokens", "FLOPs: body", "head", "attention", "recomputed", "hours",
    "GB a device", "GB of main memory", "GB a resumable checkpoint", "s to write it", "done",
)  # fmt: skip
SAMPLING = (
    "sampling of", "completions", "tokens", "engines", "at once", "tokens/s an engine", "hours", "GB a device",
    "GB of main memory", "done",
)  # fmt: skip


def report(plan: Plan) -> str:
    """The whole plan as Markdown."""
    hardware, unit = plan.hardware, plan.hardware.unit
    memory = f"{hardware.memory_gb:g} GB, " if hardware.memory_gb else ""
    stages = [
        "stage", "jobs", "done", f"{unit}-hours", "of them left", "other core-hours", "GB a device",
        "GB of main memory", "GB of disk",
    ]  # fmt: skip
    trainings = [job for job in plan.jobs if job.stage == "train"]
    samplings = [job for job in plan.jobs if job.stage == "sample"]
    lines = [
        f"# Plan of experiment {plan.experiment.name} on {hardware.name}",
        "",
        f"{hardware.tflops:g} TFLOP/s peak x {hardware.mfu:g} (MFU, recomputed operations counted), "
        f"{memory}{hardware.bandwidth_gb:g} GB/s x "
        f"{BANDWIDTH_SHARE:g}.",
        "",
        *_table(stages, _stages(plan)),
        "",
        *_table(TRAINING, _grouped(trainings, _training)),
        "",
        *_table(SAMPLING, _grouped(samplings, _sampling)),
        "",
        *_comparison(plan),
        "Assumed:",
        "",
        *(f"- {text}" for text in _assumptions(plan)),
    ]
    return "\n".join(lines) + "\n"


def _grouped(jobs: list[Job], figures: Callable[[Job], list[str]]) -> list[list[str]]:
    """A row for all jobs of a model (and suite) with the same figures, each of which is one job's."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        model, run, *suite = job.name.split(" ")
        groups.setdefault((model, *suite, *figures(job)), []).append(run)
    count = len(figures(jobs[0])) if jobs else 0
    return [[f"{' '.join(key[:-count])}: {', '.join(runs)}", *key[-count:]] for key, runs in groups.items()]


def _stages(plan: Plan) -> list[list[str]]:
    rows = []
    for stage in (*STAGES, "total"):
        jobs = [job for job in plan.jobs if stage in (job.stage, "total")]
        if jobs:
            left = sum(job.cost.device_hours for job in jobs if not job.done)
            hours, core_hours, disk = (
                sum(getattr(job.cost, name) for job in jobs) for name in ("device_hours", "core_hours", "disk_gb")
            )
            memory, host = max(job.cost.memory_gb for job in jobs), max(job.cost.host_gb for job in jobs)
            figures = [number(value) for value in (hours, left, core_hours, memory, host, disk)]
            rows.append([stage, str(len(jobs)), str(sum(job.done for job in jobs)), *figures])
    return rows


def _training(job: Job) -> list[str]:
    flops: Flops = job.detail["flops"]
    parts = [f"{part:.2g}" if part else "" for part in (flops.body, flops.head, flops.attention, flops.recomputed)]
    counts = [_large(job.detail["parameters"]), str(job.detail["devices"]), _large(job.detail["tokens"])]
    writing = [job.detail["resumable_gb"] / 2, job.detail["write_seconds"]]
    figures = [job.detail["hours"], job.cost.memory_gb, job.cost.host_gb, *writing]
    return [*counts, *parts, *map(number, figures), "yes" if job.done else ""]


def _sampling(job: Job) -> list[str]:
    counts = [f"{job.detail['completions']:,}", _large(job.detail["tokens"]), str(job.detail["engines"])]
    speed = [f"{job.detail['sequences']:,}", f"{job.detail['rate']:,.0f}"]
    figures = [job.detail["hours"], job.cost.memory_gb, job.cost.host_gb]
    return [*counts, *speed, *map(number, figures), "yes" if job.done else ""]


def finished(plan: Plan) -> list[tuple[str, str, float, float]]:
    """(job, quantity, predicted, measured) of all that is done and says what it took."""
    found = []
    for job in plan.jobs:
        if not job.done or job.stage not in ("train", "sample"):
            continue
        names = job.name.split(" ")
        if job.stage == "train":
            measured = RunFile.read(plan.tree.run(names[0], names[1]))
            weights = plan.tree.checkpoint(names[0], names[1]).glob("*.safetensors")
            disk = sum(file.stat().st_size for file in weights) / 1e9
            seconds = (job.detail["hours"] * 3600) - plan.startup
            found += [
                (job.name, "training, s", seconds, measured.seconds or 0.0),
                (job.name, "memory, GB", job.cost.memory_gb, measured.peak_memory_gb or 0.0),
                (job.name, "weights on disk, GB", job.cost.disk_gb, disk),
            ]
        elif (drawn := plan.measured_sampling(names[0], names[1], names[2])) is not None:
            found.append((job.name, "sampling, s", job.cost.device_hours * 3600, drawn[1] + drawn[2]))
    return found


def _comparison(plan: Plan) -> list[str]:
    rows = [
        [job, quantity, number(predicted), number(measured), f"{predicted / measured:.2f}" if measured else ""]
        for job, quantity, predicted, measured in finished(plan)
    ]
    return [*_table(["finished", "quantity", "planned", "measured", "ratio"], rows), ""] if rows else []


def _assumptions(plan: Plan) -> list[str]:
    speeds = "as finished runs had them (--calibrate)" if plan.calibrate else "peak x MFU, and the roofline"
    trainings = [job for job in plan.jobs if job.stage == "train"]
    resumable = max((job.detail["resumable_gb"] for job in trainings), default=0.0)
    grading = ", ".join(f"{kind} {seconds:g} s" for kind, seconds in GRADE_SECONDS.items())
    length = f"{plan.completion_tokens:g} tokens" if plan.completion_tokens else "half of max_tokens"
    return [
        *_too_large(plan, trainings),
        *_like_for_like(plan),
        f"speeds: {speeds}",
        f"a training's resumable checkpoints take up to {number(resumable)} GB more while it goes on",
        f"{plan.startup:.0f} s to start a job, {1000 * STEP_OVERHEAD:g} ms a decode step, as many completions at once "
        "as their keys and values fit the memory (otr/evaluation/engine.py)",
        f"a resumable checkpoint is written at {DISK_BYTES_A_SECOND / 1e9:g} GB/s and as often as takes "
        f"{CHECKPOINT_SHARE:.0%} of the time at most; main memory: weights, once a rank or engine, and "
        f"{HOST_PROCESS_GB:g} GB a process",
        "completions are as long as those sampled before under the same protocol; else a tuned model's solutions as "
        f"long as what it was trained on, all others {length}; prompts {PROMPT} tokens, a demonstration "
        f"{DEMONSTRATION}",
        f"grading: {grading} a completion; a subset {SUBSET_HOURS:g} core-hours",
        *plan.notes,
    ]


def _like_for_like(plan: Plan) -> list[str]:
    """What the paper's tables lack: the base model in the tuned protocol, a row that ‡ compares with."""
    sampled = [job for job in plan.jobs if job.stage == "sample"]
    extra = sum(job.cost.device_hours for job in sampled if job.name.split(" ")[1] == BASE_TUNED_RUN)
    whole = sum(job.cost.device_hours for job in sampled)
    if not extra:
        return []
    return [
        f"of the {number(whole)} {plan.hardware.unit}-hours of sampling {number(extra)} ({extra / whole:.0%}) are "
        f"{BASE_TUNED_RUN}'s, which ‡ compares with; `like_for_like: null` in the tables leaves it out"
    ]


def totals(plan: Plan) -> str:
    """Every column of the first table in one line."""
    costs = [job.cost for job in plan.jobs]
    memory, host = max(cost.memory_gb for cost in costs), max(cost.host_gb for cost in costs)
    parts = [
        f"{len(costs)} jobs",
        f"{sum(job.done for job in plan.jobs)} done",
        f"{number(sum(cost.device_hours for cost in costs)) or 0} {plan.hardware.unit}-hours",
        f"{number(sum(cost.core_hours for cost in costs)) or 0} other core-hours",
        f"at most {number(memory)} GB a device" + (f" and {number(host)} GB of main memory" if host else ""),
        f"{number(sum(cost.disk_gb for cost in costs)) or 0} GB of disk",
    ]
    return ", ".join(parts)


def _too_large(plan: Plan, trainings: list[Job]) -> list[str]:
    memory = plan.hardware.memory_gb
    return [
        f"{job.name}: needs {job.cost.memory_gb:.0f} GB a device, {memory:g} are there: raise the model's `gpus`, or "
        "lower tokens_per_microbatch"
        for job in trainings
        if memory and job.cost.memory_gb > memory
    ]


def _table(head: Sequence[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(head), line(rule), *(line(row) for row in rows)]


def _large(value: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"


def number(value: float) -> str:
    """Three significant digits without an exponent."""
    if not value:
        return ""
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}"
