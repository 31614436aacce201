"""Programs judged by evalplus: canonical ones pass, changed ones fail, and score.json adds up."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from evaluation.code.sandboxes import TOOLS, available

from otr import config
from otr.errors import UserError
from otr.evaluation.code.__main__ import main
from otr.evaluation.code.sandbox.sandbox import choose
from otr.evaluation.code.verdicts import Task, grade, with_types
from otr.evaluation.problems import main as make_problems
from otr.files import read_json, read_jsonl, write_jsonl, write_record
from otr.results.integrity import hashes

MICRO = config.experiment_file("micro")
SQUARES = {
    "task_id": "HumanEval/0",
    "prompt": "def squares(n):\n",
    "entry_point": "squares",
    "canonical_solution": "    return [float(i) ** 2 for i in range(n)]\n",
    "base_input": [[3]],
    "plus_input": [[0], [5]],
    "atol": 0,
}


def outcomes(dataset: str, row: dict[str, Any], *solutions: str) -> list[str]:
    (found,) = grade([Task(dataset, row, solutions)], choose(allow_unsandboxed=True), workers=1)
    return [outcome.reason for outcome in found]


def test_the_verdict_is_on_values_as_evalplus_compares_them() -> None:
    head = "def squares(n):\n    "
    assert outcomes(
        "humaneval",
        SQUARES,
        head + "return [i * i for i in range(n)]",
        head + "return [i * i + 1e-9 for i in range(n)]",
        head + "return tuple(float(i * i) for i in range(n))",
        head + "return [i * i + 1e-3 for i in range(n)]",
        head + "return 1 / 0",
        "import numpy\n" + head + "return [numpy.float64(i * i) for i in range(n)]",
    ) == ["pass", "pass", "fail", "fail", "error", "pass"]


def test_base_and_extra_tests_are_told_apart() -> None:
    solution = "def squares(n):\n    return [0.0, 1.0, 4.0] if n == 3 else None\n"
    ((outcome,),) = grade([Task("humaneval", SQUARES, (solution,))], choose(allow_unsandboxed=True), workers=1)
    assert (outcome.base, outcome.plus, outcome.correct, outcome.reason) == (True, False, False, "fail")


def test_the_special_oracles_of_evalplus_hold() -> None:
    """The function's name decides: lists compared as sets, anything but None, any root of a polynomial."""
    row = SQUARES | {"task_id": "Mbpp/1000", "prompt": '"""Words."""\n', "base_input": [["a bb ccc"]], "plus_input": []}
    words = row | {
        "entry_point": "find_char_long",
        "canonical_solution": "def find_char_long(s):\n    return s.split()\n",
    }
    backwards = "def find_char_long(s):\n    return iter(s.split()[::-1])\n"
    assert outcomes("mbpp", words, backwards, backwards.replace("::-1", "1:")) == ["pass", "fail"]
    match = "import re\ndef check_str(s):\n    return re.match('a', s)\n"
    matched = row | {"entry_point": "check_str", "canonical_solution": match}
    assert outcomes("mbpp", matched, match, "def check_str(s):\n    return None\n") == ["pass", "fail"]
    root = {"prompt": "def find_zero(xs):\n", "entry_point": "find_zero", "canonical_solution": "    return 2.0\n"}
    roots = SQUARES | root | {"base_input": [[[-6, 1, 1]]], "plus_input": [], "atol": 1e-4}
    other = "def find_zero(xs):\n    return -3.0\n"
    assert outcomes("humaneval", roots, other, other.replace("-3", "-2")) == ["pass", "fail"]


def test_a_program_that_sleeps_is_a_timeout_at_once_and_the_rest_is_judged() -> None:
    """A second try is for programs that other processes kept from their processor."""
    slow = "import time\ndef squares(n):\n    time.sleep(30)\n"
    good = SQUARES["prompt"] + SQUARES["canonical_solution"]
    started = time.monotonic()
    assert outcomes("humaneval", SQUARES, slow, good) == ["timeout", "pass"]
    assert 4 <= time.monotonic() - started < 25


def test_inputs_have_evalplus_types() -> None:
    row = SQUARES | {"task_id": "Mbpp/2", "base_input": [[[1, 2], [2]]], "plus_input": []}
    assert with_types("mbpp", row)["base_input"] == [[(1, 2), (2,)]]
    assert row["base_input"] == [[[1, 2], [2]]]


def test_a_grader_loads_none_of_the_large_libraries() -> None:
    """evalplus forks it for every check: with them a fork takes 26 ms, without 5."""
    program = f"""
import sys
from otr.evaluation.code.sandbox.sandbox import choose
from otr.evaluation.code.verdicts import Task, grade_task
row = {SQUARES!r}
solution = row["prompt"] + row["canonical_solution"]
print([grade_task(Task(name, row, (solution,)), choose(True))[0].reason for name in ("humaneval", "mbpp")])
print([name for name in ("datasets", "pandas", "pyarrow", "torch", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['pass', 'pass']", "[]"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"canonical_solution": "    return nothing\n"}, "HumanEval/0: its canonical solution fails .*error"),
        ({"entry_point": "os.system"}, "HumanEval/0: entry_point 'os.system'"),
        ({"plus_input": None}, "HumanEval/0: no column 'plus_input'"),
    ],
)
def test_a_bad_row_is_an_error_of_one_line(change: dict[str, Any], message: str) -> None:
    row = {name: value for name, value in (SQUARES | change).items() if value is not None}
    with pytest.raises(UserError, match=message):
        outcomes("humaneval", row, "x = 1\n")


def all_canonical(dataset: str, file: Path, kind: str, limit: int | None = None) -> None:
    """All canonical solutions pass; each followed by a function of the same name that returns nothing fails."""
    sandbox = available(kind)
    rows = list(read_jsonl(file))[:limit]
    good = [row["prompt"] + row["canonical_solution"] for row in rows]
    bad = [f"{text}\ndef {row['entry_point']}(*arguments): return None\n" for text, row in zip(good, rows, strict=True)]
    tasks = [Task(dataset, row, pair) for row, pair in zip(rows, zip(good, bad, strict=True), strict=True)]
    found = grade(tasks, sandbox, workers=2)
    always_right = [row["task_id"] for row in rows if row["entry_point"] == "are_equivalent"]  # says evalplus
    assert [row["task_id"] for row, (right, _) in zip(rows, found, strict=True) if not right.correct] == []
    assert [row["task_id"] for row, (_, wrong) in zip(rows, found, strict=True) if wrong.correct] == always_right


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOOLS)
@pytest.mark.parametrize(("dataset", "name"), [("humaneval", "completions"), ("mbpp", "functions")])
def test_generated_canonical_solutions_pass(dataset: str, name: str, kind: str, generated: Path) -> None:
    all_canonical(dataset, generated / "benchmarks" / f"{name}.jsonl", kind)


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "name"), [("humaneval", "humanevalplus_60"), ("mbpp", "mbppplus_80")])
def test_real_canonical_solutions_pass(dataset: str, name: str, real_rows: Path) -> None:
    all_canonical(dataset, real_rows / f"{name}.jsonl", choose(allow_unsandboxed=False).kind)


def answers(row: dict[str, Any]) -> list[str]:
    """Four completions of the chat protocol: right, right, wrong, nothing."""
    whole = row["prompt"] + row["canonical_solution"]
    wrong = f"{whole}\ndef {row['entry_point']}(*arguments): return None\n"
    return [f"Here it is:\n```python\n{whole}```\n", f"```python\n{whole}", f"```\n{wrong}```", " "]


@pytest.fixture
def sampled(generated: Path, tmp_path: Path) -> Path:
    """A tree with problems/ and eval/ for the two micro benchmarks, three problems each."""
    for name in ("completions", "functions"):
        problems = tmp_path / "problems" / name
        made = ["--experiment", str(MICRO), "--benchmark", name, "--generated", str(generated), "--out", str(problems)]
        make_problems(made)
        rows = list(read_jsonl(problems / "problems.jsonl"))[:3]
        write_jsonl(problems / "problems.jsonl", rows)
        digests = hashes(problems / "problems.jsonl", problems / "demonstrations.jsonl")
        write_record(problems / "summary.json", {"benchmark": name, **digests})
        (problems / "summary.json").unlink()  # which speaks of all problems
        samples = tmp_path / "eval" / name / "samples.jsonl.gz"
        write_jsonl(
            samples,
            [
                {
                    "problem": row["id"],
                    "sample": number,
                    "seed": number,
                    "prompt": row["problem"],
                    "completion": text,
                    "finish": "length" if number == 1 else "stop",
                    "tokens": 10 * (number + 1),
                }
                for row in rows
                for number, text in enumerate(answers(row["row"]))
            ],
        )
        decoding = {"temperature": 0.7, "top_p": 0.8, "max_tokens": 96, "stop_ids": [0], "stop_texts": []}
        sampling = {"decoding": decoding, "dtype": "float32", "engine": "transformers"}
        sampling |= {"example_prompt": rows[0]["problem"], "checkpoint_sha256": "0"}
        write_record(samples.parent / "sampling.json", sampling | hashes(samples))
    return tmp_path


def test_the_stage_writes_verdicts_and_scores(sampled: Path, capfd: pytest.CaptureFixture[str]) -> None:
    experiment = config.load(MICRO)
    model, run = next(iter(experiment.models)), next(iter(experiment.methods))
    arguments = ["--experiment", str(MICRO), "--model", model, "--run", run, "--workers", "2", "--allow-unsandboxed"]
    arguments += ["--problems", str(sampled / "problems"), "--evaluation", str(sampled / "eval")]
    main([*arguments, "--benchmarks", "completions", "functions"])
    assert f"grade {model} {run}: " in capfd.readouterr().err
    for name in ("completions", "functions"):
        verdicts = list(read_jsonl(sampled / "eval" / name / "verdicts.jsonl.gz"))
        assert [verdict["correct"] for verdict in verdicts] == [True, True, False, False] * 3
        assert [verdict["how"] for verdict in verdicts] == ["block", "unclosed-block", "block", "none"] * 3
        assert [verdict["reason"] for verdict in verdicts] == ["pass", "pass", "fail", "no-answer"] * 3
        score = read_json(sampled / "eval" / name / "score.json")
        assert (score["metric"], score["score"], score["problems"], score["samples"]) == ("pass@1", 50.0, 3, 12)
        assert score["standard_error"] == 0
        details = score["details"]
        assert (details["n"], details["base"], details["truncated"], details["no_answer"]) == (4, 50.0, 25.0, 25.0)
        assert details["pass_at"] == {"1": 50.0, "2": pytest.approx(100 * (1 - 1 / 6)), "4": 100.0}
        assert details["sandbox"] in ("bubblewrap", "unshare", "none") and details["evalplus"] == "0.3.1"


def test_a_machine_without_a_sandbox_is_told_so(
    sampled: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    arguments = ["--experiment", str(MICRO), "--model", "small", "--run", "otr", "--benchmarks", "functions"]
    arguments += ["--problems", str(sampled / "problems"), "--evaluation", str(sampled / "eval")]
    with pytest.raises(SystemExit):
        main(arguments)
    assert "error: no sandbox for generated code" in capfd.readouterr().err
    assert not (sampled / "eval" / "functions" / "score.json").exists()
