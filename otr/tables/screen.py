"""A Table for a terminal: as much of it as its width holds.

    Model   Method        Sums    Products     Average
    Small   SFT     40.0  ±3.0  25.0  ±4.0  32.5  ±2.5
            OTR     40.0† ±3.0  30.0  ±4.0  35.0  ±2.5

Errors go first where there is no room, then all columns but averages. One decimal: the files have two.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from otr.tables.answer import heading
from otr.tables.marks import Entry
from otr.tables.table import Table


def screen(table: Table, width: int) -> list[str]:
    """The lines, title first; none is longer than `width` where averages alone fit."""
    title = f"{heading(table.name)}: {table.caption}"
    everything = range(len(table.columns))
    averages = [place for place, column in enumerate(table.columns) if column.is_average]
    for places, has_errors in ((everything, True), (everything, False), (averages, True)):
        lines = list(_lines(table, list(places), has_errors))
        if max(map(len, lines)) <= width:
            break
    return [title, *lines]


def _lines(table: Table, places: list[int], has_errors: bool) -> Iterator[str]:
    marks = max(2, *(len(cell.marks) for block in table.blocks for row in block.rows for cell in row.cells))
    rows = [["Model", "Method", *(table.columns[place].label for place in places)]]
    for block in table.blocks:
        for position, row in enumerate(block.rows):
            cells = [_cell(row.cells[place], has_errors, marks) for place in places]
            rows.append([block.label if position == 0 else "", row.label, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for texts in rows:
        padded = [
            text.ljust(width) if place < 2 else text.rjust(width)
            for place, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        yield "  ".join(padded).rstrip()


def _cell(cell: Entry, has_error: bool, marks: int) -> str:
    if cell.score is None:
        return "—"
    value = f"{cell.score.value.quantize(Decimal('0.1'), ROUND_HALF_UP)}{cell.marks.ljust(marks)}"
    return f"{value}{cell.spread.rjust(5)}" if has_error else value
