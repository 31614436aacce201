"""What a line of progress says."""

import io

import pytest

from otr.command import progress
from otr.command.progress import Progress


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    made = io.StringIO()
    monkeypatch.setattr(progress, "_screen", made)
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    return made


def test_no_time_left_is_named_before_it_can_be_known(screen: io.StringIO) -> None:
    with Progress("sample", 8, "completions", estimate_from=0.25) as shown:
        shown.update()
        shown.update(note="well")
    assert [line for line in screen.getvalue().splitlines() if line] == [
        "sample: 1 of 8 completions",
        "sample: 2 of 8 completions, well, 0 s left",
    ]
