"""Before a GPU-second is spent: what would stop the jobs of a model, in one list.

    python -m otr.plan.ready --experiment workflow/experiments/paper.yaml --model qwen3-8b \\
        --base results/paper/train/qwen3-8b/base/checkpoint --problems results/paper/problems \\
        --subset results/paper/data/openr1/train.parquet --out results/paper/ready/qwen3-8b.json

In: the model's base checkpoint, for its tokenizer and positions, all problems, and the subset that `training.dataset`
names, where the model is trained on it. Every prompt of both protocols is made and counted, the subset's intervals are
compared with what was asked for, and the room on the disk with what the plan says. Out: what was found,

    {"positions": 32768, "longest_prompts": {"base": {"gsm8k": 912}, "tuned": {"gsm8k": 310}},
     "examples": {"edges": [0, 4095, 8191], "histogram": [2500, 2500]}, "disk_gb": {...}}

or one line for each job that would fail, and an error status.
"""

import shutil
from pathlib import Path

from otr.command.progress import say
from otr.command.stage import Stage
from otr.config import BASE_RUN, BASE_TUNED_RUN, Experiment
from otr.data.chat import load_tokenizer
from otr.data.sources import Folders
from otr.data.subsample import lacking
from otr.errors import UserError
from otr.evaluation.protocols import Asker
from otr.evaluation.sample import check_context
from otr.files import Row, read_json, read_jsonl, read_record, write_json
from otr.machine.hardware import Hardware
from otr.plan.jobs import Plan

PROTOCOLS = {"base": BASE_RUN, "tuned": BASE_TUNED_RUN}
"""Each protocol by a run that is prompted with it."""


def longest_prompts(experiment: Experiment, asker: Asker, benchmark: str, problems: Path) -> tuple[int, int]:
    """Tokens of a benchmark's longest prompt, and how many do not fit the context with their completion."""
    settings = experiment.benchmarks[benchmark]
    shots = list(read_jsonl(problems / benchmark / "demonstrations.jsonl"))
    room = experiment.context - asker.decoding(settings).max_tokens
    lengths = [
        len(asker.prompt(settings, row["problem"], shots).ids)
        for row in read_jsonl(problems / benchmark / "problems.jsonl")
    ]
    return max(lengths), sum(length > room for length in lengths)


def prompts(experiment: Experiment, model: str, base: Path, problems: Path) -> tuple[Row, list[str]]:
    """The longest prompt of each protocol and benchmark that the tables need of a model, and what would fail."""
    tokenizer = load_tokenizer(base)
    wanted = {cell.benchmark for table in experiment.tables for cell in experiment.cells(table)}
    found: Row = {}
    failing = []
    for protocol, run in PROTOCOLS.items():
        asker = Asker(experiment.protocol(run), tokenizer)
        found[protocol] = {}
        for name in (name for name in experiment.benchmarks if name in wanted):
            length, too_long = longest_prompts(experiment, asker, name, problems)
            found[protocol][name] = length
            if too_long:
                limit = asker.decoding(experiment.benchmarks[name]).max_tokens
                suite = experiment.benchmarks[name].suite
                failing.append(
                    f"sample {model}, {protocol} protocol, {suite}: benchmarks.{name}: {too_long} prompts, the longest "
                    f"of {length} tokens, do not fit with max_tokens {limit}: raise context from {experiment.context} "
                    f"to {length + limit}, or lower max_tokens"
                )
    return found, failing


def examples(train: Path, model: str) -> tuple[Row, list[str]]:
    """The intervals of lengths of a subset with their counts, and what would fail."""
    tokens = read_record(train.parent / "summary.json")["response_tokens"]
    short = lacking(train)
    return {key: tokens[key] for key in ("edges", "histogram")}, [f"train {model}: {short}"] if short else []


def disk(plan: Plan, model: str, folder: Path) -> tuple[Row, list[str]]:
    """GB that a model's unfinished jobs will write and that are free, and what would fail."""
    jobs = [job for job in plan.jobs if job.name.split(" ")[0] == model and not job.done]
    resumable = max((job.detail["resumable_gb"] for job in jobs if job.stage == "train"), default=0.0)
    needed = sum(job.cost.disk_gb for job in jobs if job.stage in ("train", "sample")) + resumable
    free = shutil.disk_usage(folder).free / 1e9
    found: Row = {
        "needed": round(needed, 3),
        "of_it_resumable_checkpoints": round(resumable, 3),
        "free": round(free, 3),
    }
    if needed <= free:
        return found, []
    return found, [
        f"train and sample {model}: will write {needed:.0f} GB ({resumable:.0f} of them resumable checkpoints while "
        f"one training runs), {free:.0f} GB are free in {folder}; make room, or link results to a larger disk"
    ]


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("python -m otr.plan.ready", __doc__)
    stage.add("--model", required=True, help="a model of the experiment")
    stage.add("--base", required=True, type=Path, help="its base checkpoint")
    stage.add("--problems", required=True, type=Path, help="folder with a folder of problems a benchmark")
    stage.add("--subset", nargs="?", type=Path, help="train.parquet of training.dataset, for a model trained on it")
    stage.add("--results", type=Path, default=Path("results"), help="folder of all results (default: results)")
    stage.add("--models", type=Path, default=Path("models"), help="folder of relative model paths (default: models)")
    stage.add("--gpu-type", default="cpu", help="device that jobs run on, as python -m otr.plan --gpu names it")
    stage.add("--out", required=True, type=Path, help="the .json file to write")
    with stage.run(arguments) as (experiment, options):
        failing = []
        try:
            check_context(options.base, experiment.context)
        except UserError as error:
            failing.append(f"sample {options.model}: {error}")
        lengths, too_long = prompts(experiment, options.model, options.base, options.problems)
        folders = Folders(Path("data"), options.results / experiment.name / "generated")
        plan = Plan(experiment, Hardware.named(options.gpu_type), options.results, folders, options.models)
        room, too_large = disk(plan, options.model, options.results)
        intervals, too_few = examples(options.subset, options.model) if options.subset else ({}, [])
        failing += [*too_long, *too_few, *too_large]
        for line in failing:
            say(f"would fail: {line}")
        if failing:
            raise UserError(
                f"{options.model}: {len(failing)} kinds of jobs would fail, listed above; nothing was started"
            )
        positions = read_json(options.base / "config.json").get("max_position_embeddings")
        found = {"positions": positions, "longest_prompts": lengths, "examples": intervals, "disk_gb": room}
        write_json(options.out, found)
        longest = max(length for by_name in lengths.values() for length in by_name.values())
        stage.done(f"ready {options.model}: prompts of at most {longest} tokens, {room['needed']:.3g} GB to write")


if __name__ == "__main__":
    main()
