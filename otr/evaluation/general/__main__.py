"""Exact match of one checkpoint's general benchmarks (MMLU-Pro, SuperGPQA, BBEH) by lm-eval, from completions alone.

In: problems and samples.jsonl.gz, sampled by otr.evaluation.sample with every other benchmark. lm-eval gets them as a
model that has already answered; its task files (otr/evaluation/tasks/) read the answers and match them. Out, a
benchmark: verdicts.jsonl.gz, a line a completion in the order of the samples

    {"problem": "7", "sample": 0, "gold": "D", "correct": true, "answer": "D", "how": "anchor", "reason": "same"}

and score.json: the share of matches in percent with its standard error; under `details` the shares of unread and
truncated completions, what guessing would give (`chance`), and the score by category.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from otr.command.stage import Stage
from otr.config import Benchmark
from otr.evaluation.general.matching import Answer, read_answer, read_letter
from otr.evaluation.scorefile import Grading, Samples, add_options, read_samples, write_score, write_verdicts
from otr.evaluation.shares import right_shares
from otr.files import Row, write_jsonl

TASKS = Path(__file__).parent


def matches(benchmark: Benchmark, read: Samples) -> list[bool]:
    """Whether lm-eval counts each completion as an exact match, in the order of the samples."""
    # simple_evaluate, a floor higher, seeds torch and lists the installed packages at every call: most of the time.
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        write_jsonl(rows, task_rows(read))
        manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"rows": str(rows)})
        found = evaluate(_answered(read), manager.load([f"otr_{benchmark.scorer}"]), bootstrap_iters=0)
    assert found is not None
    (logged,) = found["samples"].values()
    by_row = {line["doc"]["row"]: bool(line["exact_match"]) for line in logged}
    return [by_row[row] for row in range(len(read.samples))]


def task_rows(read: Samples) -> list[Row]:
    """What the task files read: one row a completion wanted."""
    rows = []
    for number, sample in enumerate(read.samples):
        problem = read.problems[sample["problem"]]
        row = {"row": number, "prompt": sample["prompt"], "target": problem["gold"]}
        rows.append(row | ({"options": problem["options"]} if "options" in problem else {}))
    return rows


def _answered(read: Samples) -> Any:
    """An lm-eval model that answers with the completions at hand."""
    from lm_eval.api.model import LM

    class Answered(LM):  # type: ignore[misc]
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            return [completion_text(read.samples[request.doc["row"]]) for request in requests]

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            raise NotImplementedError("the tasks ask for completions alone")

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise NotImplementedError("the tasks ask for completions alone")

    return Answered()


def completion_text(sample: Row) -> str:
    """A completion as it counts: one that was cut at its limit has no last answer."""
    return "" if sample["finish"] == "length" else str(sample["completion"])


def read_sample(benchmark: Benchmark, problem: Row, sample: Row) -> Answer:
    """The answer as the task file reads it."""
    text = completion_text(sample)
    return read_letter(text, problem["options"]) if benchmark.scorer == "choice" else read_answer(text)


def verdicts(benchmark: Benchmark, read: Samples, right: list[bool]) -> list[Row]:
    """The lines of verdicts.jsonl.gz."""
    lines = []
    for sample, correct in zip(read.samples, right, strict=True):
        problem = read.problems[sample["problem"]]
        answer = read_sample(benchmark, problem, sample)
        reason = "same" if correct else "truncated" if sample["finish"] == "length" else "different"
        reason = "no-answer" if answer.how == "none" and reason == "different" else reason
        lines.append(
            {"gold": problem["gold"], "correct": correct, "answer": answer.text, "how": answer.how, "reason": reason}
        )
    return lines


def figures(read: Samples, lines: list[Row]) -> Grading:
    """The figures of score.json."""
    by_problem: dict[str, list[bool]] = {problem: [] for problem in read.problems}
    for sample, line in zip(read.samples, lines, strict=True):
        by_problem[sample["problem"]].append(line["correct"])
    found = right_shares(list(by_problem.values()))
    count = len(lines)
    details = {
        **found,
        "truncated": 100 * sum(line["reason"] == "truncated" for line in lines) / count,
        "no_answer": 100 * sum(line["how"] == "none" for line in lines) / count,
        "how": {how: 100 * sum(line["how"] == how for line in lines) / count for how in ("boxed", "anchor", "none")},
        "mean_tokens": sum(sample["tokens"] for sample in read.samples) / count,
        "chance": chance(list(read.problems.values())),
        **_breakdown(read.problems, by_problem),
    }
    metric = "exact match" if found["k"] == 1 else f"exact match, mean of {found['k']}"
    return Grading(metric, found, read.empty, details)


def chance(problems: list[Row]) -> float:
    """Percentage that drawing a letter would give. Where a BBEH question lists lettered options they are counted; one
    that asks for anything else is never guessed."""
    return 100 * sum(_guess(problem) for problem in problems) / len(problems)


def _guess(problem: Row) -> float:
    if "options" in problem:
        return 1 / int(problem["options"])
    gold = str(problem["gold"])
    if len(gold) != 3 or gold[0] + gold[2] != "()":
        return 0.0
    listed = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if f"({letter})" in problem["problem"]]
    return 1 / len(listed) if gold[1] in listed else 0.0


def _breakdown(problems: dict[str, Row], by_problem: dict[str, list[bool]]) -> Row:
    """The score by category and on the mini set, where the problems say which they are."""
    shares = {problem: 100 * sum(right) / len(right) for problem, right in by_problem.items()}
    found: Row = {}
    groups: dict[str, list[float]] = {}
    for problem, row in problems.items():
        if "category" in row:
            groups.setdefault(row["category"], []).append(shares[problem])
    if groups:
        by_category = {name: sum(values) / len(values) for name, values in sorted(groups.items())}
        # BBEH's own summary: one point is added to each, as a single 0 would make the mean 0.
        harmonic = len(by_category) / sum(1 / (value + 1) for value in by_category.values())
        found |= {"by_category": by_category, "harmonic_mean": harmonic}
    mini = [shares[problem] for problem, row in problems.items() if row.get("mini")]
    return found | ({"mini": sum(mini) / len(mini), "mini_problems": len(mini)} if mini else {})


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr grade-general", __doc__)
    add_options(stage)
    stage.add("--workers", type=int, default=1, help="ignored: lm-eval matches in one process")
    with stage.run(arguments) as (experiment, options):
        os.environ["HF_HUB_OFFLINE"] = "1"  # for lm-eval: everything that the tasks need is in the rows
        scores = []
        for name in options.benchmarks:
            benchmark = experiment.benchmarks[name]
            problems, evaluation = options.problems / name, options.evaluation / name
            read = read_samples(problems, evaluation)
            lines = verdicts(benchmark, read, matches(benchmark, read))
            found = figures(read, lines)
            write_verdicts(evaluation, read.samples, lines)
            write_score(experiment, options.model, options.run, name, problems, evaluation, found)
            scores.append(f"{benchmark.label} {found.shares['mean_at_k']:.1f} (chance {found.details['chance']:.1f})")
        stage.done(f"match {options.model} {options.run}: {', '.join(scores)}")


if __name__ == "__main__":
    main()
