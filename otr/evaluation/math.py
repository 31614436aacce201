"""Verdicts and scores of one checkpoint's mathematics benchmarks, from the completions alone: no model is loaded.

In: problems and samples.jsonl.gz. Out, a benchmark: verdicts.jsonl.gz, one line a completion in the order of the samples

    {"problem": "0", "sample": 2, "correct": true, "gold": ["72"], "answer": "72", "how": "boxed", "reason": "equal"}

and score.json: mean@k in percent, its standard error, counts, the protocol with one exact prompt, and provenance.
"""

import os
from pathlib import Path

from otr.config import Experiment
from otr.errors import UserError
from otr.evaluation.gold import Gold
from otr.evaluation.grade import grade
from otr.evaluation.score import score
from otr.files import Row, read_json, read_jsonl, sha256, write_json, write_jsonl
from otr.provenance import provenance
from otr.stage import Stage


def matched_samples(problems: Path, samples: Path) -> tuple[dict[str, Gold], list[Row]]:
    """Golds by problem id and all completions; UserError when the two files do not belong together."""
    golds = {row["id"]: Gold.from_dict(row["gold"]) for row in read_jsonl(problems)}
    rows = list(read_jsonl(samples))
    strangers = {row["problem"] for row in rows} ^ set(golds)
    if strangers:
        raise UserError(f"{samples}: does not belong to {problems}: problem '{min(strangers)}' is in one of them only")
    return golds, rows


def _verified(samples: Path, sampling: Row) -> None:
    if sha256(samples) != sampling["samples_sha256"]:
        raise UserError(f"{samples}: is not the file that sampling.json describes; delete its folder and run again")


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("python -m otr.evaluation.math", __doc__)
    stage.add("--model", required=True)
    stage.add("--run", required=True)
    stage.add("--benchmarks", required=True, nargs="+")
    stage.add("--problems", required=True, type=Path, help="folder with a folder of problems a benchmark")
    stage.add("--evaluation", required=True, type=Path, help="folder of the run's evaluation: samples in, scores out")
    stage.add("--workers", type=int, default=os.cpu_count() or 1, help="grading processes (default: all cores)")
    with stage.run(arguments) as (experiment, options):
        matched = {
            name: matched_samples(
                options.problems / name / "problems.jsonl", options.evaluation / name / "samples.jsonl.gz"
            )
            for name in options.benchmarks
        }
        # One pool for all benchmarks: starting workers costs more than grading most of them.
        pairs = [
            (golds[row["problem"]], row["completion"], row["finish"] == "length")
            for golds, rows in matched.values()
            for row in rows
        ]
        verdicts = iter(grade(pairs, workers=options.workers))
        for name, (golds, rows) in matched.items():
            folder = options.evaluation / name
            sampling = read_json(folder / "sampling.json")
            _verified(folder / "samples.jsonl.gz", sampling)
            by_problem: dict[str, list] = {problem: [] for problem in golds}
            lines = []
            for row in rows:
                verdict = next(verdicts)
                by_problem[row["problem"]].append((verdict, row["tokens"]))
                lines.append(
                    {
                        "problem": row["problem"],
                        "sample": row["sample"],
                        "gold": list(golds[row["problem"]].answers),
                        **verdict.to_dict(),
                    }
                )
            write_jsonl(folder / "verdicts.jsonl.gz", lines)
