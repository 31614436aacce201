"""General benchmarks: completions through lm-eval to scores, in generated and real rows."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otr import config
from otr.data.sources import Folders
from otr.errors import UserError
from otr.evaluation.general.__main__ import chance, completion_text, figures, matches, verdicts
from otr.evaluation.problems import main as make_problems
from otr.evaluation.problems import problems
from otr.evaluation.scorefile import Samples
from otr.files import read_json, read_jsonl
from otr.results import SamplingFile

MICRO = config.experiment_file("micro")
EXPERIMENT = config.load(MICRO)


def answered(rows: list[dict[str, Any]], texts: list[list[str]], finish: str = "stop") -> Samples:
    """Problems with completions as sampling writes them."""
    samples = [
        {"problem": row["id"], "sample": number, "prompt": "?", "completion": text, "finish": finish, "tokens": 3}
        for row, own in zip(rows, texts, strict=True)
        for number, text in enumerate(own)
    ]
    return Samples({row["id"]: row for row in rows}, samples, SamplingFile())


def test_letters_are_matched_by_lm_eval(generated: Path) -> None:
    benchmark = EXPERIMENT.benchmarks["choices"]
    rows = problems(benchmark, Folders(Path("unused"), generated))[:6]
    wrong = ["A" if row["gold"] != "A" else "B" for row in rows]
    texts = [[f"The answer is ({row['gold']}).", f"The answer is ({w})."] for row, w in zip(rows, wrong, strict=True)]
    read = answered(rows, texts)
    right = matches(benchmark, read)
    assert right == [True, False] * 6
    lines = verdicts(benchmark, read, right)
    assert {line["how"] for line in lines} == {"anchor"}
    assert [line["reason"] for line in lines] == ["same", "different"] * 6
    found = figures(read, lines)
    shares = found.shares
    assert (shares["mean_at_k"], found.metric, shares["problems"], shares["k"]) == (50, "exact match, mean of 2", 6, 2)
    assert shares["standard_error"] == 0
    assert set(found.details["by_category"]) == {row["category"] for row in rows}


def test_a_cut_completion_has_no_answer(generated: Path) -> None:
    benchmark = EXPERIMENT.benchmarks["choices"]
    rows = problems(benchmark, Folders(Path("unused"), generated))[:2]
    read = answered(rows, [[f"The answer is ({row['gold']})."] for row in rows], finish="length")
    right = matches(benchmark, read)
    lines = verdicts(benchmark, read, right)
    assert right == [False, False]
    assert {line["reason"] for line in lines} == {"truncated"}
    assert figures(read, lines).details["truncated"] == 100
    assert completion_text(read.samples[0]) == ""


def test_completions_without_text_are_counted(generated: Path) -> None:
    benchmark = EXPERIMENT.benchmarks["choices"]
    rows = problems(benchmark, Folders(Path("unused"), generated))[:1]
    read = answered(rows, [["", " \n\t", "\u3000", "."]])
    assert figures(read, verdicts(benchmark, read, matches(benchmark, read))).empty == 3


def test_bbeh_answers_are_matched_by_its_own_equalities(real_rows: Path) -> None:
    bbeh = config.Benchmark(
        label="BBEH mini",
        source=config.Source(path="bbeh_mini_120.jsonl"),
        scorer="bbeh",
        problem="input",
        gold=config.Gold(column="target"),
        samples=1,
    )
    rows = problems(bbeh, Folders(real_rows, Path("unused")))
    assert len(rows) == 120
    read = answered(rows, [[f"Some steps.\nThe answer is: {row['gold'].upper()}."] for row in rows])
    assert sum(matches(bbeh, read)) == 120
    other = [rows[(number + 1) % 120]["gold"] for number in range(120)]
    read = answered(rows, [[f"The answer is: {text}."] for text in other])
    same = sum(a["gold"].lower() == b.lower() for a, b in zip(rows, other, strict=True))
    assert same <= sum(matches(bbeh, read)) <= same + 3


def test_real_multiple_choice_rows_are_read(real_rows: Path) -> None:
    benchmark = config.Benchmark(
        label="MMLU-Pro",
        source=config.Source(path="mmlu_pro_200.jsonl"),
        scorer="choice",
        problem="question",
        options="options",
        gold=config.Gold(column="answer"),
        category="category",
        samples=1,
    )
    rows = problems(benchmark, Folders(real_rows, Path("unused")))
    assert len(rows) == 199  # one of the 200 lines is an empty object
    assert all("\nOptions:\nA. " in row["problem"] for row in rows)
    assert 10 <= chance(rows) < 13


def test_a_letter_beyond_the_options_names_its_row(tmp_path: Path) -> None:
    row = {"question": "?", "options": ["x", "y"], "answer": "C"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    benchmark = config.Benchmark(
        label="Toy",
        source=config.Source(path="rows.jsonl"),
        scorer="choice",
        problem="question",
        options="options",
        gold=config.Gold(column="answer"),
        samples=1,
    )
    with pytest.raises(
        UserError, match="benchmark 'Toy', row 0: column 'answer': one of the labels A, B is needed, found 'C'"
    ):
        problems(benchmark, Folders(tmp_path, tmp_path))


def test_chance_counts_what_is_lettered() -> None:
    rows = [
        {"gold": "(B)", "problem": "(A) x (B) y (C) z (D) w"},
        {"gold": "12", "problem": "(A) or (B)?"},
        {"gold": "C", "problem": "?", "options": 10},
    ]
    assert chance(rows) == pytest.approx(100 * (0.25 + 0 + 0.1) / 3)


def test_harmonic_mean_and_mini_set() -> None:
    rows = [
        {"id": str(n), "problem": "?", "gold": "x", "category": c, "mini": n % 2 == 0} for n, c in enumerate("aabb")
    ]
    read = answered(rows, [["x"]] * 4)
    lines = [{"correct": c, "how": "anchor", "reason": "same"} for c in (True, False, False, False)]
    details = figures(read, lines).details
    assert details["by_category"] == {"a": 50.0, "b": 0.0}
    assert details["harmonic_mean"] == pytest.approx(2 / (1 / 51 + 1 / 1))
    assert (details["mini"], details["mini_problems"]) == (50.0, 2)


@pytest.mark.slow
def test_lm_evals_own_sampling_gives_the_same_score(generated: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Our completions under our task file, against lm-eval drawing them itself with its transformers backend."""
    name = "puzzles"
    rows = tmp_path / "problems" / name
    make_problems(["--experiment", str(MICRO), "--benchmark", name, "--generated", str(generated), "--out", str(rows)])
    lines = (rows / "problems.jsonl").read_text().splitlines(keepends=True)[:12]
    (rows / "problems.jsonl").write_text("".join(lines))
    (rows / "summary.json").unlink()  # it describes all of them
    common = ["--experiment", str(MICRO), "--model", "small", "--run", "base", "--benchmarks", name]
    common += ["--problems", str(tmp_path / "problems")]
    evaluation = tmp_path / "eval"
    sample = [sys.executable, "-m", "otr.evaluation.sample", *common, "--checkpoint", str(tiny_checkpoint)]
    subprocess.run([*sample, "--engine", "transformers", "--out", str(evaluation)], check=True, timeout=300)
    judge = [sys.executable, "-m", "otr.evaluation.general", *common, "--evaluation", str(evaluation)]
    subprocess.run(judge, check=True, timeout=300)
    ours = [row["completion"] for row in read_jsonl(evaluation / name / "samples.jsonl.gz")]
    theirs, match = lm_eval_alone(evaluation / name, rows, tiny_checkpoint, tmp_path)
    assert theirs == ours
    assert match == pytest.approx(read_json(evaluation / name / "score.json")["score"] / 100)


def lm_eval_alone(evaluation: Path, rows: Path, checkpoint: Path, folder: Path) -> tuple[list[str], float]:
    """Completions and exact match of lm-eval's transformers backend on our task file."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    from otr.evaluation.general.__main__ import TASKS, task_rows
    from otr.evaluation.scorefile import read_samples
    from otr.files import write_jsonl

    write_jsonl(folder / "rows.jsonl", task_rows(read_samples(rows, evaluation)))
    found = simple_evaluate(
        "hf",
        model_args={"pretrained": str(checkpoint), "dtype": "float32", "device": "cpu"},
        tasks=["otr_bbeh"],
        task_manager=TaskManager(
            include_path=str(TASKS), include_defaults=False, metadata={"rows": str(folder / "rows.jsonl")}
        ),
        gen_kwargs="max_gen_toks=128,until=Question:",
        bootstrap_iters=0,
    )
    assert found is not None
    logged = sorted(found["samples"]["otr_bbeh"], key=lambda line: line["doc"]["row"])
    return [line["resps"][0][0] for line in logged], found["results"]["otr_bbeh"]["exact_match,last-answer"]
