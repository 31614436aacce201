"""Source solutions to training text."""

import pytest

from otr.data.response import worked_solution


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He has 3*2=<<3*2=6>>6 eggs.\n#### 6", "He has 3*2=6 eggs.\nThe answer is \\boxed{6}."),
        ("So 1,200.\n#### 1,200", "So 1,200.\nThe answer is \\boxed{1200}."),
        ("#### -7", "\nThe answer is \\boxed{-7}."),
        ("No mark at all", "No mark at all"),
        ("# A heading\nand #### 3 inside a line\n#### 4", None),
    ],
)
def test_gsm8k(text: str, expected: str | None) -> None:
    found = worked_solution(text, "gsm8k")
    if expected is None:
        assert found.endswith("\nThe answer is \\boxed{4}.")
        assert "#### 3 inside" in found
    else:
        assert found == expected


def test_plain_keeps_everything_but_outer_space() -> None:
    assert worked_solution("  <<x>> #### 6\n", "plain") == "<<x>> #### 6"
