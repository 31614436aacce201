"""What `python -m otr.train` needs, at its smallest, and what it leaves."""

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from data.tokenizers_by_template import CHATML, byte_tokenizer
from train.processes import Process
from transformers import Qwen3Config, Qwen3ForCausalLM

TIMINGS = {"seconds", "tokens_per_second"}


@dataclass
class Run:
    """A tiny checkpoint, data set and experiment in a folder, and the command that trains on them."""

    folder: Path
    gpu: bool = False
    """Whether its trainings may see one."""

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

    def start(self, out: str, largest_file: int | None = None) -> Process:
        return Process(self.arguments(out), self.folder / f"{out}.errors", largest_file, self.gpu)

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

    def wait_for(self, process: Process, out: str, pattern: str) -> None:
        """Return when a path of that pattern is in the run's .resume folder."""
        end = time.monotonic() + 120
        while not any((self.folder / out / ".resume").glob(pattern)):
            assert process.alive(), process.errors()
            assert time.monotonic() < end, f"no {pattern} in two minutes"
            time.sleep(0.001)
