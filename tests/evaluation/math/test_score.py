import json
import math
import random
from itertools import combinations

import pytest

from otr.evaluation.math.score import score
from otr.evaluation.math.verdicts import Verdict

RIGHT = Verdict(True, "5", "boxed", "same")
WRONG = Verdict(False, "6", "anchor", "different")


def verdicts(*rows: str) -> list[list[Verdict]]:
    return [[RIGHT if sign == "+" else WRONG for sign in row] for row in rows]


def lengths(by_problem: list[list[Verdict]]) -> list[list[int]]:
    return [[10 * (number + 1) for number in range(len(row))] for row in by_problem]


def test_a_small_case_by_hand() -> None:
    cut = Verdict(False, "5", "boxed", "truncated")
    none = Verdict(False, "", "none", "no-answer")
    slow = Verdict(False, "9!", "last-number", "timeout", None, undecided=True)
    power = Verdict(True, r"5 \times 10^{0}", "boxed", "same", False, "scientific")
    rows = [
        [RIGHT, WRONG, power, RIGHT],  # 3 of 4; votes 5: 3, 6: 1
        [WRONG, RIGHT, cut, none],  # 1 of 4; votes 6: 1 (first), 5: 1
        [slow, WRONG, WRONG, WRONG],  # 0 of 4
    ]
    got = score(rows, 4, [[10, 20, 30, 40], [1, 2, 3, 4], [5, 5, 5, 5]])
    shares = [3 / 4, 1 / 4, 0.0]
    mean = sum(shares) / 3
    assert got["problems"] == 3
    assert got["k"] == 4
    assert got["correct"] == 4
    assert got["mean_at_k"] == pytest.approx(100 * mean)
    # right in samples 1 to 4: 1, 1, 1, 1 of 3, each 33.3 after rounding
    assert got["mean_at_k_rounded"] == pytest.approx(33.3)
    assert got["mean_at_k_as_written"] == pytest.approx(100 * 3 / 12)
    assert got["standard_error"] == pytest.approx(100 * math.sqrt(sum((s - mean) ** 2 for s in shares) / 2 / 3))
    assert got["sampling_error"] == pytest.approx(100 * math.sqrt((3 / 16 / 3 + 3 / 16 / 3) / 9))
    assert got["pass_at"] == pytest.approx(
        {"1": 100 * mean, "2": 100 * ((1 - 0) + (1 - 3 / 6) + 0) / 3, "4": 100 * 2 / 3}
    )
    assert got["maj_at_k"] == pytest.approx(100 / 3)
    assert got["truncated"] == pytest.approx(100 / 12)
    assert got["no_answer"] == pytest.approx(100 / 12)
    assert got["undecided"] == pytest.approx(100 / 12)
    assert got["bounds"] == pytest.approx([100 / 3, 100 * 5 / 12])
    assert got["differences"] == {"scientific": {"accepted": 1, "refused": 0}}
    assert got["interval"][0] < 100 / 3 < got["interval"][1]
    assert got["how"] == pytest.approx(
        {"boxed": 500 / 12, "anchor": 500 / 12, "last-number": 100 / 12, "none": 100 / 12}
    )
    assert got["mean_tokens"] == pytest.approx((100 + 10 + 20) / 12)
    assert json.loads(json.dumps(got)) == got


def test_rounding_is_a_sample_at_a_time() -> None:
    rows = verdicts("++", "+-", "--", "--", "--", "--", "--")
    got = score(rows, 2, lengths(rows))
    assert got["mean_at_k"] == pytest.approx(100 * 3 / 14)
    assert got["mean_at_k_rounded"] == pytest.approx((28.6 + 14.3) / 2)


def test_pass_at_is_the_mean_over_all_subsets() -> None:
    rows = verdicts("+----+", "++++--", "------")
    got = score(rows, 6, lengths(rows))
    assert list(got["pass_at"]) == ["1", "2", "4", "6"]
    for j in (1, 2, 4, 6):
        by_hand = [[any(v.correct for v in chosen) for chosen in combinations(row, j)] for row in rows]
        assert got["pass_at"][str(j)] == pytest.approx(100 * sum(sum(row) / len(row) for row in by_hand) / 3)


def test_majority_counts_spellings_as_one_answer() -> None:
    half = [Verdict(True, text, "boxed", "same") for text in (r"\frac{1}{2}", "0.5", "1/2")]
    rows = [[WRONG, half[0], WRONG, half[1], half[2]]]
    assert score(rows, 5, lengths(rows))["maj_at_k"] == 100


def test_majority_tie_goes_to_the_first_and_cut_ones_do_not_vote() -> None:
    cut = Verdict(False, "7", "last-number", "truncated")
    rows = [[RIGHT, WRONG, cut, cut], [WRONG, RIGHT, cut, cut], [cut, cut, cut, cut]]
    assert score(rows, 4, lengths(rows))["maj_at_k"] == pytest.approx(100 / 3)


def test_one_sample_and_one_problem_have_no_errors_to_state() -> None:
    rows = verdicts("+")
    got = score(rows, 1, lengths(rows))
    assert (got["mean_at_k"], got["standard_error"], got["sampling_error"]) == (100, None, None)
    assert got["pass_at"] == {"1": 100}


def test_standard_error_covers_problems_and_samples() -> None:
    """Against draws: new problems of difficulty 0.2 or 0.8, k new samples each."""
    rng = random.Random(3)
    means, stated = [], []
    for _ in range(400):
        chances = [rng.choice((0.2, 0.8)) for _ in range(40)]
        rows = [[RIGHT if rng.random() < chance else WRONG for _ in range(4)] for chance in chances]
        got = score(rows, 4, lengths(rows))
        means.append(got["mean_at_k"])
        stated.append(got["standard_error"])
    mean = sum(means) / len(means)
    observed = math.sqrt(sum((value - mean) ** 2 for value in means) / (len(means) - 1))
    assert sum(stated) / len(stated) == pytest.approx(observed, rel=0.1)


@pytest.mark.parametrize(
    ("rows", "k", "message"),
    [([], 4, "0 problems"), (verdicts("++", "+"), 2, "problem 1 has 1 verdicts, k is 2"), (verdicts(""), 0, "k = 0")],
)
def test_incomplete_input_is_refused(rows: list[list[Verdict]], k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(rows, k, lengths(rows))


def test_lengths_must_match() -> None:
    rows = verdicts("++", "+-")
    with pytest.raises(ValueError, match="problem 1 has 1 lengths"):
        score(rows, 2, [[1, 2], [3]])
    with pytest.raises(ValueError, match="2 problems have verdicts, 1 have lengths"):
        score(rows, 2, [[1, 2]])
