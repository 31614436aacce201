"""The audit's arithmetic against slower, independent ways to the same numbers."""

import itertools
from decimal import Decimal
from fractions import Fraction

import pytest

from otr.tables import audit, paper


@pytest.mark.parametrize(
    ("value", "completions", "right"),
    [
        ("63.95", 2000, 1279),
        ("24.90", 1088, None),
        ("10.21", 480, 49),
        ("10.22", 480, None),
        ("0.00", 480, 0),
        ("100.00", 7, 7),
    ],
)
def test_attainable(value: str, completions: int, right: int | None) -> None:
    assert audit.attainable(Decimal(value), completions) == right


@pytest.mark.parametrize("completions", [3, 40, 272])
def test_attainable_agrees_with_trying_every_count(completions: int) -> None:
    for hundredths in range(0, 10001, 41):
        value = Decimal(hundredths) / 100
        tried = [
            right
            for right in range(completions + 1)
            if abs(Fraction(100 * right, completions) - Fraction(value)) <= Fraction(1, 200)
        ]
        assert (audit.attainable(value, completions) in tried) == bool(tried)


def test_rounded_means_agree_with_trying_every_combination() -> None:
    """Four samples over three problems: accuracies 0.0, 33.3, 66.7, 100.0."""
    sums = {sum(four) for four in itertools.combinations_with_replacement((0, 333, 667, 1000), 4)}
    for hundredths in range(10001):
        value = Decimal(hundredths) / 100
        fits = any(abs(5 * total - 2 * hundredths) <= 1 for total in sums)  # |t/40 - h/100| <= 1/200
        assert (audit.attainable_rounded(value, 3, 4) is not None) == fits


def test_52_of_119_tuned_values_are_no_exact_mean_and_all_are_means_of_rounded_accuracies() -> None:
    means = audit.means()
    assert len(means) == 119
    assert sum(mean.exact is None for mean in means) == 52
    assert all(mean.rounded is not None for mean in means)


def test_each_measurement_is_counted_once() -> None:
    """The ablations repeat Tables 1 and 2 in SFT and β = -0.1 and add 3 + 3 + 2 rows."""
    cells = audit.distinct_cells()
    assert len(cells) == 12 * 7 + 12 * 5 + 4 * 7 + 5 * 7 + 6 * 5
    repeated = [cell for cell in paper.cells() if cell.table in (3, 4) and cell.benchmark in paper.PROBLEMS]
    values = {(cell.model, cell.benchmark, cell.value) for cell in cells if cell.table in (1, 2)}
    for cell in repeated:
        if cell.run in ("SFT", "OTR (β = -0.10)"):
            assert (cell.model, cell.benchmark, cell.value) in values


def test_the_claims_counted() -> None:
    found = dict(audit.claims())
    assert found["4.4: β = -0.1 is the most consistent and high"] == "highest average in 2 of 6 group averages"
    assert found["4.3: OTR has the higher average in domain"] == "4 of 4 averages"
    assert (
        found["(the same, Table 3's unnamed row taken for β = 0)"]
        == "above in 15, equal in 0, below in 9 of 24 cells"
    )  # fmt: skip


def test_the_report_names_the_findings() -> None:
    text = audit.markdown()
    assert "69 of 69 averages" in text
    assert "differs from the printed one in 0 cells" in text
    assert "AIME24: 10.22 in bold (OTR) and 10.21 (SFT) are the same 49 of 480 = 10.2083." in text
    assert [line.split("|")[3].strip() for line in text.splitlines() if "/500 =" in line] == ["42.64", "54.10"]
    assert "of 674 and 675 problems, 675 fits" in text
