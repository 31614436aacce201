"""The training loop: one recipe for every objective, which differ in the head's row function alone.

In: a base checkpoint and train.parquet. Out: a checkpoint folder, metrics.jsonl (one line an optimizer step) and
run.json (settings, totals, provenance). A step trains on exactly `batch_size` whole sequences, packed into
micro-batches under a token budget; its gradient is that of

    sum over trained tokens of weight x loss / sum over trained tokens of weight

taken over the whole step, however it is split. A step is a pure function of (weights, moments, seed, step), so a
resumed run continues bit for bit.
"""

import math
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from otr.config import Training
from otr.data.chat import Chat, Tokens
from otr.data.pack import MicroBatch, pack
from otr.errors import UserError
from otr.files import Row
from otr.loss import Objective, OTRHead
from otr.progress import Progress, say
from otr.train import checkpoint, schedule
from otr.train.metrics import MetricsFile


@dataclass(frozen=True)
class Example:
    """A training sequence and its row number in the source."""

    id: int
    tokens: Tokens


def examples(rows: list[Row], chat: Chat, recipe: Training) -> tuple[list[Example], int]:
    """Tokenized examples no longer than `max_length`, and how many longer ones were dropped.

    UserError when longer ones are refused by the recipe, or fewer than one batch is left.
    """
    found = [Example(row["id"], chat.example(row["problem"], row["response"])) for row in rows]
    kept = [example for example in found if len(example.tokens.ids) <= recipe.max_length]
    dropped = len(found) - len(kept)
    if dropped and recipe.over_length == "refuse":
        raise UserError(
            f"training: {dropped} of {len(found)} examples are longer than max_length {recipe.max_length} tokens; "
            "raise max_length, or set over_length: drop"
        )
    if len(kept) < recipe.batch_size:
        raise UserError(
            f"training: {len(kept)} examples of at most max_length {recipe.max_length} tokens are fewer than one batch "
            f"of {recipe.batch_size}; raise max_length or lower batch_size"
        )
    return kept, dropped


class Trainer:
    """Trains `model` (a Hugging Face causal language model with float32 weights) in place."""

    def __init__(self, model: Any, objective: Objective, recipe: Training, seed: int, device: torch.device) -> None:
        wrong = {parameter.dtype for parameter in model.parameters()} - {torch.float32}
        if wrong:
            raise ValueError(f"master weights must be float32, found {wrong}: at 5e-6 updates vanish in bfloat16")
        self.model = model.to(device)
        self.recipe = recipe
        self.seed = seed
        self.device = device
        self.head = OTRHead(model.get_output_embeddings().weight, objective, seed=seed)
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=recipe.learning_rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        if recipe.activation_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()

    def step(self, number: int, steps: int, sequences: list[Example]) -> Row:
        """One optimizer step on `sequences`; returns its metrics. FloatingPointError on a loss or gradient that is
        not finite, before any weight has changed."""
        pairs = [(example.id, example.tokens) for example in sequences]
        batches = pack(pairs, self.recipe.tokens_per_microbatch, self.recipe.normalisation)
        weight = sum(float(batch.weights[batch.labels != -100].sum()) for batch in batches)
        totals: dict[str, Tensor] = {}
        for batch in batches:
            output = self._forward(batch.to(self.device), number)
            (output.loss / weight).backward()
            for name in ("loss", "tokens", "nll", "gt_probability", "gt_count", "entropy", "beta_share"):
                value = getattr(output, name).detach()
                totals[name] = totals[name] + value if name in totals else value
        rate = schedule.learning_rate(
            number, steps, self.recipe.learning_rate, self.recipe.minimum_learning_rate, self.recipe.warmup
        )
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip))
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient's norm is {norm}")
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        tokens = float(totals["tokens"])
        per_token = {name: float(total) / tokens for name, total in totals.items() if name not in ("loss", "tokens")}
        return {
            "step": number + 1,
            "loss": float(totals["loss"]) / weight,
            **per_token,
            "learning_rate": rate,
            "gradient_norm": norm,
            "trained_tokens": int(tokens),
            "tokens": sum(len(example.tokens.ids) for example in sequences),
            "sequences": len(sequences),
        }

    def _forward(self, batch: MicroBatch, step: int) -> Any:
        dtype = torch.bfloat16
        with torch.autocast(self.device.type, dtype, enabled=self.recipe.precision == "bfloat16"):
            hidden = self.model.model(
                input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
            ).last_hidden_state[0]
        if self.recipe.precision == "bfloat16":
            hidden = hidden.to(dtype)
        return self.head(hidden, batch.labels, batch.examples, batch.position_ids[0], step, batch.weights)


def train(trainer: Trainer, data: list[Example], resume: Path, title: str) -> list[Row]:
    """Run all steps of the recipe, resuming from the newest checkpoint in `resume`; returns every step's metrics.

    SIGTERM writes a checkpoint and ends the process with status 143.
    """
    recipe = trainer.recipe
    steps = recipe.epochs * schedule.steps_per_epoch(len(data), recipe.batch_size)
    first = 0
    newest = checkpoint.latest(resume)
    if newest is not None:
        first = checkpoint.load(newest, trainer.model, trainer.optimizer)["step"]
        say(f"{title}: going on after step {first} of {steps}")
    metrics = MetricsFile(resume / "metrics.jsonl", keep=first)
    saved = time.monotonic()
    with _Terminated() as terminated, Progress(title, steps, "steps", done=first) as progress:
        for number in range(first, steps):
            started = time.monotonic()
            batch = [data[i] for i in schedule.batch(number, len(data), recipe.batch_size, trainer.seed)]
            row = _checked_step(trainer, number, steps, batch)
            seconds = time.monotonic() - started
            metrics.append(row | {"seconds": round(seconds, 4), "tokens_per_second": round(row["tokens"] / seconds)})
            progress.update(note=f"loss {row['loss']:.4f}, {row['tokens'] / seconds:.0f} tokens/s")
            due = time.monotonic() - saved > 60 * recipe.checkpoint_minutes and number + 1 < steps
            if due or terminated.seen:
                checkpoint.save(resume, number + 1, trainer.model, trainer.optimizer, {})
                saved = time.monotonic()
            if terminated.seen:
                say(f"{title}: told to stop; a checkpoint after step {number + 1} is written, run again to go on")
                raise SystemExit(143)
    return metrics.rows()


def _checked_step(trainer: Trainer, number: int, steps: int, batch: list[Example]) -> Row:
    try:
        return trainer.step(number, steps, batch)
    except FloatingPointError as error:
        ids = ", ".join(str(example.id) for example in batch)
        raise UserError(
            f"training stopped at step {number + 1}: {error}; the weights before it are intact. Examples of this step "
            f"(rows of the source): {ids}. Lower the learning rate, or look at these rows"
        ) from None


class _Terminated:
    """Remembers SIGTERM, so that the step under way ends first."""

    def __init__(self) -> None:
        self.seen = False

    def __enter__(self) -> "_Terminated":
        self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
