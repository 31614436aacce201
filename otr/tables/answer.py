"""The answer of an experiment, in sentences: every method against SFT, for each model and group of columns.

In: the verdicts of a table's runs. Out: one Difference for each model, method and group, and its sentence:

    OTR scores 8.3 ± 2.1 points higher than SFT on Mathematics (Table 1, Qwen3-0.4M: 78.31 against 69.97; of 560
    problems 61 became right and 18 wrong; 3 trainings each).

results/table1.md opens with these sentences, a run of the workflow ends with them, and the report's first screen shows
them: all from `answer`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from otr.config import Experiment
from otr.config.tables import TableLayout
from otr.results import Paths
from otr.tables.accuracies import Training, trainings
from otr.tables.paired import Paired, compare

READING = (
    "± is half of a 95 % interval, paired over the same problems and over training seeds. A problem is right where at "
    "least half of its completions are."
)


@dataclass(frozen=True)
class Difference:
    """A method against its reference on one group of columns; names as the experiment writes them, and as printed."""

    model: str
    run: str
    reference: str
    benchmarks: tuple[str, ...]
    table: str
    """The first table that shows it."""
    group: str
    labels: tuple[str, str, str]
    """Of model, run and reference."""
    paired: Paired
    floor: float | None
    """The average of the row that the table marks values below, if it has one: like for like where that is known."""

    @property
    def title(self) -> str:
        return f"{self.labels[1]} − {self.labels[2]}"

    @property
    def claim(self) -> str:
        """What the numbers allow to say."""
        _, one, other = self.labels
        found = self.paired
        if found.half is None:
            return f"{one} and {other} differ by {signed(found.difference)} points on {self.group}, of unknown error"
        size = f"{abs(found.difference):.1f} ± {found.half:.1f} points"
        if not found.is_told_apart:
            difference = f"{signed(found.difference)} ± {found.half:.1f} points"
            return f"{one} and {other} are not told apart on {self.group}: {difference}"
        more = found.difference > 0
        if self.floor is not None and max(found.levels) < self.floor:
            return f"{one} {'keeps' if more else 'loses'} {size} more of {self.group} than {other}"
        return f"{one} scores {size} {'higher' if more else 'lower'} than {other} on {self.group}"

    @property
    def evidence(self) -> str:
        found = self.paired
        trainings = "one training each" if found.trainings == 1 else f"{found.trainings} trainings each"
        return (
            f"{heading(self.table)}, {self.labels[0]}: {found.levels[0]:.2f} against {found.levels[1]:.2f}; "
            f"of {found.problems} problems "
            f"{len(found.gained)} became right and {len(found.lost)} wrong; {trainings}"
        )

    @property
    def sentence(self) -> str:
        return f"{self.claim} ({self.evidence})."


def answer(experiment: Experiment, results: Path, tables: Iterable[str] | None = None) -> list[Difference]:
    """The differences that these tables (default: all) show, each once, as far as their verdicts are there."""
    return _differences(experiment, results, experiment.tables if tables is None else tables, False)


def by_benchmark(experiment: Experiment, results: Path) -> list[Difference]:
    """As `answer`, for each benchmark by itself."""
    return _differences(experiment, results, experiment.tables, True)


def _differences(experiment: Experiment, results: Path, tables: Iterable[str], single: bool) -> list[Difference]:
    tree = Paths(results, experiment.name)
    read = cache(lambda model, row, names: trainings(tree, model, experiment.runs(row), names))
    found: dict[tuple[str, str, str, tuple[str, ...]], Difference] = {}
    for name in tables:
        layout = experiment.tables[name]
        groups = [(group.group, group.benchmarks) for group in layout.columns]
        if single:
            groups = [(title, (benchmark,)) for title, benchmarks in groups for benchmark in benchmarks]
        for (run, reference), model, (title, names) in product(pairs(experiment, layout), layout.models, groups):
            key = (model, run, reference, names)
            paired = compare(*(read(model, row, names) for row in (run, reference))) if key not in found else None
            if paired is not None:
                floor = _floor([read(model, row, names) for row in _floors(layout)])
                labels = _labels(experiment, layout, model, run, reference)
                found[key] = Difference(*key, name, title, labels, paired, floor)
    # First the tables that ask which of two methods is better, then ablations.
    return sorted(found.values(), key=lambda one: not is_main(experiment.tables[one.table]))


def is_main(layout: TableLayout) -> bool:
    """Whether a table asks which of two methods is better."""
    return len(layout.best_of or ()) == 2


def heading(table: str) -> str:
    """table1 → Table 1; another name stays."""
    number = table.removeprefix("table")
    return f"Table {number}" if number.isdigit() else table


def signed(value: float) -> str:
    """One decimal with its sign, a true minus; what rounds to zero has none."""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def lines(differences: Sequence[Difference]) -> list[str]:
    """The sentences; a last line says how to read them. Nothing where there is nothing to say."""
    return [*(difference.sentence for difference in differences), READING] if differences else []


def pairs(experiment: Experiment, layout: TableLayout) -> list[tuple[str, str]]:
    """(run, its reference) of a table's rows. The reference is SFT, the one with the same recipe where there are
    several; without any, the row that the table compares with."""
    tuned = [row for row in layout.rows if row in experiment.methods]
    plain = [row for row in tuned if experiment.methods[row].objective == "sft"]
    others = [row for row in tuned if row not in plain]
    if not plain:
        floors = _floors(layout)
        return [(row, floors[0]) for row in others] if floors else [(row, others[0]) for row in others[1:]]
    recipes = {row: experiment.methods[row].training for row in tuned}
    return [(row, next((sft for sft in plain if recipes[sft] == recipes[row]), plain[0])) for row in others]


def _floors(layout: TableLayout) -> list[str]:
    """The untrained rows that a table compares with, like for like first."""
    return [row for row in (layout.like_for_like, layout.regression) if row is not None]


def _floor(runs: Sequence[Sequence[Training]]) -> float | None:
    levels = [found.levels[0] for run in runs if run and (found := compare(run, run)) is not None]
    return levels[0] if levels else None


def _labels(experiment: Experiment, layout: TableLayout, model: str, run: str, reference: str) -> tuple[str, str, str]:
    labels = {**experiment.labels(), **layout.labels}
    return labels[model], labels[run], labels[reference]
