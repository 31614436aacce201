import pytest
from scipy import stats

from otr.evaluation.intervals import clustered, wilson


@pytest.mark.parametrize(("right", "total"), [(0, 30), (30, 30), (1, 30), (20, 40), (3, 4), (0, 1), (660, 1319)])
def test_wilson_is_scipys(right: int, total: int) -> None:
    expected = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert wilson(right, total) == pytest.approx((100 * expected.low, 100 * expected.high))


@pytest.mark.parametrize(("right", "total"), [(-1, 3), (4, 3), (0, 0)])
def test_what_is_no_share_is_refused(right: int, total: int) -> None:
    with pytest.raises(ValueError, match="a share needs"):
        wilson(right, total)


def test_none_and_all_of_n_have_an_interval() -> None:
    assert clustered(0.0, 0.0, 30, 480) == wilson(0, 30)  # 16 samples of a problem say little of other problems
    assert clustered(1.0, 0.0, 30, 480) == wilson(30, 30)
    assert clustered(0.5, None, 1, 4) == wilson(0.5, 1)


def test_samples_of_one_problem_count_for_as_much_as_they_vary() -> None:
    share, problems, samples = 0.5, 100, 400
    independent = (share * (1 - share) / samples) ** 0.5
    assert clustered(share, independent, problems, samples) == pytest.approx(wilson(200, 400))
    assert clustered(share, 2 * independent, problems, samples) == pytest.approx(wilson(50, 100))  # all alike
    assert clustered(share, 0.0, problems, samples) == wilson(200, 400)  # every problem half right
