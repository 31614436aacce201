"""The training loop: one recipe for every objective, which differ in the head's row function alone.

In: a base checkpoint and train.parquet. Out: a checkpoint folder, metrics.jsonl (one line an optimizer step) and
run.json (settings, totals, provenance). A step trains on exactly `batch_size` whole sequences, packed into
micro-batches under a token budget; its gradient is that of

    sum over trained tokens of weight x loss / sum over trained tokens of weight

taken over the whole step, however it is split over micro-batches and ranks. A step is a pure function of (weights,
moments, seed, step), so a resumed run continues bit for bit.
"""

import math
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from otr.command.progress import Progress, say
from otr.config import Training
from otr.data.chat import Chat, Tokens
from otr.errors import UserError
from otr.files import Row
from otr.loss import HeadOutput, Objective, OTRHead
from otr.loss.head import PER_TOKEN, raise_if_broken
from otr.models.attention import PACKED, attends_fully
from otr.train import checkpoint, parallel, schedule
from otr.train.copies import Copies
from otr.train.footprint import Layout, choose_layout
from otr.train.fuse import fuse
from otr.train.metrics import MetricsFile
from otr.train.pack import MicroBatch, pack
from otr.train.parallel import Ranks
from otr.train.trackers import Log

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CHECKPOINT_SHARE = 0.02
"""Of the time that resumable checkpoints may take: where writing one takes long, fewer are written."""
LONG_WRITE = 10.0
"""Seconds of a write from which on its length is told: it decides the grace period that SIGTERM needs."""


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


class Policy(nn.Module):
    """A causal language model whose head computes the loss; calling it is all that a sharded model allows.

    The loss head takes the place of the model's own, whose weight it holds: the names of all weights stay.
    """

    def __init__(self, model: "PreTrainedModel", head: OTRHead) -> None:
        super().__init__()
        model.set_output_embeddings(head)
        self.model = model

    @property
    def head(self) -> OTRHead:
        head: OTRHead = self.model.get_output_embeddings()
        return head

    def forward(
        self, batch: MicroBatch, step: int, autocast: bool, old_log_p: Tensor | None = None, score: bool = False
    ) -> HeadOutput | Tensor:
        """The loss of the trained tokens; or with `score` log p of their labels, [t], which is a later `old_log_p`."""
        with torch.autocast(batch.labels.device.type, torch.bfloat16, enabled=autocast, cache_enabled=False):
            hidden = self.model.model(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                use_cache=False,
                lengths=batch.lengths,
                boundaries=batch.boundaries,
            ).last_hidden_state[0]
        if autocast:
            hidden = hidden.to(torch.bfloat16)
        columns = (batch.labels, batch.examples, batch.position_ids[0], batch.weights)
        hidden, labels, examples, positions, weights = (c.index_select(0, batch.trained) for c in (hidden, *columns))
        if score:
            return self.head.log_p(hidden, labels)
        output: HeadOutput = self.head(hidden, labels, examples, positions, step, weights, False, old_log_p)
        return output


class Trainer:
    """Trains `model` (a Hugging Face causal language model with float32 weights) in place, with its peers if any."""

    def __init__(
        self,
        model: "PreTrainedModel",
        objective: Objective,
        recipe: Training,
        seed: int,
        ranks: Ranks,
        layout: Layout | None = None,
    ) -> None:
        wrong = {parameter.dtype for parameter in model.parameters()} - {torch.float32}
        if wrong:
            raise ValueError(f"master weights must be float32, found {wrong}: at 5e-6 updates vanish in bfloat16")
        self.model = model
        self.recipe = recipe
        self.seed = seed
        self.ranks = ranks
        if attends_fully(model.config):
            model.set_attn_implementation(PACKED)
        self.layout = layout or choose_layout(model, recipe, ranks.count, ranks.device.type == "cuda", ranks.memory)
        _recompute(model, self.layout.recomputed)
        if self.layout.fused:
            fuse(model)
        self.policy = Policy(model, OTRHead(model.get_output_embeddings().weight, objective, seed=seed)).train()
        if self.layout.sharded:
            parallel.shard(self.policy, ranks, recipe.precision)
        self.policy.to(ranks.device)
        self._copies = Copies(self.policy, exact=[self.policy.head.weight]) if self.layout.copies else None
        # Shards are cast as they are gathered, and copies are cast; otherwise autocast casts at each use.
        cast = self.layout.sharded or self.layout.copies
        self._autocast = not cast and recipe.precision == "bfloat16"
        self.optimizer = torch.optim.AdamW(
            self.policy.parameters(),
            lr=recipe.learning_rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.iteration = 1
        """Steps that share an older policy, for an objective that compares with one; the state between two iterations
        is weights and moments alone, as it is between two steps of the other objectives."""
        self._compares = "old_log_p" in objective.formula.needs
        if self._compares:
            self.iteration = int(objective.constants.get("iteration", 1))
        self._old_log_p: dict[int, list[Tensor]] = {}

    def begin(self, number: int, coming: list[list[Example]]) -> None:
        """An iteration begins with step `number` (from 0): keep log p of the labels of its steps' sequences, if the
        objective asks for it. The one pass through the model that an older policy costs."""
        self._old_log_p = {}
        if not self._compares:
            return
        with torch.no_grad(), self._copies.in_use() if self._copies else nullcontext():
            for step, sequences in enumerate(coming, number):
                self._old_log_p[step] = [
                    self.policy(batch.to(self.ranks.device), step, self._autocast, score=True)
                    for batch in self.micro_batches(sequences)
                ]

    def step(self, number: int, steps: int, sequences: list[Example], batches: list[MicroBatch] | None = None) -> Row:
        """One optimizer step on `sequences`; returns its metrics. FloatingPointError on a loss or gradient that is
        not finite, before any weight has changed. batches: what `micro_batches` makes of them, if it is there yet."""
        metrics = self.gradient(number, sequences, batches)
        norm = nn.utils.clip_grad_norm_(self.policy.parameters(), self.recipe.clip)
        gradient_norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        if not math.isfinite(gradient_norm):
            raise FloatingPointError(f"the gradient's norm is {gradient_norm}")
        rate = schedule.learning_rate(
            number, steps, self.recipe.learning_rate, self.recipe.minimum_learning_rate, self.recipe.warmup
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {"step": number + 1} | metrics | {"learning_rate": rate, "gradient_norm": gradient_norm}

    def gradient(self, number: int, sequences: list[Example], batches: list[MicroBatch] | None = None) -> Row:
        """Put the step's gradient into the parameters; returns its loss and statistics, the same on every rank."""
        ranks, summed = self.ranks, 2 + len(PER_TOKEN)
        # Sums over the micro-batches, then one row a rank: its rows of logits that are not finite.
        found = torch.zeros(summed + 3 * ranks.count, dtype=torch.float64, device=ranks.device)
        broken = found[summed:].view(ranks.count, 3)[ranks.rank]
        batches = batches or self.micro_batches(sequences)
        old_log_p = self._old_log_p.get(number, [None] * len(batches))
        with self._copies.in_use() if self._copies else nullcontext():
            for batch, old in zip(batches, old_log_p, strict=True):
                output = self.policy(batch.to(ranks.device), number, self._autocast, old)
                output.loss.backward()
                found[:summed] += self._sums(output)
                broken.copy_(torch.where(broken[:1] > 0, broken, output.broken))
        # The one time in a step that the host waits for the device, and ranks for each other, to learn numbers.
        loss, tokens, *statistics = (values := ranks.sum(found).tolist())[:summed]
        for start in range(summed, len(values), 3):
            raise_if_broken(values[start : start + 3])
        return {
            "loss": loss,
            **{name: value / tokens for name, value in zip(PER_TOKEN, statistics, strict=True)},
            "trained_tokens": int(tokens),
            "tokens": sum(len(example.tokens.ids) for example in sequences),
            "sequences": len(sequences),
        }

    def micro_batches(self, sequences: list[Example]) -> list[MicroBatch]:
        """This rank's share of a step, in main memory (page-locked for a GPU, so that copying waits for nobody).
        ValueError: an id that the model has no logit for, which a GPU would look up in another row's memory."""
        pairs = [(example.id, example.tokens) for example in sequences]
        budget, normalisation = self.recipe.tokens_per_microbatch, self.recipe.normalisation
        batches = pack(pairs, budget, normalisation, self.ranks.rank, self.ranks.count)
        largest = max(int(batch.input_ids.max()) for batch in batches)
        if largest >= self.model.config.vocab_size:
            raise ValueError(f"token id {largest}: the model has ids 0 to {self.model.config.vocab_size - 1}")
        return [batch.pinned() for batch in batches] if self.ranks.device.type == "cuda" else batches

    @staticmethod
    def _sums(output: HeadOutput) -> Tensor:
        columns = [output.loss.detach().double(), output.tokens, *(getattr(output, name) for name in PER_TOKEN)]
        return torch.stack(columns)


def _recompute(model: Any, layers: int) -> None:
    """Forget the activations of the first so many layers and compute them again in the backward pass."""
    if layers:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        for layer in model.model.layers[layers:]:
            layer.gradient_checkpointing = False


def train(trainer: Trainer, data: list[Example], resume: Path, title: str, log: Log = lambda row: None) -> list[Row]:
    """Run all steps of the recipe, resuming from the newest checkpoint in `resume`; returns every step's metrics on
    the first rank, and nothing on the others. `log` is told each of them as it comes.

    SIGTERM or Ctrl-C to any rank writes a checkpoint and ends the process with status 143, after the step under way or
    after the iteration under way for an objective with an older policy; a second Ctrl-C ends it at once.
    """
    with _terminated() as terminated:
        return _steps(trainer, data, resume, title, terminated, log)


def _steps(trainer: Trainer, data: list[Example], resume: Path, title: str, terminated: "_Flag", log: Log) -> list[Row]:
    recipe, ranks = trainer.recipe, trainer.ranks
    steps = recipe.epochs * schedule.steps_per_epoch(len(data), recipe.batch_size)
    first = 0
    newest = checkpoint.latest(resume, ranks)
    if newest is not None:
        first = checkpoint.load(newest, trainer.policy, trainer.optimizer)
        _tell(ranks, f"{title}: going on after step {first} of {steps}")
    metrics = MetricsFile(resume / checkpoint.METRICS, keep=first) if ranks.first else None
    pace = Pace(recipe.checkpoint_minutes, time.monotonic())

    def sequences(number: int) -> list[Example]:
        return [data[i] for i in schedule.batch(number, len(data), recipe.batch_size, trainer.seed)]

    with (
        Progress(title, steps, "steps", done=first) if ranks.first else nullcontext() as progress,
        ThreadPoolExecutor(1) as packer,
    ):
        # A step is packed while the one before it runs: between two steps a GPU would wait for it.
        packed = packer.submit(trainer.micro_batches, sequences(first)) if first < steps else None
        for number in range(first, steps):
            started = time.monotonic()
            if number % trainer.iteration == 0:
                trainer.begin(number, [sequences(n) for n in range(number, min(number + trainer.iteration, steps))])
            batches = packed.result() if packed else None
            packed = packer.submit(trainer.micro_batches, sequences(number + 1)) if number + 1 < steps else None
            row = _checked_step(trainer, number, steps, sequences(number), batches)
            seconds = time.monotonic() - started
            if metrics is not None and progress is not None:
                speed = row["tokens"] / seconds
                row |= {"seconds": round(seconds, 4), "tokens_per_second": round(speed)}
                metrics.append(row)
                log(row)
                progress.update(note=f"loss {row['loss']:.4f}, {speed:.0f} tokens/s")
            due = pace.is_due(time.monotonic()) and number + 1 < steps
            stop, due = ranks.any(terminated.is_set, due)
            # Inside an iteration the older policy is part of the state, and no checkpoint holds it.
            whole = (number + 1) % trainer.iteration == 0 or number + 1 == steps
            if not whole:
                continue
            if stop or due:
                if metrics is not None:
                    metrics.sync()
                before = time.monotonic()
                checkpoint.save(resume, number + 1, trainer.policy, trainer.optimizer, ranks)
                pace.written(before, written := time.monotonic())
                if written - before > LONG_WRITE:
                    _tell(ranks, _cost(title, written - before, seconds, pace.pause))
                [stop] = ranks.any(terminated.is_set)  # told so while it was written: no step and second write follow
            if stop:
                _tell(
                    ranks, f"{title}: told to stop; a checkpoint after step {number + 1} is written, run again to go on"
                )
                raise SystemExit(143)
    return metrics.rows() if metrics is not None else []


class Pace:
    """When resumable checkpoints are due: every `minutes`, but after a write that took long not before as many seconds
    as make it CHECKPOINT_SHARE of the time. All times are seconds of one clock."""

    def __init__(self, minutes: float, now: float) -> None:
        self._usual = 60 * minutes
        self.pause = self._usual
        self._due = now + self.pause

    def is_due(self, now: float) -> bool:
        return now > self._due

    def written(self, started: float, ended: float) -> None:
        # A bound of the waiting, not a background write: that would hold a second copy of weights and moments in main
        # memory (98 GB at 8B) to save what is 2 % already (docs/clusters.md has the figures).
        self.pause = max(self._usual, (ended - started) / CHECKPOINT_SHARE)
        self._due = ended + self.pause


def _cost(title: str, write: float, step: float, pause: float) -> str:
    return (
        f"{title}: a resumable checkpoint took {write:.0f} s, the next one comes after {pause / 60:.0f} min; SIGTERM "
        f"is answered within {write + step:.0f} s"
    )


def _tell(ranks: Ranks, text: str) -> None:
    if ranks.first:
        say(text)


def _checked_step(
    trainer: Trainer, number: int, steps: int, batch: list[Example], batches: list[MicroBatch] | None = None
) -> Row:
    try:
        return trainer.step(number, steps, batch, batches)
    except FloatingPointError as error:
        ids = ", ".join(str(example.id) for example in batch)
        raise UserError(
            f"training stopped at step {number + 1}: {error}; the weights before it are intact. Examples of this step "
            f"(rows of the source): {ids}. Lower the learning rate, or look at these rows"
        ) from None


@dataclass
class _Flag:
    is_set: bool = False


@contextmanager
def _terminated() -> Iterator[_Flag]:
    """Remembers SIGTERM or the first Ctrl-C, so that the step under way ends first."""
    flag = _Flag()

    def note(number: int, frame: FrameType | None) -> None:
        flag.is_set = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = {kind: signal.signal(kind, note) for kind in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield flag
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)
