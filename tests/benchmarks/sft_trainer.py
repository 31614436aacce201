"""Tokens a second of our training against TRL's SFTTrainer: same model, rows, batches, number type and threads.

    python tests/benchmarks/sft_trainer.py --experiment workflow/experiments/qwen.yaml --model qwen --results results

In: a results tree with the base checkpoint and the training subset. Each trainer is a process of its own, since two do
not fit the memory at once, and trains the subset's first rows by cross-entropy: one step to warm up, `--steps` timed.
They take turns, `--rounds` times. Tokens a second are given on the wall clock and of a core (CPU time), which a busy
machine disturbs less. At least 1.4 times TRL's is the aim.

TRL gets the very token ids, no packing, no gradient checkpointing (its default, which costs it a third), and bfloat16
autocast where ours computes in bfloat16.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otr import config
from otr.config import Training
from otr.machine.precision import computed_in
from otr.train.loop import Example


class Clock:
    """Wall and CPU seconds of each step."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float]] = []
        self.start()

    def start(self) -> None:
        self._begin = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.steps.append((time.perf_counter() - self._begin[0], time.process_time() - self._begin[1]))


def ours(base: Path, recipe: Training, batches: Sequence[list[Example]]) -> Clock:
    import torch
    from transformers import AutoModelForCausalLM

    from otr.loss import Objective
    from otr.train.loop import Trainer
    from otr.train.parallel import started

    with started() as ranks:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
        trainer = Trainer(model, Objective("sft"), recipe, seed=0, ranks=ranks)
        clock = Clock()
        for number, batch in enumerate(batches):
            clock.start()
            trainer.step(number, 1000, batch)
            clock.stop()
    return clock


def trl(base: Path, recipe: Training, batches: Sequence[list[Example]]) -> Clock:
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    clock = Clock()

    class Timing(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.stop()

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

    rows = [example.tokens for batch in batches for example in batch]
    masks = [[0] * row.prompt + [1] * (len(row.ids) - row.prompt) for row in rows]
    data = Dataset.from_dict({"input_ids": [row.ids for row in rows], "completion_mask": masks})
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            folder,
            per_device_train_batch_size=recipe.batch_size,
            num_train_epochs=1,
            learning_rate=recipe.learning_rate,
            max_length=None,
            completion_only_loss=True,
            gradient_checkpointing=False,
            bf16=recipe.precision == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to="none",
        )
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
        tokenizer = AutoTokenizer.from_pretrained(base)
        InOrder(model, settings, train_dataset=data, processing_class=tokenizer, callbacks=[Timing()]).train()
    return clock


def workload(options: Any) -> tuple[Path, Training, list[list[Example]]]:
    """The base checkpoint, the recipe in this machine's number type, and the batches."""
    import pandas as pd
    import torch

    from otr.data.chat import Chat, load_tokenizer
    from otr.results import Paths
    from otr.train.loop import examples

    experiment = config.load(options.experiment)
    torch.set_num_threads(experiment.threads)
    tree, recipe = Paths(options.results, experiment.name), experiment.training
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = recipe.model_copy(update={"precision": computed_in(recipe.precision, device)})
    base = tree.checkpoint(options.model, "base")
    rows: list[Any] = pd.read_parquet(tree.subset(recipe.dataset)).to_dict("records")
    found, _ = examples(rows, Chat(load_tokenizer(base)), recipe)
    size = recipe.batch_size
    return base, recipe, [found[size * step : size * (step + 1)] for step in range(options.steps + 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", required=True, type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each trainer and round (default: 3)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=["ours", "trl"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        base, recipe, batches = workload(options)
        clock = (ours if options.only == "ours" else trl)(base, recipe, batches)
        tokens = [sum(len(example.tokens.ids) for example in batch) for batch in batches]
        whole = [sum(part[clocked] for part in clock.steps[1:]) for clocked in (0, 1)]
        print(json.dumps([sum(tokens[1:]) / seconds for seconds in whole] + [recipe.precision]))
        return
    ratios: list[tuple[float, float]] = []
    for _ in range(options.rounds):
        found = {}
        for name in ("ours", "trl"):
            done = subprocess.run([sys.executable, *sys.argv, "--only", name], stdout=subprocess.PIPE, text=True)
            done.check_returncode()
            found[name] = wall, core, precision = json.loads(done.stdout.splitlines()[-1])
            print(f"{name}: {wall:.1f} tokens/s, {core:.1f} a CPU second, {precision}", flush=True)
        ratios.append((found["ours"][0] / found["trl"][0], found["ours"][1] / found["trl"][1]))
    wall, core = (statistics.median(ratio) for ratio in zip(*ratios, strict=True))
    print(f"ours / TRL: {wall:.2f} on the wall clock, {core:.2f} by CPU time (at least 1.4)")


if __name__ == "__main__":
    main()
