"""A plain table of the page: what its headers and cells are, still free of HTML."""

from collections.abc import Sequence
from dataclasses import dataclass

from otr.command.progress import duration

MISSING = "—"


@dataclass(frozen=True)
class Value:
    """A cell: what is shown and, where that is not it, the number it is sorted by."""

    text: str
    order: float | None = None
    share: float | None = None
    """0 to 100: how strongly the cell is tinted."""


Line = Sequence[Value | str]
"""A row to be; a text is a Value without a number."""


@dataclass(frozen=True)
class Grid:
    """`numeric` says which columns are numbers; `note` is shown below."""

    name: str
    headers: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[Value]]
    note: str = ""


def grid(name: str, headers: str, rows: Sequence[Line], note: str = "") -> Grid:
    """A Grid from headers such as "Model | Score #": a # marks a column of numbers."""
    titles = [title.strip() for title in headers.split("|")]
    cells = [[value if isinstance(value, Value) else Value(value) for value in row] for row in rows]
    return Grid(name, [t.removesuffix("#").strip() for t in titles], [t.endswith("#") for t in titles], cells, note)


def figure(value: object, pattern: str = ",.2f", unit: str = "") -> Value:
    """A number formatted; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Value(MISSING)
    return Value(f"{value:{pattern}}{unit}", float(value))


def percent(value: object) -> Value:
    """A percentage, tinted by its size."""
    shown = figure(value, ".1f")
    return Value(shown.text, shown.order, shown.order)


def time(seconds: object) -> Value:
    """Seconds as 24 s, 6.2 min or 1.4 h; a dash where there is no number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return Value(MISSING)
    return Value(duration(seconds), float(seconds))
