"""Damage to each kind of file of a results tree: what `otr verify` finds, and that readers refuse it.

docs/faults.md is the table of these; a test holds it and FAULTS together.
"""

import gzip
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from checkouts import MICRO, ROOT

from otr import config
from otr.command.finished import Finished
from otr.data.micro import __main__ as world
from otr.data.overlap import main as write_overlap
from otr.evaluation.shares import right_shares
from otr.figures import figure2
from otr.files import Row, read_record, write_jsonl, write_record
from otr.report.__main__ import write as write_report
from otr.results.integrity import hashes
from otr.tables import comparison, render
from otr.tables.table import experiment_table
from otr.verify import main, verify

EXPERIMENT = config.load(ROOT / MICRO)
MODEL, RUN, BENCHMARK = (
    EXPERIMENT.tables["table1"].models[0],
    next(iter(EXPERIMENT.methods)),
    EXPERIMENT.tables["table1"].benchmarks[0],
)
DATASET = EXPERIMENT.training.dataset
CELL = f"eval/{MODEL}/{RUN}/{BENCHMARK}"
LENGTHS = {"minimum": 1, "median": 1, "maximum": 1, "total": 1, "edges": [1, 2], "histogram": [1]}
COMPLETION = {"prompt": "1 + 1?", "completion": "2", "seed": 0, "finish": "stop", "tokens": 1}
READ = {"gold": ["2"], "answer": "2", "how": "anchor", "reason": "same"}
TRAINED = f"train/{MODEL}/{RUN}"


@pytest.fixture(scope="module", autouse=True)
def small_world() -> Iterator[None]:
    """The generator writes as much as a test needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "DOCUMENTS", 50)
        patch.setattr(world, "TUNING_ROWS", 50)
        yield


@pytest.fixture
def tree(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made.parent, tmp_path / "results", copy_function=shutil.copy)
    return tmp_path / "results" / made.name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One row, one training, one cell and its table, as the stages write them."""
    folder = tmp_path_factory.mktemp("made") / "results" / EXPERIMENT.name
    data = folder / "data" / DATASET
    data.mkdir(parents=True)
    pd.DataFrame([{"id": 0, "problem": "1 + 1?", "response": "2", "tokens": 1}]).to_parquet(data / "train.parquet")
    write_record(data / "summary.json", {"examples": 1, "response_tokens": LENGTHS} | hashes(data / "train.parquet"))
    trained = {run: _training(folder / "train" / MODEL / run) for run in ("base", RUN)}
    base = {"base_sha256": trained["base"]["sha256"]["checkpoint"]}
    write_record(folder / TRAINED / "run.json", {"model": MODEL, "run": RUN} | base | trained[RUN])
    Finished(folder / TRAINED, ["checkpoint", "metrics.jsonl", "run.json"], {}, "train").keep()
    _problems(folder / "problems" / BENCHMARK)
    _cell(folder / CELL, trained[RUN]["sha256"]["checkpoint"])
    _overlap(folder)
    world.generate(EXPERIMENT.seed, folder / "generated")
    render.write(experiment_table(EXPERIMENT, "table1", folder.parent), folder / "tables")
    comparison.write(EXPERIMENT, folder.parent, folder / "tables")
    figure2.write(EXPERIMENT, folder.parent, folder / "figures")
    write_report(EXPERIMENT, folder.parent, folder / "report.html")
    return folder


def _overlap(folder: Path) -> None:
    places = ["--train", str(folder / "data" / DATASET / "train.parquet"), "--problems", str(folder / "problems")]
    out = ["--benchmarks", BENCHMARK, "--out", str(folder / "data" / DATASET / "overlap.json")]
    write_overlap(["--experiment", str(ROOT / MICRO), "--dataset", DATASET, *places, *out])


def _training(folder: Path) -> Row:
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "model.safetensors").write_bytes(bytes(range(200)))
    write_jsonl(folder / "metrics.jsonl", [{"step": 1, "loss": 0.5, "nll": 0.5, "gt_count": 200.0}])
    found = hashes(folder / "checkpoint", folder / "metrics.jsonl")
    write_record(folder / "run.json", {"model": MODEL, "run": folder.name} | found)
    return found


def _problems(folder: Path) -> None:
    write_jsonl(folder / "problems.jsonl", [{"id": str(n), "problem": f"{n} + 1?"} for n in range(4)])
    write_jsonl(folder / "demonstrations.jsonl", [])
    write_record(folder / "summary.json", hashes(folder / "problems.jsonl", folder / "demonstrations.jsonl"))


def _cell(folder: Path, checkpoint: str) -> None:
    rows: list[Row] = [{"problem": str(n), "sample": 0} for n in range(4)]
    write_jsonl(folder / "samples.jsonl.gz", [row | COMPLETION for row in rows])
    samples = hashes(folder / "samples.jsonl.gz")
    write_record(folder / "sampling.json", {"checkpoint_sha256": checkpoint} | samples)
    write_jsonl(folder / "verdicts.jsonl.gz", [row | {"correct": n == 1} | READ for n, row in enumerate(rows)])
    shares = right_shares([[n == 1] for n in range(4)])
    figures = {"score": shares["mean_at_k"], "standard_error": shares["standard_error"], "problems": 4, "samples": 4}
    names = {"experiment": EXPERIMENT.name, "model": MODEL, "run": RUN, "benchmark": BENCHMARK}
    where = {"provenance": {"samples_sha256": samples["sha256"]["samples.jsonl.gz"]}, "protocol": {}}
    write_record(folder / "score.json", names | figures | where | hashes(folder / "verdicts.jsonl.gz"))


def flip(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def raise_score(path: Path) -> None:
    """By hand: 25.0 becomes 75.0."""
    text = path.read_text()
    assert '"score": 25.0' in text
    path.write_text(text.replace('"score": 25.0', '"score": 75.0'))


def forge_score(path: Path) -> None:
    """With a checksum that fits."""
    write_record(path, read_record(path) | {"score": 75.0})


def better_verdicts(path: Path) -> None:
    text = gzip.decompress(path.read_bytes()).replace(b"false", b"true")
    path.write_bytes(gzip.compress(text))


def swap(path: Path) -> None:
    """A whole file of another run, with its own record."""
    write_record(path, read_record(path) | {"run": "base", "checkpoint_sha256": "0" * 64, "train_sha256": ""})


def edit_table(path: Path) -> None:
    path.write_text(path.read_text() + "By hand.\n")


FAULTS: dict[tuple[str, str], tuple[str, Callable[[Path], None], str]] = {
    ("train.parquet", "changed byte"): (f"data/{DATASET}/train.parquet", flip, "train.parquet: was damaged or changed"),
    ("train.parquet", "missing"): (f"data/{DATASET}/train.parquet", delete, "train.parquet: is missing"),
    ("summary.json", "changed byte"): (f"data/{DATASET}/summary.json", flip, "summary.json: "),
    ("weights", "changed byte"): (f"{TRAINED}/checkpoint/model.safetensors", flip, "checkpoint: was damaged"),
    ("weights", "empty"): (f"{TRAINED}/checkpoint/model.safetensors", empty, "checkpoint: was damaged or changed"),
    ("base weights", "changed byte"): (
        f"train/{MODEL}/base/checkpoint/model.safetensors", flip, "base/checkpoint: was damaged or changed"),
    ("run.json", "changed byte"): (f"{TRAINED}/run.json", flip, "run.json: "),
    ("metrics.jsonl", "empty"): (f"{TRAINED}/metrics.jsonl", empty, "metrics.jsonl: was damaged or changed"),
    (".finished", "changed byte"): (f"{TRAINED}/.finished", lambda path: flip(next(path.rglob("*.safetensors"))),
        "model.safetensors: is damaged or missing"),
    ("problems.jsonl", "changed byte"): (f"problems/{BENCHMARK}/problems.jsonl", flip, "problems.jsonl: was damaged"),
    ("samples.jsonl.gz", "changed byte"): (f"{CELL}/samples.jsonl.gz", flip, "samples.jsonl.gz: was damaged"),
    ("sampling.json", "of another run"): (f"{CELL}/sampling.json", swap, "checkpoint_sha256 is not that of"),
    ("verdicts.jsonl.gz", "empty"): (f"{CELL}/verdicts.jsonl.gz", empty, "verdicts.jsonl.gz: was damaged or changed"),
    ("verdicts.jsonl.gz", "edited"): (f"{CELL}/verdicts.jsonl.gz", better_verdicts, "verdicts.jsonl.gz: was damaged"),
    ("score.json", "edited"): (f"{CELL}/score.json", raise_score, "score.json: was edited or damaged"),
    ("score.json", "forged"): (f"{CELL}/score.json", forge_score, "score is 75.0, its verdicts give 25.0"),
    ("score.json", "of another run"): (f"{CELL}/score.json", swap, f"is the score of {MODEL}/base/{BENCHMARK}"),
    ("table", "edited"): ("tables/table1.md", edit_table, "table1.md: is not what this code makes of the results"),
    ("comparison", "edited"): ("tables/comparison.md", edit_table, "comparison.md: is not what this code makes"),
    ("figure 2", "changed byte"): ("figures/figure2.svg", flip, "figure2.svg: is not what this code makes"),
    ("report.html", "changed byte"): ("report.html", flip, "report.html: is not what this code makes"),
    ("overlap.md", "edited"): (f"data/{DATASET}/overlap.md", edit_table, "overlap.md: is not what overlap.json says"),
    ("overlap.json", "of other rows"): (f"data/{DATASET}/overlap.json", swap, "train_sha256 is not that of"),
    ("generated rows", "changed byte"): ("generated/tuning.jsonl", flip, "tuning.jsonl: is not what this code makes"),
}  # fmt: skip
"""(kind of file, fault) -> the file, what is done to it, a part of the finding."""
DRAWN = {"table", "comparison", "figure 2", "report.html", "generated rows"}
"""What is made again and compared, which takes a second or two; the other faults are found without."""


def test_an_undamaged_tree_holds(tree: Path) -> None:
    checks = verify(tree, EXPERIMENT)
    assert checks.found == []
    assert checks.count > 10


@pytest.mark.parametrize("fault", FAULTS, ids=" ".join)
def test_damage_is_found(tree: Path, fault: tuple[str, str]) -> None:
    place, damage, expected = FAULTS[fault]
    damage(tree / place)
    found = verify(tree, EXPERIMENT if fault[0] in DRAWN else None).found
    assert any(expected in line for line in found), found
    assert all("\n" not in line and str(tree.parent) in line for line in found)
    assert any(re.search(r"delete|run again", line) for line in found)


def test_a_time_that_was_set_back_hides_nothing(tree: Path) -> None:
    path = tree / TRAINED / "checkpoint" / "model.safetensors"
    assert verify(tree, None).found == []
    times = path.stat()
    flip(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert verify(tree, None).found


def test_the_command_says_what_was_checked(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tree)])
    assert re.fullmatch(r"\d+ checks hold\n", capsys.readouterr().out)
    raise_score(tree / CELL / "score.json")
    with pytest.raises(SystemExit) as ended:
        main([str(tree)])
    said = capsys.readouterr().out
    assert ended.value.code == 1 and "findings in" in said and "score.json: was edited or damaged" in said


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_that_holds_no_results_is_an_error(tmp_path: Path, folder: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / folder)])
    assert ended.value.code == 2


def test_the_documented_table_is_this_one() -> None:
    """Each row of docs/faults.md that names a kind of result and a fault is tried here, and the other way round."""
    text = (ROOT / "docs" / "faults.md").read_text()
    block = text[text.index("## Results") : text.index("## ", text.index("## Results") + 3)]
    rows = re.findall(r"^\| `?([^|`]+?)`? \| ([^|]+?) \|", block, re.MULTILINE)
    documented = {(kind, fault) for kind, fault in rows if kind not in ("file", "---")}
    assert documented == set(FAULTS)
