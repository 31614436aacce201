"""The scores of an experiment's cells, read from its score files, and their means.

In: `<results>/<experiment>/eval/<model>/<run>/<benchmark>/score.json`, each at least

    {"experiment": "micro", "model": "micro-small", "run": "otr", "benchmark": "sums", "metric": "mean@4",
     "score": 62.5, "score_rounded": 62.5, "standard_error": 2.1, "problems": 64, "samples": 256,
     "protocol": {"temperature": 0.7, "top_p": 0.8},
     "provenance": {"commit": "95a5834", "versions": {"vllm": "0.32.0"}, "seed": 0}}

(`score` in percent, unrounded; `score_rounded` as the paper rounds, may be null, as may the standard error; `samples`
counts completions over all problems.) Out: Scores. An average is the mean of the unrounded scores of its group. For
published cells that is the mean of the cells.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import product
from pathlib import Path
from typing import Any

from otr.config import Cell
from otr.config.tables import TableLayout
from otr.errors import UserError
from otr.results import Paths, ScoreFile
from otr.results.integrity import check


@dataclass(frozen=True)
class Score:
    """One benchmark's result. Decimal keeps sums of printed values exact; the published cells carry only `value`."""

    value: Decimal
    rounded: Decimal | None = None
    """The mean over samples of accuracies rounded to one decimal first, as the paper computes mean@k."""
    standard_error: float | None = None
    problems: int | None = None
    samples: int | None = None
    mostly_empty: bool = False
    """More than half of the completions hold no text but spaces, in one of the benchmarks and trainings at least: the
    score then says how the model takes the prompt rather than what it can do."""
    by_seed: tuple[Decimal, ...] = ()
    """The values of several trainings, whose mean `value` is; empty for a single one."""
    stated_interval: tuple[float, float] | None = None
    """That of score.json, of one benchmark and training."""
    chance: float | None = None
    """What guessing would give, in percent, where that is known."""
    metric: str = ""
    protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def seed_deviation(self) -> float | None:
        """Sample standard deviation over training seeds; None for a single one."""
        return float(statistics.stdev(self.by_seed)) if len(self.by_seed) > 1 else None

    @property
    def error(self) -> float | None:
        """One standard error of the value, over problems and over training seeds; None where it is not known or, for
        0 or n of n right, says nothing."""
        if self.standard_error is None or self.is_extreme:
            return None
        deviation = self.seed_deviation or 0.0
        return math.hypot(self.standard_error, deviation / math.sqrt(max(1, len(self.by_seed))))

    @property
    def is_extreme(self) -> bool:
        """No completion is right, or all are: the standard error is 0 and a lie."""
        return self.value in (0, 100)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the value in percent: of one training as score.json states it, else Wilson's for 0 or n of n
        problems and 1.96 standard errors for all others."""
        if self.stated_interval is not None and len(self.by_seed) < 2:
            return self.stated_interval
        if self.is_extreme and self.problems:
            width = 100 * 3.8415 / (self.problems + 3.8415)
            return (0.0, width) if self.value == 0 else (100 - width, 100.0)
        if self.error is None:
            return None
        return max(0.0, float(self.value) - 1.96 * self.error), min(100.0, float(self.value) + 1.96 * self.error)


def two_decimals(value: Decimal) -> str:
    """A percentage as printed. Nine decimals first, so that a binary fraction such as 32.524999999999999 counts as the
    half it stands for."""
    return str(value.quantize(Decimal("1e-9")).quantize(Decimal("0.01"), ROUND_HALF_UP))


def read_scores(
    results: Path | str, experiment: str, layout: TableLayout, runs: Callable[[str], list[str]] = lambda row: [row]
) -> dict[Cell, Score]:
    """The finished scores of a table's cells by (model, row, benchmark). Raises UserError on a damaged file or one that
    belongs elsewhere.

    runs: the runs of a row, one a training seed; the row has a score once all of them do.
    """
    paths, scores = Paths(results, experiment), {}
    for model, row, benchmark in product(layout.models, layout.compared, layout.benchmarks):
        found = [_read_score(paths, experiment, Cell(model, run, benchmark)) for run in runs(row)]
        finished = [score for score in found if score is not None]
        if len(finished) == len(found):
            scores[Cell(model, row, benchmark)] = mean_over_seeds(finished)
    return scores


def _read_score(paths: Paths, experiment: str, cell: Cell) -> Score | None:
    path = paths.score(cell)
    file = ScoreFile.found(path)
    if file is None:
        return None
    if (verdicts := paths.verdicts(cell)).exists():
        check(verdicts)
    for key, expected in {"experiment": experiment, **cell._asdict()}.items():
        if getattr(file, key) != expected:
            raise UserError(f"{path}: {key}: found {getattr(file, key)!r}, the folder says '{expected}'")
    return Score(
        value=Decimal(str(file.score)),
        rounded=None if file.score_rounded is None else Decimal(str(file.score_rounded)),
        standard_error=file.standard_error,
        problems=file.problems,
        samples=file.samples,
        mostly_empty=2 * (file.empty or 0) > file.samples,
        stated_interval=file.interval,
        chance=file.details.get("chance"),
        metric=file.metric,
        protocol=file.protocol,
        provenance=file.provenance,
    )


def mean_over_seeds(scores: Sequence[Score]) -> Score:
    """The mean of one benchmark's scores over training seeds. Problems are the same for all, so their share of the
    standard error does not shrink: the mean of the standard errors is kept."""
    if len(scores) == 1:
        return scores[0]
    whole = average(scores)
    errors = [score.standard_error for score in scores if score.standard_error is not None]
    return dataclasses.replace(
        scores[0],
        value=whole.value,
        rounded=whole.rounded,
        standard_error=statistics.mean(errors) if len(errors) == len(scores) else None,
        samples=whole.samples,
        mostly_empty=whole.mostly_empty,
        by_seed=tuple(score.value for score in scores),
    )


def average(scores: Sequence[Score]) -> Score:
    """Mean of n scores. Benchmarks are sampled independently of one another, so its standard error is
    sqrt(sum of squared standard errors) / n; unknown where one is."""
    errors = [score.standard_error for score in scores if score.standard_error is not None]
    rounded = [score.rounded for score in scores if score.rounded is not None]
    count = len(scores)
    return Score(
        value=sum((score.value for score in scores), Decimal(0)) / count,
        rounded=sum(rounded, Decimal(0)) / count if len(rounded) == count else None,
        standard_error=math.hypot(*errors) / count if len(errors) == count else None,
        problems=_total([score.problems for score in scores]),
        samples=_total([score.samples for score in scores]),
        mostly_empty=any(score.mostly_empty for score in scores),
        by_seed=_average_by_seed(scores),
    )


def _average_by_seed(scores: Sequence[Score]) -> tuple[Decimal, ...]:
    if len({len(score.by_seed) for score in scores}) > 1:
        return ()
    return tuple(sum(values, Decimal(0)) / len(scores) for values in zip(*(s.by_seed for s in scores), strict=True))


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
