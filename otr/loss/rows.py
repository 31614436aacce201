"""Rows of logits to losses and gradients, in plain torch: the objectives' formulas, and the sampler.

In go a chunk of logits [n, V] (one row a trained token), labels [n] and keys [n]; out come the statistics of each row,
and the logits tensor now holds dL/dlogits:

    logits = torch.tensor([[2.0, 0.0, -1.0]])
    keys = token_keys(seed=0, step=0, examples=torch.tensor([0]), positions=torch.tensor([0]))
    statistics = row_pass(logits, torch.tensor([0]), keys, Objective("sft"))
    statistics.loss           # [0.1698] = -log softmax(logits)[0]
    logits                    # [[-0.1562, 0.1142, 0.0420]] = softmax(logits) - one_hot(0)

With p = softmax(l), pi' = softmax(l / kappa), x the label, q = pi'(x), c_i the draws that hit token i and N = c_x:

    OTR               L = -(N log p_x + beta sum_{j: a_j != x} log p(a_j)) / K               (Eq. 9)
                      dL/dl_i = rho p_i - R_i c_i / K,   rho = (N + beta (K - N)) / K,   R_x = 1, R_i = beta elsewhere
    all the others    L = -A log p_x - B sum_a pi'_a log p_a
                      dL/dl_i = A (p_i - [i = x]) + B (p_i - pi'_i)                          A and B are constants here

Each row of either gradient sums to zero. The sampler draws from pi' without a pass over the vocabulary of its own: the
label stands first on the cumulative distribution, so the draws below q are N; the rest are looked up in the sums of
blocks of 64 tokens, and only the blocks hit are summed token by token.

Sums run in float32 (float64 for float64 logits); cumulative sums over blocks and the comparison with q in float64.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .draws import uniforms
from .objective import Coefficient, Objective, TokenStatistics

# Logits handled at a time: three float32 buffers of this many elements stay in a CPU's last-level cache.
_GROUP_ELEMENTS = {"cpu": 2**19, "cuda": 2**25}
_BLOCK = 64
# Up to this vocabulary one cumulative sum over the row is as exact as blocks and faster.
_ONE_BLOCK = 4096
# Stands for a masked logit (-inf): its exponential is exactly 0, and 0 * _MASKED is 0 where 0 * -inf is NaN.
_MASKED = -1e30


@dataclass
class RowStatistics:
    """One number a row, [n], without gradient; float32 (float64 for float64 logits). Those nobody asked for are 0."""

    loss: Tensor  # the objective, unweighted
    nll: Tensor  # -log p_x
    gt_probability: Tensor  # q = pi'(x)
    gt_count: Tensor  # N, of K draws
    entropy: Tensor  # -sum_a p_a log p_a, in nats
    beta_share: Tensor  # share of the gradient that the beta term makes, 0 to 1: see `_share`
    finite: Tensor  # bool: False where the row holds NaN or +inf, only -inf, or -inf at its label

    @classmethod
    def zeros(cls, count: int, like: Tensor) -> "RowStatistics":
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        columns = torch.zeros(6, count, dtype=dtype, device=like.device)
        return cls(*columns, torch.ones(count, dtype=torch.bool, device=like.device))  # type: ignore[call-arg]

    def slice(self, rows: slice) -> "RowStatistics":
        """The same storage, seen through `rows`."""
        return RowStatistics(**{name: column[rows] for name, column in vars(self).items()})


def row_pass(
    logits: Tensor,
    labels: Tensor,
    keys: Tensor,
    objective: Objective,
    weights: Tensor | None = None,
    diagnostics: bool = True,
    gradient: bool = True,
) -> RowStatistics:
    """Losses and statistics of each row; `logits` is overwritten with weights * dL/dlogits.

    logits       [n, V] contiguous, float32, bfloat16, float16 or float64; scratch afterwards if not `gradient`
    labels       [n] int64 in [0, V)
    keys         [n] int64 from `otr.loss.draws.token_keys`
    weights      [n] factor of each row's gradient (not of the statistics), or None for 1
    diagnostics  also fill gt_probability, gt_count, entropy and beta_share; never changes the gradient, bit for bit
    """
    count, vocabulary = logits.shape
    statistics = RowStatistics.zeros(count, logits)
    group = max(1, _GROUP_ELEMENTS.get(logits.device.type, 2**22) // vocabulary)
    scratch = _Scratch(min(group, count), vocabulary, like=statistics.loss)
    for start in range(0, count, group):
        rows = slice(start, min(start + group, count))
        weight = None if weights is None else weights[rows].to(statistics.loss.dtype)
        _group_pass(
            logits[rows], labels[rows, None], keys[rows], objective, weight, diagnostics, gradient,
            scratch, statistics.slice(rows),
        )  # fmt: skip
    return statistics


def rollout(logits: Tensor, labels: Tensor, keys: Tensor, objective: Objective) -> Tensor:
    """[n, K] int64: the candidates a_j (Eq. 6) that `row_pass` draws for these rows, in the order of their draws."""
    scratch = _Scratch(len(logits), logits.shape[1], like=RowStatistics.zeros(0, logits).loss)
    shifted = logits.to(scratch.mass.dtype)
    shifted = (shifted - shifted.amax(1, keepdim=True)).clamp(min=_MASKED)
    mass = _sampling_mass(shifted, objective.kappa, out=scratch.view(len(logits)))
    return _draw(scratch.mass, mass, labels[:, None], keys, objective.samples)[0]


class _Scratch:
    """Buffers of one group, allocated once a call: fresh pages would cost as much as the arithmetic."""

    def __init__(self, rows: int, vocabulary: int, like: Tensor) -> None:
        width = vocabulary if vocabulary <= _ONE_BLOCK else _BLOCK
        blocks = -(-vocabulary // width)
        self.vocabulary = vocabulary
        self.exp = torch.empty(rows, vocabulary, dtype=like.dtype, device=like.device)
        # pi' times its normaliser, cut into blocks; the tail that pads the last block stays 0 and is never drawn.
        self.mass = torch.zeros(rows, blocks, width, dtype=like.dtype, device=like.device)

    def view(self, rows: int) -> Tensor:
        """`mass` as [rows, V]."""
        return self.mass.flatten(1)[:rows, : self.vocabulary]


def _group_pass(
    logits: Tensor,
    labels: Tensor,
    keys: Tensor,
    objective: Objective,
    weights: Tensor | None,
    diagnostics: bool,
    gradient: bool,
    scratch: _Scratch,
    out: RowStatistics,
) -> None:
    """`row_pass` for few enough rows to stay in cache. labels: [g, 1]; out: [g] views to fill."""
    shifted = logits.to(out.loss.dtype)  # the logits themselves when they have that type: worked on in place
    label_logit, peak = shifted.gather(1, labels), shifted.amax(1, keepdim=True)
    torch.logical_and(peak.isfinite(), label_logit.isfinite(), out=out.finite[:, None])
    shifted.sub_(peak).clamp_(min=_MASKED)
    exp = torch.exp(shifted, out=scratch.exp[: len(logits)])
    total = exp.sum(1, keepdim=True)
    log_total = total.log()
    log_p_x = label_logit - peak - log_total
    mass, mass_total, q = scratch.view(len(logits)), total, total
    if diagnostics or objective.formula.needs_mass:
        _sampling_mass(shifted, objective.kappa, out=mass)
        mass_total = mass.sum(1, keepdim=True)
        q = mass.gather(1, labels) / mass_total
        out.gt_probability.copy_(q[:, 0])
    out.nll.copy_(-log_p_x[:, 0])
    if diagnostics:
        out.entropy.copy_((log_total - _dot(exp, shifted) / total)[:, 0])

    group = _Group(labels, shifted, exp, total, log_total, log_p_x, mass, mass_total, q)
    if objective.formula.sampled:
        slope = _sample(group, keys, objective, diagnostics, scratch.mass[: len(logits)], out)
    else:
        slope = _integrate(group, keys, objective, diagnostics, out)
    if gradient:
        _write_gradient(group, slope, weights)
        if shifted.dtype != logits.dtype:
            logits.copy_(shifted)


@dataclass
class _Group:
    """What every objective needs of g rows; columns are [g, 1]."""

    labels: Tensor
    shifted: Tensor  # [g, V] l - max l; becomes the gradient
    exp: Tensor  # [g, V] its exponential, p times `total`
    total: Tensor
    log_total: Tensor
    log_p_x: Tensor
    mass: Tensor  # [g, V] pi' times `mass_total`; filled for diagnostics or where the formula needs it
    mass_total: Tensor
    q: Tensor


@dataclass
class _Slope:
    """dL/dl = scale p - push at `columns` - spread pi'."""

    scale: Tensor  # [g, 1]
    columns: Tensor  # [g, k] int64, may repeat
    push: Tensor  # [g, k]
    spread: Tensor | None  # [g, 1]; None for 0


def _sample(
    group: _Group, keys: Tensor, objective: Objective, diagnostics: bool, blocks: Tensor, out: RowStatistics
) -> _Slope:
    """OTR, Eq. 8: K draws, each of which pushes its token by R / K. blocks: the storage of `group.mass` in blocks."""
    samples, beta = objective.samples, objective.beta
    candidates, hit = _draw(blocks, group.mass, group.labels, keys, samples)
    count = -hit.sum(1, keepdim=True)
    push = hit.to(group.exp.dtype).mul_((beta - 1) / samples).add_(beta / samples)  # R / K, Eq. 7: hit is -1 or 0
    log_p = group.shifted.gather(1, candidates).sub_(group.log_total)
    out.loss.copy_(-_dot(push, log_p)[:, 0])
    out.gt_count.copy_(count[:, 0])
    if diagnostics:
        label_force = count * (1 - group.log_p_x.exp())
        others = log_p.exp_().neg_().add_(1).sum(1, keepdim=True) - label_force
        out.beta_share.copy_(_share(label_force, abs(beta) * others))
    return _Slope(push.sum(1, keepdim=True), candidates, push, spread=None)


def _integrate(group: _Group, keys: Tensor, objective: Objective, diagnostics: bool, out: RowStatistics) -> _Slope:
    """The objectives without sampling noise: A and B of the table."""
    p_x, q = group.log_p_x.exp(), group.q
    formula, token = objective.formula, TokenStatistics(p_x, group.log_p_x, q)
    pull, spread = (_column(term, token, objective) for term in (formula.pull, formula.spread))
    loss = -pull * group.log_p_x
    if formula.spread:
        loss -= spread * (_dot(group.mass, group.shifted) / group.mass_total - group.log_total)
    out.loss.copy_(loss[:, 0])
    if diagnostics:
        out.gt_count.copy_(-_sign(uniforms(keys, objective.samples).sub_(q.double())).sum(1))
        if formula.spread:
            label_force = torch.where(pull > 0, q * (1 - p_x), 0.0)
            others = (1 - q) - (_dot(group.mass, group.exp) / group.mass_total / group.total - q * p_x)
            out.beta_share.copy_(_share(label_force, spread.abs() * others))
    return _Slope(pull + spread, group.labels, pull, spread if formula.spread else None)


def _column(term: Coefficient | None, token: TokenStatistics, objective: Objective) -> Tensor:
    """[g, 1]: A or B of each row."""
    value = 0.0 if term is None else term(token, objective)
    return torch.as_tensor(value, dtype=token.p.dtype, device=token.p.device).expand_as(token.p)


def _write_gradient(group: _Group, slope: _Slope, weights: Tensor | None) -> None:
    """Turn `group.shifted` into weights * dL/dl; `group.mass` is used up."""
    weight = 1.0 if weights is None else weights[:, None]
    gradient = torch.mul(group.exp, slope.scale * weight / group.total, out=group.shifted)
    gradient.scatter_add_(1, slope.columns, slope.push * -weight)
    if slope.spread is not None:
        gradient.sub_(group.mass.mul_(slope.spread * weight / group.mass_total))


def _sampling_mass(shifted: Tensor, kappa: float, out: Tensor) -> Tensor:
    """pi' up to its normaliser: exp((l - max l) / kappa), Eq. 5."""
    return torch.mul(shifted, 1 / kappa, out=out).exp_()


def _share(label_force: Tensor, beta_force: Tensor) -> Tensor:
    """[g]: the share of the gradient that comes from the beta term, 0 to 1; both forces are [g, 1].

    One draw of token a with reward R pushes the row by R (one_hot(a) - p) / K, whose positive half weighs
    |R| (1 - p_a) / K: its force. The draws that missed the label make the beta term, and the share is their force over
    that of all draws (0 where nothing is pushed). Draws that cancel each other count in full.
    """
    beta_force = beta_force.clamp(min=0)  # a difference of sums: rounding may leave it just below
    force = label_force + beta_force
    return torch.where(force > 0, beta_force / force, 0.0)[:, 0]


def _draw(blocks: Tensor, mass: Tensor, labels: Tensor, keys: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """K draws a row with probabilities mass / mass.sum(1): their tokens, and -1 for the label or 0 for another token,
    both [g, K] int64.

    blocks [g, B, W] and mass [g, V] share their storage; the label's mass is set to 0 on the way, since the label
    stands first on the cumulative distribution.
    """
    total = mass.sum(1, keepdim=True)
    # A quotient of the sums' own type, so that the draws of the label are the same with and without an OTR objective.
    q = mass.gather(1, labels) / total
    mass.scatter_(1, labels, 0.0)
    past_label = uniforms(keys, samples).sub_(q.double())
    hit = _sign(past_label)
    tokens = _locate(blocks, past_label.mul_(total.double()))
    # Without a branch: the label where the mask's bits are set.
    return tokens.bitwise_xor_((tokens ^ labels).bitwise_and_(hit)), hit


def _locate(blocks: Tensor, value: Tensor) -> Tensor:
    """[g, K] int64: the first token of each row whose cumulative mass reaches `value`; never one without mass.

    blocks: [g, B, W] masses; value: [g, K] float64. A value outside (0, last sum], by rounding or because it was the
    label's, is clamped into it; the search then compares strictly, hence stops at a token that raises the sum.
    """
    rows, count, width = blocks.shape
    if count == 1:
        sums = blocks.view(rows, width).cumsum(1)
        return _search(sums, value.to(sums.dtype))
    edges = blocks.sum(2).double().cumsum(1)
    block = _search(edges, value)
    before = torch.nn.functional.pad(edges, (1, 0)).gather(1, block)
    first = torch.arange(0, rows * count, count, device=block.device)[:, None]
    sums = blocks.view(-1, width).index_select(0, (first + block).view(-1)).cumsum(1)
    inside = _search(sums, (value - before).to(sums.dtype).view(-1, 1))
    return block * width + inside.view_as(block)


def _search(sums: Tensor, value: Tensor) -> Tensor:
    """[m, k] int64: how many of the non-decreasing sums [m, W] lie strictly below `value` [m, k], after clamping that
    to (0, last sum]. Halving by index_select on int32 positions: on a CPU twice as fast as torch.searchsorted."""
    count, width = sums.shape
    value = value.clamp(min=torch.finfo(sums.dtype).tiny).minimum(sums[:, -1:])
    base = torch.arange(0, count * width, width, dtype=torch.int32, device=sums.device)[:, None]
    low, left = base.repeat(1, value.shape[1]).view(-1), width - 1
    flat, wanted = sums.view(-1), value.view(-1)
    while left > 0:
        half = (left + 1) // 2
        below = _sign(flat[half - 1 :].index_select(0, low).sub_(wanted))
        low.add_(below.to(torch.int32), alpha=-half)
        left -= half
    return low.view_as(value).sub_(base).long()


def _sign(values: Tensor) -> Tensor:
    """-1 where a float32 or float64 is below zero, else 0, as integers of its width. It reads the sign bit, five times
    as fast on a CPU as a comparison; a difference of equal numbers is +0, so `a - b` asks a < b strictly."""
    if values.dtype == torch.float32:
        return values.view(torch.int32) >> 31
    return values.view(torch.int64) >> 63


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """[g, 1]: the inner product of each row."""
    product: Tensor = torch.linalg.vecdot(left, right)
    return product[:, None]
