"""Verdicts and scores of one checkpoint's mathematics benchmarks, from the completions alone: no model is loaded.

In: problems and samples.jsonl.gz. Out, a benchmark: verdicts.jsonl.gz, a line a completion in the order of the samples

    {"problem": "0", "sample": 2, "gold": ["72"], "correct": true, "answer": "72", "how": "boxed", "reason": "same"}

and score.json: mean@k in percent with its standard error (otr/evaluation/score.py says how), counts, the protocol with
one exact prompt, and where it all came from.
"""

import os
from pathlib import Path
from typing import Any

from otr.config import Experiment
from otr.errors import UserError
from otr.evaluation.gold import Gold
from otr.evaluation.grade import Verdict, grade
from otr.evaluation.score import score
from otr.files import Row, read_json, read_jsonl, sha256, write_json, write_jsonl
from otr.provenance import provenance
from otr.stage import Stage


def read_samples(problems: Path, folder: Path) -> tuple[dict[str, Gold], list[Row], Row]:
    """Golds by problem id, all completions, and what sampling.json says of them.

    UserError when the files do not belong together.
    """
    samples = folder / "samples.jsonl.gz"
    sampling = read_json(folder / "sampling.json")
    if sha256(samples) != sampling["samples_sha256"]:
        raise UserError(f"{samples}: is not the file that sampling.json describes; delete {folder} and run again")
    golds = {row["id"]: Gold.from_dict(row["gold"]) for row in read_jsonl(problems)}
    rows = list(read_jsonl(samples))
    strangers = {row["problem"] for row in rows} ^ set(golds)
    if strangers:
        raise UserError(f"{samples}: does not belong to {problems}: only one of them has problem '{min(strangers)}'")
    return golds, rows, sampling


def verdict_rows(golds: dict[str, Gold], rows: list[Row], verdicts: list[Verdict]) -> list[Row]:
    """The lines of verdicts.jsonl.gz."""
    return [
        {
            "problem": row["problem"],
            "sample": row["sample"],
            "gold": list(golds[row["problem"]].answers),
            **verdict.to_dict(),
        }
        for row, verdict in zip(rows, verdicts, strict=True)
    ]


def figures(golds: dict[str, Gold], rows: list[Row], verdicts: list[Verdict]) -> Row:
    """The figures of score.json, and under which name the first of them goes."""
    graded: dict[str, list[tuple[Verdict, int]]] = {problem: [] for problem in golds}
    for row, verdict in zip(rows, verdicts, strict=True):
        graded[row["problem"]].append((verdict, row["tokens"]))
    k = len(rows) // len(golds)
    found = score(
        [[verdict for verdict, _ in pairs] for pairs in graded.values()],
        k,
        [[tokens for _, tokens in pairs] for pairs in graded.values()],
    )
    return {
        "metric": f"mean@{k}",
        "score": found["mean_at_k"],
        "score_rounded": found["mean_at_k_rounded"],
        "standard_error": found["standard_error"],
        "problems": len(golds),
        "samples": len(rows),
        "details": found,
    }


def asked(experiment: Experiment, run: str, benchmark: str, sampling: Row) -> Row:
    """The protocol as it took effect: how prompts were made and completions drawn."""
    protocol, settings = experiment.protocol(run), experiment.benchmarks[benchmark]
    shots = settings.few_shot.count if settings.few_shot and protocol.prompt == "natural" else 0
    decoding: Row = sampling["decoding"]
    return {
        "prompt": protocol.prompt,
        "instruction": protocol.instruction,
        "shots": shots,
        "temperature": decoding["temperature"],
        "top_p": decoding["top_p"],
        "max_tokens": decoding["max_tokens"],
        "dtype": sampling["dtype"],
    }


def _result(experiment: Experiment, options: Any, benchmark: str, found: Row, sampling: Row) -> Row:
    return {
        "experiment": experiment.name,
        "model": options.model,
        "run": options.run,
        "benchmark": benchmark,
        **found,
        "protocol": asked(experiment, options.run, benchmark, sampling),
        "stop_ids": sampling["decoding"]["stop_ids"],
        "stop_texts": sampling["decoding"]["stop_texts"],
        "example_prompt": sampling["example_prompt"],
        "provenance": {
            **provenance(),
            "seed": experiment.seed,
            "engine": sampling["engine"],
            "model_origin": experiment.models[options.model].model_dump(
                mode="json", exclude={"label", "gpus"}, exclude_none=True
            ),
            "checkpoint_sha256": sampling["checkpoint_sha256"],
            "problems_sha256": sha256(options.problems / benchmark / "problems.jsonl"),
            "samples_sha256": sampling["samples_sha256"],
        },
    }


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("python -m otr.evaluation.math", __doc__)
    stage.add("--model", required=True, help="a model of the experiment")
    stage.add("--run", required=True, help="base, or a method of the experiment")
    stage.add("--benchmarks", required=True, nargs="+", help="benchmarks of the experiment")
    stage.add("--problems", required=True, type=Path, help="folder with a folder of problems a benchmark")
    stage.add("--evaluation", required=True, type=Path, help="folder of the run's evaluation: samples in, scores out")
    stage.add("--workers", type=int, default=os.cpu_count() or 1, help="grading processes (default: all cores)")
    with stage.run(arguments) as (experiment, options):
        read = {
            name: read_samples(options.problems / name / "problems.jsonl", options.evaluation / name)
            for name in options.benchmarks
        }
        # One pool for all benchmarks: starting workers costs more than grading most of them.
        verdicts = grade(
            [
                (golds[row["problem"]], row["completion"], row["finish"] == "length")
                for golds, rows, _ in read.values()
                for row in rows
            ],
            workers=options.workers,
        )
        scores = []
        for name, (golds, rows, sampling) in read.items():
            own, verdicts = verdicts[: len(rows)], verdicts[len(rows) :]
            found = figures(golds, rows, own)
            write_jsonl(options.evaluation / name / "verdicts.jsonl.gz", verdict_rows(golds, rows, own))
            write_json(options.evaluation / name / "score.json", _result(experiment, options, name, found, sampling))
            scores.append(f"{experiment.benchmarks[name].label} {found['score']:.1f}")
        stage.done(f"grade {options.model} {options.run}: {', '.join(scores)}")


if __name__ == "__main__":
    main()
