"""`python -m otr.train` as its users run it: real processes, stopped and killed at any moment."""

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from data.tokenizers_by_template import CHATML, byte_tokenizer
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

STEPS = 24
TIMINGS = {"seconds", "tokens_per_second"}


@dataclass
class Run:
    """A tiny checkpoint, data set and experiment in a folder, and the command that trains on them."""

    folder: Path

    def __post_init__(self) -> None:
        self._checkpoint(seed=0)
        generator = random.Random(0)
        numbers = [(generator.randrange(100), generator.randrange(100)) for _ in range(96)]
        rows = [{"id": 3 * n, "problem": f"{a}+{b}?", "response": str(a + b)} for n, (a, b) in enumerate(numbers)]
        pd.DataFrame(rows).to_parquet(self.folder / "train.parquet")
        self.write()

    def _checkpoint(self, seed: int) -> None:
        torch.manual_seed(seed)
        config = Qwen3Config(
            vocab_size=260, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
            head_dim=16, intermediate_size=64, max_position_embeddings=64, tie_word_embeddings=True,
            bos_token_id=None, eos_token_id=2, pad_token_id=0, dtype="float32",
        )  # fmt: skip
        Qwen3ForCausalLM(config).save_pretrained(self.folder / "base")
        byte_tokenizer(CHATML).save_pretrained(self.folder / "base")

    def write(self, **training: Any) -> None:
        recipe = {
            "dataset": "sums", "epochs": 2, "batch_size": 8, "max_length": 64, "learning_rate": 1e-3,
            "precision": "float32", "tokens_per_microbatch": 128, "activation_checkpointing": False,
            "checkpoint_minutes": 1e-9,
        }  # fmt: skip
        experiment = {
            "name": "tiny", "description": "", "context": 64,
            "models": {"tiny": {"label": "Tiny", "path": "base"}},
            "datasets": {
                "sums": {"source": {"path": "x.jsonl"}, "problem": "p", "solution": "s", "tokenizer": "tiny"}
            },
            "training": recipe | training,
            "methods": {"otr": {"label": "OTR", "objective": "otr", "samples": 32}},
            "protocols": {
                "base": {"prompt": "natural", "temperature": 0.0, "top_p": 1.0},
                "tuned": {"prompt": "chat", "temperature": 0.7, "top_p": 0.8},
            },
            "benchmarks": {},
            "tables": {},
        }  # fmt: skip
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(experiment))

    def arguments(self, out: str) -> list[str]:
        places = {"experiment": "tiny.yaml", "base": "base", "data": "train.parquet", "out": out}
        options = [word for name, place in places.items() for word in (f"--{name}", str(self.folder / place))]
        return ["--model", "tiny", "--run", "otr", *options]

    def start(self, out: str, largest_file: int | None = None) -> "Process":
        return Process(self.arguments(out), self.folder / f"{out}.errors", largest_file)

    def finish(self, out: str, status: int = 0, largest_file: int | None = None) -> str:
        process = self.start(out, largest_file)
        assert process.wait() == status, process.errors()
        return process.errors()

    def metrics(self, out: str) -> list[dict[str, Any]]:
        lines = (self.folder / out / "metrics.jsonl").read_text().splitlines()
        return [{key: value for key, value in json.loads(line).items() if key not in TIMINGS} for line in lines]

    def weights(self, out: str) -> bytes:
        return (self.folder / out / "checkpoint" / "model.safetensors").read_bytes()

    def checkpoints(self, out: str) -> set[str]:
        return {path.name for path in (self.folder / out / ".resume").glob("step-*")}

    def wait_for(self, process: "Process", out: str, pattern: str) -> None:
        """Return when a path of that pattern is in the run's .resume folder."""
        end = time.monotonic() + 120
        while not any((self.folder / out / ".resume").glob(pattern)):
            assert process.alive(), process.errors()
            assert time.monotonic() < end, f"no {pattern} in two minutes"
            time.sleep(0.001)


# A server that has imported torch and transformers, and run nothing, forks a process in no time.
_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["otr.train.loop", "otr.figures", "pandas", "transformers.models.qwen3"])


class Process:
    """`python -m otr.train` in a process of its own."""

    def __init__(self, arguments: list[str], errors: Path, largest_file: int | None) -> None:
        self._errors = errors
        self._process = _FORKSERVER.Process(target=_main, args=(arguments, errors, largest_file))
        self._process.start()

    def send(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self) -> int | None:
        self._process.join(300)
        return self._process.exitcode

    def alive(self) -> bool:
        return self._process.is_alive()

    def errors(self) -> str:
        return self._errors.read_text()


def _main(arguments: list[str], errors: Path, largest_file: int | None) -> None:
    with errors.open("w") as file:
        os.dup2(file.fileno(), 2)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    from otr.train.__main__ import main

    main(arguments)


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
    assert not list((run.folder / out).glob(".*"))


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
    assert {path.name for path in out.iterdir()} == {"checkpoint", "metrics.jsonl", "curves.png", "run.json"}
    assert [row["step"] for row in run.metrics("undisturbed")] == list(range(1, STEPS + 1))
    assert all(row["sequences"] == 8 for row in run.metrics("undisturbed"))
    model = AutoModelForCausalLM.from_pretrained(out / "checkpoint")
    assert model.generation_config.eos_token_id == [0, 2]
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
