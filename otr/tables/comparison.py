"""Ours beside the published tables: every cell, and the signs of the paper's claims.

In: Tables of an experiment (any subset of finished runs) whose models and benchmarks carry the labels the paper prints,
so that cells find their counterparts: model `Qwen3-4B`, column `AMC23`, in a table of the same name. A row is what it
was trained with, (objective, κ, K, β), and an average column the set of its benchmarks, whatever they are called. Out:
one Comparison a cell, as Markdown and CSV. For example ours 52.19 ± 5.1 (standard error) against 52.81 published:
difference -0.62, within noise.

Within noise means |difference| ≤ 1.96 · √2 · standard error of ours: the published value is one more draw of the same
size. Both used the same problems, which the standard error counts as drawn anew, so the yardstick is rather too long
than too short. The published rounding of each sample's accuracy to one decimal adds at most 0.05.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from otr.config import BASE_RUN, Experiment
from otr.files import write_text
from otr.loss.objective import FORMULAS
from otr.tables import paper
from otr.tables.accuracies import Group, Training, read_trainings
from otr.tables.paired import compare as compare_pairs
from otr.tables.paper import Trained
from otr.tables.render import aligned
from otr.tables.scores import Score, two_decimals
from otr.tables.table import Column, Table, experiment_table

CSV_COLUMNS = (
    "table", "model", "method", "group", "benchmark", "ours", "ours_rounded", "standard_error", "published",
    "difference", "within_noise", "problems", "problems_published",
)  # fmt: skip
Rows = Mapping[str, Trained]
"""What each run of the experiment was trained with."""
_SFT, _BASE = Trained("sft"), Trained("base")


def trained(experiment: Experiment) -> dict[str, Trained]:
    """What each row of an experiment's tables is. Only the constants that an objective reads tell it apart."""
    found = {BASE_RUN: _BASE}
    for run, method in experiment.methods.items():
        otr = method.objective == "otr"
        found[run] = Trained(
            method.objective,
            method.kappa if otr or FORMULAS[method.objective].needs_mass else None,
            method.samples if otr else None,
            Decimal(str(method.beta)) if otr else None,
        )
    return found


@dataclass(frozen=True)
class Comparison:
    """A cell of ours and its published counterpart; either may be missing."""

    table: str
    model: str
    method: str
    group: str
    benchmark: str
    is_average: bool
    ours: Score | None
    published: Decimal | None

    @property
    def difference(self) -> Decimal | None:
        return None if self.ours is None or self.published is None else self.ours.value - self.published

    @property
    def within_noise(self) -> bool | None:
        """None where the difference or its error is unknown."""
        if self.difference is None or self.ours is None or self.ours.standard_error is None:
            return None
        return abs(float(self.difference)) <= 1.96 * math.sqrt(2) * self.ours.standard_error

    @property
    def problems_published(self) -> int | None:
        return None if self.is_average or self.published is None else paper.PROBLEMS[self.benchmark]


def write(experiment: Experiment, results: Path, out: Path) -> list[Comparison]:
    """Write comparison.md and comparison.csv of all tables of the experiment into `out`; returns their cells."""
    tables = [experiment_table(experiment, name, results) for name in experiment.tables]
    trainings: dict[Group, list[Training]] = {}
    for layout in experiment.tables.values():
        trainings |= read_trainings(results, experiment.name, layout, experiment.runs)
    rows = trained(experiment)
    cells = compare(tables, rows)
    write_text(out / "comparison.md", markdown(experiment.name, tables, cells, trainings, rows))
    write_text(out / "comparison.csv", comma_separated(cells))
    return cells


def compare(tables: Iterable[Table], rows: Rows) -> list[Comparison]:
    """Every cell of ours in a table of the paper's name, in order."""
    return [cell for table in tables for cell in _compare_table(table, rows)]


def published_table(name: str) -> Table | None:
    """The paper's table of that name."""
    return next((paper.table(number) for number in paper.NUMBERS if name == f"table{number}"), None)


def _compare_table(table: Table, rows: Rows) -> Iterator[Comparison]:
    published = _published_cells(table.name)
    for block in table.blocks:
        for row in block.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                found = published.get((block.label, rows.get(row.run), _benchmarks(table, column)))
                place = (table.name, block.label, row.label, column.group, column.label, column.is_average)
                yield Comparison(*place, cell.score, found.value if found else None)


def _benchmarks(table: Table, column: Column) -> tuple[bool, frozenset[str]]:
    """What a column is, whatever its title: the labels of the benchmarks it shows, and whether their average."""
    labels = {other.name: other.label for other in table.columns if not other.is_average}
    return column.is_average, frozenset(labels[name] for name in column.benchmarks)


_Place = tuple[str, Trained | None, tuple[bool, frozenset[str]]]


def _published_cells(name: str) -> dict[_Place, Score]:
    """The paper's table of that name by model, row and column; nothing for a table the paper does not have. The row of
    Table 3 that is printed for one of two values of β has no place of its own and is left out."""
    table = published_table(name)
    rows = _published_rows(name)
    return {
        (block.label, rows[row.run], _benchmarks(table, column)): cell.score
        for block in (table.blocks if table else ())
        for row in block.rows
        for column, cell in zip(table.columns if table else (), row.cells, strict=True)
        if table is not None and cell.score is not None and row.run in rows
    }


def _published_rows(name: str) -> dict[str, Trained]:
    cells = (cell for cell in paper.cells() if f"table{cell.table}" == name)
    return {cell.run: cell.trained for cell in cells if cell.trained is not None}


def comma_separated(cells: Iterable[Comparison]) -> str:
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for cell in cells:
        noise = {None: "", True: 1, False: 0}[cell.within_noise]
        place = [cell.table, cell.model, cell.method, cell.group, cell.benchmark]
        problems = cell.ours.problems if cell.ours else None
        writer.writerow([*place, *_numbers(cell, ""), noise, problems, cell.problems_published])
    return target.getvalue()


def _numbers(cell: Comparison, missing: str) -> list[str]:
    """Ours, ours as the paper rounds, its standard error, published, difference."""
    error = cell.ours.standard_error if cell.ours else None
    rounded = cell.ours.rounded if cell.ours else None
    return [
        two_decimals(cell.ours.value) if cell.ours else missing,
        two_decimals(rounded) if rounded is not None else missing,
        f"{error:.2f}" if error is not None else missing,
        two_decimals(cell.published) if cell.published is not None else missing,
        signed(cell.difference) if cell.difference is not None else missing,
    ]


def signed(value: Decimal) -> str:
    """Two decimals with a sign; a difference that rounds to nothing has none."""
    text = two_decimals(value)
    return "0.00" if Decimal(text) == 0 else text if text.startswith("-") else f"+{text}"


Trainings = Mapping[Group, Sequence[Training]]

_READING = (
    "Standard errors are ours. Rounded: ours computed as the paper does, with each sample's accuracy rounded to one "
    "decimal first. Within noise: the difference is at most 1.96 · √2 standard errors."
)


def markdown(
    experiment: str,
    tables: Sequence[Table],
    cells: Sequence[Comparison],
    trainings: Trainings,
    rows: Rows,
) -> str:
    """Claims first, then every cell that has a published counterpart. `trainings`, where verdicts are there, give the
    claims their paired intervals."""
    parts = [
        f"# {experiment} beside the published tables",
        _READING,
        "## Above SFT?",
        _gains(tables, trainings, rows),
        "## Values below the base model's (†), averages left aside",
        _regressions(tables, rows),
        "## Cells",
        _cell_tables(cells),
    ]
    return "\n\n".join(parts) + "\n"


def _gains(tables: Sequence[Table], trainings: Trainings, rows: Rows) -> str:
    """Each tuned row minus SFT in each average column."""
    header = [
        "Table",
        "Model",
        "Method",
        "Average of",
        "Ours − SFT",
        "95 % interval",
        "By",
        "Published − SFT",
        "Same sign",
    ]
    lines = [header]
    for table in tables:
        for gain in _table_gains(table, trainings, rows):
            low, high = gain.interval or (None, None)
            interval = "—" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
            by = "—" if gain.interval is None else "pairs" if gain.paired else "errors"
            shown = [signed(value) if value is not None else "—" for value in (gain.ours, gain.published)]
            lines.append([table.name, *gain.place, shown[0], interval, by, shown[1], gain.agreement])
    if len(lines) == 1:
        return "No table has a row trained with SFT and another one."
    note = (
        "By pairs: paired over problems and training seeds, as in the answer. By errors: from the two standard errors "
        "as if the runs had nothing in common, where verdicts are missing; such intervals are rather too long."
    )
    return f"{aligned(lines, names=4)}\n\n{note}"


@dataclass(frozen=True)
class _Gain:
    """A tuned run's average minus SFT's."""

    place: tuple[str, str, str]
    """Labels of model and method, group."""
    ours: Decimal | None
    interval: tuple[float, float] | None
    paired: bool
    published: Decimal | None

    @property
    def agreement(self) -> str:
        if self.ours is None or self.published is None:
            return "—"
        return "yes" if (self.ours > 0) == (self.published > 0) else "no"


def _table_gains(table: Table, trainings: Trainings, rows: Rows) -> Iterator[_Gain]:
    published = _published_cells(table.name)
    for block in table.blocks:
        sft = next((row for row in block.rows if rows.get(row.run) == _SFT), None)
        for row in block.rows:
            if sft is None or row is sft or rows.get(row.run) == _BASE:
                continue
            for column, cell, reference in zip(table.columns, row.cells, sft.cells, strict=True):
                if column.is_average:
                    ours, by_errors = _difference(cell.score, reference.score)
                    one_row, sft_row = (
                        trainings.get((block.model, run, column.benchmarks), []) for run in (row.run, sft.run)
                    )
                    pairs = compare_pairs(one_row, sft_row)
                    by_pairs = pairs.interval if pairs and ours is not None else None
                    shown = _benchmarks(table, column)
                    one, other = (published.get((block.label, key, shown)) for key in (rows.get(row.run), _SFT))
                    place = (block.label, row.label, column.group)
                    yield _Gain(place, ours, by_pairs or by_errors, by_pairs is not None, _difference(one, other)[0])


def _difference(one: Score | None, other: Score | None) -> tuple[Decimal | None, tuple[float, float] | None]:
    """one - other, and its 95 % interval from the two standard errors."""
    if one is None or other is None:
        return None, None
    gain = one.value - other.value
    if one.standard_error is None or other.standard_error is None:
        return gain, None
    half = 1.96 * math.hypot(one.standard_error, other.standard_error)
    return gain, (float(gain) - half, float(gain) + half)


def _regressions(tables: Sequence[Table], rows: Rows) -> str:
    lines = [["Table", "Method", "Ours", "Published"]]
    for table in tables:
        theirs, their_rows = published_table(table.name), _published_rows(table.name)
        for run, label in dict.fromkeys((row.run, row.label) for block in table.blocks for row in block.rows):
            if rows.get(run) != _BASE and any("†" in sentence for sentence in table.legend):
                same = {other for other, found in their_rows.items() if found == rows.get(run)}
                lines.append([table.name, label, _daggers(table, {run}), _daggers(theirs, same)])
    return aligned(lines, names=2) if len(lines) > 1 else "No table marks values below the base model's."


def _daggers(table: Table | None, runs: set[str]) -> str:
    """How many of a method's scored benchmark cells carry †."""
    cells = [
        cell
        for block in (table.blocks if table else ())
        for row in block.rows
        if row.run in runs
        for column, cell in zip(table.columns if table else (), row.cells, strict=True)
        if not column.is_average and cell.score is not None
    ]
    return f"{sum(cell.dagger for cell in cells)} of {len(cells)}" if cells else "—"


def _cell_tables(cells: Sequence[Comparison]) -> str:
    paired = [cell for cell in cells if cell.published is not None]
    if not paired:
        return (
            "No cell of this experiment has a published counterpart (same table, labels of model and benchmarks, "
            "objective with κ, K and β)."
        )
    header = ["Table", "Model", "Method", "Benchmark", "Ours", "Rounded", "Standard error", "Published", "Difference"]
    lines = [[*header, "Within noise", "Problems"]]
    for cell in paired:
        noise = {None: "—", True: "yes", False: "no"}[cell.within_noise]
        column = f"{cell.group}: {cell.benchmark}" if cell.is_average else cell.benchmark
        place = [cell.table, cell.model, cell.method, column]
        lines.append([*place, *_numbers(cell, "—"), noise, _problems(cell)])
    return f"{_verdict(paired)}\n\n{aligned(lines, names=4)}"


def _problems(cell: Comparison) -> str:
    """A score on a part of a benchmark is no reproduction of the whole one's."""
    if cell.ours is None or cell.ours.problems is None or cell.problems_published is None:
        return "—"
    own, whole = cell.ours.problems, cell.problems_published
    return str(own) if own == whole else f"{own} of {whole}"


def _verdict(paired: Sequence[Comparison]) -> str:
    decided = [cell for cell in paired if cell.within_noise is not None]
    missing = sum(cell.ours is None for cell in paired)
    return (
        f"{sum(cell.within_noise is True for cell in decided)} of {len(decided)} cells within noise; "
        f"{missing} of {len(paired)} not scored yet."
    )
