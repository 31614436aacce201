"""Charts put numbers where they belong."""

import math
import re
from xml.etree import ElementTree

import pytest

from otr.report.charts import Dot, Line, difference_bar, dot_plot, histogram, line_chart, number, thinned, ticks


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.13, 0.97), (-3, 14), (5, 5), (0, 0), (1e-6, 5e-6), (0, 1e9)])
def test_ticks_enclose_and_are_few(low: float, high: float) -> None:
    made = ticks(low, high)
    slack = 1e-9 * (high - low)
    assert made[0] <= low + slack and made[-1] >= high - slack
    assert 2 <= len(made) <= 8
    steps = [b - a for a, b in zip(made, made[1:], strict=False)]
    assert max(steps) == pytest.approx(min(steps))


def test_numbers_of_an_axis_are_short() -> None:
    assert [number(value) for value in (0, 0.25, 3e-4, 5e-6, 12000, 1e9)] == [
        "0",
        "0.25",
        "3e-4",
        "5e-6",
        "1.2e4",
        "1e9",
    ]


def test_thinning_keeps_means() -> None:
    x, y = thinned(list(range(1000)), [float(value % 2) for value in range(1000)], points=100)
    assert len(x) == 100 and set(y) == {0.5}
    assert x[0] == 4.5 and x[-1] == 994.5


def test_a_line_falls_where_its_numbers_fall() -> None:
    svg = line_chart("loss", [Line("SFT", "s1", [1, 2, 3], [3.0, 2.0, 1.0])])
    points = re.search(r'points="([^"]+)"', svg)
    assert points
    places = [tuple(map(float, pair.split(","))) for pair in points[1].split()]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    # Down on the page is a larger y.
    assert places[0][1] < places[1][1] < places[2][1]


def test_what_is_not_finite_is_left_out() -> None:
    assert line_chart("loss", [Line("SFT", "s1", [1, 2], [math.nan, math.inf])]) == ""
    svg = line_chart("loss", [Line("SFT", "s1", [1, 2, 3], [1.0, math.nan, 2.0])])
    assert "nan" not in svg


def test_a_whisker_is_the_interval() -> None:
    svg = dot_plot("scores", [("Sums", [Dot("OTR", "s2", 50.0, (40.0, 65.0)), Dot("SFT", "s1", 60.0, None)])])
    dots = [float(x) for x in re.findall(r'cx="([\d.]+)"', svg)]
    whiskers = re.findall(r'</title><path d="M([\d.]+) [\d.]+H([\d.]+)"', svg)
    assert len(whiskers) == 1
    start, end = map(float, whiskers[0])
    ten = dots[1] - dots[0]
    assert dots[0] - start == pytest.approx(ten, abs=0.2) and end - dots[0] == pytest.approx(1.5 * ten, abs=0.2)


def test_differences_lie_to_either_side_of_zero() -> None:
    rows = [("Sums", [Dot("OTR", "s2", -4.0, (-6.0, -2.0))]), ("Code", [Dot("OTR", "s2", 8.0, (5.0, 11.0))])]
    svg = dot_plot("differences", rows, around_zero=True)
    zero = float(re.findall(r'class="zero" d="M([\d.]+) ', svg)[0])
    below, above = (float(x) for x in re.findall(r'cx="([\d.]+)"', svg))
    assert below < zero < above and above - zero == pytest.approx(2 * (zero - below), abs=0.2)
    assert "OTR, Sums: -4.00, -6.00 to -2.00" in svg and ">+5<" in svg


def test_bars_below_each_other_share_their_scale() -> None:
    first, second = (difference_bar(Dot("OTR", "s2", value, (value - 1, value + 1)), 10) for value in (-5.0, 5.0))
    places = [float(re.findall(r'cx="([\d.]+)"', svg)[0]) for svg in (first, second)]
    middle = float(re.findall(r'class="zero" d="M([\d.]+) ', first)[0])
    assert middle - places[0] == pytest.approx(places[1] - middle, abs=0.2)


def test_trainings_lie_behind_their_mean() -> None:
    lines = [Line("OTR", "s2", [1, 2], [1.0, 2.0]), Line("OTR, training 1", "s2", [1, 2], [1.5, 1.0], is_thin=True)]
    assert re.findall(r'class="(line [^"]*)"', line_chart("loss", lines)) == ["line s2 thin", "line s2"]


def test_bars_are_as_high_as_their_counts() -> None:
    svg = histogram("lengths", [0, 10, 20, 40], [10, 20, 5])
    bars = [(float(w), float(h)) for w, h in re.findall(r'width="([\d.]+)" height="([\d.]+)"', svg)]
    assert [h / bars[0][1] for _, h in bars] == pytest.approx([1, 2, 0.5], abs=0.02)
    assert bars[2][0] == pytest.approx(2 * bars[0][0] + 1, abs=0.2)
    assert histogram("lengths", [], []) == ""


def test_the_source_is_an_outline_of_shares() -> None:
    svg = histogram("lengths", [0, 10, 20], [5, 5], [300, 100])
    heights = [float(y) for y in re.findall(r"V([\d.]+)H", svg)]
    bar = float(re.findall(r'class="bar" x="[\d.]+" y="([\d.]+)"', svg)[0])
    bottom = 190 - 24
    # Half of the examples against three quarters and one quarter of the source.
    assert [(bottom - y) / (bottom - bar) for y in heights] == pytest.approx([1.5, 0.5], abs=0.02)


def test_labels_are_escaped() -> None:
    svg = dot_plot("a < b", [("<&>", [Dot('"<script>', "s2", 50.0, (49.0, 51.0))])])
    assert "<script>" not in svg
    ElementTree.fromstring(svg)
