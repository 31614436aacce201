"""The fused language-model head: hidden states and labels to the loss, one chunk of logits at a time.

In go the last hidden states of a packed micro-batch, its labels and the identity of every token; out come the summed
loss (differentiable in the hidden states and the head's weight) and the sums a training log wants:

    head = OTRHead(model.lm_head.weight, Objective("otr"), seed=0)
    out = head(hidden, labels, examples, positions, step=12)
    (out.loss / tokens_of_the_whole_step).backward()
    out.nll / out.tokens                                  # mean cross-entropy of the trained tokens

Positions that are not trained never reach the matrix product. Gradients are made in the forward pass: a chunk's logits
become its dlogits in place, are multiplied out into the gradients of the hidden states and of the weight, and the
buffer serves the next chunk. The forward holds one chunk of logits, one gradient of the trained hidden states and one
float32 gradient of the weight, to which each chunk's product is added inside the product. The backward pass hands them
over, and multiplies them only if the loss was multiplied: put what is known beforehand into `weights`. Full logits and
their autograd, the usual way, hold several [tokens, V] tensors at once.

A chunk should be large: each one after the first reads and writes the whole weight gradient, 8 bytes an element. The
default budget of 1.25 GB is 4,096 tokens of bfloat16 logits at V = 151,936. Chunks are equal, and multiples of 128
tokens, the tile of a matrix product on a GPU: a last tile filled by half costs as much as a full one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .draws import call_keys
from .objective import IGNORED, Formula, Objective, ObjectiveName, as_objective
from .rows import RowStatistics, row_pass

LOGITS_BUDGET = 1.25e9
_TILE = 128


@dataclass
class HeadOutput:
    """Sums over the trained tokens, each a 0-d tensor: add them over micro-batches, all-reduce them over ranks, then
    divide by `tokens`. All but `loss` are float64 without gradient; those after `nll` are 0 without diagnostics
    (`gt_count` is always there for OTR, which needs it)."""

    loss: Tensor  # sum of weights * L_t, float32; carries the gradient
    tokens: Tensor  # trained tokens
    nll: Tensor  # -log pi(x)
    gt_probability: Tensor  # q = pi'(x), the mean of N_gt / K over the draws
    gt_count: Tensor  # N_gt: how many of the K draws were the label (Figure 2)
    entropy: Tensor  # of pi, in nats
    beta_share: Tensor  # each token's share, 0 to 1, of gradient that comes from the beta term; 0 for SFT and DFT.
    # A draw of token a with reward R pushes by |R| (1 - pi(a)); the share is the pushes of the draws that missed the
    # label over all pushes. The closed forms take its mean over the draws.
    broken: Tensor  # [3] float64, not a sum: rows of logits that are not finite, and example and position of the first

    def check(self) -> None:
        """Wait for the device. FloatingPointError: a row of logits was not finite; names its example and position."""
        raise_if_broken(self.broken.tolist())


PER_TOKEN = ("nll", "gt_probability", "gt_count", "entropy", "beta_share")
"""The fields of HeadOutput that are logged as means over the trained tokens."""


def raise_if_broken(broken: list[float]) -> None:
    """`HeadOutput.broken` read out, for who gathers those of many calls and looks once. FloatingPointError as there."""
    rows, example, position = (int(number) for number in broken)
    if rows:
        raise FloatingPointError(
            f"logits of example {example}, position {position} are NaN or infinite (or the label is masked); {rows} "
            f"row{'s are' if rows > 1 else ' is'}. Lower the learning rate or look at that example."
        )


class OTRHead(nn.Module):
    """LM head and loss in one. It owns `weight`: hand it the model's `lm_head.weight` (tied: the embedding's) itself.

    weight         Parameter [V, H], float32 master or bfloat16, or the nn.Linear without bias that holds it
    objective      what to minimise, an Objective or its name; all share every line of this head but the row formula
    seed           with step, example and position it names each token's draws
    logits_budget  bytes of logits held at a time, in the hidden states' type
    diagnostics    fill entropy, gt_probability, gt_count and beta_share too; changes no gradient, bit for bit
    """

    def __init__(
        self,
        weight: nn.Parameter | nn.Linear,
        objective: Objective | ObjectiveName | Formula = "otr",
        seed: int = 0,
        logits_budget: float = LOGITS_BUDGET,
        diagnostics: bool = True,
    ) -> None:
        super().__init__()
        self.weight = _weight_of(weight)
        self.objective = as_objective(objective)
        self.seed = seed
        self.logits_budget = logits_budget
        self.diagnostics = diagnostics

    def forward(
        self,
        hidden: Tensor,
        labels: Tensor,
        examples: Tensor | None = None,
        positions: Tensor | None = None,
        step: int | None = None,
        weights: Tensor | None = None,
        wait: bool = True,
        old_log_p: Tensor | None = None,
    ) -> HeadOutput:
        """The loss of a packed micro-batch of T tokens, already shifted: labels[t] is what hidden[t] should predict.

        hidden     [T, H] float32, bfloat16 or float16; the products run in this type
        labels     [T] int64, -100 where the token is not trained
        examples   [T] int64, a number of the example that is the same in every epoch, batch and rank
        positions  [T] int64, the token's position inside its example
        step       optimiser step, so that a token draws anew each time it is seen
                   These three name each token's draws, which then depend on nothing else. Without them the draws
                   differ from call to call and from rank to rank, but also with the layout: see `draws.call_keys`
        weights    [T] float32 factor of each token's loss, or None for 1: 1 / length gives Eq. 10's sequence mean,
                   1 / tokens of the whole step a loss that needs no division, which costs a pass over the gradients
        wait       False promises that every token is trained and every label in range, and leaves it to the caller
                   to call `check()` of the result before the weights change: nothing here then waits for the device
        old_log_p  [T] log-probability of each label under an older policy (`log_p` gives it), for proximal SFT

        ValueError: a shape or a label out of range. FloatingPointError: a trained row of logits is NaN or infinite
        (a -inf mask is allowed, except on the label); names example and position, and no gradient is made.
        """
        vectors = {"labels": labels, "examples": examples, "positions": positions}
        _check_shapes(hidden, self.weight, {**vectors, "weights": weights, "old_log_p": old_log_p})
        keys = call_keys(labels, self.seed, step, examples, positions)
        names = _names(labels, examples, positions)
        if wait:
            kept = (labels != IGNORED).nonzero().view(-1)
            if len(kept) < len(labels):
                hidden = hidden.index_select(0, kept)
                labels, keys, names = labels[kept], keys[kept], names[:, kept]
                weights, old_log_p = (None if column is None else column[kept] for column in (weights, old_log_p))
            _check_labels(labels, self.weight.shape[0])
        chunk = chunk_rows(len(hidden), self.weight.shape[0] * hidden.element_size(), self.logits_budget)
        request = _Request(self.objective, chunk, self.diagnostics, torch.is_grad_enabled())
        with torch.autocast(hidden.device.type, enabled=False):
            outputs: tuple[Tensor, ...] = _FusedHead.apply(  # type: ignore[no-untyped-call]
                hidden, self.weight, labels, keys, weights, old_log_p, request
            )
        loss, *columns = outputs
        output = HeadOutput(
            loss,
            torch.full((), len(hidden), dtype=torch.float64, device=hidden.device),
            *(column.sum(dtype=torch.float64) for column in columns[1:6]),  # type: ignore[misc]
            broken=_broken(RowStatistics(*columns).finite, *names),
        )
        if wait:
            output.check()
        return output

    @torch.no_grad()
    def log_p(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """[T] float32 log-probability of each label, 0 where it is -100: what `old_log_p` asks for. In chunks."""
        _check_shapes(hidden, self.weight, {"labels": labels})
        kept = (labels != IGNORED).nonzero().view(-1)
        _check_labels(labels[kept], self.weight.shape[0])
        states, cast = hidden.index_select(0, kept), self.weight.to(hidden.dtype)
        found, sft = hidden.new_zeros(len(labels), dtype=torch.float32), Objective("sft")
        chunk = chunk_rows(len(kept), len(cast) * hidden.element_size(), self.logits_budget)
        for start in range(0, len(kept), chunk):
            places = kept[start : start + chunk]
            target, logits = labels[places], states[start : start + chunk] @ cast.T
            nll = _row_pass(logits, sft)(logits, target, target, sft, diagnostics=False, gradient=False).nll
            found[places] = -nll.float()
        return found

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]} -> {self.weight.shape[0]}, {self.objective}, seed={self.seed}"


def chunk_rows(rows: int, row_bytes: int, budget: float) -> int:
    """How many rows of logits make a chunk: as few chunks as the budget allows, all of one size but the last, and that
    a multiple of the tile wherever the budget holds one.

        chunk_rows(10_240, 2 * 151_936, 1.25e9)        # 3456: chunks of 3456, 3456 and 3328 rows
    """
    most = max(1, int(budget // row_bytes))
    tile = min(_TILE, most)
    most -= most % tile
    size = -(-rows // max(1, -(-rows // most)))
    return max(1, -(-size // tile)) * tile


def otr_loss(
    logits: Tensor,
    labels: Tensor,
    objective: Objective | ObjectiveName | Formula = "otr",
    *,
    seed: int = 0,
    step: int | None = None,
    examples: Tensor | None = None,
    positions: Tensor | None = None,
    old_log_p: Tensor | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """The OTR loss (or any `Objective`) of logits you already have; differentiable in `logits`.

        loss = otr_loss(model(tokens).logits[:, :-1], tokens[:, 1:])

    logits     [N, V] or [B, T, V], float32, bfloat16, float16 or float64, kept as they are; one copy is made, for the
               gradient
    labels     [N] or [B, T] int64, already shifted: what each row should predict; -100 where it is not trained
    objective  an Objective or its name; "otr" is OTR with kappa 1.3, 256 draws, beta -0.1
    seed, step, examples, positions   name each token's draws, as in `OTRHead.forward`; examples and positions are
               int64 of the labels' shape. By default every call draws anew from torch's generator, as dropout does
    old_log_p  of the labels' shape: log-probability of each label under an older policy, for proximal SFT
    reduction  "mean" over trained tokens (0 if there are none), "sum", or "none" for losses of the labels' shape, 0
               where untrained

    Prefer `OTRHead` where you can: it needs no logits at all. ValueError and FloatingPointError as there.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction: mean, sum or none is needed, found {reduction!r}")
    if logits.dim() not in (2, 3) or labels.shape != logits.shape[:-1]:
        shapes = f"found {list(logits.shape)}, {list(labels.shape)}"
        raise ValueError(f"logits [N, V] and labels [N], or [B, T, V] and [B, T], are needed, {shapes}")
    vectors = {"labels": labels, "examples": examples, "positions": positions, "old_log_p": old_log_p}
    _check_vectors(vectors, labels.shape)
    shape, logits, labels = labels.shape, logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
    examples, positions, old_log_p = (
        None if column is None else column.reshape(-1) for column in (examples, positions, old_log_p)
    )
    keys = call_keys(labels, seed, step, examples, positions)
    kept = (labels != IGNORED).nonzero().view(-1)
    _check_labels(labels[kept], logits.shape[1])
    outputs: tuple[Tensor, Tensor] = _RowLoss.apply(  # type: ignore[no-untyped-call]
        logits,
        kept,
        labels[kept],
        keys[kept],
        None if old_log_p is None else old_log_p[kept],
        as_objective(objective),
    )
    rows, finite = outputs
    names = _names(labels, examples, positions)[:, kept]
    raise_if_broken(_broken(finite, *names).tolist())
    if reduction == "none":
        return rows.new_zeros(len(labels)).index_copy(0, kept, rows).view(shape)
    return rows.sum() if reduction == "sum" else rows.sum() / max(1, len(kept))


@dataclass(frozen=True)
class _Request:
    objective: Objective
    chunk: int
    diagnostics: bool
    gradient: bool


class _FusedHead(torch.autograd.Function):
    """hidden [N, H], weight [V, H] -> summed loss (0-d) and the columns of RowStatistics ([N] each, no gradient)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        labels: Tensor,
        keys: Tensor,
        weights: Tensor | None,
        old_log_p: Tensor | None,
        request: _Request,
    ) -> tuple[Tensor, ...]:
        want_hidden, want_weight = (wanted and request.gradient for wanted in ctx.needs_input_grad[:2])
        cast = weight.to(hidden.dtype)
        count, chunk = len(hidden), request.chunk
        buffer = hidden.new_empty(min(count, chunk), len(cast))
        row_function = _row_pass(buffer, request.objective)
        hidden_gradient = torch.empty_like(hidden) if want_hidden else None
        weight_gradient: Tensor | None = None  # [V, H] float32
        parts = []
        for start in range(0, count, chunk):
            rows = slice(start, start + chunk)
            states = hidden[rows]
            logits = torch.mm(states, cast.T, out=buffer[: len(states)])
            parts.append(
                row_function(
                    logits,
                    labels[rows],
                    keys[rows],
                    request.objective,
                    None if weights is None else weights[rows],
                    request.diagnostics,
                    gradient=want_hidden or want_weight,
                    old_log_p=None if old_log_p is None else old_log_p[rows],
                )
            )
            if hidden_gradient is not None:
                torch.mm(logits, cast, out=hidden_gradient[rows])
            if want_weight:
                weight_gradient = _add_product(weight_gradient, logits, states)
        if want_weight and weight_gradient is None:
            weight_gradient = torch.zeros_like(weight)
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        # A leaf may ask for gradients of another type than its own (torch 2.10 and later).
        ctx.weight_dtype = (getattr(weight, "grad_dtype", None) if weight.is_leaf else None) or weight.dtype
        statistics = _concatenate(parts, like=hidden)
        loss = statistics.loss if weights is None else statistics.loss * weights
        columns = tuple(vars(statistics).values())
        ctx.mark_non_differentiable(*columns)
        return loss.sum(dtype=torch.float64).to(loss.dtype), *columns

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        for gradient in (hidden_gradient, weight_gradient):
            if gradient is not None:
                _scale(gradient, scale)
        if weight_gradient is not None:
            weight_gradient = weight_gradient.to(ctx.weight_dtype)
        return hidden_gradient, weight_gradient, None, None, None, None, None


class _RowLoss(torch.autograd.Function):
    """logits [N, V], kept [n] rows of it -> losses [n] and finite [n]; keeps the kept rows' gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        kept: Tensor,
        labels: Tensor,
        keys: Tensor,
        old_log_p: Tensor | None,
        objective: Objective,
    ) -> tuple[Tensor, Tensor]:
        slope = logits.index_select(0, kept)  # a copy: the caller's logits stay
        gradient = ctx.needs_input_grad[0]
        statistics = _row_pass(slope, objective)(slope, labels, keys, objective, None, False, gradient, old_log_p)
        ctx.save_for_backward(slope, kept)
        ctx.rows = len(logits)
        ctx.mark_non_differentiable(statistics.finite)
        return statistics.loss, statistics.finite

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        slope, kept = ctx.saved_tensors
        slope.mul_(scale[:, None])
        if len(kept) < ctx.rows:
            slope = slope.new_zeros(ctx.rows, slope.shape[1]).index_copy_(0, kept, slope)
        return slope, None, None, None, None, None


def _row_pass(logits: Tensor, objective: Objective) -> Callable[..., RowStatistics]:
    """The Triton kernel's row_pass where it runs and holds the objective, the torch rows' elsewhere: same contract,
    same draws."""
    if logits.device.type == "cuda" and logits.dtype != torch.float64 and find_spec("triton"):
        from . import kernel  # here, so that a machine without a GPU needs no triton

        if kernel.holds(objective):
            return kernel.row_pass
    return row_pass


def _add_product(total: Tensor | None, logits: Tensor, states: Tensor) -> Tensor:
    """total + logits^T states in float32 (float64 for float64), whatever the type of the factors."""
    if logits.dtype in (torch.float32, torch.float64):
        return logits.T @ states if total is None else total.addmm_(logits.T, states)
    if logits.device.type == "cuda":  # the tensor cores add in float32 anyway, and to `total` on the way out
        if total is None:
            return torch.mm(logits.T, states, out_dtype=torch.float32)
        return torch.addmm(total, logits.T, states, out_dtype=torch.float32, out=total)
    product = (logits.T @ states).float()
    return product if total is None else total.add_(product)


def _scale(gradient: Tensor, factor: Tensor) -> None:
    """gradient *= factor (0-d), through float32: 1 / tokens rounded to bfloat16 would bias every element the same way.
    A factor of exactly 1 costs no pass over the gradient, and nobody waits for the device to learn it."""
    if gradient.device.type == "cuda" and gradient.dtype != torch.float64 and find_spec("triton"):
        from . import kernel

        kernel.scale(gradient, factor)
    elif gradient.device.type != "cpu" or factor.item() != 1:
        gradient.copy_(gradient.to(factor.dtype) * factor)


def _concatenate(parts: list[RowStatistics], like: Tensor) -> RowStatistics:
    if len(parts) == 1:
        return parts[0]
    parts = parts or [RowStatistics.zeros(0, like)]
    return RowStatistics(*(torch.cat(column) for column in zip(*(vars(part).values() for part in parts), strict=True)))


def _weight_of(weight: nn.Parameter | nn.Linear) -> nn.Parameter:
    if isinstance(weight, nn.Linear):
        if weight.bias is not None:
            raise ValueError("weight: a linear layer without bias is needed, found one with bias")
        weight = weight.weight
    if weight.dim() != 2:
        raise ValueError(f"weight: [V, H] is needed, found {list(weight.shape)}")
    return weight


def _check_shapes(hidden: Tensor, weight: Tensor, vectors: dict[str, Tensor | None]) -> None:
    if hidden.dim() != 2 or hidden.shape[1] != weight.shape[1]:
        width = weight.shape[1]
        raise ValueError(f"hidden: [T, {width}] is needed (weight {list(weight.shape)}), found {list(hidden.shape)}")
    _check_vectors(vectors, hidden.shape[:1])


def _check_vectors(vectors: dict[str, Tensor | None], shape: torch.Size) -> None:
    for name, vector in vectors.items():
        if vector is None:
            continue
        if vector.shape != shape:
            raise ValueError(f"{name}: {list(shape)} is needed, one a token, found {list(vector.shape)}")
        if name in ("labels", "examples", "positions") and vector.dtype != torch.int64:
            raise ValueError(f"{name}: int64 is needed, found {vector.dtype}")


def _names(labels: Tensor, examples: Tensor | None, positions: Tensor | None) -> Tensor:
    """[2, T] int64: example and position of each token for messages, 0 and its place in the call where unnamed."""
    places = torch.arange(len(labels), device=labels.device) if positions is None else positions
    return torch.stack([torch.zeros_like(labels) if examples is None else examples, places])


def _check_labels(labels: Tensor, vocabulary: int) -> None:
    """An index out of range would read another row's memory on a GPU."""
    if len(labels):
        low, high = (int(bound) for bound in torch.stack(labels.aminmax()).tolist())
        if low < 0 or high >= vocabulary:
            raise ValueError(f"labels: 0 to {vocabulary - 1}, or {IGNORED}, is needed, found {low} to {high}")


def _broken(finite: Tensor, examples: Tensor, positions: Tensor) -> Tensor:
    """[3] float64: `HeadOutput.broken` of rows with these flags, found without waiting for the device."""
    if len(finite) == 0:
        return torch.zeros(3, dtype=torch.float64, device=finite.device)
    broken = ~finite
    first = broken.to(torch.uint8).argmax(keepdim=True)
    return torch.cat([broken.sum().view(1), examples[first], positions[first]]).double()
