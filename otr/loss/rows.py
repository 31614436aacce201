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

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .draws import uniforms
from .objective import Candidates, Coefficient, Objective, TokenStatistics
from .workspace import Workspace, workspace

# Logits handled at a time: four float32 buffers of this many elements stay in a CPU's last-level cache.
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
    beta_share: Tensor  # share of the gradient that the beta term makes, 0 to 1: see `share`
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
    old_log_p: Tensor | None = None,
) -> RowStatistics:
    """Losses and statistics of each row; `logits` is overwritten with weights * dL/dlogits.

    logits       [n, V] contiguous, float32, bfloat16, float16 or float64; scratch afterwards if not `gradient`
    labels       [n] int64 in [0, V)
    keys         [n] int64 from `draws.token_keys`
    weights      [n] factor of each row's gradient (not of the statistics), or None for 1
    diagnostics  also fill gt_probability, gt_count, entropy and beta_share; never changes the gradient, bit for bit
    old_log_p    [n] log-probability of the label under an older policy, for the objectives that need it
    """
    count, vocabulary = logits.shape
    statistics = RowStatistics.zeros(count, logits)
    group = max(1, _GROUP_ELEMENTS.get(logits.device.type, 2**22) // max(vocabulary, objective.samples))
    with workspace(logits.device) as work:
        for start in range(0, count, group):
            rows = slice(start, min(start + group, count))
            weight, old = (
                None if column is None else column[rows, None].to(statistics.loss.dtype)
                for column in (weights, old_log_p)
            )
            _group_pass(
                logits[rows], labels[rows, None], keys[rows], objective, weight, diagnostics, gradient, old,
                work, statistics.slice(rows),
            )  # fmt: skip
    return statistics


def rollout(logits: Tensor, labels: Tensor, keys: Tensor, objective: Objective) -> Tensor:
    """[n, K] int64: the candidates a_j (Eq. 6) that `row_pass` draws for these rows, in the order of their draws."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    shifted = logits.to(dtype)
    shifted = (shifted - shifted.amax(1, keepdim=True)).clamp(min=_MASKED)
    with workspace(logits.device) as work:
        blocks = _blocks(logits.shape, dtype, work)
        label, rest = _sampling_mass(shifted, labels[:, None], objective.kappa, _rows_of(blocks, logits.shape[1]))
        past_label = _past_label(_Parts(label, rest), keys, objective.samples, work)
        missed, tokens = past_label >= 0, labels[:, None].repeat(1, objective.samples)
        tokens[missed] = _misses(blocks, past_label, label + rest, work).token
    return tokens


def _blocks(shape: torch.Size, dtype: torch.dtype, work: Workspace) -> Tensor:
    """[g, B, W]: storage of pi' times its normaliser, cut into blocks. The tail that pads the last block is 0: it is
    never drawn."""
    rows, vocabulary = shape
    width = vocabulary if vocabulary <= _ONE_BLOCK else _BLOCK
    blocks = work.take("mass", (rows, -(-vocabulary // width), width), dtype)
    blocks.flatten(1)[:, vocabulary:] = 0
    return blocks


def _rows_of(blocks: Tensor, vocabulary: int) -> Tensor:
    """The same memory as [rows, V]."""
    return blocks.flatten(1)[:, :vocabulary]


def _group_pass(
    logits: Tensor,
    labels: Tensor,
    keys: Tensor,
    objective: Objective,
    weights: Tensor | None,
    diagnostics: bool,
    gradient: bool,
    old_log_p: Tensor | None,
    work: Workspace,
    out: RowStatistics,
) -> None:
    """`row_pass` for few enough rows to stay in cache. labels, weights, old_log_p: [g, 1]; out: [g] views to fill."""
    shifted = logits.to(out.loss.dtype)  # the logits themselves when they have that type: worked on in place
    label_logit, peak = shifted.gather(1, labels), shifted.amax(1, keepdim=True)
    torch.logical_and(peak.isfinite(), label_logit.isfinite(), out=out.finite[:, None])
    shifted.sub_(peak).clamp_(min=_MASKED)
    exp, product = (work.take(name, logits.shape, shifted.dtype) for name in ("exp", "product"))
    torch.exp(shifted, out=exp)
    policy = _set_apart(exp, labels)
    label_shifted = label_logit - peak
    # Where the label is the likeliest token, log1p keeps the digits that 1 + rest would round away.
    log_p_x = torch.where(label_shifted == 0, -policy.rest.log1p(), label_shifted - policy.total.log())
    blocks = _blocks(logits.shape, shifted.dtype, work)
    mass = _rows_of(blocks, logits.shape[1])
    group = _Group(labels, label_shifted, log_p_x, shifted, exp, policy, mass, policy, old_log_p, product)
    if diagnostics or objective.formula.needs_mass:
        group.sampling = _sampling_mass(shifted, labels, objective.kappa, group.mass)
        out.gt_probability.copy_(group.sampling.share[:, 0])
    out.nll.copy_(-log_p_x[:, 0])
    if diagnostics:
        out.entropy.copy_(group.entropy()[:, 0])
    if objective.formula.sampled:
        slope = _sample(group, keys, objective, diagnostics, blocks, work, out)
    else:
        slope = _integrate(group, keys, objective, diagnostics, work, out)
    if gradient:
        _write_gradient(group, slope, weights)
        if shifted.dtype != logits.dtype:
            logits.copy_(shifted)


class _Parts(NamedTuple):
    """A distribution up to its normaliser, [g, 1] each: the label's part and that of all others, summed without it.

    1 - p of a sure label is `rest / total`, exact where 1 - label / total would be rounding."""

    label: Tensor
    rest: Tensor

    @property
    def total(self) -> Tensor:
        return self.label + self.rest

    @property
    def share(self) -> Tensor:
        """p or q of the label. From these two numbers alone, so that the draws are the same for every objective."""
        return self.label / self.total


def _set_apart(mass: Tensor, labels: Tensor) -> _Parts:
    """The parts of `mass` [g, V], in which the label's entry is set to 0."""
    label = mass.gather(1, labels)
    mass.scatter_(1, labels, 0.0)
    return _Parts(label, mass.sum(1, keepdim=True))


def _sampling_mass(shifted: Tensor, labels: Tensor, kappa: float, out: Tensor) -> _Parts:
    """pi' up to its normaliser, exp((l - max l) / kappa), Eq. 5, without the label; and its parts."""
    return _set_apart(torch.mul(shifted, 1 / kappa, out=out).exp_(), labels)


@dataclass
class _Group:
    """What every objective needs of g rows; columns are [g, 1]."""

    labels: Tensor
    label_shifted: Tensor
    log_p_x: Tensor
    shifted: Tensor  # [g, V] l - max l; becomes the gradient
    exp: Tensor  # [g, V] its exponential, 0 at the label
    policy: _Parts
    mass: Tensor  # [g, V] pi' times its normaliser, 0 at the label; filled for diagnostics or where a formula needs it
    sampling: _Parts
    old_log_p: Tensor | None
    product: Tensor  # [g, V] to work in

    def dot(self, left: Tensor, right: Tensor) -> Tensor:
        """[g, 1]: the inner product of each row of two [g, V]."""
        return torch.mul(left, right, out=self.product).sum(1, keepdim=True)

    def entropy(self) -> Tensor:
        mean = (self.dot(self.exp, self.shifted) + self.policy.label * self.label_shifted) / self.policy.total
        return self.policy.total.log() - mean

    def expected_log_p(self) -> Tensor:
        """sum_a pi'_a log p_a."""
        sums = self.dot(self.mass, self.shifted) + self.sampling.label * self.label_shifted
        return sums / self.sampling.total - self.policy.total.log()


@dataclass
class _Slope:
    """dL/dl = (pulls + spread) p - pulls at their tokens - spread pi', where a pull is A or a draw's R / K."""

    label: Tensor  # [g, 1] the pull at the label
    spread: Tensor | None = None  # [g, 1]; None for 0
    others: Tensor | None = None  # [g, 1] the sum of a row's pulls elsewhere
    pulls: "_Pulls | None" = None  # the same token by token


def _integrate(
    group: _Group, keys: Tensor, objective: Objective, diagnostics: bool, work: Workspace, out: RowStatistics
) -> _Slope:
    """The objectives without sampling noise: A and B of the table."""
    formula, q = objective.formula, group.sampling.share
    if diagnostics or "hits" in formula.needs:
        past_label = _past_label(group.sampling, keys, objective.samples, work)
        count = -_sign(past_label, out=past_label).sum(1)
        out.gt_count.copy_(count)  # as the OTR objective draws it: for analysis alone, or as a statistic
    token = token_statistics(
        objective,
        group.log_p_x,
        lambda: q,
        group.entropy,
        lambda: out.gt_count[:, None] / objective.samples,
        group.old_log_p,
    )
    pull, spread = (column(term, token, objective) for term in (formula.A, formula.B))
    if formula.loss:
        loss = column(formula.loss, token, objective)
    else:
        loss = -pull * group.log_p_x
        if formula.B:
            loss = loss - spread * group.expected_log_p()
    out.loss.copy_(loss[:, 0])
    if diagnostics and formula.B:
        label_force = torch.where(pull == 0, 0.0, (pull + spread * q).abs() * group.policy.rest / group.policy.total)
        others = group.sampling.rest - group.dot(group.mass, group.exp) / group.policy.total
        out.beta_share.copy_(share(label_force, spread.abs() * others / group.sampling.total)[:, 0])
    return _Slope(pull, spread if formula.B else None)


def token_statistics(
    objective: Objective,
    log_p: Tensor,
    q: Callable[[], Tensor],
    entropy: Callable[[], Tensor],
    hits: Callable[[], Tensor],
    old_log_p: Tensor | None,
) -> TokenStatistics:
    """What A and B read: the columns that the formula needs, and no others, whoever else asked for them."""
    needs = objective.formula.needs
    columns = {"p": log_p.exp(), "log_p": log_p}
    columns |= {name: get() for name, get in (("q", q), ("entropy", entropy), ("hits", hits)) if name in needs}
    if "old_log_p" in needs:
        if old_log_p is None:
            raise ValueError(f"objective {objective.name!r} needs old_log_p, [n] log-probabilities of an older policy")
        columns["old_log_p"] = old_log_p.to(log_p.dtype)
    return TokenStatistics(**columns)


def column(term: Coefficient | None, token: TokenStatistics, objective: Objective) -> Tensor:
    """[g, 1]: A, B or the loss of each row."""
    value = 0.0 if term is None else term(token, objective)
    return torch.as_tensor(value, dtype=token.p.dtype, device=token.p.device).expand_as(token.p)


@dataclass
class _Misses:
    """The m draws of g rows that are not their row's label, in the order of the rows."""

    place: Tensor  # [m] int64: of the token in the storage of the masses, flattened
    count: Tensor  # [g] int64: how many each row has
    stride: int  # of the storage: from a row to the next

    @property
    def row(self) -> Tensor:
        """[m] int64"""
        return torch.arange(len(self.count), device=self.count.device).repeat_interleave(self.count)

    @property
    def token(self) -> Tensor:
        """[m] int64"""
        return self.place % self.stride

    def sum(self, values: Tensor | float, dtype: torch.dtype) -> Tensor:
        """[g, 1]: the sum over each row's misses of `values`, [m] or one number for all."""
        if isinstance(values, Tensor):
            return torch.segment_reduce(values, "sum", lengths=self.count, unsafe=True)[:, None]
        return self.count[:, None].to(dtype) * values


@dataclass
class _Pulls:
    """The sum of the misses' pulls at each token: `factor * at`."""

    at: Tensor  # [g, V]
    factor: float

    def force(self, group: _Group) -> Tensor:
        """[g, 1]: the sum of |pull| (1 - p) over each row's misses."""
        strength = torch.abs(self.at, out=group.product)
        total = strength.sum(1, keepdim=True)
        weighed = strength.mul_(group.exp).sum(1, keepdim=True).div_(group.policy.total)
        return total.sub_(weighed).mul_(abs(self.factor))


def _sample(
    group: _Group,
    keys: Tensor,
    objective: Objective,
    diagnostics: bool,
    blocks: Tensor,
    work: Workspace,
    out: RowStatistics,
) -> _Slope:
    """OTR, Eq. 8: K draws, each of which pulls at its token by R / K. blocks: the storage of `group.mass` in blocks.

    The draws of the label are known by their number, so only the others are looked up: in a trained model few. The
    search leaves nothing of the masses, and their storage then holds the pulls."""
    formula, samples, policy = objective.formula, objective.samples, group.policy
    dtype = group.shifted.dtype
    assert formula.reward is not None
    if formula.baseline:  # needs the masses once more
        blocks = blocks.clone()
    misses = _misses(blocks, _past_label(group.sampling, keys, samples, work), group.sampling.total, work)
    hits = samples - misses.sum(1.0, dtype)
    reward = formula.reward(_candidates(group, misses), objective)
    pull: Tensor | float = reward / samples
    label = hits / samples
    spread: Tensor | None = None
    if formula.baseline:  # (R_j - b_j) / K = (K R_j - sum R) / (K (K - 1)), and mean R spread over pi'
        rewards, scale = hits + misses.sum(reward, dtype), samples * (samples - 1)
        pull = (samples * reward - rewards.view(-1).index_select(0, misses.row)) / scale
        label, spread = hits * (samples - rewards) / scale, rewards / samples
    others = misses.sum(pull, dtype)
    pulls = _pulls(misses, pull, blocks, group)
    loss = others * policy.total.log() - pulls.factor * group.dot(pulls.at, group.shifted) - label * group.log_p_x
    if spread is not None:
        loss -= spread * group.expected_log_p()
    out.loss.copy_(loss[:, 0])
    out.gt_count.copy_(hits[:, 0])
    if diagnostics:
        out.beta_share.copy_(share(label.abs() * policy.rest / policy.total, pulls.force(group))[:, 0])
    return _Slope(label, spread, others, pulls)


def _candidates(group: _Group, misses: _Misses) -> Candidates:
    """What a reward reads, worked out when it does."""

    def of_row(column: Tensor) -> Tensor:
        return column.view(-1).index_select(0, misses.row)

    def of_token(values: Tensor) -> Tensor:
        return values.view(-1).index_select(0, misses.row * values.shape[1] + misses.token)

    def in_top(k: int) -> Tensor:
        least = group.shifted.topk(min(k, group.shifted.shape[1]), sorted=False).values.amin(1)
        return of_token(group.shifted) >= of_row(least)

    return Candidates(
        token=lambda: misses.token,
        label=lambda: of_row(group.labels),
        p=lambda: of_token(group.exp) / of_row(group.policy.total),
        label_p=lambda: of_row(group.log_p_x.exp()),
        in_top=in_top,
    )


def _write_gradient(group: _Group, slope: _Slope, weights: Tensor | None) -> None:
    """Turn `group.shifted` into weights * dL/dl; `group.mass` is used up."""
    policy, sampling, weight = group.policy, group.sampling, 1.0 if weights is None else weights
    # The label's own entry, from 1 - p and 1 - q: p - 1 would cancel.
    miss = policy.rest / policy.total
    scale, label = slope.label, -slope.label * miss
    if slope.others is not None:
        scale, label = scale + slope.others, label + slope.others * policy.share
    if slope.spread is not None:
        scale, label = scale + slope.spread, label + slope.spread * (sampling.rest / sampling.total - miss)
    gradient = torch.mul(group.exp, scale * weight / policy.total, out=group.shifted)
    if slope.spread is not None:
        gradient.sub_(group.mass.mul_(slope.spread * weight / sampling.total))
    if slope.pulls is not None:
        at, factor = slope.pulls.at, slope.pulls.factor
        if weights is None:
            gradient.sub_(at, alpha=factor)
        else:
            gradient.addcmul_(at, weights, value=-factor)
    gradient.scatter_(1, group.labels, label * weight)


def _pulls(misses: _Misses, pull: Tensor | float, storage: Tensor, group: _Group) -> _Pulls:
    """The misses' pulls at each token, as their number times one of them. storage: like the masses', overwritten.

    K additions of R / K, each rounded, would drift: many times the gradient where it cancels to almost nothing."""
    place, flat = misses.place, storage.zero_().view(-1)
    flat.scatter_add_(0, place, torch.ones((), dtype=storage.dtype, device=storage.device).expand_as(place))
    at = storage.flatten(1)[:, : group.shifted.shape[1]]
    if not isinstance(pull, Tensor):
        return _Pulls(at, pull)
    flat.scatter_(0, place, flat.gather(0, place).mul_(pull))  # equal draws have equal pulls: each stores the same
    return _Pulls(at, 1.0)


def share(label_force: Tensor, beta_force: Tensor) -> Tensor:
    """The share of the gradient that comes from the beta term, 0 to 1, of the forces' shape.

    One draw of token a with reward R pushes the row by R (one_hot(a) - p) / K, whose positive half weighs
    |R| (1 - p_a) / K: its force. The draws that missed the label make the beta term, and the share is their force over
    that of all draws (0 where nothing is pushed). Draws that cancel each other count in full.
    """
    beta_force = beta_force.clamp(min=0)  # a difference of sums: rounding may leave it just below
    force = label_force + beta_force
    return torch.where(force > 0, beta_force / force, 0.0)


def _past_label(sampling: _Parts, keys: Tensor, samples: int, work: Workspace) -> Tensor:
    """[g, K] float64: how far each draw lies beyond the label, which stands first on the cumulative distribution;
    negative for a draw of the label itself."""
    # A quotient of the sums' own type: the draws of the label are the same with and without an OTR objective.
    return uniforms(keys, samples, work).sub_(sampling.share.double())


def _misses(blocks: Tensor, past_label: Tensor, total: Tensor, work: Workspace) -> _Misses:
    """The draws beyond the label. blocks: [g, B, W] masses without the label's, used up, as is `past_label`;
    total: [g, 1] masses with it.

    They are told apart by sign and packed by a running sum of the label's draws: on a CPU two to four times as fast as
    masked_select, which branches at every draw."""
    shape, value = past_label.shape, past_label.mul_(total.double())
    index = work.take("index", shape, torch.int64)
    if blocks.shape[1] == 1 and blocks.dtype == torch.float32:
        value = work.take("value", shape, torch.float32).copy_(value)
        index = past_label.view(torch.int64)  # no longer needed as numbers
    label = _sign(value, out=work.take("label", shape, value.dtype)).to(torch.int32)
    slot = torch.cumsum(label, 1, dtype=torch.int32, out=work.take("slot", shape, torch.int32))
    count = slot[:, -1] + shape[1]
    end = count.cumsum(0)
    first, missed = end - count, int(end[-1]) if len(end) else 0
    slot.add_(torch.arange(shape[1], dtype=torch.int32, device=slot.device)).add_(first.int()[:, None])
    # Draws of the label all go to one slot more, which is dropped.
    slot.sub_(label, alpha=slot.numel()).clamp_(max=missed)
    packed = work.take("packed", (missed + 1,), value.dtype)
    packed.scatter_(0, index.copy_(slot).view(-1), value.view(-1))
    # The row of each, from where the rows begin (an empty one where the next does).
    row = work.take("row", (missed + 1,), torch.int32).zero_()
    torch.cumsum(row.index_add_(0, first, torch.ones_like(count)), 0, dtype=torch.int32, out=row).sub_(1)
    return _Misses(_locate(blocks, row[:missed], packed[:missed], work), count, blocks[0].numel())


def _locate(blocks: Tensor, row: Tensor, value: Tensor, work: Workspace) -> Tensor:
    """[m] int64: place in `blocks`, flattened, of the first token of its row whose cumulative mass reaches `value`;
    never one without mass.

    blocks: [g, B, W] masses; row: [m] int32 and value: [m] of each draw, row by row. All three are used up. A value
    outside (0, last sum], by rounding, is clamped into it; the search then compares strictly, hence stops at a token
    that raises the sum.
    """
    rows, number, width = blocks.shape
    if number == 1:
        sums = blocks.view(rows, width).cumsum_(1)
        return work.take("place", row.shape, torch.int64).copy_(_search(sums, row.mul_(width), value, work))
    # Two levels in place of one long sum: B block sums in float64 find the block, then W values inside it are summed. A
    # single float32 sum over a whole vocabulary would lose the small probabilities at its end.
    edges = blocks.sum(2).double().cumsum(1)
    block = _search(edges, row * number, value.clone(), work).clone()
    before = torch.nn.functional.pad(edges, (1, 0)).view(-1).index_select(0, row + block)
    sums = blocks.view(-1, width).index_select(0, block).cumsum(1)
    own = torch.arange(len(sums), dtype=torch.int32, device=row.device).mul_(width)
    inside = _search(sums, own, (value - before).to(sums.dtype), work) - own
    return block.long() * width + inside


def _search(sums: Tensor, start: Tensor, value: Tensor, work: Workspace) -> Tensor:
    """[m] int32, until the next call: place in the flattened sums [g, W], non-decreasing in each row, of the first of
    the row that begins at `start` [m] int32 which is not below `value` [m], after clamping that to (0, last sum], in
    place. Halving by index_select on int32 positions: on a CPU twice as fast as torch.searchsorted."""
    left, flat = sums.shape[1] - 1, sums.view(-1)
    probe, low = work.take("probe", value.shape, value.dtype), work.take("low", start.shape, torch.int32).copy_(start)
    torch.index_select(flat[left:], 0, start, out=probe)
    torch.minimum(value.clamp_(min=torch.finfo(sums.dtype).tiny), probe, out=value)
    while left > 0:
        half = (left + 1) // 2
        torch.index_select(flat[half - 1 :], 0, low, out=probe)
        low.add_(_sign(probe.sub_(value), out=probe).to(torch.int32), alpha=-half)
        left -= half
    return low


def _sign(values: Tensor, out: Tensor) -> Tensor:
    """-1 where a float32 or float64 is below zero, else 0, as integers of its width in the memory of `out`. It reads
    the sign bit, five times as fast on a CPU as a comparison; a difference of equal numbers is +0, so `a - b` asks
    a < b strictly."""
    dtype, bit = (torch.int32, 31) if values.dtype == torch.float32 else (torch.int64, 63)
    return torch.bitwise_right_shift(values.view(dtype), bit, out=out.view(dtype))
