"""Damage to each kind of file of a results tree: what `otr verify` finds, and that readers refuse it.

docs/faults.md is the table of these; a test holds it and FAULTS together.
"""

import gzip
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from checkouts import MICRO, ROOT

from otr import config
from otr.command.finished import Finished
from otr.evaluation.shares import right_shares
from otr.files import Row, read_record, write_jsonl, write_record
from otr.results.integrity import hashes
from otr.tables import render
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
TRAINED = f"train/{MODEL}/{RUN}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """One row, one training, one cell and its table, as the stages write them."""
    folder = tmp_path / "results" / EXPERIMENT.name
    data = folder / "data" / DATASET
    data.mkdir(parents=True)
    pd.DataFrame([{"id": 0, "problem": "1 + 1?", "response": "2", "tokens": 1}]).to_parquet(data / "train.parquet")
    write_record(data / "summary.json", {"examples": 1} | hashes(data / "train.parquet"))
    made = {run: _training(folder / "train" / MODEL / run) for run in ("base", RUN)}
    base = {"base_sha256": made["base"]["sha256"]["checkpoint"]}
    write_record(folder / TRAINED / "run.json", {"run": RUN} | base | made[RUN])
    Finished(folder / TRAINED, ["checkpoint", "metrics.jsonl", "run.json"], {}, "train").keep()
    _problems(folder / "problems" / BENCHMARK)
    _cell(folder / CELL, made[RUN]["sha256"]["checkpoint"])
    render.write(experiment_table(EXPERIMENT, "table1", folder.parent), folder / "tables")
    return folder


def _training(folder: Path) -> Row:
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "model.safetensors").write_bytes(bytes(range(200)))
    write_jsonl(folder / "metrics.jsonl", [{"step": 1, "loss": 0.5}])
    found = hashes(folder / "checkpoint", folder / "metrics.jsonl")
    write_record(folder / "run.json", {"run": folder.name} | found)
    return found


def _problems(folder: Path) -> None:
    write_jsonl(folder / "problems.jsonl", [{"id": str(n), "problem": f"{n} + 1?"} for n in range(4)])
    write_jsonl(folder / "demonstrations.jsonl", [])
    write_record(folder / "summary.json", hashes(folder / "problems.jsonl", folder / "demonstrations.jsonl"))


def _cell(folder: Path, checkpoint: str) -> None:
    rows: list[Row] = [{"problem": str(n), "sample": 0} for n in range(4)]
    write_jsonl(folder / "samples.jsonl.gz", [row | {"completion": "2"} for row in rows])
    samples = hashes(folder / "samples.jsonl.gz")
    write_record(folder / "sampling.json", {"checkpoint_sha256": checkpoint} | samples)
    write_jsonl(folder / "verdicts.jsonl.gz", [row | {"correct": n == 1} for n, row in enumerate(rows)])
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
    write_record(path, read_record(path) | {"run": "base", "checkpoint_sha256": "0" * 64})


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
    ("table", "edited"): ("tables/table1.md", edit_table, "table1.md: is not what its scores and this code give"),
}  # fmt: skip
"""(kind of file, fault) -> the file, what is done to it, a part of the finding."""


def test_an_undamaged_tree_holds(tree: Path) -> None:
    checks = verify(tree, EXPERIMENT)
    assert checks.found == []
    assert checks.count > 10


@pytest.mark.parametrize("fault", FAULTS, ids=" ".join)
def test_damage_is_found(tree: Path, fault: tuple[str, str]) -> None:
    place, damage, expected = FAULTS[fault]
    damage(tree / place)
    found = verify(tree, EXPERIMENT).found
    assert any(expected in line for line in found), found
    assert all("\n" not in line and str(tree.parent) in line for line in found)
    assert any(re.search(r"delete|run again", line) for line in found)


def test_a_time_that_was_set_back_hides_nothing(tree: Path) -> None:
    path = tree / TRAINED / "checkpoint" / "model.safetensors"
    assert verify(tree, EXPERIMENT).found == []
    times = path.stat()
    flip(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert verify(tree, EXPERIMENT).found


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
