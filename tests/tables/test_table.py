"""Reading scores, averaging them, and the rules behind † and bold."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otr.errors import UserError
from otr.files import write_jsonl, write_record
from otr.results.integrity import hashes
from otr.tables.marks import Entry
from otr.tables.scores import Score, average, read_scores, two_decimals
from otr.tables.table import Table, build


def cell(table: Table, model: str, run: str, column: int) -> Entry:
    rows = next(block.rows for block in table.blocks if block.model == model)
    return next(row.cells[column] for row in rows if row.run == run)


def test_cells_and_averages(example: Any) -> None:
    table = example.table()
    shown = [[cell.shown for cell in row.cells] for block in table.blocks for row in block.rows]
    assert shown == [
        ["40.00", "20.00", "30.00"],
        ["40.00", "25.00", "32.50"],
        ["39.99", "30.00", "35.00"],  # (39.99 + 30) / 2 = 34.995, a half rounded up
        ["60.00", "50.00", "55.00"],
        ["62.50", "45.00", "53.75"],
        ["62.50", "44.00", "53.25"],
    ]
    assert [column.label for column in table.columns] == ["Sums", "products", "Average"]


def test_an_average_is_that_of_unrounded_scores() -> None:
    parts = [Score(Decimal("10.004")), Score(Decimal("10.004")), Score(Decimal("10.004")), Score(Decimal("10.009"))]
    assert two_decimals(average(parts).value) == "10.01"  # of the cells as shown: (3 · 10.00 + 10.01) / 4 = 10.00


def test_standard_error_of_an_average(example: Any) -> None:
    found = cell(example.table(), "small", "sft", 2).score
    assert found is not None and found.standard_error == pytest.approx(2.5)  # sqrt(3² + 4²) / 2
    assert (found.problems, found.samples) == (100, 400)


def test_standard_error_of_an_average_is_unknown_where_one_is() -> None:
    assert average([Score(Decimal(1), standard_error=2.0), Score(Decimal(1))]).standard_error is None


def test_dagger_compares_values_as_shown(example: Any) -> None:
    table = example.table()
    assert not cell(table, "small", "sft", 0).dagger  # 39.996 against 40: both read 40.00
    assert cell(table, "small", "otr", 0).dagger
    assert cell(table, "large", "otr", 2).dagger  # averages too
    assert not any(cell(table, model, "base", column).dagger for model in ("small", "large") for column in range(3))


def test_bold_is_the_best_of_the_compared_rows(example: Any) -> None:
    table = example.table()
    assert cell(table, "small", "otr", 1).bold and not cell(table, "small", "sft", 1).bold
    assert cell(table, "large", "sft", 0).bold and cell(table, "large", "otr", 0).bold  # a tie
    assert not cell(table, "large", "base", 1).bold  # the best of all, but not compared


def test_rows_that_all_have_nothing_are_no_best_ones(example: Any) -> None:
    for run in ("sft", "otr"):
        path = example.path("large", run, "sums")
        write_record(path, json.loads(path.read_text()) | {"score": 0.0, "score_rounded": 0.0})
    table = example.table()
    assert not cell(table, "large", "sft", 0).bold and not cell(table, "large", "otr", 0).bold


def test_a_missing_score_is_an_empty_cell_and_takes_its_average_with_it(example: Any) -> None:
    example.path("small", "otr", "products").unlink()
    table = example.table()
    for column in (1, 2):
        assert cell(table, "small", "otr", column).shown == "—"
        assert not cell(table, "small", "otr", column).dagger
        assert not cell(table, "small", "sft", column).bold  # nobody knows the best yet
    assert cell(table, "small", "sft", 0).bold
    assert any("not scored yet" in sentence for sentence in table.legend)


def test_without_a_base_there_is_no_dagger(example: Any) -> None:
    example.path("small", "base", "sums").unlink()
    table = example.table()
    assert not cell(table, "small", "otr", 0).dagger and not cell(table, "small", "otr", 2).dagger


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": 101}, "score: found 101: input should be less than or equal to 100"),
        ({"score": float("nan")}, "score: found nan"),
        ({"score": "62.5"}, "score: found '62.5'"),
        ({"score": True}, "score: found True"),
        ({"standard_error": -1}, "standard_error: found -1"),
        ({"problems": None}, "problems: found None"),
        ({"protocol": []}, "protocol: found "),
        ({"run": "dft"}, "run: found 'dft', the folder says 'sft'"),
        ({"experiment": "micro"}, "experiment: found 'micro', the folder says 'tiny'"),
    ],
)
def test_a_bad_score_file_is_named(example: Any, change: dict[str, Any], message: str) -> None:
    path = example.path("small", "sft", "sums")
    write_record(path, json.loads(path.read_text()) | change)
    with pytest.raises(UserError, match=message) as caught:
        example.table()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", "3"])
def test_a_score_file_that_is_no_object_is_refused(example: Any, content: str) -> None:
    path = example.path("small", "sft", "sums")
    path.write_text(content)
    with pytest.raises(UserError, match="score.json: (damaged, not JSON|was edited or damaged)"):
        example.table()


def test_an_edited_score_is_refused(example: Any) -> None:
    path = example.path("small", "sft", "sums")
    text = path.read_text()
    assert '"samples": 200' in text
    path.write_text(text.replace('"samples": 200', '"samples": 400'))
    with pytest.raises(UserError, match="score.json: was edited or damaged"):
        example.table()


def test_a_score_whose_verdicts_are_others_is_refused(example: Any) -> None:
    """Emptied, for one."""
    path = example.path("small", "sft", "sums")
    verdicts = path.with_name("verdicts.jsonl.gz")
    write_jsonl(verdicts, [{"problem": "0", "correct": True}])
    write_record(path, json.loads(path.read_text()) | hashes(verdicts))
    assert example.table()
    verdicts.write_bytes(b"")
    with pytest.raises(UserError, match="verdicts.jsonl.gz: was damaged or changed .it is not what score.json says"):
        example.table()


@pytest.mark.parametrize(
    ("value", "shown"),
    [("40.625", "40.63"), ("32.525", "32.53"), ("32.52499999999999", "32.53"), ("32.5249", "32.52"), ("0", "0.00")],
)
def test_two_decimals(value: str, shown: str) -> None:
    assert two_decimals(Decimal(value)) == shown


@given(correct=st.integers(0, 4000))
def test_floats_of_exact_shares_round_like_the_shares(correct: int) -> None:
    """A mean@4 over 1,000 problems: 100 · c / 4000 in binary must not tip a half downwards."""
    hundredths, rest = divmod(correct * 5, 2)
    expected = hundredths + (1 if rest else 0)
    for value in (100 * correct / 4000, correct / 4000 * 100, json.loads(json.dumps(correct / 40))):
        assert two_decimals(Decimal(str(value))) == f"{expected // 100}.{expected % 100:02}"


def test_several_seeds_are_a_mean_with_their_deviation(example: Any) -> None:
    for seed, value in (("otr.seed1", 33.0), ("otr.seed2", 36.0)):
        for benchmark in ("sums", "products"):
            example.write("small", seed, benchmark, score=value)
    runs = {"otr": ["otr", "otr.seed1", "otr.seed2"]}
    scores = read_scores(example.results, "tiny", example.layout, lambda row: runs.get(row, [row]))
    products = scores["small", "otr", "products"]
    assert float(products.value) == pytest.approx((30 + 33 + 36) / 3)
    assert products.seed_deviation == pytest.approx(3.0)
    assert products.standard_error == pytest.approx(4.0)
    assert ("large", "otr", "sums") not in scores  # its further seeds are not there yet
    table = build("table1", example.layout, scores, {})
    row = table.blocks[0].rows[2]
    # A standard error of 4 over problems, and 3 / sqrt(3) over three trainings.
    assert (row.cells[1].shown, row.cells[1].spread) == ("33.00", "±4.4")
    assert row.cells[1].score is not None and row.cells[1].score.error == pytest.approx((16 + 3) ** 0.5)
    assert "±: one standard error, over problems and 3 training seeds." in table.legend


def test_like_for_like_marks_values_below_a_run_that_is_not_printed(example: Any) -> None:
    for model in ("small", "large"):
        for benchmark, value in (("sums", 39.99), ("products", 44.5)):
            example.write(model, "base-tuned", benchmark, score=value)
    layout = example.layout.model_copy(update={"like_for_like": "base-tuned"})
    table = build("table1", layout, read_scores(example.results, "tiny", layout), {})
    assert [row.run for row in table.blocks[0].rows] == ["base", "sft", "otr"]
    marks = {(b.model, r.run): [c.marks for c in r.cells] for b in table.blocks for r in b.rows}
    assert marks["small", "base"] == ["", "", ""]  # asked otherwise: no like
    assert marks["small", "otr"] == ["†", "‡", "‡"]  # 39.99 against base 40.00 and base-tuned 39.99
    assert marks["large", "sft"] == ["", "†", "†"]
    assert marks["large", "otr"] == ["", "†‡", "†"]
