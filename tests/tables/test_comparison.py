"""Ours beside the published tables: counterparts, noise, claims."""

import csv
import dataclasses
import io
import math
from decimal import Decimal
from typing import Any

import pytest
from scipy import stats

from otr import config
from otr.config import Cell
from otr.files import write_jsonl
from otr.tables import comparison, paper
from otr.tables.accuracies import read_trainings
from otr.tables.scores import Score
from otr.tables.table import Table, build


def reproduction(number: int, shift: str = "0", error: float = 0.5, models: tuple[str, ...] = ()) -> Table:
    """The published cells, shifted, as if they were ours; only some models' where `models` names them."""
    layout = paper.layout(number)
    scores: dict[Cell, Score] = {
        key: Score(
            score.value + Decimal(shift),
            score.value,
            error,
            problems=paper.PROBLEMS[key[2]],
        )
        for key, score in paper.scores(number).items()
        if not models or key[0] in models
    }
    return build(f"table{number}", layout, scores, {"OTR (β = -1.00)": "any name"})


PUBLISHED = {cell.run: cell.trained for cell in paper.cells() if cell.trained is not None}
"""The published rows by the names that `reproduction` gives ours."""
EXAMPLE = {
    "base": paper.Trained("base"),
    "sft": paper.Trained("sft"),
    "otr": paper.Trained("otr", 1.3, 256, Decimal("-0.1")),
}


def compare(tables: list[Table]) -> list[comparison.Comparison]:
    return comparison.compare(tables, PUBLISHED)


def markdown(name: str, tables: list[Table]) -> str:
    return comparison.markdown(name, tables, compare(tables), {}, PUBLISHED)


PAPER = config.load(config.experiment_file("paper"))


def ours(number: int, methods: dict[str, dict[str, Any]] | None = None) -> tuple[Table, comparison.Rows]:
    """The paper experiment's own table with a score in every cell; `methods` changes keys of methods."""
    changed = {name: method.model_copy(update=(methods or {}).get(name, {})) for name, method in PAPER.methods.items()}
    experiment = PAPER.model_copy(update={"methods": changed})
    layout = experiment.tables[f"table{number}"]
    scores = {(m, r, b): Score(Decimal(50)) for m in layout.models for r in layout.rows for b in layout.benchmarks}
    return build(f"table{number}", layout, scores, experiment.labels()), comparison.trained(experiment)


def test_every_cell_of_the_paper_experiment_has_its_counterpart() -> None:
    """All published cells, averages included, but for the row of Table 3 that stands for one of two values of β."""
    compared = {}
    for number in paper.NUMBERS:
        table, rows = ours(number)
        compared[number] = [cell for cell in comparison.compare([table], rows) if cell.published is not None]
    unsaid = [cell for cell in paper.cells() if cell.trained is None]
    assert len(unsaid) == 8 and {(cell.table, cell.model) for cell in unsaid} == {(3, "Qwen2.5-3B")}
    assert {number: len(found) for number, found in compared.items()} == {1: 96, 2: 84, 3: 64, 4: 70, 5: 32}
    averages = [cell for found in compared.values() for cell in found if cell.is_average]
    assert len([cell for cell in averages if cell.table in ("table2", "table4")]) == 44
    for number, found in compared.items():
        expected = sorted(cell.value for cell in paper.cells() if cell.table == number and cell.trained is not None)
        whole = [round(cell.published, 2) for cell in found if cell.published is not None]
        assert all(abs(a - b) <= Decimal("0.01") for a, b in zip(sorted(whole), expected, strict=True))


def test_a_row_is_what_it_was_trained_with_not_its_label() -> None:
    lying = {"otr-beta-1.0": {"beta": 0.5}, "otr-beta-0": {"label": "my own name"}, "otr-beta0.01": {"kappa": 1.0}}
    table, rows = ours(3, lying)
    cells = [cell for cell in comparison.compare([table], rows) if cell.model == "Qwen3-4B"]
    matched = {cell.method: cell.published is not None for cell in cells}
    assert matched["OTR, β = -1.00"] is False
    assert matched["my own name"] is True
    assert matched["OTR, β = 0.01"] is False
    assert matched["SFT"] is matched["OTR, β = -0.10"] is True


@pytest.mark.parametrize("number", paper.NUMBERS)
def test_every_published_cell_finds_its_counterpart(number: int) -> None:
    cells = compare([reproduction(number)])
    found = [cell for cell in cells if cell.published is not None]
    assert len(found) == sum(cell.table == number and cell.trained is not None for cell in paper.cells())
    assert all(cell.difference == 0 for cell in found if not cell.is_average)
    assert all(abs(cell.difference) < Decimal("0.005") for cell in found if cell.is_average and cell.difference)


@pytest.mark.parametrize(
    ("value", "shown"), [("0.004", "0.00"), ("-0.004", "0.00"), ("1.5", "+1.50"), ("-1.5", "-1.50")]
)
def test_signs(value: str, shown: str) -> None:
    assert comparison.signed(Decimal(value)) == shown


def test_noise() -> None:
    """1.96 · √2 · 0.5 = 1.386."""
    near, far = (compare([reproduction(1, shift)])[0] for shift in ("1.38", "1.39"))
    assert (near.difference, near.within_noise) == (Decimal("1.38"), True)
    assert far.within_noise is False
    assert dataclasses.replace(far, ours=Score(Decimal(50))).within_noise is None


def test_averages_have_a_smaller_error() -> None:
    average = next(cell for cell in compare([reproduction(1, "1")]) if cell.is_average)
    assert average.ours is not None
    assert average.ours.standard_error == pytest.approx(0.5 / 7**0.5)
    assert average.within_noise is False  # 1.0 against 1.96 · √2 · 0.189 = 0.524


def test_a_part_of_the_runs_is_enough() -> None:
    tables = [reproduction(1, models=("Qwen3-4B",)), reproduction(3, models=("Qwen3-4B",))]
    cells = compare(tables)
    text = markdown("part", tables)
    # Of 168 published cells Qwen3-4B has 24 in Table 1 and 40 in Table 3; 8 are of one of two values of β.
    assert "64 of 64 cells within noise; 96 of 160 not scored yet." in text
    lines = list(csv.DictReader(io.StringIO(comparison.comma_separated(cells))))
    assert sum(line["ours"] != "" and line["published"] != "" for line in lines) == 64


def test_the_paper_s_rounding_stands_beside_the_exact_score() -> None:
    cells = compare([reproduction(1, "0.03")])
    line = next(csv.DictReader(io.StringIO(comparison.comma_separated(cells))))
    shown = [line[key] for key in ("ours", "ours_rounded", "published", "difference", "within_noise")]
    assert shown == ["77.93", "77.90", "77.90", "+0.03", "1"]


def test_claims_side_by_side() -> None:
    table = reproduction(1)
    text = markdown("same", [table])
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert ["table1", "Qwen3-4B", "OTR", "Mathematics", "+8.63", "+8.10 to +9.15", "errors", "+8.63", "yes"] in rows
    assert ["table1", "SFT", "10 of 28", "10 of 28"] in rows
    assert ["table1", "OTR", "4 of 28", "4 of 28"] in rows


def test_a_limited_benchmark_is_told(example: Any) -> None:
    layout = paper.layout(1)
    key = ("Qwen3-4B", "OTR", "GSM8K")
    table = build("table1", layout, {key: Score(Decimal("90.5"), standard_error=2.0, problems=200)}, {})
    text = markdown("limited", [table])
    assert any("GSM8K" in line and "200 of 1319" in line for line in text.splitlines())


def test_an_experiment_of_its_own_has_claims_but_no_counterparts(example: Any) -> None:
    table = example.table()
    text = comparison.markdown("tiny", [table], comparison.compare([table], EXAMPLE), {}, EXAMPLE)
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    # Small: 35.0 - 32.5; two averages of standard error 2.5 each: 1.96 · 3.54 = 6.93.
    shown = next(row for row in rows if row[1] == "Small")
    assert shown == ["table1", "Small", "OTR", "Mathematics", "+2.50", "-4.43 to +9.43", "errors", "—", "—"]
    assert "No cell of this experiment has a published counterpart" in text


def test_verdicts_give_paired_intervals(example: Any) -> None:
    """The same problems right in both runs, and two more of 50 in one: pairing leaves only those two uncertain."""
    for benchmark in ("sums", "products"):
        for run, right in (("sft", 20), ("otr", 22)):
            lines = [{"problem": str(n), "sample": 0, "correct": n < right} for n in range(50)]
            write_jsonl(example.path("small", run, benchmark).with_name("verdicts.jsonl.gz"), lines)
            example.write("small", run, benchmark, score=2.0 * right)
    trainings = read_trainings(example.results, "tiny", example.layout)
    table = example.table()
    text = comparison.markdown("tiny", [table], comparison.compare([table], EXAMPLE), trainings, EXAMPLE)
    row = next([part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if "| Small" in line)
    assert row[4] == "+4.00" and row[6] == "pairs"
    low, high = map(float, row[5].split(" to "))
    # Two of 50 problems differ by 100 points, in each of two benchmarks: t with 98 degrees of freedom.
    error = math.sqrt(100**2 * 0.04 * 0.96 * 50 / 49 / 50 / 2)
    half = stats.t.ppf(0.975, 98) * error
    assert (low, high) == (pytest.approx(4 - half, abs=0.01), pytest.approx(4 + half, abs=0.01))
