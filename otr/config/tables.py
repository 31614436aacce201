"""The shape of a table, as an experiment file declares it under `tables`.

In: the block below (read and reported on by otr/config/reading.py). Out: a checked, immutable TableLayout.

    table1:
      caption: Main results on in-domain mathematical reasoning
      models: [micro-small, micro-large]     # one block of rows a model
      rows: [base, sft, otr]                 # runs, in the order they are printed
      columns:                               # one average column closes each group
        - {group: Mathematics, benchmarks: [sums, products], average: Average}
      regression: base                       # † on every value strictly below this row's; null: no †
      like_for_like: base-tuned              # ‡ on every value strictly below this run's, printed or not; null: no ‡
      best_of: [sft, otr]                    # bold on the best of these rows, ties all; null: no bold
"""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from otr.config.block import Block

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Names = Annotated[tuple[Text, ...], Field(min_length=1)]


class ColumnGroup(Block):
    """Benchmarks side by side, closed by their average."""

    group: Text
    """Printed above the columns where a table has several groups."""
    benchmarks: Names
    """A column each, in this order."""
    average: Text
    """Title of the average column."""


class TableLayout(Block):
    """Rows, columns and marks of one table. Names are keys of `models`, `methods` (or base) and `benchmarks`."""

    caption: Text
    """Printed above the table."""
    models: Names
    """A block of rows a model."""
    rows: Names
    """Runs in the order they are printed."""
    columns: Annotated[tuple[ColumnGroup, ...], Field(min_length=1)]
    """Groups of benchmarks; one average column closes each."""
    regression: Text | None = None
    """† stands on every value strictly below this row's; null: no †."""
    like_for_like: Text | None = None
    """‡ stands on every value strictly below this run's, printed or not; null: no ‡."""
    labels: dict[str, Text] = {}
    """Rows that this table names otherwise than `methods` does."""
    best_of: Annotated[tuple[Text, ...], Field(min_length=2)] | None = None
    """Bold is the best of these rows, ties all; null: no bold."""

    @property
    def benchmarks(self) -> list[str]:
        return [name for group in self.columns for name in group.benchmarks]

    @property
    def compared(self) -> list[str]:
        """The rows, and the run that they are compared with like for like."""
        return list(dict.fromkeys([*self.rows, *([self.like_for_like] if self.like_for_like else [])]))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _refuse_repeats("models", self.models)
        _refuse_repeats("rows", self.rows)
        _refuse_repeats("columns", tuple(name for group in self.columns for name in group.benchmarks))
        _refuse_repeats("columns", tuple(group.group for group in self.columns))
        _refuse_repeats("best_of", self.best_of or ())
        for run in self.labels:
            if run not in self.rows:
                raise ValueError(f"labels: '{run}' is not a row; allowed: {', '.join(self.rows)}")
        compared = (("regression", (self.regression,) if self.regression else ()), ("best_of", self.best_of or ()))
        for key, runs in compared:
            for run in runs:
                if run not in self.rows:
                    raise ValueError(f"{key}: '{run}' is not a row; allowed: {', '.join(self.rows)}")
        return self


def _refuse_repeats(key: str, names: tuple[str, ...]) -> None:
    repeated = next((name for position, name in enumerate(names) if name in names[:position]), None)
    if repeated is not None:
        raise ValueError(f"{key}: '{repeated}' stands twice; each name once is allowed")
