"""Paired bootstrap: how far a difference of two runs' averages would move with other problems.

In: verdicts.jsonl.gz beside score.json, one line a completion, of which two columns are read:

    {"problem": "17", "sample": 0, "correct": true}

Out: a 95 % interval of the difference of averages. Each round draws as many problems as a benchmark has, with
replacement and the same ones for both runs, so that a problem hard for both moves neither side (Efron & Tibshirani,
An Introduction to the Bootstrap, chapter 13: percentile interval).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from otr.config.tables import TableLayout
from otr.errors import UserError
from otr.files import read_jsonl
from otr.tables.scores import Key

ROUNDS = 2000
_ROUNDS_AT_ONCE = 50
"""Bounds memory: 50 rounds of the 26,529 problems of SuperGPQA are 11 MB of indices."""

Accuracies = dict[str, float]
"""Percentage of right completions by problem."""


def read_accuracies(results: Path | str, experiment: str, layout: TableLayout) -> dict[Key, Accuracies]:
    """Accuracies of a table's cells whose verdicts are there."""
    found = {}
    for model in layout.models:
        for run in layout.rows:
            for benchmark in (name for group in layout.columns for name in group.benchmarks):
                path = Path(results) / experiment / "eval" / model / run / benchmark / "verdicts.jsonl.gz"
                if path.exists():
                    found[model, run, benchmark] = accuracies(path)
    return found


def accuracies(path: Path) -> Accuracies:
    """The percentage of right completions of each problem of a verdicts file."""
    verdicts: dict[str, list[bool]] = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        if not isinstance(row.get("correct"), bool) or not isinstance(row.get("problem"), str):
            raise UserError(f"{path}:{number}: needed are a text 'problem' and true or false 'correct'")
        verdicts.setdefault(row["problem"], []).append(row["correct"])
    return {problem: 100 * sum(right) / len(right) for problem, right in verdicts.items()}


def paired_interval(pairs: Sequence[tuple[Accuracies, Accuracies]], seed: int = 0) -> tuple[float, float] | None:
    """95 % interval of the average over benchmarks of (one run - other run), in points; a pair a benchmark.

    None where the two runs were not asked the same problems.
    """
    if any(one.keys() != other.keys() or not one for one, other in pairs):
        return None
    generator = np.random.default_rng(seed)
    differences = [np.array([one[problem] - other[problem] for problem in sorted(one)]) for one, other in pairs]
    resampled = np.mean([_resampled_means(values, generator) for values in differences], axis=0)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def _resampled_means(values: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Means of ROUNDS resamples of `values`: (ROUNDS,)."""
    parts = [
        values[generator.integers(len(values), size=(_ROUNDS_AT_ONCE, len(values)))].mean(axis=1)
        for _ in range(ROUNDS // _ROUNDS_AT_ONCE)
    ]
    return np.concatenate(parts)


def pairs_of(
    accuracies: Mapping[Key, Accuracies], model: str, runs: tuple[str, str], benchmarks: Sequence[str]
) -> list[tuple[Accuracies, Accuracies]] | None:
    """The accuracies of two runs of a model, a pair a benchmark; None where verdicts are missing."""
    pairs = []
    for benchmark in benchmarks:
        one, other = (accuracies.get((model, run, benchmark)) for run in runs)
        if one is None or other is None:
            return None
        pairs.append((one, other))
    return pairs
