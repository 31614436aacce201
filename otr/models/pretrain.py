"""Pre-train a small Qwen3 model and its tokenizer from nothing, on one or two CPU threads in a few minutes.

    python -m otr.models.pretrain --settings '{"steps": 700}' --documents documents.jsonl.gz --out DIR

In: documents as segments with loss weights (otr/data/micro/documents.py). Out: a checkpoint folder that transformers
and vLLM load as it is (model.safetensors, config.json, tokenizer.json, chat template, generation_config.json), and
metrics.jsonl, one line an interval: {"step": 20, "loss": 2.41, "learning_rate": 0.006, "tokens": 40960}.

Same documents, settings and seed on one machine: the same bytes of model.safetensors, also after a kill: every
20 seconds the state goes to .resume/ beside --out, and the same command goes on from there.
"""

import argparse
import hashlib
import io
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from transformers.utils import logging as transformers_logging

from otr.command.progress import Progress, say
from otr.config.pretraining import PretrainSettings
from otr.errors import UserError
from otr.files import Row, read_jsonl, replacing, sha256, write_jsonl
from otr.models.attention import PACKED

END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# A word takes the space before it; a digit, a newline and a LaTeX command stand alone.
WORDS = r"\\[A-Za-z]+| ?[A-Za-z]+|[0-9]|\n| ?[^\sA-Za-z0-9]+| +(?!\S)|\s"
TOKENIZER_DOCUMENTS = 4_000
METRICS_INTERVAL = 20
SAVE_SECONDS = 20.0
OPEN_ROWS = 64


def train_tokenizer(texts: Iterable[str], vocabulary: int, positions: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of at most `vocabulary` entries with a ChatML template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(token, special=True) for token in (END, TURN, TURN_END)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END,
        chat_template=CHAT_TEMPLATE,
        model_max_length=positions,
        clean_up_tokenization_spaces=False,
    )


def packed_rows(
    documents: Iterable[Row], tokenizer: PreTrainedTokenizerFast, row_tokens: int
) -> Iterator[tuple[list[int], list[float]]]:
    """Rows of row_tokens + 1 (ids, loss weights), each filled with whole documents.

    Best fit among a few dozen open rows leaves about 3 % of the tokens to padding (weight 0), where a plain stream cut
    every row_tokens would tear documents from their questions. A document longer than a row is cut.
    """
    size, end = row_tokens + 1, tokenizer.convert_tokens_to_ids(END)
    open_rows: list[tuple[list[int], list[float]]] = []
    for ids, weights in encoded(documents, tokenizer):
        ids, weights = ids[:size], weights[:size]
        fitting = [row for row in open_rows if len(row[0]) + len(ids) <= size]
        row = max(fitting, key=lambda row: len(row[0]), default=([], []))
        if not fitting:
            open_rows.append(row)
        row[0].extend(ids)
        row[1].extend(weights)
        if len(open_rows) > OPEN_ROWS:
            fullest = max(open_rows, key=lambda row: len(row[0]))
            open_rows = [row for row in open_rows if row is not fullest]
            missing = size - len(fullest[0])
            yield fullest[0] + [end] * missing, fullest[1] + [0.0] * missing


def encoded(documents: Iterable[Row], tokenizer: PreTrainedTokenizerFast) -> Iterator[tuple[list[int], list[float]]]:
    """Token ids and loss weights of each document, <|endoftext|> at its end."""
    end = tokenizer.convert_tokens_to_ids(END)
    for batch in _batches(documents, 1000):
        texts = [text for document in batch for text, _ in document["segments"]]
        encodings = iter(tokenizer.backend_tokenizer.encode_batch(texts))
        for document in batch:
            ids, weights = [], []
            for _, weight in document["segments"]:
                piece = next(encodings).ids
                ids += piece
                weights += [weight] * len(piece)
            yield [*ids, end], [*weights, 1.0]


def _batches(documents: Iterable[Row], size: int) -> Iterator[list[Row]]:
    remaining = iter(documents)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def build_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """A randomly initialised model in float32."""
    ends = [tokenizer.convert_tokens_to_ids(token) for token in (TURN_END, END)]
    config = Qwen3Config(
        vocab_size=settings.vocabulary,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        head_dim=settings.head_dim,
        intermediate_size=settings.intermediate_size,
        max_position_embeddings=settings.positions,
        rope_parameters={"rope_type": "default", "rope_theta": settings.rope_theta},
        initializer_range=settings.initial_scale / settings.hidden_size**0.5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=ends[0],
        pad_token_id=ends[1],
        dtype="float32",
    )
    model = Qwen3ForCausalLM(config)
    if settings.initial_noise:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= 1 + settings.initial_noise * torch.randn_like(parameter)
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=ends[1])
    return model


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised by Newton-Schulz iterations (Jordan et al. 2024), for the matrices inside the blocks.

    Matrices of one shape are stacked and orthogonalised together: at these sizes the call costs more than the product.
    torch.optim.Muon takes one matrix at a time: a step of the default model took it 1.05 to 1.14 times as long (one
    thread), and another order of sums would change the numbers of the default experiment. So this one stays.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.9) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                shapes.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in shapes.items():
                gradient = torch.stack([p.grad for p in parameters if p.grad is not None])
                state = self.state[parameters[0]]
                average = state.setdefault("average", torch.zeros_like(gradient))
                average.lerp_(gradient, 1 - group["momentum"])
                update = orthogonal(gradient.lerp(average, group["momentum"]))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for parameter, direction in zip(parameters, update, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(direction, alpha=-group["lr"] * scale)


def orthogonal(matrices: Tensor, iterations: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly (singular values 0.7 to 1.2). matrices: [n, rows, columns]."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    result: Tensor = x if wide else x.mT
    return result


def schedule(step: int, settings: PretrainSettings) -> float:
    """Share of the peak learning rate at `step` (from 0): a linear rise, a plateau, a linear fall to 2 %."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    fall = (settings.steps - step) / max(1.0, settings.steps * settings.decay_share)
    return min(rise, max(0.02, min(1.0, fall)))


def pretrain(
    settings: PretrainSettings, documents: Path, out: Path, seed: int = 0, title: str = "pre-training"
) -> None:
    """Train on the first documents that fill steps x rows rows and write the checkpoint folder `out`.

    UserError when the documents do not suffice.
    """
    torch.set_num_threads(settings.threads)
    transformers_logging.disable_progress_bar()
    torch.manual_seed(seed + settings.seed)
    texts = ("".join(text for text, _ in row["segments"]) for row in read_jsonl(documents))
    tokenizer = train_tokenizer(itertools.islice(texts, TOKENIZER_DOCUMENTS), settings.vocabulary, settings.positions)
    ids, weights = training_rows(settings, documents, tokenizer)
    model = build_model(settings, tokenizer)
    model.set_attn_implementation(PACKED)
    deciding = [settings.model_dump(mode="json"), sha256(documents), seed, torch.__version__]
    state = State(out.parent / ".resume", hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:16])
    metrics = train(model, ids, weights, settings, title, state)
    with replacing(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_jsonl(folder / "metrics.jsonl", metrics)


@dataclass(frozen=True)
class State:
    """The resumable state of one pre-training, a file named after everything that decides its result."""

    folder: Path
    fingerprint: str

    def save(self, value: Row) -> None:
        """The file's name holds its digest."""
        content = io.BytesIO()
        torch.save(value, content)
        file = self.folder / f"{self.fingerprint}-{_digest(content.getvalue())}.pt"
        with replacing(file) as temporary:
            temporary.write_bytes(content.getvalue())
        for other in self.folder.glob("*.pt"):
            if other != file:
                other.unlink(missing_ok=True)

    def load(self) -> Row | None:
        """None when there is nothing to go on from; a damaged file is nothing, and is said to be there."""
        for file in sorted(self.folder.glob(f"{self.fingerprint}-*.pt"), key=lambda file: file.stat().st_mtime)[::-1]:
            content = file.read_bytes()
            if file.stem.endswith(f"-{_digest(content)}"):
                value: Row = torch.load(io.BytesIO(content), weights_only=True)
                return value
            say(f"{file}: is not what was written; pre-training starts afresh")
            file.unlink()
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def training_rows(
    settings: PretrainSettings, documents: Path, tokenizer: PreTrainedTokenizerFast
) -> tuple[Tensor, Tensor]:
    """ids and loss weights, both [steps * rows, row_tokens + 1]."""
    count = settings.steps * settings.rows
    rows = list(itertools.islice(packed_rows(read_jsonl(documents), tokenizer, settings.row_tokens), count))
    if len(rows) < count:
        raise UserError(f"{documents}: fills {len(rows)} rows of {settings.row_tokens} tokens; {count} are needed")
    return torch.tensor([ids for ids, _ in rows]), torch.tensor([weights for _, weights in rows])


def train(
    model: Qwen3ForCausalLM, ids: Tensor, weights: Tensor, settings: PretrainSettings, title: str, state: State
) -> list[Row]:
    """Train `model` in place, each row once in its order; returns the metrics.

    Goes on from `state` where there is one. It is written every SAVE_SECONDS, and at the end: a kill before the
    checkpoint is written costs no training.
    """
    optimizers = build_optimizers(model, settings)
    peaks = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    metrics: list[Row] = []
    losses: list[float] = []
    first = 0
    if before := state.load():
        model.load_state_dict(before["model"])
        for optimizer, moments in zip(optimizers, before["optimizers"], strict=True):
            optimizer.load_state_dict(moments)
        first, metrics, losses = before["step"], before["metrics"], before["losses"]
        say(f"{title}: going on after step {first} of {settings.steps}")
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    saved = time.monotonic()
    with Progress(title, settings.steps, "steps", done=first) as progress:
        for step in range(first, settings.steps):
            share = schedule(step, settings)
            for group, peak in zip(groups, peaks, strict=True):
                group["lr"] = peak * share
            batch = slice(step * settings.rows, (step + 1) * settings.rows)
            losses.append(_step(model, optimizers, ids[batch], weights[batch]))
            if (step + 1) % METRICS_INTERVAL == 0 or step + 1 == settings.steps:
                metrics.append(
                    {
                        "step": step + 1,
                        "loss": round(sum(losses) / len(losses), 6),
                        "learning_rate": settings.learning_rate * share,
                        "tokens": (step + 1) * settings.rows * settings.row_tokens,
                    }
                )
                losses = []
            progress.update(note=f"loss {metrics[-1]['loss']:.3f}" if metrics else "")
            if step + 1 == settings.steps or time.monotonic() - saved > SAVE_SECONDS:
                state.save(
                    {
                        "step": step + 1,
                        "model": model.state_dict(),
                        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                        "metrics": metrics,
                        "losses": losses,
                    }
                )
                saved = time.monotonic()
    return metrics


def _step(model: Qwen3ForCausalLM, optimizers: list[torch.optim.Optimizer], ids: Tensor, weights: Tensor) -> float:
    """One step of all optimizers on one batch; returns its loss."""
    loss = weighted_loss(model, ids, weights)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


def build_optimizers(model: Qwen3ForCausalLM, settings: PretrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        Muon(matrices, settings.matrix_learning_rate, settings.weight_decay),
        torch.optim.AdamW(rest, settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def weighted_loss(model: Qwen3ForCausalLM, ids: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean cross-entropy of each token given those before it in its document. ids, weights: [rows, tokens].

    A document sees itself alone, as a prompt does. Beside others a model of this size learnt to look things up in the
    wrong one, and where in a row short answers stand.
    """
    end = model.config.pad_token_id
    inputs, targets, target_weights = (part.flatten() for part in (ids[:, :-1], ids[:, 1:], weights[:, 1:]))
    last = inputs == end
    last[ids.shape[1] - 2 :: ids.shape[1] - 1] = True  # a row's end
    boundaries = F.pad(last.nonzero().flatten() + 1, (1, 0)).to(torch.int32)
    lengths = boundaries.diff()
    starts = boundaries[:-1].repeat_interleave(lengths)
    hidden = model.model(
        input_ids=inputs[None],
        position_ids=(torch.arange(len(inputs)) - starts)[None],
        use_cache=False,
        lengths=tuple(lengths.tolist()),
        boundaries=boundaries,
    ).last_hidden_state[0]
    losses = F.cross_entropy(model.lm_head(hidden), targets, reduction="none")
    counted: Tensor = target_weights * (inputs != end)  # what follows a document's end is another document
    return (losses * counted).sum() / counted.sum()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m otr.models.pretrain", description=__doc__.splitlines()[0])
    parser.add_argument("--settings", default="{}", help="PretrainSettings as JSON")
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        settings = PretrainSettings.model_validate_json(options.settings)
        pretrain(settings, options.documents, options.out, options.seed)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "--settings"
        parser.exit(
            2, f"error: --settings: {place}: {first['msg']}, found {json.dumps(first.get('input'), default=str)}\n"
        )
    except UserError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
