"""A table with its averages and marks, still free of any output format.

In: a TableLayout and the scores of its cells. Out: a Table. A score that is not there yet is an empty cell, and so is
every average over it.

Two decimals are shown, a half rounded up. Of the 21 published mean@4 values whose exact value has a half in the third
decimal, 19 are rounded up; rounding to even would explain 7.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from otr.config import Cell, Experiment
from otr.config.tables import TableLayout
from otr.tables.answer import answer, lines
from otr.tables.footnotes import provenance
from otr.tables.marks import Entry, legend, marked
from otr.tables.scores import Score, average, read_scores


@dataclass(frozen=True)
class Column:
    group: str
    name: str
    """Benchmark name; for an average its title."""
    label: str
    benchmarks: tuple[str, ...]
    """What the cells are the mean of: one benchmark, or all of the group."""
    is_average: bool = False


@dataclass(frozen=True)
class Row:
    run: str
    label: str
    cells: tuple[Entry, ...]


@dataclass(frozen=True)
class Block:
    """The rows of one model."""

    model: str
    label: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    name: str
    caption: str
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    legend: tuple[str, ...]
    """What the marks mean, a sentence each; *word* is set in bold."""
    provenance: tuple[str, ...] = ()
    """Where the numbers come from, a line each."""
    answer: tuple[str, ...] = ()
    """What the table says, a sentence each; the last says how to read them."""


def experiment_table(experiment: Experiment, name: str, results: Path) -> Table:
    """A table of an experiment with the scores written so far, what they say and their provenance."""
    layout = experiment.tables[name]
    scores = read_scores(results, experiment.name, layout, experiment.runs)
    table = build(name, layout, scores, experiment.labels())
    said = tuple(lines(answer(experiment, results, [name])))
    return dataclasses.replace(table, provenance=provenance(experiment.name, scores), answer=said)


def build(name: str, layout: TableLayout, scores: Mapping[Cell, Score], labels: Mapping[str, str]) -> Table:
    """The table of `layout` filled with `scores`. `labels` says how models, runs and benchmarks are printed; a name
    without a label is printed as it is."""
    labels = {**labels, **layout.labels}
    columns = _columns(layout, labels)
    blocks = tuple(
        Block(model, labels.get(model, model), _marked_rows(model, layout, columns, scores, labels))
        for model in layout.models
    )
    caption = " ".join(layout.caption.split())
    cells = [cell for block in blocks for row in block.rows for cell in row.cells]
    return Table(name, caption, columns, blocks, legend(layout, labels, cells))


def _columns(layout: TableLayout, labels: Mapping[str, str]) -> tuple[Column, ...]:
    columns = []
    for group in layout.columns:
        columns += [Column(group.group, name, labels.get(name, name), (name,)) for name in group.benchmarks]
        columns.append(Column(group.group, group.average, group.average, group.benchmarks, is_average=True))
    return tuple(columns)


def _marked_rows(
    model: str,
    layout: TableLayout,
    columns: Sequence[Column],
    scores: Mapping[Cell, Score],
    labels: Mapping[str, str],
) -> tuple[Row, ...]:
    by_column = [marked(layout, {run: _cell_score(model, run, c, scores) for run in layout.compared}) for c in columns]
    return tuple(
        Row(run, labels.get(run, run), tuple(cells[position] for cells in by_column))
        for position, run in enumerate(layout.rows)
    )


def _cell_score(model: str, run: str, column: Column, scores: Mapping[Cell, Score]) -> Score | None:
    parts = [scores.get(Cell(model, run, benchmark)) for benchmark in column.benchmarks]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    return average(found) if column.is_average else found[0]
