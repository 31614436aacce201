"""`otr.loss.rows.row_pass` as one Triton kernel: one program a row, two reads and one write of the logits.

In go the same tensors, on a GPU; out comes the same RowStatistics, and the gradient in place of the logits:

    statistics = row_pass(logits, labels, keys, Objective("otr"))      # as in otr.loss.rows, whose formulas hold here

First read: running maximum, the normalisers of p and pi', the diagnostics' sums and, for OTR, the mass of every block
of 64 tokens without the label. Between the reads: K draws by the label-first search of `rows._draw`, whose few block
sums and few blocks of logits are still in the caches. Second read: the gradient, written where the logits were; the
columns that were drawn are written once more, in float32 before rounding (p - 1 cancels in bfloat16). Draws that hit
the same token find the same count and store the same value, so no atomics are needed and a run repeats bit for bit.

The drawn tokens equal those of the torch rows but where rounding moves a draw across the edge between two tokens.
Importing this module needs triton; `otr.loss.head` imports it for CUDA tensors alone.
"""

# Triton compiles these functions from their source: its annotations and decorators mean nothing to mypy.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, import-untyped"

import torch
import triton
import triton.language as tl
from torch import Tensor

from .draws import GOLDEN_32, MIX_32
from .objective import Objective
from .rows import RowStatistics

# The objectives whose formula this kernel holds; `otr.loss.head` sends every other one to the torch rows.
GENERATED = frozenset({"sft", "dft", "otr", "expected-otr", "tempered-dft", "beta-only"})
# Logits read at a time, and tokens of one stored sum.
_BLOCK = 4096
_PIECE = 64
_WARPS = 8
# Triton reads globals only where they are constants of the language.
_MASKED = tl.constexpr(-1e30)
_GOLDEN = tl.constexpr(GOLDEN_32)
_MIX_FIRST = tl.constexpr(MIX_32[0])
_MIX_SECOND = tl.constexpr(MIX_32[1])
_SAME_COUNT_TILE = tl.constexpr(8)


def row_pass(
    logits: Tensor,
    labels: Tensor,
    keys: Tensor,
    objective: Objective,
    weights: Tensor | None = None,
    diagnostics: bool = True,
    gradient: bool = True,
) -> RowStatistics:
    """See `otr.loss.rows.row_pass`; logits float32, bfloat16 or float16. ValueError: an objective not in GENERATED."""
    if objective.name not in GENERATED:
        raise ValueError(f"objective {objective.name!r}: the kernel does not hold its formula; use otr.loss.rows")
    count, vocabulary = logits.shape
    statistics = RowStatistics.zeros(count, logits)
    if count == 0:
        return statistics
    block = min(_BLOCK, max(_PIECE, triton.next_power_of_2(vocabulary)))
    blocks = triton.cdiv(vocabulary, block)
    samples = triton.next_power_of_2(max(objective.samples, 8))
    rows = count if objective.name == "otr" else 1
    sums = torch.empty(rows, blocks * (block // _PIECE), dtype=torch.float32, device=logits.device)
    peaks = torch.empty(rows, blocks, dtype=torch.float32, device=logits.device)
    edges = torch.empty(rows, triton.next_power_of_2(blocks), dtype=torch.float64, device=logits.device)
    drawn = torch.empty(rows, samples, dtype=torch.int32, device=logits.device)
    _row_kernel[(count,)](
        logits,
        logits.stride(0),
        labels,
        keys,
        statistics.loss if weights is None else weights.float(),
        sums,
        peaks,
        edges,
        drawn,
        statistics.loss,
        statistics.nll,
        statistics.gt_probability,
        statistics.gt_count,
        statistics.entropy,
        statistics.beta_share,
        statistics.finite,
        vocabulary,
        objective.samples,
        1 / objective.kappa,
        objective.beta,
        OBJECTIVE=objective.name,
        WEIGHTED=weights is not None,
        DIAGNOSTICS=diagnostics,
        GRADIENT=gradient,
        BLOCK=block,
        PIECE=_PIECE,
        BLOCKS=triton.next_power_of_2(blocks),
        SAMPLES=samples,
        num_warps=_WARPS,
    )
    return statistics


def scale(values: Tensor, factor: Tensor) -> None:
    """values *= factor (0-d), computed in float32; values [any] contiguous. A factor of exactly 1 is seen on the device
    and costs one launch: nothing is read or written, and the host does not wait."""
    blocks = triton.cdiv(values.numel(), _BLOCK)
    if blocks:
        _scale_kernel[(blocks,)](values, factor, values.numel(), BLOCK=_BLOCK, num_warps=_WARPS)


@triton.jit
def _scale_kernel(values_ptr, factor_ptr, count, BLOCK: tl.constexpr):
    factor = tl.load(factor_ptr).to(tl.float32)
    if factor != 1.0:
        place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        values = tl.load(values_ptr + place, mask=place < count).to(tl.float32)
        tl.store(values_ptr + place, (values * factor).to(values_ptr.dtype.element_ty), mask=place < count)


@triton.jit
def _row_kernel(
    logits_ptr,  # [n, V], becomes the gradient
    logits_stride,
    labels_ptr,  # [n] int64
    keys_ptr,  # [n] int64
    weights_ptr,  # [n] float32, read if WEIGHTED
    sums_ptr,  # [n, blocks * BLOCK / PIECE] float32 scratch: pi' of 64 tokens, relative to the peak of their block
    peaks_ptr,  # [n, blocks] float32 scratch: the running maximum after each block
    edges_ptr,  # [n, BLOCKS] float64 scratch: cumulative pi' over blocks, relative to the peak of the row
    drawn_ptr,  # [n, SAMPLES] int32 scratch: the drawn tokens
    loss_ptr,  # this and the next six: the columns of RowStatistics, [n]
    nll_ptr,
    gt_probability_ptr,
    gt_count_ptr,
    entropy_ptr,
    beta_share_ptr,
    finite_ptr,
    vocabulary,
    samples,  # K
    coolness,  # 1 / kappa
    beta,
    OBJECTIVE: tl.constexpr,
    WEIGHTED: tl.constexpr,
    DIAGNOSTICS: tl.constexpr,
    GRADIENT: tl.constexpr,
    BLOCK: tl.constexpr,
    PIECE: tl.constexpr,
    BLOCKS: tl.constexpr,  # blocks of a row, rounded up to a power of two
    SAMPLES: tl.constexpr,  # K rounded up to a power of two
):
    SAMPLED: tl.constexpr = OBJECTIVE == "otr"
    SPREADS: tl.constexpr = (OBJECTIVE == "expected-otr") or (OBJECTIVE == "beta-only")
    PIECES: tl.constexpr = BLOCK // PIECE
    row = tl.program_id(0).to(tl.int64)
    blocks = tl.cdiv(vocabulary, BLOCK)
    logits_ptr += row * logits_stride
    sums_ptr += row * blocks * PIECES
    peaks_ptr += row * blocks
    edges_ptr += row * BLOCKS
    drawn_ptr += row * SAMPLES
    label = tl.load(labels_ptr + row).to(tl.int32)
    label_logit = tl.load(logits_ptr + label).to(tl.float32)
    lanes = tl.arange(0, BLOCK)
    block_index = tl.arange(0, BLOCKS)

    # First read. Every sum is relative to the running maximum `peak` and rescaled when that grows.
    peak = tl.full((), _MASKED, tl.float32)
    total = tl.zeros((), tl.float32)  # of e^(l - peak), all tokens
    weighted = tl.zeros((), tl.float32)  # of e^(l - peak) (l - peak)
    mass = tl.zeros((), tl.float32)  # of e^((l - peak) / kappa), the label left out
    mass_weighted = tl.zeros((), tl.float32)  # of e^((l - peak) / kappa) (l - peak), the label left out
    mass_policy = tl.zeros((), tl.float32)  # of e^((l - peak) / kappa) e^(l - peak), the label left out
    block_mass = tl.zeros((BLOCKS,), tl.float32)
    broken = tl.zeros((), tl.int32)
    for block in range(0, blocks):
        column = block * BLOCK + lanes
        logit = tl.load(logits_ptr + column, mask=column < vocabulary, other=float("-inf")).to(tl.float32)
        broken = tl.maximum(broken, tl.max(((logit != logit) | (logit == float("inf"))).to(tl.int32)))
        logit = tl.maximum(logit, _MASKED)
        new_peak = tl.maximum(peak, tl.max(logit))
        drop = peak - new_peak
        peak = new_peak
        shifted = logit - peak
        policy = tl.exp(shifted)
        weighted = tl.exp(drop) * (weighted + drop * total) + tl.sum(policy * shifted)
        tempered = tl.where((column == label) | (column >= vocabulary), 0.0, tl.exp(shifted * coolness))
        cooled = tl.exp(drop * coolness)
        if SPREADS:
            mass_weighted = cooled * (mass_weighted + drop * mass) + tl.sum(tempered * shifted)
            mass_policy = cooled * tl.exp(drop) * mass_policy + tl.sum(tempered * policy)
        total = tl.exp(drop) * total + tl.sum(policy)
        if SAMPLED:
            pieces = tl.sum(tl.reshape(tempered, (PIECES, PIECE)), axis=1)
            tl.store(sums_ptr + block * PIECES + tl.arange(0, PIECES), pieces)
            tl.store(peaks_ptr + block, peak)
            block_mass = tl.where(block_index == block, tl.sum(pieces), block_mass * cooled)
        mass = cooled * mass + tl.sum(tempered)

    log_total = tl.log(total)
    label_log_p = label_logit - peak - log_total
    label_p = tl.exp(label_log_p)
    label_mass = tl.exp((label_logit - peak) * coolness)
    mass_total = mass + label_mass
    q = label_mass / mass_total
    finite = (broken == 0) & (peak > _MASKED) & (label_logit > _MASKED)
    tl.store(finite_ptr + row, finite)
    tl.store(nll_ptr + row, -label_log_p)
    if DIAGNOSTICS:
        tl.store(entropy_ptr + row, log_total - weighted / total)
    if DIAGNOSTICS or not ((OBJECTIVE == "sft") or (OBJECTIVE == "dft")):
        tl.store(gt_probability_ptr + row, q)

    weight = tl.load(weights_ptr + row) if WEIGHTED else 1.0
    draw = tl.arange(0, SAMPLES)
    if SAMPLED or DIAGNOSTICS:
        uniform = _uniforms(tl.load(keys_ptr + row), draw)
        exact_q = q.to(tl.float64)
        hit = (uniform < exact_q) & (draw < samples)
        gt_count = tl.sum(hit.to(tl.int32)).to(tl.float32)
        tl.store(gt_count_ptr + row, gt_count)

    if SAMPLED:
        edges = tl.cumsum(block_mass.to(tl.float64))
        tl.store(edges_ptr + block_index, edges)
        tl.debug_barrier()  # what was stored is read by other threads from here on
        rest = (uniform - exact_q) * mass_total.to(tl.float64)
        rest = tl.minimum(tl.maximum(rest, 1e-38), tl.max(edges))
        chosen = _locate(
            rest, logits_ptr, sums_ptr, peaks_ptr, edges_ptr, blocks, label, vocabulary, peak, coolness,
            BLOCK, PIECE, SAMPLES,
        )  # fmt: skip
        chosen = tl.where(hit, label, chosen)
        reward = tl.where(draw < samples, tl.where(hit, 1.0, beta), 0.0) / samples
        log_p = tl.load(logits_ptr + chosen).to(tl.float32) - peak - log_total
        tl.store(loss_ptr + row, -tl.sum(reward * log_p))
        if DIAGNOSTICS:
            force = tl.abs(reward) * tl.maximum(1 - tl.exp(log_p), 0.0)
            beta_force = tl.sum(tl.where(hit, 0.0, force))
            _store_share(beta_share_ptr + row, beta_force, tl.sum(force))
        scale = weight * tl.sum(reward) / total
        # Each drawn column: rho p - R c / K, with c the draws that share it.
        tl.store(drawn_ptr + draw, tl.where(draw < samples, chosen, -1))
        tl.debug_barrier()  # also: every read of the logits by the search is done before they are overwritten
        same = tl.zeros((SAMPLES,), tl.int32)
        for start in range(0, SAMPLES, _SAME_COUNT_TILE):
            other = tl.load(drawn_ptr + start + tl.arange(0, _SAME_COUNT_TILE))
            same += tl.sum((chosen[:, None] == other[None, :]).to(tl.int32), axis=1)
        drawn_slope = weight * (tl.sum(reward) * tl.exp(log_p) - reward * same)
        pull = 0.0
        spread = 0.0
    else:
        if OBJECTIVE == "sft":
            pull, spread = 1.0, 0.0
        elif OBJECTIVE == "dft":
            pull, spread = label_p, 0.0
        elif OBJECTIVE == "tempered-dft":
            pull, spread = q, 0.0
        elif OBJECTIVE == "expected-otr":
            pull, spread = (1 - beta) * q, beta
        else:
            tl.static_assert(OBJECTIVE == "beta-only")
            pull, spread = 0.0, beta
        loss = -pull * label_log_p
        if SPREADS:
            mean = (mass_weighted + label_mass * (label_logit - peak)) / mass_total
            loss -= spread * (mean - log_total)
            if DIAGNOSTICS:
                label_force = q * (1 - label_p) if OBJECTIVE == "expected-otr" else 0.0
                beta_force = tl.abs(spread) * tl.maximum((1 - q) - mass_policy / mass_total / total, 0.0)
                _store_share(beta_share_ptr + row, beta_force, label_force + beta_force)
        tl.store(loss_ptr + row, loss)
        scale = weight * (pull + spread) / total
        pull = weight * pull
        spread = weight * spread / mass_total

    # Second read, and the write.
    if GRADIENT:
        for block in range(0, blocks):
            column = block * BLOCK + lanes
            inside = column < vocabulary
            shifted = tl.load(logits_ptr + column, mask=inside, other=float("-inf")).to(tl.float32) - peak
            slope = scale * tl.exp(shifted)
            if not SAMPLED:
                slope -= tl.where(column == label, pull, 0.0)
                if SPREADS:
                    slope -= spread * tl.exp(shifted * coolness)
            tl.store(logits_ptr + column, slope.to(logits_ptr.dtype.element_ty), mask=inside)
        if SAMPLED:
            tl.debug_barrier()  # a drawn column was written by another thread above
            tl.store(logits_ptr + chosen, drawn_slope.to(logits_ptr.dtype.element_ty), mask=draw < samples)


@triton.jit
def _uniforms(key, draw):
    """`otr.loss.draws.uniforms` of one token."""
    bits = key.to(tl.uint32) + draw.to(tl.uint32) * _GOLDEN
    bits = (bits ^ (bits >> 16)) * _MIX_FIRST + (key >> 32).to(tl.uint32)
    bits = (bits ^ (bits >> 15)) * _MIX_SECOND
    bits = bits ^ (bits >> 15) ^ 0x80000000
    return (bits.to(tl.float64) + 0.5) * (1.0 / 4294967296.0)


@triton.jit
def _locate(
    value,  # [SAMPLES] float64, above 0 and at most the last edge
    logits_ptr,
    sums_ptr,
    peaks_ptr,
    edges_ptr,
    blocks,
    label,
    vocabulary,
    peak,
    coolness,
    BLOCK: tl.constexpr,
    PIECE: tl.constexpr,
    SAMPLES: tl.constexpr,
):
    """The token of each draw: its block by the edges, its 64 tokens by their stored sums, itself by its logit.

    At each level the walk stops at the first part that takes the sum to the value, or at the last part with mass
    where rounding left the value beyond the end: never at a part without mass. All draws walk in step, so that a level
    costs a register or two a draw, where comparing every draw with every edge at once would fill the register file.
    """
    PIECES: tl.constexpr = BLOCK // PIECE
    block = tl.zeros((SAMPLES,), tl.int32)
    before = tl.zeros((SAMPLES,), tl.float64)
    for index in range(0, blocks - 1):
        edge = tl.load(edges_ptr + index)
        block = tl.where(edge < value, index + 1, block)
        before = tl.where(edge < value, edge, before)
    block_peak = tl.load(peaks_ptr + block)
    rest = ((value - before) / tl.exp((block_peak - peak) * coolness).to(tl.float64)).to(tl.float32)

    piece = tl.zeros((SAMPLES,), tl.int32)
    start = tl.zeros((SAMPLES,), tl.float32)
    sum_so_far = tl.zeros((SAMPLES,), tl.float32)
    for index in range(0, PIECES):
        part = tl.load(sums_ptr + block * PIECES + index)
        here = (sum_so_far < rest) & (part > 0)
        piece = tl.where(here, index, piece)
        start = tl.where(here, sum_so_far, start)
        sum_so_far += part

    rest -= start
    first = block * BLOCK + piece * PIECE
    token = tl.zeros((SAMPLES,), tl.int32)
    sum_so_far = tl.zeros((SAMPLES,), tl.float32)
    for index in range(0, PIECE):
        column = first + index
        logit = tl.load(logits_ptr + column, mask=column < vocabulary, other=float("-inf")).to(tl.float32)
        part = tl.where(column == label, 0.0, tl.exp((logit - block_peak) * coolness))
        here = (sum_so_far < rest) & (part > 0)
        token = tl.where(here, index, token)
        sum_so_far += part
    return tl.minimum(first + token, vocabulary - 1)


@triton.jit
def _store_share(pointer, beta_force, force):
    """`otr.loss.rows._share`."""
    tl.store(pointer, tl.where(force > 0, beta_force / force, 0.0))
