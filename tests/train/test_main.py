"""`python -m otr.train` as its users run it: real processes, stopped and killed at any moment."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from data.tokenizers_by_template import CHATML
from safetensors.torch import load_file
from train.command import Run
from transformers import AutoModelForCausalLM, AutoTokenizer

from otr.files import visible_files, write_record
from otr.results.integrity import hashes

STEPS = 24


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With an undisturbed run by the command itself."""
    made = Run(tmp_path_factory.mktemp("train"))
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "otr.train", *made.arguments("undisturbed")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    return made


@pytest.fixture(autouse=True)
def settings_as_they_were(run: Run) -> None:
    run.write()


def assert_undisturbed(run: Run, out: str) -> None:
    assert run.metrics(out) == run.metrics("undisturbed")
    assert run.weights(out) == run.weights("undisturbed")
    assert not (run.folder / out / ".resume").exists()
    assert [path.name for path in (run.folder / out).glob(".*")] == [".finished"]


def interrupted(run: Run, out: str) -> str:
    """A run that was told to stop after some steps, and what it said."""
    run.write(checkpoint_minutes=60.0)
    process = run.start(out)
    run.wait_for(process, out, "metrics.jsonl")
    process.send(signal.SIGTERM)
    assert process.wait() == 143, process.errors()
    run.write()
    return process.errors()


def killed(run: Run, out: str, pattern: str, seconds: float = 0.0) -> None:
    """A run that was killed `seconds` after a path of that pattern was seen."""
    process = run.start(out)
    run.wait_for(process, out, pattern)
    time.sleep(seconds)
    process.send(signal.SIGKILL)
    process.wait()


def test_a_run_leaves_a_checkpoint_that_others_load(run: Run) -> None:
    out = run.folder / "undisturbed"
    assert {path.name for path in out.iterdir()} == {
        "checkpoint", "metrics.jsonl", "curves.png", "run.json", ".finished",
    }  # fmt: skip
    assert [row["step"] for row in run.metrics("undisturbed")] == list(range(1, STEPS + 1))
    assert all(row["sequences"] == 8 for row in run.metrics("undisturbed"))
    model = AutoModelForCausalLM.from_pretrained(out / "checkpoint")
    assert model.generation_config.eos_token_id == [0, 2, 3]  # end of text, end of turn, and </s> of this tokenizer
    assert model.generation_config.temperature in (None, 1.0)
    base = load_file(run.folder / "base" / "model.safetensors")
    assert set(load_file(out / "checkpoint" / "model.safetensors")) == set(base)
    assert AutoTokenizer.from_pretrained(out / "checkpoint").chat_template == CHATML
    facts = json.loads((out / "run.json").read_text())
    assert facts["steps"] == STEPS
    assert facts["trained_tokens"] == sum(row["trained_tokens"] for row in run.metrics("undisturbed"))
    assert str(run.folder) not in json.dumps(facts)
    first, last = run.metrics("undisturbed")[0], run.metrics("undisturbed")[-1]
    assert last["nll"] < first["nll"]


def test_sigterm_writes_a_checkpoint_and_a_rerun_goes_on(run: Run) -> None:
    assert "told to stop; a checkpoint after step" in interrupted(run, "terminated")
    assert len(run.checkpoints("terminated")) == 1
    assert "going on after step" in run.finish("terminated")
    assert_undisturbed(run, "terminated")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_sigkill_at_any_moment_changes_nothing(run: Run, seed: int) -> None:
    """Three kills at random moments after the first metrics, then a run to the end."""
    generator, out = random.Random(seed), f"killed-{seed}"
    for _ in range(3):
        killed(run, out, "metrics.jsonl", generator.uniform(0, 0.8))
    run.finish(out)
    assert_undisturbed(run, out)


@pytest.mark.parametrize(
    "pattern", [".step-*.partial", ".step-*.partial/*.distcp", ".step-*.partial/.metadata", "outdated-step-*"]
)
def test_sigkill_while_a_checkpoint_is_written(run: Run, pattern: str) -> None:
    out = f"killed-at{pattern.replace('/', '').replace('*', '')}"
    killed(run, out, pattern)
    assert all((run.folder / out / ".resume" / name / ".metadata").exists() for name in run.checkpoints(out))
    run.finish(out)
    assert_undisturbed(run, out)


def test_sigterm_while_a_checkpoint_is_written(run: Run) -> None:
    process = run.start("told-at-write")
    run.wait_for(process, "told-at-write", ".step-*.partial")
    process.send(signal.SIGTERM)
    assert process.wait() == 143, process.errors()
    assert "told to stop; a checkpoint after step" in process.errors()
    run.finish("told-at-write")
    assert_undisturbed(run, "told-at-write")


def test_a_full_disk_is_one_error_and_keeps_the_previous_checkpoint(run: Run) -> None:
    interrupted(run, "full")
    kept = run.checkpoints("full")
    errors = run.finish("full", status=2, largest_file=100_000)
    (message,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert "the checkpoint cannot be written" in message
    assert "The previous checkpoint is kept: make room and run again" in message
    assert "Traceback" not in errors
    assert run.checkpoints("full") == kept
    assert not list((run.folder / "full" / ".resume").glob(".step-*"))
    run.finish("full")
    assert_undisturbed(run, "full")


def test_a_disk_full_at_the_end_is_one_error(run: Run) -> None:
    run.write(checkpoint_minutes=60.0)
    errors = run.finish("full-at-the-end", status=2, largest_file=len(run.weights("undisturbed")) - 1)
    (message,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert "the final checkpoint cannot be written" in message
    assert "Traceback" not in errors
    assert {path.name for path in (run.folder / "full-at-the-end").iterdir()} == {".resume"}
    run.finish("full-at-the-end")
    assert_undisturbed(run, "full-at-the-end")


def test_a_full_file_system_is_one_line_and_the_run_goes_on_when_there_is_room(run: Run) -> None:
    """A real one, with room for one resumable checkpoint and not for the next beside it."""
    place = run.folder / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", str(place)], capture_output=True).returncode:
        pytest.skip("a small file system needs root")
    try:
        errors = run.finish("small/full", status=2)
        (message,) = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert "small/full/.resume/step-" in message and "the checkpoint cannot be written" in message
        assert "GB are free" in message and "make room and run again" in message
        assert len(run.checkpoints("small/full")) == 1
        assert not [path for path in place.rglob("*") if "partial" in path.name or "outdated" in path.name]
        subprocess.run(["mount", "-o", "remount,size=20m", str(place)], check=True)
        assert "going on after step" in run.finish("small/full")
        assert_undisturbed(run, "small/full")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_other_settings_start_afresh(run: Run) -> None:
    interrupted(run, "changed")
    run.write(learning_rate=2e-3)
    errors = run.finish("changed")
    assert "starts afresh" in errors
    assert "recipe.learning_rate: 0.001 before, 0.002 now" in errors
    assert "going on after" not in errors
    run.finish("changed-undisturbed")
    assert run.metrics("changed") == run.metrics("changed-undisturbed")
    assert run.weights("changed") == run.weights("changed-undisturbed")
    assert run.weights("changed") != run.weights("undisturbed")


def test_settings_of_memory_and_speed_may_change_in_between(run: Run) -> None:
    interrupted(run, "split")
    run.write(tokens_per_microbatch=32, activation_checkpointing=True)
    errors = run.finish("split")
    assert "going on after step" in errors
    assert "afresh" not in errors
    for found, expected in zip(run.metrics("split"), run.metrics("undisturbed"), strict=True):
        assert found["nll"] == pytest.approx(expected["nll"], rel=1e-2)


def test_one_process_a_folder(run: Run) -> None:
    process = run.start("shared")
    run.wait_for(process, "shared", "metrics.jsonl")
    process.send(signal.SIGSTOP)
    assert "another process is training into this folder" in run.finish("shared", status=2)
    process.send(signal.SIGCONT)
    assert process.wait() == 0, process.errors()
    assert_undisturbed(run, "shared")


def outputs(run: Run, out: str) -> dict[str, bytes]:
    """Every visible file of a run."""
    folder = run.folder / out
    return {str(file.relative_to(folder)): file.read_bytes() for file in visible_files(folder)}


def test_a_finished_run_is_taken_over_when_snakemake_deleted_its_outputs(run: Run) -> None:
    """The same bytes without a step of training; memory and speed alone may be set otherwise."""
    shutil.copytree(run.folder / "undisturbed", run.folder / "deleted")
    whole = outputs(run, "deleted")
    for name in ("checkpoint", "metrics.jsonl", "curves.png", "run.json"):
        path = run.folder / "deleted" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run.folder / "base" / ".snakemake_timestamp").write_text("")  # a mark of Snakemake's is no content
    run.write(tokens_per_microbatch=256)
    assert "is taken over" in run.finish("deleted")
    assert outputs(run, "deleted") == whole


def test_a_finished_run_of_other_settings_is_not_taken_over(run: Run) -> None:
    shutil.copytree(run.folder / "undisturbed", run.folder / "other")
    run.write(learning_rate=2e-3)
    assert "is taken over" not in run.finish("other")
    assert run.weights("other") != run.weights("undisturbed")
    assert len(list((run.folder / "other" / ".finished").iterdir())) == 1


def test_damaged_rows_and_weights_are_refused(run: Run) -> None:
    """A folder of a results tree, with its record; one bit is another."""
    base = run.folder / "tree" / "checkpoint"
    shutil.copytree(run.folder / "base", base)
    write_record(base.parent / "run.json", hashes(base))
    weights = bytearray((base / "model.safetensors").read_bytes())
    weights[-5] ^= 1
    (base / "model.safetensors").write_bytes(weights)
    command = [sys.executable, "-m", "otr.train", *run.arguments("refused"), "--base", str(base)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 2
    assert f"{base}: was damaged or changed (it is not what run.json says); delete it and run again" in refused.stderr
    assert not (run.folder / "refused" / "checkpoint").exists()
