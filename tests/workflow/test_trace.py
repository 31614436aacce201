"""Every number of a really built table, followed by hand down to completions."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from checkouts import MICRO, Checkout

from otr import config

pytestmark = pytest.mark.slow


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def results(built: Checkout) -> Path:
    return built.folder / "results" / "micro"


@pytest.mark.parametrize(
    ("table", "sizes"), [("table1", {"Mathematics": 7}), ("table2", {"Code": 2, "General reasoning": 3})]
)
def test_every_cell_is_its_share_of_correct_verdicts(results: Path, table: str, sizes: dict[str, int]) -> None:
    with (results / "tables" / f"{table}.csv").open() as file:
        cells = list(csv.DictReader(file))
    by_group: dict[tuple[str, str, str], list[float]] = {}
    for cell in cells:
        folder = results / "eval" / cell["model"] / cell["run"] / cell["benchmark"]
        group = by_group.setdefault((cell["model"], cell["run"], cell["group"]), [])
        if not folder.exists():  # an average
            assert float(cell["value"]) == pytest.approx(sum(group) / sizes[cell["group"]], abs=0.00501)
            continue
        correct = [line["correct"] for line in lines(folder / "verdicts.jsonl.gz")]
        share = 100 * sum(correct) / len(correct)
        assert float(cell["value"]) == pytest.approx(share, abs=0.00501)
        group.append(share)
    assert len(by_group) == 4 * len(sizes)  # base, base in the tuned protocol, SFT, OTR
    assert all(len(shares) == sizes[group] for (_, _, group), shares in by_group.items())


def test_marks_follow_from_the_cells(results: Path) -> None:
    with (results / "tables" / "table1.csv").open() as file:
        cells = {(c["model"], c["run"], c["benchmark"]): c for c in csv.DictReader(file)}
    for (model, run, benchmark), cell in cells.items():
        value = float(cell["value"])
        assert (cell["dagger"] == "1") == (run != "base" and value < float(cells[model, "base", benchmark]["value"]))
        best = max(float(cells[model, other, benchmark]["value"]) for other in ("sft", "otr"))
        assert (cell["bold"] == "1") == (run in ("sft", "otr") and value == best and best > 0)
        like = float(cells[model, "base-tuned", benchmark]["value"])
        assert (cell["double_dagger"] == "1") == (run in ("sft", "otr") and value < like)


def test_a_completion_has_its_prompt_seed_and_verdict(built: Checkout, results: Path) -> None:
    experiment = config.load(built.folder / MICRO)
    for run, samples in (("base", 1), ("base-tuned", 2), ("otr", 2)):
        folder = results / "eval" / "small" / run / "stories"
        completions, verdicts = lines(folder / "samples.jsonl.gz"), lines(folder / "verdicts.jsonl.gz")
        problems = lines(results / "problems" / "stories" / "problems.jsonl")
        assert len(completions) == len(verdicts) == samples * len(problems)
        for completion, verdict in zip(completions, verdicts, strict=True):
            assert (completion["problem"], completion["sample"]) == (verdict["problem"], verdict["sample"])
            problem = problems[int(completion["problem"])]
            assert problem["problem"] in completion["prompt"]
            assert verdict["gold"] == problem["gold"]["answers"]
            assert completion["tokens"] <= experiment.protocol(run).max_tokens
        if run == "base":
            demonstrations = experiment.benchmarks["stories"].few_shot
            assert demonstrations is not None and demonstrations.count > 0
            assert completions[0]["prompt"].count("Question:") == demonstrations.count + 1


def test_a_score_says_where_it_came_from(results: Path) -> None:
    score = json.loads((results / "eval" / "small" / "sft" / "sums" / "score.json").read_text())
    assert score["example_prompt"].startswith("<|im_start|>user\n")
    assert score["protocol"]["temperature"] == 0.7 and score["protocol"]["top_p"] == 0.8
    origin = score["provenance"]
    assert {"commit", "versions", "seed", "engine", "checkpoint_sha256", "problems_sha256", "model_origin"} <= set(
        origin
    )
    run = json.loads((results / "train" / "small" / "sft" / "run.json").read_text())
    assert run["recipe"]["learning_rate"] == 2e-4
    assert run["examples"] == 96


def test_a_run_shows_how_it_trained(results: Path) -> None:
    for run in ("sft", "otr"):
        folder = results / "train" / "small" / run
        steps = lines(folder / "metrics.jsonl")
        assert [step["step"] for step in steps] == list(range(1, 13))
        assert {"loss", "nll", "gt_count", "gt_probability", "entropy", "learning_rate"} <= set(steps[0])
        assert (folder / "checkpoint" / "model.safetensors").exists()
        assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
        assert not (folder / ".resume").exists()


def test_the_selected_table_is_a_copy(built: Checkout, results: Path) -> None:
    assert (built.folder / "results/table1.md").read_bytes() == (results / "tables" / "table1.md").read_bytes()
    assert "micro" in (built.folder / "results/table1.md").read_text()


def test_logs_hold_the_chatter(built: Checkout, results: Path) -> None:
    assert {"generate.log", "base-small.log", "train-small-otr.log", "sample-all-small-otr.log"} <= {
        file.name for file in (results / "logs").iterdir()
    }


def test_programs_and_letters_have_verdicts_of_their_judges(results: Path) -> None:
    code = json.loads((results / "eval" / "small" / "base" / "completions" / "score.json").read_text())
    assert code["metric"].startswith("pass@1") and code["details"]["sandbox"]
    general = json.loads((results / "eval" / "small" / "base" / "choices" / "score.json").read_text())
    assert general["metric"] == "exact match" and 10 < general["details"]["chance"] < 50


def test_everything_a_reader_looks_at_is_there(built: Checkout, results: Path) -> None:
    top = built.folder / "results"
    for name in ("table1.md", "table2.md", "comparison.md", "paper_audit.md", "figure2.png", "report.html"):
        assert (top / name).stat().st_size > 500, name
    page = (top / "report.html").read_text()
    assert "Qwen3-0.4M" in page and "base-tuned" in page
    overlap = json.loads((results / "data" / "slips" / "overlap.json").read_text())
    assert overlap
