"""`otr show` on a tree as the evaluation writes it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otr.errors import UserError
from otr.files import read_jsonl, write_json, write_jsonl, write_record, write_text
from otr.show.__main__ import main, show
from otr.show.completions import Request
from otr.show.style import Style


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    folder = tmp_path / "eval" / "small" / "otr" / "sums"
    names = {"experiment": "tiny", "model": "small", "run": "otr", "benchmark": "sums", "metric": "mean@2"}
    figures = {"score": 25.0, "standard_error": 4.5, "problems": 2, "samples": 4, "details": {"truncated": 12.5}}
    write_record(
        folder / "score.json",
        names | figures | {"protocol": {"top_p": 0.8}, "provenance": {}, "example_prompt": "1 + 1?"},
    )
    asked = [{"problem": problem, "sample": sample} for problem in ("3", "4") for sample in (0, 1)]
    samples = [
        row
        | {"seed": 5, "finish": "stop", "tokens": 4}
        | {"prompt": f"What is {row['problem']}?", "completion": f"It is {row['problem']}{row['sample']}.\x1b[2J"}
        for row in asked
    ]
    verdicts = [
        row
        | {"gold": ["41"], "how": "anchor", "reason": "same"}
        | {"correct": row["sample"] == 1, "answer": f"{row['problem']}{row['sample']}"}
        for row in asked
    ]
    write_jsonl(folder / "samples.jsonl.gz", samples)
    write_jsonl(folder / "verdicts.jsonl.gz", verdicts)
    return folder


def lines(path: Path, problem: str | None = None, sample: int | None = None, colours: bool = False) -> list[str]:
    return list(show(Request(path, problem, sample), Style(colours)))


def of(path: Path, **wanted: Any) -> list[str]:
    return list(show(Request(path, **wanted), Style(False)))


def test_a_score(cell: Path) -> None:
    for path in (cell, cell / "score.json"):
        text = lines(path)
        assert text[0] == "small otr on sums: 25.00 ± 4.50 %"
        assert "truncated     12.5" in text and "top_p         0.8" in text
        assert text[-1] == "1 + 1?"


def test_a_sample_stands_with_its_own_verdict(cell: Path) -> None:
    text = lines(cell, "4", 1)
    assert text[0] == "problem 4, sample 1"
    assert "What is 4?" in text
    assert "answer        41" in text
    assert text[-1] == "verdict       right"
    assert lines(cell / "verdicts.jsonl.gz")[0] == "problem 3, sample 0"
    assert lines(cell, "4")[-1] == "verdict       wrong"
    (cell / "verdicts.jsonl.gz").unlink()
    assert lines(cell, "4", 1)[-1] == "not graded yet"


def other_run(cell: Path, run: str = "sft") -> Path:
    """The same benchmark of another run, which has problem 3 right and nothing else."""
    folder = cell.parent.parent / run / cell.name
    shutil.copytree(cell, folder)
    score = json.loads((cell / "score.json").read_text())
    write_record(folder / "score.json", score | {"run": run})
    verdicts = [
        row | {"correct": row["problem"] == "3", "answer": "7"} for row in read_jsonl(cell / "verdicts.jsonl.gz")
    ]
    write_jsonl(folder / "verdicts.jsonl.gz", verdicts)
    return folder


def test_a_runs_folder_lists_its_scores(cell: Path) -> None:
    title, header, row, _ = of(cell.parent)
    assert title == "small otr" and header.split()[:3] == ["benchmark", "score,", "%"]
    assert row.split() == ["sums", "25.00", "4.5", "mean@2", "2", "4", "12.5", "—"]


def test_an_experiments_folder_lists_all_runs(cell: Path) -> None:
    other_run(cell)
    text = of(cell.parents[3])
    assert text[0].split() == ["small", "otr", "sft"]
    assert text[1].split() == ["sums", "25.0", "±4.5", "25.0", "±4.5"]


def test_wrong_completions_are_listed_and_walked_through(cell: Path) -> None:
    listed = of(cell, only="wrong")
    assert listed[0] == "2 of 4 completions: wrong"
    assert [row.split()[:3] for row in listed[2:4]] == [["3", "0", "30"], ["4", "0", "40"]]
    first = of(cell, only="wrong", next=True)
    assert first[0] == "problem 3, sample 0"
    assert first[-1] == f"go on: otr show {cell} --only wrong --problem 3 --sample 0 --next"
    assert of(cell, only="wrong", next=True, problem="3", sample=0)[0] == "problem 4, sample 0"
    assert of(cell, next=True, problem="3", sample=0)[0] == "problem 3, sample 1"
    assert of(cell, next=True, problem="3")[0] == "problem 4, sample 0"
    with pytest.raises(UserError, match="that was the last that is wrong"):
        of(cell, only="wrong", next=True, problem="4", sample=0)
    with pytest.raises(UserError, match="has no problem 9"):
        of(cell, next=True, problem="9")


def test_two_runs_beside_each_other(cell: Path) -> None:
    other = other_run(cell)
    scores = of(cell.parent, against=other.parent)
    assert scores[0] == "otr − sft"
    # Problem 3: one of two right against two of two; problem 4: one against none. At least half counts as right.
    assert scores[2].split()[-2:] == ["1", "0"]
    flips = of(cell, against=other)
    assert flips[0] == "sft → otr: of 2 problems 1 became right, 0 became wrong"
    assert [row.split()[0] for row in flips[3:]] == ["3", "4"]
    both = of(cell, against=other, problem="4", sample=1)
    assert both.index("completion of otr") < both.index("completion of sft")
    assert [line for line in both if line.startswith("verdict")] == ["verdict       right", "verdict       wrong"]


def test_runs_that_answered_other_problems_are_not_compared(cell: Path) -> None:
    other = other_run(cell)
    write_jsonl(other / "verdicts.jsonl.gz", [{"problem": "5", "sample": 0, "correct": True}])
    with pytest.raises(UserError, match="have not answered the same problems"):
        of(cell, against=other)


def test_a_completion_cannot_steer_the_terminal(cell: Path) -> None:
    text = "\n".join(lines(cell, "3", 0))
    assert "It is 30.\\x1b[2J" in text and "\x1b" not in text
    assert "\x1b" in "\n".join(lines(cell, "3", 0, colours=True))


def test_a_run_and_its_last_step(tmp_path: Path) -> None:
    record = {"model": "small", "run": "otr", "steps": 3, "seconds": 372.0, "recipe": {"betas": [0.9, 0.95]}}
    write_json(tmp_path / "run.json", record)
    write_jsonl(tmp_path / "metrics.jsonl", [{"step": step, "loss": 1 / step} for step in (1, 2, 3)])
    text = lines(tmp_path)
    assert text[:2] == ["small otr", "3 steps in 6.2 min"]
    assert "betas         0.9, 0.95" in text
    assert text[-2:] == ["step          3", "loss          0.333333"]


def test_tables_and_texts(tmp_path: Path) -> None:
    write_text(tmp_path / "table1.csv", "model,value\nsmall,5.00\nlarge,\n")
    header, small, large = lines(tmp_path / "table1.csv")
    assert header.split() == ["model", "value"] and small.split() == ["small", "5.00"] and large.split() == ["large"]
    write_text(tmp_path / "table1.md", "| a |\n")
    assert lines(tmp_path / "table1.md") == ["| a |"]


@pytest.mark.parametrize(
    ("name", "problem", "expected"),
    [
        ("nothing", None, "nothing: no such file or folder"),
        ("eval", None, "eval: has no score.json, run.json, summary.json or problems.jsonl; found: small"),
        ("eval/small/otr/sums", "9", "samples.jsonl.gz: has no problem 9"),
    ],
)
def test_what_cannot_be_shown_is_one_line(cell: Path, name: str, problem: str | None, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        lines(cell.parents[3] / name, problem)


def test_a_pipe_that_closes_early_is_no_failure(cell: Path) -> None:
    command = f"{sys.executable} -m otr.show {cell} | head -n 1; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert run.stdout.splitlines() == ["small otr on sums: 25.00 ± 4.50 %", "0"]
    assert run.stderr == ""


def test_a_users_error_is_status_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path / "nothing")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")
