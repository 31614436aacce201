"""Right completions by problem, from verdicts.

In: verdicts.jsonl.gz beside score.json, one line a completion, of which two columns are read:

    {"problem": "17", "sample": 0, "correct": true}

Out: the percentage of right completions by problem, {"17": 100.0, ...}.
"""

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path

from otr.config import Cell
from otr.config.tables import TableLayout
from otr.errors import UserError
from otr.files import read_jsonl
from otr.results import Paths
from otr.results.integrity import checked

Accuracies = Mapping[str, float]
"""Percentage of right completions by problem."""
Training = Mapping[str, Accuracies]
"""Accuracies by benchmark."""
Group = tuple[str, str, tuple[str, ...]]
"""Model, row and the benchmarks of a group of columns."""


def accuracies(path: Path) -> dict[str, float]:
    """The percentage of right completions of each problem of a verdicts file. Raises UserError on a damaged one."""
    verdicts: dict[str, list[bool]] = {}
    for number, row in enumerate(read_jsonl(checked(path)), start=1):
        if not isinstance(row.get("correct"), bool) or not isinstance(row.get("problem"), str):
            raise UserError(f"{path}:{number}: needed are a text 'problem' and true or false 'correct'")
        verdicts.setdefault(row["problem"], []).append(row["correct"])
    return {problem: 100 * sum(right) / len(right) for problem, right in verdicts.items()}


def trainings(tree: Paths, model: str, runs: list[str], benchmarks: tuple[str, ...]) -> list[Training]:
    """Of a row, a mapping for each of its trainings; empty while verdicts are missing."""
    paths = {run: {name: tree.verdicts(Cell(model, run, name)) for name in benchmarks} for run in runs}
    if not all(path.exists() for of_run in paths.values() for path in of_run.values()):
        return []
    return [{name: accuracies(path) for name, path in of_run.items()} for of_run in paths.values()]


def read_trainings(
    results: Path | str, experiment: str, layout: TableLayout, runs: Callable[[str], list[str]] = lambda row: [row]
) -> dict[Group, list[Training]]:
    """Trainings of a table's rows for each group of its columns."""
    groups = [group.benchmarks for group in layout.columns]
    return {
        (model, row, names): trainings(Paths(results, experiment), model, runs(row), names)
        for model, row, names in product(layout.models, layout.rows, groups)
    }
