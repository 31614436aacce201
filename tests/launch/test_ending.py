"""What a finished run leaves on the screen."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from checkouts import MICRO, ROOT

from otr.config import load
from otr.files import write_jsonl, write_record, write_text
from otr.launch.ending import ending
from otr.results.integrity import hashes

PROBLEMS = 20


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Table 1 of SFT and OTR on the first model, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "200")
    experiment = load(ROOT / MICRO)
    layout = experiment.tables["table1"]
    for row, right in (("sft", 5), ("otr", 15)):
        for run in experiment.runs(row):
            for benchmark in layout.benchmarks:
                write_cell(Path("results/micro/eval") / layout.models[0] / run / benchmark, right)
    write_text("results/table1.md", "a table")
    return Path("results")


def write_cell(folder: Path, right: int) -> None:
    model, run, benchmark = folder.parts[-3:]
    numbers = {"score": 100 * right / PROBLEMS, "standard_error": 9.0, "problems": PROBLEMS, "samples": PROBLEMS}
    where = {"experiment": "micro", "model": model, "run": run, "benchmark": benchmark, "metric": "mean@1"}
    rows = [{"problem": str(number), "sample": 0, "correct": number < right} for number in range(PROBLEMS)]
    write_jsonl(folder / "verdicts.jsonl.gz", rows)
    score = {**where, **numbers, "protocol": {}, "provenance": {}, **hashes(folder / "verdicts.jsonl.gz")}
    write_record(folder / "score.json", score)


def end(targets: Sequence[str]) -> list[str]:
    return list(ending(targets, load(ROOT / MICRO), ROOT / MICRO))


def test_the_end_shows_the_table_the_answer_and_the_next_command(results: Path) -> None:
    lines = end(["results/table1.md"])
    assert lines[1].startswith("Table 1: ") and lines[2].split()[:2] == ["Model", "Method"]
    assert any(line.split()[:1] == ["OTR"] and "75.0" in line for line in lines[3:])
    assert any(line.startswith("OTR scores 50.0 ± ") for line in lines)
    assert lines[-2:] == [
        "experiment micro: results/table1.md up to date",
        "open results/report.html; everything else: snakemake --cores all",
    ]


def test_the_first_command_also_makes_the_report(results: Path) -> None:
    assert not (results / "report.html").exists()
    end(["results/table1.md"])
    text = (results / "report.html").read_text()
    assert 'id="answer"' in text and 'data-evidence="micro/report/"' in text
    assert 'data-evidence="report/"' in (results / "micro" / "report.html").read_text()


def test_a_report_that_fails_is_told_and_no_more(results: Path) -> None:
    model = load(ROOT / MICRO).tables["table1"].models[0]
    write_text(results / "micro" / "train" / model / "sft" / "run.json", "{")
    lines = end(["results/table1.md"])
    assert any("the report was not written; its log: results/micro/logs/report.log" in line for line in lines)
    assert lines[-2] == "experiment micro: results/table1.md up to date"


def test_other_targets_have_no_table(results: Path) -> None:
    write_text("results/paper_audit.md", "an audit")
    assert end(["results/paper_audit.md"])[0] == "experiment micro: results/paper_audit.md up to date"
