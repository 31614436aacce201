"""Benchmark rows to problems, on the generated rows and on real ones."""

import json
from pathlib import Path

import pytest

from otr import config
from otr.data.sources import EVALPLUS_COLUMNS, Folders
from otr.errors import UserError
from otr.evaluation.problems import demonstrations, main, problems

MICRO = config.experiment_file("micro")
NEEDS = {"math": "gold", "general": "gold", "code": "row"}


def test_every_micro_benchmark_is_read(generated: Path) -> None:
    experiment = config.load(MICRO)
    folders = Folders(Path("unused"), generated)
    for name, benchmark in experiment.benchmarks.items():
        found = problems(benchmark, folders)
        assert len(found) >= 20, name
        assert all(row["problem"] and row[NEEDS[benchmark.kind]] for row in found), name


def test_every_real_benchmark_is_read(real_rows: Path) -> None:
    experiment = config.load(config.experiment_file("qwen"))
    folders = Folders(real_rows, Path("unused"))
    for name, benchmark in experiment.benchmarks.items():
        whole = benchmark.model_copy(update={"limit": None})
        found = problems(whole, folders)
        assert len(found) >= 30, name
        assert all(row["problem"] and row[NEEDS[benchmark.kind]] for row in found), name


def test_real_demonstrations_end_in_a_box(real_rows: Path) -> None:
    source = config.Source(path="gsm8k_train*.jsonl")
    few_shot = config.FewShot(source=source, problem="question", solution="answer", style="gsm8k")
    shots = demonstrations(few_shot, Folders(real_rows, Path("unused")))
    assert len(shots) == 5
    assert all("<<" not in shot["solution"] and shot["solution"].endswith("}.") for shot in shots)


def test_limit_takes_the_first_rows(generated: Path) -> None:
    benchmark = config.load(MICRO).benchmarks["sums"]
    folders = Folders(Path("unused"), generated)
    everything = problems(benchmark, folders)
    assert problems(benchmark.model_copy(update={"limit": 3}), folders) == everything[:3]


def test_too_few_demonstrations_are_refused(generated: Path) -> None:
    few_shot = config.load(MICRO).benchmarks["stories"].few_shot
    assert few_shot is not None
    with pytest.raises(UserError, match="100 demonstrations are asked for, the source has 5"):
        demonstrations(few_shot.model_copy(update={"count": 100}), Folders(Path("unused"), generated))


def test_an_unreadable_answer_names_its_row(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"q": "1+1?", "a": "so 2\\n#### 2"}\n{"q": "2+2?", "a": "four"}\n')
    benchmark = config.Benchmark(
        label="Toy",
        source=config.Source(path="rows.jsonl"),
        problem="q",
        gold=config.Gold(column="a", style="after-hashes"),
        samples=1,
    )
    with pytest.raises(UserError, match="benchmark 'Toy', row 1: .*'a'"):
        problems(benchmark, Folders(tmp_path, tmp_path))


def test_the_stage_writes_both_files(generated: Path, tmp_path: Path) -> None:
    out = tmp_path / "stories"
    main(["--experiment", str(MICRO), "--benchmark", "stories", "--generated", str(generated), "--out", str(out)])
    first = json.loads((out / "problems.jsonl").read_text().splitlines()[0])
    assert set(first) == {"id", "problem", "gold"}
    assert len((out / "demonstrations.jsonl").read_text().splitlines()) == 2


def choice(folder: Path, rows: list[dict[str, object]], **settings: object) -> list[dict[str, object]]:
    """The problems made of rows of a multiple-choice benchmark."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    benchmark = config.Benchmark(
        label="Toy", source=config.Source(path="rows.jsonl"), scorer="choice", problem="q", options="o",
        gold=config.Gold(column="a"), samples=1, **settings,
    )  # fmt: skip
    return problems(benchmark, Folders(folder, folder))


def test_options_of_public_schemas_make_the_same_problem(tmp_path: Path) -> None:
    shapes: list[tuple[object, object]] = [
        (["red", "blue"], "B"),
        (["red", "blue"], 1),
        ({"text": ["red", "blue"], "label": ["1", "2"]}, "2"),
        ({"A": "red", "B": "blue"}, "B"),
        ([{"text": "red", "label": "A"}, {"text": "blue", "label": "B"}], "B"),
    ]
    for options, gold in shapes:
        [problem] = choice(tmp_path, [{"q": "Which?", "o": options, "a": gold}])
        assert problem == {"id": "0", "problem": "Which?\nOptions:\nA. red\nB. blue", "gold": "B", "options": 2}
    with pytest.raises(UserError, match="benchmark 'Toy', row 0: column 'o' holds a text"):
        choice(tmp_path, [{"q": "Which?", "o": "red or blue", "a": "A"}])


def test_own_ids_are_kept_and_may_not_repeat(tmp_path: Path) -> None:
    """Two rows of one id would share their completions."""
    rows: list[dict[str, object]] = [{"q": "Which?", "o": ["red", "blue"], "a": "A", "uid": uid} for uid in (7, "x/8")]
    assert [row["id"] for row in choice(tmp_path, rows, id="uid")] == ["7", "x/8"]
    with pytest.raises(UserError, match="row 2: the id '7' is also that of row 0"):
        choice(tmp_path, [*rows, rows[0]], id="uid")
    with pytest.raises(UserError, match="row 0: has no column 'uuid'"):
        choice(tmp_path, rows, id="uuid")


def test_a_repeated_task_id_is_refused(tmp_path: Path) -> None:
    row = dict.fromkeys(EVALPLUS_COLUMNS, "x")
    (tmp_path / "rows.jsonl").write_text((json.dumps(row) + "\n") * 2)
    benchmark = config.Benchmark(
        label="Toy", source=config.Source(path="rows.jsonl"), scorer="humaneval", problem="prompt", samples=1
    )
    with pytest.raises(UserError, match="row 1: the id 'x' is also that of row 0"):
        problems(benchmark, Folders(tmp_path, tmp_path))


@pytest.mark.parametrize("value", ["", ["a"], {"a": 1}, True])
def test_a_problem_is_a_text(tmp_path: Path, value: object) -> None:
    with pytest.raises(UserError, match="benchmark 'Toy', row 0: column 'q'"):
        choice(tmp_path, [{"q": value, "o": ["red", "blue"], "a": "A"}])
