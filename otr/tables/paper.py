"""The tables as published, built from their cells by the same code that builds ours.

In: otr/resources/paper_tables.csv (354 published cells; columns table, model, method, beta, benchmark, value,
dagger, bold), for example `1,Qwen2.5-3B,OTR,-0.1,GSM8K,82.93,0,1`. Out: Tables. Averages, † and bold are recomputed
from the benchmark cells; the published ones serve to check them.

Table 3 prints four values of β but only three OTR rows for Qwen2.5-3B; the last one is β = 0.00 or 0.01 and is kept
under both names. The captions of Tables 3 and 4 ask for no marks; the `bold` column there marks the best of all rows.
"""

import csv
import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from otr.config import Cell
from otr.config.tables import ColumnGroup, TableLayout
from otr.resources import RESOURCES
from otr.tables.scores import Score
from otr.tables.table import Table, build

CELLS = RESOURCES / "paper_tables.csv"


@dataclass(frozen=True)
class PublishedCell:
    table: int
    model: str
    run: str
    """Base, SFT, OTR; in the ablations OTR with its β."""
    benchmark: str
    value: Decimal
    dagger: bool
    bold: bool
    beta: Decimal | None = None
    """Of an OTR row; None where the paper does not say which of two."""

    @property
    def trained(self) -> "Trained | None":
        """What the row was trained with (sections 4.1 to 4.4: κ = 1.3 and K = 256 throughout); None where unsaid."""
        if self.run in ("Base", "SFT"):
            return Trained(self.run.casefold())
        return None if self.beta is None else Trained("otr", 1.3, 256, self.beta)


@dataclass(frozen=True)
class Trained:
    """What a row of a table is, whatever it is called: its objective and those constants that decide it."""

    objective: str
    """Or base."""
    kappa: float | None = None
    samples: int | None = None
    beta: Decimal | None = None


@dataclass(frozen=True)
class _Caption:
    text: str
    regression: str | None = None
    best_of: tuple[str, ...] | None = None


_CAPTIONS = {
    1: _Caption("In-domain mathematical reasoning, as published", "Base", ("SFT", "OTR")),
    2: _Caption("Out-of-domain code generation and general reasoning, as published", "Base", ("SFT", "OTR")),
    3: _Caption("Ablation of β on in-domain mathematical reasoning, as published"),
    4: _Caption("Ablation of β on out-of-domain benchmarks, as published"),
    5: _Caption("Mathematical reasoning after training in DFT's setting, as published", None, ("SFT", "OTR")),
}
NUMBERS = tuple(_CAPTIONS)

_AVERAGES = {
    "Average": ("Mathematics", "Average"),
    "Code Avg": ("Code", "Avg"),
    "General Average": ("General Reasoning", "Average"),
}
"""Average columns of the file: group, title as printed. (Table 4 prints "General Tasks" for the second group.)"""

PROBLEMS = {
    "GSM8K": 1319, "MATH": 500, "Olympiad": 675, "Minerva": 272, "AIME24": 30, "AIME25": 30, "AMC23": 40,
    "HumanEval+": 164, "MBPP+": 378, "BBEH": 4520, "SuperGPQA": 26529, "MMLU-Pro": 12032,
}  # fmt: skip
"""Problems of each benchmark: MATH-500 by section 4.2, the others the size of the public set. OlympiadBench's 675 are
those of OE_TO_maths_en_COMP with its one duplicate: a base cell (38.20) is unattainable with 674."""


@cache
def cells() -> tuple[PublishedCell, ...]:
    """All published cells, averages included, in the order of the paper."""
    with CELLS.open(encoding="utf-8", newline="") as source:
        return tuple(_cell(line) for line in csv.DictReader(source))


def _cell(line: dict[str, str]) -> PublishedCell:
    table = int(line["table"])
    # Only the ablations tell OTR rows apart by β; elsewhere it is the main setting's.
    beta = f" (β = {line['beta'].rstrip('?').replace('|', ' or ')})" if table in (3, 4) and line["beta"] else ""
    marks = {mark: line[mark] == "1" for mark in ("dagger", "bold")}
    exact = None if not line["beta"] or "|" in line["beta"] else Decimal(line["beta"])
    run, value = line["method"] + beta, Decimal(line["value"])
    return PublishedCell(table, line["model"], run, line["benchmark"], value, **marks, beta=exact)


def layout(number: int) -> TableLayout:
    """Rows and columns of a published table in their printed order, marks as its caption states them."""
    own = [cell for cell in cells() if cell.table == number]
    caption = _CAPTIONS[number]
    return TableLayout(
        caption=caption.text,
        models=tuple(dict.fromkeys(cell.model for cell in own)),
        rows=tuple(dict.fromkeys(cell.run for cell in own)),
        columns=_column_groups(tuple(dict.fromkeys(cell.benchmark for cell in own))),
        regression=caption.regression,
        best_of=caption.best_of,
    )


def _column_groups(columns: tuple[str, ...]) -> tuple[ColumnGroup, ...]:
    groups: list[ColumnGroup] = []
    benchmarks: list[str] = []
    for column in columns:
        if column in _AVERAGES:
            group, average = _AVERAGES[column]
            groups.append(ColumnGroup(group=group, benchmarks=tuple(benchmarks), average=average))
            benchmarks = []
        else:
            benchmarks.append(column)
    return tuple(groups)


def scores(number: int) -> dict[Cell, Score]:
    """The benchmark cells of a published table; its averages are left for `build` to compute."""
    own = (cell for cell in cells() if cell.table == number and cell.benchmark not in _AVERAGES)
    return {Cell(cell.model, cell.run, cell.benchmark): Score(cell.value) for cell in own}


def table(number: int) -> Table:
    """A published table. Each model shows the rows printed for it."""
    return assemble(number, layout(number))


def assemble(number: int, whole: TableLayout) -> Table:
    """Published cells in a layout of one's own, say one with other marks than the caption's."""
    found = scores(number)
    parts = [
        build(f"table{number}", whole.model_copy(update={"models": (model,), "rows": _rows(found, model)}), found, {})
        for model in whole.models
    ]
    blocks = tuple(block for part in parts for block in part.blocks)
    source = f"Table {number} of the One-Token Rollout paper."
    notes = tuple(f"{run}: printed as one row, which of the two is not said." for run in whole.rows if " or " in run)
    return dataclasses.replace(parts[0], blocks=blocks, provenance=(source, *notes))


def _rows(found: dict[Cell, Score], model: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(run for owner, run, _ in found if owner == model))


def published_column(group: str, name: str) -> str:
    """A column's name in the file of cells: `Code`, `Avg` → `Code Avg`; a benchmark keeps its own."""
    return next((column for column, printed in _AVERAGES.items() if printed == (group, name)), name)
