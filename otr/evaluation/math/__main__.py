"""Verdicts and scores of one checkpoint's mathematics benchmarks, from the completions alone: no model is loaded.

In: problems and samples.jsonl.gz. Out, a benchmark: verdicts.jsonl.gz, a line a completion in the order of the samples

    {"problem": "0", "sample": 2, "gold": ["72"], "correct": true, "answer": "72", "how": "boxed", "reason": "same"}

and score.json: mean@k in percent with its standard error (otr/evaluation/shares.py says how), counts, the protocol with
one exact prompt, and where it all came from.
"""

import os

from otr.command.stage import Stage
from otr.evaluation.math.gold import Gold
from otr.evaluation.math.score import score
from otr.evaluation.math.verdicts import Verdict, grade
from otr.evaluation.scorefile import Grading, Samples, add_options, read_samples, write_score, write_verdicts


def golds(read: Samples) -> list[Gold]:
    """The right answer of each completion's problem."""
    by_id = {problem: Gold.from_dict(row["gold"]) for problem, row in read.problems.items()}
    return [by_id[row["problem"]] for row in read.samples]


def figures(read: Samples, verdicts: list[Verdict]) -> Grading:
    """The figures of score.json."""
    graded: dict[str, list[tuple[Verdict, int]]] = {problem: [] for problem in read.problems}
    for row, verdict in zip(read.samples, verdicts, strict=True):
        graded[row["problem"]].append((verdict, row["tokens"]))
    found = score(
        [[verdict for verdict, _ in pairs] for pairs in graded.values()],
        read.k,
        [[tokens for _, tokens in pairs] for pairs in graded.values()],
    )
    return Grading(f"mean@{read.k}", found, read.empty, dict(found))


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr grade-math", __doc__)
    add_options(stage)
    stage.add("--workers", type=int, default=os.cpu_count() or 1, help="grading processes (default: all cores)")
    with stage.run(arguments) as (experiment, options):
        read = {name: read_samples(options.problems / name, options.evaluation / name) for name in options.benchmarks}
        # One pool for all benchmarks: starting workers costs more than grading most of them.
        asked = [
            (gold, row["completion"], row["finish"] == "length")
            for samples in read.values()
            for gold, row in zip(golds(samples), samples.samples, strict=True)
        ]
        verdicts = grade(asked, workers=options.workers)
        scores = []
        for name, samples in read.items():
            own, verdicts = verdicts[: len(samples.samples)], verdicts[len(samples.samples) :]
            problems, evaluation = options.problems / name, options.evaluation / name
            lines = [
                {"gold": list(gold.answers), **verdict.to_dict()}
                for gold, verdict in zip(golds(samples), own, strict=True)
            ]
            write_verdicts(evaluation, samples.samples, lines)
            found = figures(samples, own)
            write_score(experiment, options.model, options.run, name, problems, evaluation, found)
            scores.append(f"{experiment.benchmarks[name].label} {found.shares['mean_at_k']:.1f}")
        stage.done(f"grade {options.model} {options.run}: {', '.join(scores)}")


if __name__ == "__main__":
    main()
