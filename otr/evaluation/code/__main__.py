"""Verdicts and scores of one checkpoint's programming benchmarks: evalplus grades, in a sandbox, without any model.

In: problems and samples.jsonl.gz. Out, a benchmark: verdicts.jsonl.gz, a line a completion in the order of the samples

    {"problem": "HumanEval/2", "sample": 0, "correct": false, "base": true, "answer": "def truncate_number(...",
     "how": "block", "reason": "fail"}

(correct: passes evalplus's base and extra tests; base: the base tests; answer: the program that was graded, no longer
than 20,000 characters of it; how: otr/evaluation/code/program.py; reason: otr/evaluation/code/sandbox/proxy.py, or
no-answer) and score.json: pass@1 in percent, the mean over problems of the share of correct samples.

A completion cut at its token limit is graded like any other: a program may well be whole by then.
"""

import os
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from otr.command.progress import Progress, say
from otr.command.stage import Stage
from otr.config import Experiment
from otr.evaluation.code.program import Program, extract
from otr.evaluation.code.sandbox.sandbox import Sandbox, choose
from otr.evaluation.code.verdicts import TEST_SECONDS, Outcome, Task, grade
from otr.evaluation.scorefile import Grading, Samples, add_options, read_samples, write_score, write_verdicts
from otr.evaluation.shares import right_shares
from otr.files import Row

_LONGEST_SHOWN = 20_000  # characters of a program kept in its verdict
_NO_ANSWER = Outcome(base=False, plus=False, reason="no-answer")


def programs(experiment: Experiment, run: str, benchmark: str, read: Samples) -> list[Program]:
    """The program of each completion."""
    scorer, protocol = experiment.benchmarks[benchmark].scorer, experiment.protocol(run).prompt
    stops = read.sampling.decoding["stop_texts"]
    return [
        extract(row["completion"], read.problems[row["problem"]]["row"], scorer, protocol, stops)
        for row in read.samples
    ]


def tasks(scorer: str, read: Samples, found: Sequence[Program]) -> list[Task]:
    """What is to be graded, a task a problem: its distinct programs, each of them once."""
    distinct: dict[str, dict[str, None]] = {problem: {} for problem in read.problems}
    for row, program in zip(read.samples, found, strict=True):
        if program.how != "none":
            distinct[row["problem"]][program.text] = None
    return [Task(scorer, read.problems[problem]["row"], tuple(texts)) for problem, texts in distinct.items() if texts]


def outcomes(read: Samples, found: Sequence[Program], asked: list[Task], graded: list[list[Outcome]]) -> list[Outcome]:
    """The outcome of each completion."""
    known = {
        (task.row["task_id"], text): outcome
        for task, answers in zip(asked, graded, strict=True)
        for text, outcome in zip(task.solutions, answers, strict=True)
    }
    return [
        _NO_ANSWER if program.how == "none" else known[read.problems[row["problem"]]["row"]["task_id"], program.text]
        for row, program in zip(read.samples, found, strict=True)
    ]


def verdict_lines(found: Sequence[Program], graded: Sequence[Outcome]) -> list[Row]:
    return [
        {
            "correct": outcome.correct,
            "base": outcome.base,
            "answer": program.text[:_LONGEST_SHOWN],
            "how": program.how,
            "reason": outcome.reason,
            "undecided": outcome.undecided,
        }
        for program, outcome in zip(found, graded, strict=True)
    ]


def figures(read: Samples, found: Sequence[Program], graded: Sequence[Outcome], sandbox: Sandbox) -> Grading:
    """The figures of score.json. Shares are percentages of completions."""

    def by_problem(values: Sequence[bool]) -> list[list[bool]]:
        rows: dict[str, list[bool]] = {problem: [] for problem in read.problems}
        for row, value in zip(read.samples, values, strict=True):
            rows[row["problem"]].append(value)
        return list(rows.values())

    def shares(names: Sequence[str]) -> dict[str, float]:
        return {name: 100 * count / len(names) for name, count in sorted(Counter(names).items())}

    right = right_shares(by_problem([outcome.correct for outcome in graded]))
    reasons, how = shares([outcome.reason for outcome in graded]), shares([program.how for program in found])
    undecided = 100 * sum(outcome.undecided for outcome in graded) / len(graded)
    return Grading(
        "pass@1",
        right,
        read.empty,
        {
            "n": right["k"],
            "base": right_shares(by_problem([outcome.base for outcome in graded]))["mean_at_k"],
            "truncated": 100 * sum(row["finish"] == "length" for row in read.samples) / len(read.samples),
            "no_answer": how.get("none", 0.0),
            "undecided": undecided,
            "bounds": [right["mean_at_k"], right["mean_at_k"] + undecided],
            "how": how,
            "reason": reasons,
            "pass_at": right["pass_at"],
            "sampling_error": right["sampling_error"],
            "mean_tokens": sum(row["tokens"] for row in read.samples) / len(read.samples),
            "sandbox": sandbox.kind,
            "evalplus": version("evalplus"),
            "test_seconds": TEST_SECONDS,
        },
    )


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr grade-code", __doc__)
    add_options(stage)
    stage.add("--workers", type=int, default=os.cpu_count() or 1, help="programs under test at a time (default: cores)")
    with stage.run(arguments) as (experiment, options):
        # Of the graders alone: numpy's memory for the threads of many cores would count against evalplus's limit.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        sandbox = choose(options.allow_unsandboxed)
        if sandbox.kind == "none":
            say("warning: generated code runs without a sandbox (allow_unsandboxed) and may do all that you may")
        read = {name: read_samples(options.problems / name, options.evaluation / name) for name in options.benchmarks}
        found = {name: programs(experiment, options.run, name, samples) for name, samples in read.items()}
        asked = {name: tasks(experiment.benchmarks[name].scorer, read[name], found[name]) for name in read}
        every = [task for of_benchmark in asked.values() for task in of_benchmark]
        title = f"grade {options.model} {options.run}"
        with Progress(title, sum(len(task.solutions) for task in every), "programs") as progress:
            graded = grade(every, sandbox, options.workers, progress.update)
        scores = []
        for name, samples in read.items():
            own, graded = graded[: len(asked[name])], graded[len(asked[name]) :]
            results = outcomes(samples, found[name], asked[name], own)
            problems, evaluation = options.problems / name, options.evaluation / name
            write_verdicts(evaluation, samples.samples, verdict_lines(found[name], results))
            score = figures(samples, found[name], results, sandbox)
            write_score(experiment, options.model, options.run, name, problems, evaluation, score)
            scores.append(f"{experiment.benchmarks[name].label} {score.shares['mean_at_k']:.1f}")
        stage.done(f"{title}: {', '.join(scores)}")


if __name__ == "__main__":
    main()
