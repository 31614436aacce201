"""What the three gradings (math, code, general) share: samples in, verdicts.jsonl.gz and score.json out.

    read = read_samples(problems_folder, evaluation_folder)      # checked to belong together
    read.problems["0"], read.samples[0]["completion"], read.sampling.engine

score.json is the same for every grading: `score` in percent with its standard error, counts, what is particular to a
grading under `details`, the protocol with one exact prompt, and where everything came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otr.command.stage import Stage
from otr.config import Experiment
from otr.errors import UserError
from otr.evaluation.shares import Shares
from otr.files import Row, read_jsonl, sha256, write_jsonl
from otr.machine.provenance import provenance
from otr.results import SamplingFile, ScoreFile
from otr.results.integrity import checked


@dataclass(frozen=True)
class Samples:
    """One benchmark's problems by id, its completions problem by problem, and what sampling.json says of them."""

    problems: dict[str, Row]
    samples: list[Row]
    sampling: SamplingFile

    @property
    def k(self) -> int:
        """Completions a problem."""
        return len(self.samples) // len(self.problems)

    @property
    def empty(self) -> int:
        """Completions without any text but spaces."""
        return sum(not row["completion"].strip() for row in self.samples)


@dataclass(frozen=True)
class Grading:
    """What one benchmark's verdicts come to."""

    metric: str
    shares: Shares
    empty: int
    """Completions without any text."""
    details: Row
    """What only this kind of grading counts."""


def add_options(stage: Stage) -> None:
    """The options that every grading has."""
    stage.add("--model", required=True, help="a model of the experiment")
    stage.add("--run", required=True, help="base, base-tuned, or a method of the experiment")
    stage.add("--benchmarks", required=True, nargs="+", help="benchmarks of the experiment")
    stage.add("--problems", required=True, type=Path, help="folder with a folder of problems a benchmark")
    stage.add("--evaluation", required=True, type=Path, help="folder of the run's evaluation: samples in, scores out")
    stage.add("--allow-unsandboxed", action="store_true", help="run generated code without a sandbox where none works")


def read_samples(problems: Path, evaluation: Path) -> Samples:
    """The files of one benchmark's folders. UserError when they do not belong together."""
    file = evaluation / "samples.jsonl.gz"
    sampling = SamplingFile.read(evaluation / "sampling.json")
    by_id = {row["id"]: row for row in read_jsonl(checked(problems / "problems.jsonl"))}
    rows = list(read_jsonl(checked(file)))
    strangers = {row["problem"] for row in rows} ^ set(by_id)
    if strangers:
        raise UserError(f"{file}: does not belong to {problems}: only one of them has problem '{min(strangers)}'")
    return Samples(by_id, rows, sampling)


def write_verdicts(evaluation: Path, samples: Sequence[Row], verdicts: Sequence[Row]) -> None:
    """verdicts.jsonl.gz: one line a completion, in the order of the samples."""
    lines = [
        {"problem": row["problem"], "sample": row["sample"], **verdict}
        for row, verdict in zip(samples, verdicts, strict=True)
    ]
    write_jsonl(evaluation / "verdicts.jsonl.gz", lines)


def write_score(
    experiment: Experiment, model: str, run: str, benchmark: str, problems: Path, evaluation: Path, found: Grading
) -> None:
    """score.json of one benchmark's folders."""
    sampling, shares = SamplingFile.read(evaluation / "sampling.json"), found.shares
    low, high = shares["interval"]
    score = ScoreFile(
        experiment=experiment.name,
        model=model,
        run=run,
        benchmark=benchmark,
        metric=found.metric,
        score=shares["mean_at_k"],
        score_rounded=shares["mean_at_k_rounded"],
        standard_error=shares["standard_error"],
        interval=(low, high),
        problems=shares["problems"],
        samples=shares["problems"] * shares["k"],
        empty=found.empty,
        details=found.details,
        protocol=asked(experiment, run, benchmark, sampling),
        stop_ids=sampling.decoding["stop_ids"],
        stop_texts=sampling.decoding["stop_texts"],
        example_prompt=sampling.example_prompt,
        provenance={
            **provenance(),
            "seed": experiment.seed,
            "engine": sampling.engine,
            "model_origin": experiment.models[model].model_dump(
                mode="json", exclude={"label", "gpus"}, exclude_none=True
            ),
            "checkpoint_sha256": sampling.checkpoint_sha256,
            "problems_sha256": sha256(problems / "problems.jsonl"),
            "samples_sha256": sampling.sha256["samples.jsonl.gz"],
            "experiment_sha256": experiment.digest,
            "training_rows_sha256": sampling.training_rows_sha256,
        },
    )
    score.write(evaluation / "score.json", evaluation / "verdicts.jsonl.gz")


def asked(experiment: Experiment, run: str, benchmark: str, sampling: SamplingFile) -> Row:
    """The protocol as it took effect: how prompts were made and completions drawn."""
    protocol, settings = experiment.protocol(run), experiment.benchmarks[benchmark]
    shots = settings.few_shot.count if settings.few_shot and protocol.prompt == "natural" else 0
    return {
        "prompt": protocol.prompt,
        "instruction": "\n".join(filter(None, [protocol.instruction, settings.instruction])),
        "shots": shots,
        "temperature": sampling.decoding["temperature"],
        "top_p": sampling.decoding["top_p"],
        "max_tokens": sampling.decoding["max_tokens"],
        "dtype": sampling.dtype,
    }
