"""A table on a terminal."""

from typing import Any

from otr.tables.screen import screen


def test_a_wide_terminal_shows_all_with_errors(example: Any) -> None:
    assert screen(example.table(), 100) == [
        "Table 1: Sums and products",
        "Model  Method         Sums     products      Average",
        "Small  Base    40.0   ±3.0  20.0   ±4.0  30.0   ±2.5",
        "       SFT     40.0   ±3.0  25.0   ±4.0  32.5   ±2.5",
        "       OTR     40.0†  ±3.0  30.0   ±4.0  35.0   ±2.5",
        "Large  Base    60.0   ±3.0  50.0   ±4.0  55.0   ±2.5",
        "       SFT     62.5   ±3.0  45.0†  ±4.0  53.8†  ±2.5",
        "       OTR     62.5   ±3.0  44.0†  ±4.0  53.3†  ±2.5",
    ]


def test_a_narrow_one_drops_errors_then_columns(example: Any) -> None:
    assert screen(example.table(), 45)[2:4] == [
        "Small  Base    40.0      20.0     30.0",
        "       SFT     40.0      25.0     32.5",
    ]
    assert screen(example.table(), 30)[1:3] == ["Model  Method      Average", "Small  Base    30.0   ±2.5"]


def test_three_marks_keep_the_digits_in_line(example: Any) -> None:
    example.layout = example.layout.model_copy(update={"like_for_like": "sft"})
    example.write("small", "otr", "sums", score=1.0, empty=200)
    otr, large = screen(example.table(), 100)[4:6]
    assert "1.0†‡∅ ±3.0" in otr and otr.index(".0†") == large.index(".0 ")


def test_what_is_missing_is_a_dash(example: Any) -> None:
    example.path("small", "otr", "products").unlink()
    assert screen(example.table(), 100)[4].split() == ["OTR", "40.0†", "±3.0", "—", "—"]
