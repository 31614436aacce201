"""How long a run still takes, from counts and times alone."""

import json
from pathlib import Path

import pytest
from checkouts import ROOT

from otr.launch.remaining import Remaining, expected, record


def test_stages_wait_for_one_another_and_share_the_cores() -> None:
    jobs = {"base": 1, "train": 3, "sample_all": 4, "table": 2}
    times = {"base": 180.0, "train": 10.0, "sample_all": 30.0}
    # 180, then three trainings on two cores, four samplings on two cores, two tables of a second.
    assert Remaining(jobs, 2, times).seconds([]) == 180 + 15 + 60 + 1
    assert Remaining(jobs, 1, times).seconds([]) == 180 + 30 + 120 + 2


def test_what_runs_has_been_paid_in_part() -> None:
    remaining = Remaining({"train": 2}, 2, {"train": 100.0})
    assert remaining.seconds([("train", 60.0), ("train", 30.0)]) == 70
    assert remaining.seconds([("train", 500.0)]) == 100, "an overdue job is nearly done, the other one is not begun"


def test_measured_times_replace_expected_ones_and_scale_the_rest() -> None:
    remaining = Remaining({"base": 1, "train": 2, "generate": 1}, 1, {"base": 100.0, "train": 10.0, "generate": 1.0})
    remaining.finished("generate", 30.0)
    assert remaining.seconds([]) == 120, "a job of a second says nothing about the machine"
    remaining.finished("base", 50.0)
    assert remaining.seconds([]) == 10
    remaining.finished("train", 7.0)
    assert remaining.seconds([]) == 7


def test_an_unknown_rule_is_not_guessed() -> None:
    remaining = Remaining({"sample_all": 2, "table": 1}, 1)
    assert remaining.seconds([("sample_all", 5.0)]) is None
    remaining.finished("sample_all", 20.0)
    assert remaining.seconds([]) == 21


def test_a_run_leaves_its_times_to_the_next(tmp_path: Path) -> None:
    records = tmp_path / "logs" / "seconds.json"
    assert expected("an experiment of mine", records) == {}
    remaining = Remaining({"train": 2}, 1, {"base": 9.0})
    record(remaining, records)
    assert not records.exists(), "nothing was measured"
    remaining.finished("train", 4.04)
    record(remaining, records)
    assert expected("an experiment of mine", records) == {"base": 9.0, "train": 4.0}


@pytest.mark.parametrize("text", ["{", "[1]", '{"train": "long"}', '{"train": null}', ""])
def test_a_damaged_record_is_no_failure(text: str, tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text(text)
    assert expected("an experiment of mine", tmp_path / "seconds.json") == {}


def test_the_shipped_times_are_seconds_of_shipped_experiments() -> None:
    shipped = json.loads((ROOT / "otr" / "resources" / "seconds.json").read_text())
    for name, times in shipped["experiments"].items():
        assert (ROOT / "workflow" / "experiments" / f"{name}.yaml").exists()
        assert all(isinstance(seconds, int | float) and seconds > 0 for seconds in times.values())
