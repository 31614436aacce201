"""The publication checked against itself, from its 354 printed cells alone.

In: the published cells and problem counts (otr/tables/paper.py), the k of section 4.2. Out: paper_audit.md with each
finding and its arithmetic, for example

    MATH, Qwen2.5-3B, OTR 63.95: of 4 · 500 completions, 1279 right are exactly 63.95.
    Minerva, Qwen2.5-3B, SFT 24.90: of 4 · 272 completions, 270 right are 24.82 and 271 are 24.91; but the mean of four
    accuracies of one decimal each, 99.6 / 4, is 24.90.

A printed value v is attainable from N completions when some whole number of right ones gives a percentage that rounds
to v, either way at a half.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache

from otr.tables import paper
from otr.tables.marks import Entry
from otr.tables.paper import PROBLEMS, PublishedCell
from otr.tables.render import aligned
from otr.tables.scores import two_decimals
from otr.tables.table import Table

SAMPLES = {
    "GSM8K": 4, "MATH": 4, "Olympiad": 4, "Minerva": 4, "AIME24": 16, "AIME25": 16, "AMC23": 16,
    "BBEH": 1, "SuperGPQA": 1, "MMLU-Pro": 1,
}  # fmt: skip
"""Completions a problem for tuned models (section 4.2): mean@4, mean@16, exact match. Not stated for code."""
CODE = ("HumanEval+", "MBPP+")
TWO_DECIMALS, ONE_DECIMAL = Fraction(1, 200), Fraction(1, 20)
"""Half a unit of the last place: the largest distance of a value from what it was rounded to."""


def markdown() -> str:
    """The whole report."""
    sections = (_averages, _marks, _exact_means, _base_values, _code_samples, _claims, _protocols)
    parts = ["# Audit of the published tables", "From the printed cells alone; every finding with its arithmetic."]
    return "\n\n".join(parts + [section() for section in sections]) + "\n"


# Averages and marks


def _averages() -> str:
    published = {(c.table, c.model, c.run, c.benchmark): c.value for c in paper.cells()}
    lines = [["Table", "Model", "Method", "Average", "Recomputed", "Published"]]
    total = 0
    for number in paper.NUMBERS:
        for model, run, group, name, cell in _walk(paper.table(number), averages=True):
            total += 1
            column = paper.published_column(group, name)
            if cell.shown != two_decimals(published[number, model, run, column]):
                found = published[number, model, run, column]
                lines.append([str(number), model, run, column, cell.shown, two_decimals(found)])
    wrong = len(lines) - 1
    text = f"{total - wrong} of {total} averages are the mean of their printed cells, rounded to two decimals."
    first = [cell.shown for _, _, _, _, cell in _walk(paper.table(1), averages=False)][:7]
    example = f"For example, Table 1, Qwen2.5-3B, Base: ({' + '.join(first)}) / 7 = {_mean(first)}."
    return "\n\n".join(["## Averages", f"{text} {example}", *([aligned(lines, names=4)] if wrong else [])])


def _mean(shown: Sequence[str]) -> str:
    return two_decimals(sum(map(Decimal, shown), Decimal(0)) / len(shown))


def _walk(table: Table, averages: bool) -> Iterable[tuple[str, str, str, str, Entry]]:
    """Model, run, group, column name and cell of a table's averages, or of its benchmarks."""
    for block in table.blocks:
        for row in block.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                if column.is_average == averages:
                    yield block.model, row.run, column.group, column.name, cell


def _marks() -> str:
    stated = {(1, "SFT"): 10, (1, "OTR"): 4, (2, "SFT"): 7, (2, "OTR"): 5}
    lines = [["Table", "Method", "† recomputed", "on averages", "Together", "Stated in section 4.3"]]
    for (number, run), count in stated.items():
        own, on_averages = (
            sum(cell.dagger for _, name, _, _, cell in _walk(paper.table(number), averages) if name == run)
            for averages in (False, True)
        )
        lines.append([str(number), run, *map(str, (own, on_averages, own + on_averages, count))])
    wrong = _differing_marks("dagger")
    text = (
        f"† recomputed (tuned below Base, as printed) differs from the printed one in {len(wrong)} cells; bold "
        f"recomputed in Tables 1, 2 and 5 in {len(_differing_marks('bold'))}. The stated counts leave the averages out."
    )
    return "\n\n".join(["## Marks", text, aligned(lines)])


def _differing_marks(mark: str) -> list[PublishedCell]:
    """Cells whose printed mark is not the one its caption's rule gives. Tables 3 and 4 print no rule."""
    found = {
        (number, model, run, paper.published_column(group, name) if averages else name): getattr(cell, mark)
        for number in (1, 2, 5)
        for averages in (False, True)
        for model, run, group, name, cell in _walk(paper.table(number), averages)
    }
    checked = (cell for cell in paper.cells() if cell.table in (1, 2, 5))
    return [c for c in checked if found[c.table, c.model, c.run, c.benchmark] != getattr(c, mark)]


# Attainable values


@dataclass(frozen=True)
class Mean:
    """A published mean@k: how near whole numbers of right completions, and means of rounded accuracies, come."""

    cell: PublishedCell
    completions: int
    below: int
    """Right completions whose percentage is the largest not above the printed value."""
    exact: int | None
    """Right completions that give the printed value, if any do."""
    rounded: Fraction | None
    """Sum of k accuracies of one decimal each whose mean gives the printed value, if one does."""


def attainable(value: Decimal, completions: int, tolerance: Fraction = TWO_DECIMALS) -> int | None:
    """A number of right completions whose percentage is within `tolerance` of `value`; None where there is none."""
    below = math.floor(Fraction(value) * completions / 100)
    candidates = (right for right in (below, below + 1) if 0 <= right <= completions)
    return next((r for r in candidates if abs(Fraction(100 * r, completions) - Fraction(value)) <= tolerance), None)


def attainable_rounded(value: Decimal, problems: int, samples: int) -> Fraction | None:
    """The sum of `samples` accuracies over `problems`, each rounded to one decimal, whose mean prints as `value`."""
    sums = _sums_of_tenths(problems, samples)
    middle = math.floor(Fraction(value) * 10 * samples)
    # Sums whose mean lies within half a hundredth: at most samples / 20 tenths away on either side.
    reach = math.ceil(TWO_DECIMALS * 10 * samples)
    near = (tenths for tenths in range(max(0, middle - reach), middle + reach + 2) if sums >> tenths & 1)
    fitting = (t for t in near if abs(Fraction(t, 10 * samples) - Fraction(value)) <= TWO_DECIMALS)
    return next((Fraction(tenths, 10) for tenths in fitting), None)


@cache
def _sums_of_tenths(problems: int, samples: int) -> int:
    """Which sums (in tenths of a percent) of so many rounded accuracies occur, as the bits of one number."""
    # One sample's accuracy is one of problems + 1 values, in tenths of a percent. With bit t standing for the sum t,
    # adding a sample shifts the set of reachable sums by each of these values and unites them. 2 problems have
    # {0, 500, 1000}, so two samples reach {0, 500, 1000, 1500, 2000}.
    accuracies = {math.floor(Fraction(1000 * right, problems) + Fraction(1, 2)) for right in range(problems + 1)}
    reached = 1
    for _ in range(samples):
        reached = _any_bit(reached << tenths for tenths in accuracies)
    return reached


def _any_bit(numbers: Iterable[int]) -> int:
    union = 0
    for number in numbers:
        union |= number
    return union


def means() -> list[Mean]:
    """Every distinct value of a tuned model in mean@4 and mean@16 benchmarks."""
    found = []
    for cell in distinct_cells():
        samples = SAMPLES.get(cell.benchmark, 1)
        if cell.run == "Base" or samples == 1:
            continue
        completions = samples * PROBLEMS[cell.benchmark]
        exact = attainable(cell.value, completions)
        rounded = attainable_rounded(cell.value, PROBLEMS[cell.benchmark], samples)
        below = math.floor(Fraction(cell.value) * completions / 100)
        found.append(Mean(cell, completions, below, exact, rounded))
    return found


def distinct_cells() -> list[PublishedCell]:
    """Benchmark cells, each measurement once: the ablations repeat SFT and β = -0.1 of Tables 1 and 2."""
    repeated = ("SFT", "OTR (β = -0.10)")
    cells = (cell for cell in paper.cells() if cell.benchmark in PROBLEMS)
    return [cell for cell in cells if not (cell.table in (3, 4) and cell.run in repeated)]


def _exact_means() -> str:
    every = means()
    impossible = [mean for mean in every if mean.exact is None]
    neither = [mean for mean in every if mean.rounded is None]
    lines = [["Table", "Model", "Method", "Benchmark", "Printed", "Nearest exact mean@k", "Mean of rounded accuracies"]]
    for mean in impossible:
        cell, n = mean.cell, mean.completions
        shares = [f"{right}/{n} = {_percent(right, n)}" for right in (mean.below, mean.below + 1)]
        rounded = "none"
        if mean.rounded is not None:
            rounded = f"{float(mean.rounded):.1f} / {SAMPLES[cell.benchmark]} = {_plain(mean.rounded, cell)}"
        lines.append(
            [str(cell.table), cell.model, cell.run, cell.benchmark, str(cell.value), ", ".join(shares), rounded]
        )
    text = (
        f"{len(impossible)} of {len(every)} distinct tuned values of mean@4 and mean@16 benchmarks are no exact mean@k "
        f"over the problems of the public sets. {len(every) - len(neither)} of {len(every)} are a mean over k samples "
        "of accuracies that were each rounded to one decimal first, which moves a value by at most 0.05."
    )
    return "\n\n".join(["## Values that are no exact mean@k", text, *_decided_by_rounding(), aligned(lines, names=4)])


def _decided_by_rounding() -> list[str]:
    """Bold cells with as many right completions as the cell they are printed above. With 480 or 640 completions a
    printed value tells the number of right ones, rounded accuracies or not; with thousands it does not."""
    sentences = []
    for cell in (cell for cell in paper.cells() if cell.table in (1, 5) and cell.bold):
        completions = SAMPLES.get(cell.benchmark, 0) * PROBLEMS.get(cell.benchmark, 0)
        if not 0 < completions <= 1000:
            continue
        for run in ("SFT", "OTR"):
            other = _value(cell.table, cell.model, run, cell.benchmark)
            right = round(Fraction(cell.value) * completions / 100)
            if other != cell.value and right == round(Fraction(other) * completions / 100):
                sentences.append(
                    f"Table {cell.table}, {cell.model}, {cell.benchmark}: {cell.value} in bold ({cell.run}) and "
                    f"{other} ({run}) are the same {right} of {completions} = {_percent(right, completions)}."
                )
    return sentences


def _percent(right: int, completions: int) -> str:
    return f"{100 * right / completions:.4f}"


def _plain(total: Fraction, cell: PublishedCell) -> str:
    return f"{float(total / SAMPLES[cell.benchmark]):.4f}"


def _base_values() -> str:
    """Base models are decoded greedily: one completion a problem, printed with one decimal or two."""
    base = [cell for cell in distinct_cells() if cell.run == "Base"]
    lines = [["Model", "Benchmark", "Printed", "Problems", "Nearest values"]]
    for cell in base:
        n = PROBLEMS[cell.benchmark]
        if not _base_fits(cell, n):
            right = math.floor(Fraction(cell.value) * n / 100)
            near = ", ".join(f"{count}/{n} = {_percent(count, n)}" for count in (right, right + 1))
            lines.append([cell.model, cell.benchmark, str(cell.value), str(n), near])
    text = (
        f"{len(lines) - 1} of {len(base)} base values cannot come from one greedy completion for each problem of the "
        "public set, at one decimal or two; so they stand for another set or another protocol."
    )
    counts = [n for n in (674, 675) if all(_base_fits(c, n) for c in base if c.benchmark == "Olympiad")]
    olympiad = f"OlympiadBench: of 674 and 675 problems, {' and '.join(map(str, counts))} fits all base values."
    return "\n\n".join(["## Base values off the public sets", f"{text} {olympiad}", aligned(lines)])


def _base_fits(cell: PublishedCell, problems: int) -> bool:
    one_decimal = cell.value == round(cell.value, 1)
    return attainable(cell.value, problems, ONE_DECIMAL if one_decimal else TWO_DECIMALS) is not None


def _code_samples() -> str:
    """Code cells print one decimal and no number of samples: the smallest that makes all of them attainable."""
    lines = [["Benchmark", "Problems", "Values", "Not attainable with k = 1", "Smallest k for all"]]
    for benchmark in CODE:
        n = PROBLEMS[benchmark]
        values = sorted({cell.value for cell in distinct_cells() if cell.benchmark == benchmark and cell.run != "Base"})
        missing = {k: sum(attainable(v, k * n, ONE_DECIMAL) is None for v in values) for k in range(1, 101)}
        smallest = next(k for k, count in missing.items() if count == 0)
        lines.append([benchmark, str(n), str(len(values)), str(missing[1]), str(smallest)])
    text = "pass@1 of tuned models needs more than one completion a problem; how many were drawn is not stated."
    return "\n\n".join(["## Samples behind pass@1", text, aligned(lines, names=1)])


# Claims


def _claims() -> str:
    lines = [["Claim", "In the cells"]]
    lines += [[claim, finding] for claim, finding in claims()]
    return "\n\n".join(["## Claims of the text", aligned(lines)])


def claims() -> list[tuple[str, str]]:
    """What section 4 and Appendix A say, and what the cells count."""
    amc = {run: _value(1, "Qwen3-8B", run, "AMC23") for run in ("Base", "SFT", "OTR")}
    default, zero = "OTR (β = -0.10)", "OTR (β = 0.00)"
    unsure = "OTR (β = 0.00 or 0.01)"
    return [
        ("4.3: OTR has the higher average in domain", _above(1, True, "OTR", "SFT")),
        ("4.3: ... and in both groups out of domain", _above(2, True, "OTR", "SFT")),
        ("(the same cell by cell, Table 1)", _above(1, False, "OTR", "SFT")),
        ("(the same cell by cell, Table 2)", _above(2, False, "OTR", "SFT")),
        (
            "4.3: Qwen3-8B on AMC23 drops by 7.34 (SFT) and 2.97 (OTR)",
            ", ".join(f"{amc['Base']} - {amc[run]} = {amc['Base'] - amc[run]}" for run in ("SFT", "OTR")),
        ),
        ("4.4: every β beats SFT on average in nearly all domains and models", _betas_above_sft()),
        ("4.4: β = -0.1 is the most consistent and high", f"highest average in {_best_averages(default)}"),
        ("4.4: β = -0.1 almost universally above β = 0", _joined(_pairs(default, (zero,)))),
        ("(the same, Table 3's unnamed row taken for β = 0)", _joined(_pairs(default, (zero, unsure)))),
        ("A: OTR above SFT on most benchmarks in DFT's setting", _above(5, False, "OTR", "SFT")),
    ]


def _value(table: int, model: str, run: str, benchmark: str) -> Decimal:
    place = (table, model, run, benchmark)
    return next(c.value for c in paper.cells() if (c.table, c.model, c.run, c.benchmark) == place)


def _rows(number: int, averages: bool) -> dict[tuple[str, str], dict[str, Decimal]]:
    """Printed values by run, for each (model, column) of a table."""
    columns: dict[tuple[str, str], dict[str, Decimal]] = {}
    for cell in paper.cells():
        if cell.table == number and (cell.benchmark not in PROBLEMS) == averages:
            columns.setdefault((cell.model, cell.benchmark), {})[cell.run] = cell.value
    return columns


def _above(number: int, averages: bool, run: str, other: str) -> str:
    columns = list(_rows(number, averages).values())
    above = sum(values[run] > values[other] for values in columns)
    return f"{above} of {len(columns)} {'averages' if averages else 'cells'}"


def _ablation_averages() -> list[dict[str, Decimal]]:
    return [values for number in (3, 4) for values in _rows(number, averages=True).values()]


def _betas_above_sft() -> str:
    pairs = [value > values["SFT"] for values in _ablation_averages() for run, value in values.items() if run != "SFT"]
    return f"{sum(pairs)} of {len(pairs)} averages"


def _best_averages(run: str) -> str:
    averages = _ablation_averages()
    return f"{sum(values[run] == max(values.values()) for values in averages)} of {len(averages)} group averages"


def _pairs(run: str, others: Sequence[str]) -> tuple[int, int, int]:
    """Ablation cells where `run` is above, equal to and below the first of `others` that the model has."""
    signs = []
    for number in (3, 4):
        for values in _rows(number, averages=False).values():
            other = next((values[name] for name in others if name in values), None)
            if other is not None:
                signs.append((values[run] > other) - (values[run] < other))
    return signs.count(1), signs.count(0), signs.count(-1)


def _joined(counts: tuple[int, int, int]) -> str:
    above, equal, below = counts
    return f"above in {above}, equal in {equal}, below in {below} of {sum(counts)} cells"


# Protocols behind †


def _protocols() -> str:
    lines = [["Table", "Model", "Method", "Benchmark", "Base", "Tuned", "Drop", "Base's 95 % half-width"]]
    within = total = 0
    for number in (1, 2):
        for cell in (c for c in paper.cells() if c.table == number and c.dagger and c.benchmark in PROBLEMS):
            base = _value(number, cell.model, "Base", cell.benchmark)
            half = 1.96 * _binomial_error(base, PROBLEMS[cell.benchmark])
            total += 1
            within += float(base - cell.value) <= half
            place = [str(number), cell.model, cell.run, cell.benchmark]
            lines.append([*place, str(base), str(cell.value), str(base - cell.value), f"{half:.2f}"])
    text = (
        "Section 4.2 scores base models greedily in a natural prompt, with 5 shots on GSM8K and MATH, and tuned models "
        "by sampling (temperature 0.7, top-p 0.8) in the chat template without shots. So † compares two protocols as "
        f"well as two models, in all {total} marked cells. In {within} of them the drop is within 1.96 binomial "
        "standard errors, 100 · √(p (1 - p) / problems), of the base value alone."
    )
    return "\n\n".join(["## Unlike protocols behind †", text, aligned(lines, names=4)])


def _binomial_error(percent: Decimal, problems: int) -> float:
    share = float(percent) / 100
    return 100 * math.sqrt(share * (1 - share) / problems)
