"""Right completions by problem."""

from pathlib import Path

import pytest

from otr.config.tables import ColumnGroup, TableLayout
from otr.errors import UserError
from otr.files import write_jsonl
from otr.tables.accuracies import read_trainings

ROWS = [{"problem": p, "sample": s, "correct": c} for p, s, c in (("0", 0, True), ("0", 1, False), ("1", 0, True))]
COLUMNS = (ColumnGroup(group="M", benchmarks=("sums",), average="Average"),)
LAYOUT = TableLayout(caption="c", models=("m",), rows=("otr",), columns=COLUMNS)


def path(results: Path, run: str) -> Path:
    return results / "tiny" / "eval" / "m" / run / "sums" / "verdicts.jsonl.gz"


def test_a_row_has_a_mapping_for_each_training_once_all_are_there(tmp_path: Path) -> None:
    def seeds(row: str) -> list[str]:
        return [row, f"{row}.seed1"]

    key = ("m", "otr", ("sums",))
    write_jsonl(path(tmp_path, "otr"), ROWS)
    assert read_trainings(tmp_path, "tiny", LAYOUT) == {key: [{"sums": {"0": 50.0, "1": 100.0}}]}
    assert read_trainings(tmp_path, "tiny", LAYOUT, seeds) == {key: []}
    write_jsonl(path(tmp_path, "otr.seed1"), ROWS[:1])
    assert read_trainings(tmp_path, "tiny", LAYOUT, seeds)[key][1] == {"sums": {"0": 100.0}}


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    write_jsonl(path(tmp_path, "otr"), [*ROWS, {"problem": "1", "sample": 1, "correct": "yes"}])
    with pytest.raises(UserError, match="verdicts.jsonl.gz:4"):
        read_trainings(tmp_path, "tiny", LAYOUT)
