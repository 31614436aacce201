import json
import math
from pathlib import Path

import pytest
from benchmark_rows import BENCHMARKS, Benchmark

from otr.errors import UserError
from otr.evaluation.math.gold import Gold, read_gold
from otr.evaluation.math.units import unit

ANSWER = {"answer": "answer"}


def plain(answer: object) -> Gold:
    return read_gold({"answer": answer}, ANSWER, "plain")


def listed(answer: list[str], **columns: object) -> Gold:
    return read_gold({"answer": answer, **columns}, ANSWER, "list")


@pytest.mark.parametrize(
    ("answer", "answers"),
    [
        (27.0, ("27",)),
        (-1.0, ("-1",)),
        (2.5, ("2.5",)),
        (42, ("42",)),
        ("025", ("25",)),
        (r"10,\!080", ("10080",)),
        (r"11,\! 111,\! 100", ("11111100",)),
        (r"\$32,\!348", ("32348",)),
        (r"336^\circ", ("336",)),
        ("1,-2", ("1", "-2")),
        ("3, 5, 7", ("3", "5", "7")),
        ("(1,-2)", ("(1,-2)",)),
        (r"1 \pm \sqrt{19}", (r"1 + \sqrt{19}", r"1 - \sqrt{19}")),
        (r"\dfrac{17}{50}", (r"\frac{17}{50}",)),
    ],
)
def test_plain(answer: object, answers: tuple[str, ...]) -> None:
    assert plain(answer).answers == answers


def test_after_hashes_takes_the_last() -> None:
    row = {"answer": "#### is a mark\n4 * 530 + 5 = 2,125\n#### 2,125"}
    assert read_gold(row, ANSWER, "after-hashes").answers == ("2125",)


def test_boxed_takes_the_last_box() -> None:
    row = {"solution": r"First \boxed{3}. Then $L \simeq \boxed{4.5e33} \mathrm{ergs}$"}
    assert read_gold(row, {"answer": "solution"}, "boxed").answers == ("4.5e33",)


def test_list_of_several_answers() -> None:
    assert listed(["$(0,2),(0,-2)$"]).answers == ("(0,2)", "(0,-2)")
    assert listed(["$x=2$, $x=3$"]).answers == ("x=2", "x=3")
    assert listed(["1", "2"]).answers == ("1", "2")
    assert listed([r"$f(x)=a x+b$, where $b$ is an integer, and $a$ too"]).answers == ("f(x)=a x+b",)


def test_a_row_may_say_whether_a_comma_separates_thousands() -> None:
    assert listed(["100,200"], is_multiple_answer=True).answers == ("100", "200")
    assert listed(["100,200"], is_multiple_answer=False).answers == ("100200",)


def test_tolerance_and_unit() -> None:
    gold = listed(["2.5"], error="1e-1", unit=r"\text{ minutes}")
    assert gold.tolerances == (0.1,)
    assert unit(gold.unit(0)) == unit("minutes")
    assert listed(["45"], error=None, unit=None) == Gold(("45",), raw="45")


@pytest.mark.parametrize(
    ("error", "tolerances"),
    [("1e-1", (0.1, 0.1)), ("1e-1,2e-1", (0.1, 0.2)), ([0.1, 0.2], (0.1, 0.2)), (0.5, (0.5, 0.5)), ("", ()), ([], ())],
)
def test_a_tolerance_for_all_answers_or_one_an_answer(error: object, tolerances: tuple[float, ...]) -> None:
    assert listed(["2.5,3.5"], is_multiple_answer=True, error=error).tolerances == tolerances


def test_every_answer_has_its_own_unit() -> None:
    gold = listed(["3 meters, 4 seconds"], is_multiple_answer=True)
    assert (gold.answers, gold.units) == (("3", "4"), ("meters", "seconds"))


@pytest.mark.parametrize(
    ("row", "style", "message"),
    [
        ({"other": 1}, "plain", "column 'answer': no answer in this row, its columns are other"),
        ({"answer": None}, "plain", "column 'answer': no answer"),
        ({"answer": True}, "plain", "column 'answer': text or a number is needed, found True"),
        ({"answer": math.nan}, "plain", "column 'answer': a finite number is needed, found nan"),
        ({"answer": " "}, "plain", "column 'answer': an answer is needed, found ' '"),
        ({"answer": "no hashes"}, "after-hashes", "found 'no hashes'"),
        ({"answer": 5}, "after-hashes", "column 'answer': text is needed, found 5"),
        ({"answer": r"\boxed{"}, "boxed", r"found '\\boxed{'"),
        ({"answer": "5"}, "list", "column 'answer': a list of strings is needed, found '5'"),
        ({"answer": []}, "list", "found []"),
        ({"answer": ["5"], "error": "some"}, "list", "column 'error': a distance of 0 or more is needed, found 'some'"),
        ({"answer": ["5"], "error": "-1"}, "list", "column 'error'"),
        ({"answer": ["5"], "error": "1,2"}, "list", "column 'error': one distance or 1 are needed, as many as answers"),
        ({"answer": ["5"], "unit": 3}, "list", "column 'unit': text is needed, found 3"),
        ({"answer": "5"}, "boxd", "answer style: found 'boxd', allowed are plain, after-hashes, boxed, list"),
    ],
)
def test_odd_rows_are_named(row: dict[str, object], style: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read_gold(row, ANSWER, style)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_json_round_trip() -> None:
    gold = listed(["$(0,2),(0,-2)$"], error="0.1", unit="km")
    assert Gold.from_dict(json.loads(json.dumps(gold.to_dict()))) == gold


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.file)
def test_every_real_row_is_readable(benchmark: Benchmark, real_rows: Path) -> None:
    for row in benchmark.rows(real_rows):
        gold = read_gold(row, {"answer": benchmark.answer}, benchmark.style)
        assert all(gold.answers)
        assert Gold.from_dict(gold.to_dict()) == gold
