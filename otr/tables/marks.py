"""The marks of a table's cells (†, ‡, ∅ and bold) and what the legend says of them.

    below the regression row                 39.99†
    below the like-for-like row              39.99‡
    most of its completions are empty         0.00∅, and so is an average over it
    best of the compared rows                *62.50*, unless all have 0

Marks compare values as shown. A reader can check every mark from the table alone; the paper does the same where one can
tell (its ties are both bold or unmarked by caption, and no † stands on a value equal to the base's).
tests/tables/test_paper.py counts the evidence in the published cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from otr.config.tables import TableLayout
from otr.tables.scores import Score, two_decimals


@dataclass(frozen=True)
class Entry:
    score: Score | None
    dagger: bool = False
    bold: bool = False
    double_dagger: bool = False

    @property
    def shown(self) -> str:
        """The value as printed: 62.50."""
        return "—" if self.score is None else two_decimals(self.score.value)

    @property
    def spread(self) -> str:
        """One standard error, ±2.1; for 0 or n of n right the 95 % interval, 0.0–1.9; empty where neither is known."""
        if self.score is None:
            return ""
        if self.score.error is not None:
            return f"±{self.score.error:.1f}"
        interval = self.score.interval
        return "" if interval is None else f"{interval[0]:.1f}–{interval[1]:.1f}"

    @property
    def is_empty(self) -> bool:
        """Whether most completions behind it hold no text."""
        return self.score is not None and self.score.mostly_empty

    @property
    def marks(self) -> str:
        return "†" * self.dagger + "‡" * self.double_dagger + "∅" * self.is_empty


def marked(layout: TableLayout, scores: Mapping[str, Score | None]) -> list[Entry]:
    """One model's cells in one column, a run each, with †, ‡ and bold decided on the values as shown. The last may be
    of the run that is compared with and not printed."""
    shown = {run: Decimal(two_decimals(score.value)) for run, score in scores.items() if score is not None}
    floor = shown.get(layout.regression) if layout.regression else None
    like_floor = shown.get(layout.like_for_like) if layout.like_for_like else None
    compared = layout.best_of or ()
    # With a row still missing nobody knows the best one.
    best = max(shown[run] for run in compared) if compared and all(run in shown for run in compared) else None
    return [
        Entry(
            score,
            dagger=run in shown and floor is not None and shown[run] < floor,
            bold=run in compared and bool(best) and shown[run] == best,  # rows that all have 0 are no best ones
            # The regression row is asked otherwise: it has no like.
            double_dagger=run in shown
            and like_floor is not None
            and run != layout.regression
            and shown[run] < like_floor,
        )
        for run, score in scores.items()
    ]


def legend(layout: TableLayout, labels: Mapping[str, str], cells: Sequence[Entry]) -> tuple[str, ...]:
    sentences = []
    if layout.best_of:
        rows = [labels.get(run, run) for run in layout.best_of]
        sentences.append(f"*Bold*: best of {', '.join(rows[:-1])} and {rows[-1]} for each model (ties: all).")
    if layout.regression:
        sentences.append(f"†: below {labels.get(layout.regression, layout.regression)}.")
    if layout.like_for_like:
        sentences.append(f"‡: below {labels.get(layout.like_for_like, layout.like_for_like)}: like for like.")
    if any(cell.is_empty for cell in cells):
        sentences.append(
            "∅: more than half of the completions are empty; the score says how the model takes the prompt."
        )
    seeds = {len(cell.score.by_seed) for cell in cells if cell.score} - {0}
    if any(cell.spread for cell in cells):
        over = f"over problems and {max(seeds)} training seeds" if seeds else "over problems"
        extreme = any(cell.score and cell.score.is_extreme and cell.spread for cell in cells)
        instead = "; where none or all are right, the 95 % interval" if extreme else ""
        sentences.append(f"±: one standard error, {over}{instead}.")
    if any(cell.score is None for cell in cells):
        sentences.append("—: not scored yet.")
    return tuple(sentences)
