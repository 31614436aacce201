"""`otr.loss.rows.row_pass` in Triton kernels, one program a row: two reads and one write of the logits.

In go the same tensors, on a GPU; out comes the same RowStatistics, and the gradient in place of the logits:

    statistics = row_pass(logits, labels, keys, Objective("otr"))      # as in otr.loss.rows, whose formulas hold here

    read    the normalisers of p and pi', the diagnostics' sums and, for OTR, the mass of every piece of 256 tokens
    draw    OTR alone: K draws by the label-first search of `rows._draw`, one warp a row. Draws of the label need no
            search. The others find their piece by bisection and their token by the running sum inside it
    write   the gradient, where the logits were; the label's and the drawn columns once more, from float32 before
            rounding (p - 1 cancels in bfloat16)

Closed forms need a few operations on [n] columns between read and write, in torch: whatever `otr.loss.objective` has in
its table runs here. A row is not kept between the reads: those in flight together are larger than a GPU's cache.

Exponentials are taken relative to the label's logit, not to the largest: e^(l - l_x) may be large, and sums of large
numbers are as exact as sums of small ones. Where they overflow (the label 80 nats below another token; less for a
kappa below 1), or where a token is masked, the row is read again with its largest logit. So the usual row needs no
maximum, no rescaling and no exchange between warps before its end: 11 instructions a logit for cross-entropy, 16 for
OTR, counted in the machine code of an H100 by tests/benchmarks/kernel.py.

Each difference of two logits is one fused multiply-add: what rounding takes from the reference's product is then the
same in all of them and cancels. A compiler left alone fused some and not others: 1e-5 nats at a logit of 10,000.

The drawn tokens equal those of the torch rows but where rounding moves a draw across the edge between two tokens. A run
repeats bit for bit. Importing this module needs triton; `otr.loss.head` imports it for CUDA tensors alone.
"""

# Triton compiles these functions from their source: its annotations and decorators mean nothing to mypy.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, import-untyped"

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton import knobs

from .draws import GOLDEN_32, MIX_32
from .objective import Objective
from .rows import RowStatistics, column, share, token_statistics

# Logits that a program handles at a time, and the warps it has: 16 logits a thread, two loads of 16 bytes in bfloat16.
_BLOCK = 4096
_WARPS = 8
# Draws that a warp looks up at a time, and draws that it handles at a time where nothing is looked up.
_LOOKED_UP = 2
_HANDLED = tl.constexpr(256)
# A draw leaves its number in the two bytes of a 16-bit logit.
_MOST_SAMPLES = 2**16
# Triton reads globals only where they are constants of the language.
_MASKED = tl.constexpr(-1e30)
_LOG2_E = tl.constexpr(1.4426950408889634)
_LN_2 = tl.constexpr(0.6931471805599453)
_GOLDEN = tl.constexpr(GOLDEN_32)
_MIX_FIRST = tl.constexpr(MIX_32[0])
_MIX_SECOND = tl.constexpr(MIX_32[1])
_INTERPRETED = tl.constexpr(bool(knobs.runtime.interpret))


def holds(objective: Objective) -> bool:
    """Whether these kernels compute the objective: every closed form, and OTR. `otr.loss.head` sends every other one
    (another reward, a baseline) to the torch rows."""
    return not objective.formula.sampled or (objective.name == "otr" and objective.samples <= _MOST_SAMPLES)


@dataclass
class _Columns:
    """What `read` leaves for the others, [n] float32. l_r: the reference; see `_read_kernel`."""

    reference: Tensor  # l_r
    total: Tensor  # sum of e^(l - l_r)
    mass: Tensor  # sum of e^((l - l_r) / kappa)
    mean_log_p: Tensor  # sum of pi' log p
    overlap: Tensor  # sum of pi' p
    scale: Tensor  # what e^(l - l_r) is multiplied by in the gradient
    label_slope: Tensor  # the gradient at the label


@dataclass
class _Draws:
    """Scratch of `draw`: what the draws that missed the label found."""

    misses: Tensor  # [n] int32, how many
    tokens: Tensor  # [n, K] int32
    values: Tensor  # [n, K] float64: places on the cumulative mass, then the gradient at the token
    counts: Tensor  # [n, K] int32

    @classmethod
    def empty(cls, rows: int, samples: int, device: torch.device) -> "_Draws":
        tokens, counts = torch.empty(2, rows, samples, dtype=torch.int32, device=device)
        values = torch.empty(rows, samples, dtype=torch.float64, device=device)
        return cls(torch.empty(rows, dtype=torch.int32, device=device), tokens, values, counts)


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
    """See `otr.loss.rows.row_pass`; logits float32, bfloat16 or float16. ValueError: an objective that it lacks."""
    if not holds(objective):
        raise ValueError(f"objective {objective.name!r}: the kernel does not hold its formula; use otr.loss.rows")
    count, vocabulary = logits.shape
    statistics = RowStatistics.zeros(count, logits)
    if count == 0:
        return statistics
    formula, device = objective.formula, logits.device
    width = 16 // logits.element_size()  # logits of one load
    piece = 32 * width
    block = min(_BLOCK, max(piece, triton.next_power_of_2(vocabulary)))
    pieces = max(256, triton.next_power_of_2(triton.cdiv(vocabulary, piece)))
    rows = count if formula.sampled else 1
    sums = torch.empty(rows, 2 * pieces, dtype=torch.float32, device=device)
    columns = _Columns(*torch.empty(7, count, dtype=torch.float32, device=device))
    row_weights = statistics.loss if weights is None else weights.float()
    coolness = 1 / objective.kappa
    count_hits = "hits" in formula.needs or (diagnostics and not formula.sampled)
    _read_kernel[(count,)](
        logits, logits.stride(0), labels, keys, sums,
        statistics.nll, statistics.gt_probability, statistics.gt_count, statistics.entropy, statistics.finite,
        columns.reference, columns.total, columns.mass, columns.mean_log_p, columns.overlap,
        vocabulary, objective.samples, coolness,
        PIECES=formula.sampled,
        TEMPERED=diagnostics or formula.needs_mass,
        SPREAD=formula.B is not None,
        DIAGNOSTICS=diagnostics or "entropy" in formula.needs,
        COUNT=count_hits,
        BLOCK=block,
        WIDTH=width,
        SUMS=pieces,
        num_warps=_WARPS,
    )  # fmt: skip
    draws = _Draws.empty(rows, objective.samples if formula.sampled else 1, device)
    spread = columns.mass
    if formula.sampled:
        edges = torch.empty(count, pieces, dtype=torch.float64, device=device)
        _draw_kernel[(count,)](
            logits, logits.stride(0), labels, keys, row_weights, sums, edges,
            columns.reference, columns.total, columns.mass, statistics.gt_probability, statistics.nll,
            draws.misses, draws.tokens, draws.values, draws.counts,
            statistics.loss, statistics.gt_count, statistics.beta_share, columns.scale, columns.label_slope,
            vocabulary, objective.samples, coolness, objective.beta,
            DIAGNOSTICS=diagnostics,
            GRADIENT=gradient,
            WEIGHTED=weights is not None,
            PIECE=piece,
            PIECES=pieces,
            LEVELS=pieces.bit_length() - 1,
            LOOKED_UP=_LOOKED_UP,
            num_warps=1,
        )  # fmt: skip
    else:
        spread = _integrate(objective, statistics, columns, weights, diagnostics, old_log_p)
    if gradient:
        _write_kernel[(count,)](
            logits, logits.stride(0), labels, columns.reference, columns.scale, spread, columns.label_slope,
            draws.misses, draws.tokens, draws.values,
            vocabulary, objective.samples, coolness,
            SPREAD=formula.B is not None,
            SAMPLED=formula.sampled,
            BLOCK=block,
            num_warps=_WARPS,
        )  # fmt: skip
    return statistics


def _integrate(
    objective: Objective,
    out: RowStatistics,
    columns: _Columns,
    weights: Tensor | None,
    diagnostics: bool,
    old_log_p: Tensor | None,
) -> Tensor:
    """`otr.loss.rows._integrate` on columns: fills the loss, the share, and what `write` needs. Returns the [n] factor
    of e^((l - l_r) / kappa) in the gradient."""
    log_p, q, formula = -out.nll, out.gt_probability, objective.formula
    p, miss = log_p.exp(), -log_p.expm1()
    token = token_statistics(
        objective, log_p, lambda: q, lambda: out.entropy, lambda: out.gt_count / objective.samples, old_log_p
    )
    pull, spread = (column(term, token, objective) for term in (formula.A, formula.B))
    if formula.loss is not None:
        out.loss.copy_(column(formula.loss, token, objective))
    else:
        torch.mul(pull, out.nll, out=out.loss)
        if formula.B is not None:
            out.loss.sub_(spread * columns.mean_log_p)
    label_slope = -pull * miss
    if formula.B is not None:
        label_slope = label_slope + spread * (p - q)
        if diagnostics:
            label_force = torch.where(pull == 0, 0.0, (pull + spread * q).abs() * miss)
            others = (1 - q) - (columns.overlap - q * p)
            out.beta_share.copy_(share(label_force, spread.abs() * others))
    weight = torch.ones_like(p) if weights is None else weights.to(p.dtype)
    torch.mul(label_slope, weight, out=columns.label_slope)
    torch.div((pull + spread) * weight, columns.total, out=columns.scale)
    if not diagnostics and "entropy" in formula.needs:
        out.entropy.zero_()  # as promised of what nobody asked for
    return spread * weight / columns.mass


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
def _read_kernel(
    logits_ptr,  # [n, V]
    logits_stride,
    labels_ptr,  # [n] int64
    keys_ptr,  # [n] int64, read if COUNT
    sums_ptr,  # [n, 2 SUMS] float32 scratch, written if PIECES: masses of the pieces, at the even places
    nll_ptr,  # this and the next four: columns of RowStatistics, [n]
    gt_probability_ptr,
    gt_count_ptr,
    entropy_ptr,
    finite_ptr,
    reference_ptr,  # this and the next four: _Columns, [n] float32
    total_ptr,
    mass_ptr,
    mean_log_p_ptr,
    overlap_ptr,
    vocabulary,
    samples,  # K
    coolness,  # 1 / kappa
    PIECES: tl.constexpr,
    TEMPERED: tl.constexpr,
    SPREAD: tl.constexpr,
    DIAGNOSTICS: tl.constexpr,
    COUNT: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    SUMS: tl.constexpr,
):
    """Everything is measured from a reference logit l_r: the label's, or the largest where that one will not do."""
    row = tl.program_id(0).to(tl.int64)
    logits_ptr += row * logits_stride
    sums_ptr += row * (2 * SUMS)
    label = tl.load(labels_ptr + row)
    inside = (label >= 0) & (label < vocabulary)
    label_logit = tl.load(logits_ptr + label, mask=inside, other=float("nan")).to(tl.float32)
    reference = label_logit
    total, weighted, mass, mass_weighted, mass_policy = _sums(
        logits_ptr, sums_ptr, vocabulary, reference, coolness,
        PIECES, TEMPERED, SPREAD, DIAGNOSTICS, False, BLOCK, WIDTH,
    )  # fmt: skip
    largest = total + tl.abs(weighted) + mass + tl.abs(mass_weighted) + mass_policy
    if not (largest < float("inf")):
        reference = _largest(logits_ptr, vocabulary, BLOCK)
        total, weighted, mass, mass_weighted, mass_policy = _sums(
            logits_ptr, sums_ptr, vocabulary, reference, coolness,
            PIECES, TEMPERED, SPREAD, DIAGNOSTICS, True, BLOCK, WIDTH,
        )  # fmt: skip

    label_exponent = tl.fma(label_logit, _LOG2_E, -(reference * _LOG2_E))
    log2_total = tl.log2(total)
    tl.store(reference_ptr + row, reference)
    tl.store(total_ptr + row, total)
    tl.store(finite_ptr + row, (total > 0) & (total < float("inf")) & (label_logit > _MASKED))
    tl.store(nll_ptr + row, (log2_total - label_exponent) * _LN_2)
    if DIAGNOSTICS:
        tl.store(entropy_ptr + row, (log2_total - weighted / total) * _LN_2)
    if TEMPERED:
        cool = coolness * _LOG2_E
        q = _exp2(tl.fma(label_logit, cool, -(reference * cool))) / mass
        tl.store(gt_probability_ptr + row, q)
        tl.store(mass_ptr + row, mass)
        if SPREAD:
            tl.store(mean_log_p_ptr + row, (mass_weighted / mass - log2_total) * _LN_2)
            if DIAGNOSTICS:
                tl.store(overlap_ptr + row, mass_policy / mass / total)
        if COUNT:
            exact_q, key = q.to(tl.float64), tl.load(keys_ptr + row)
            hits = tl.zeros((_HANDLED,), tl.int32)
            for start in range(0, samples, _HANDLED):
                draw = start + tl.arange(0, _HANDLED)
                hits += ((_uniforms(key, draw) < exact_q) & (draw < samples)).to(tl.int32)
            tl.store(gt_count_ptr + row, tl.sum(hits).to(tl.float32))


@triton.jit
def _sums(
    logits_ptr,
    sums_ptr,
    vocabulary,
    reference,
    coolness,
    PIECES: tl.constexpr,
    TEMPERED: tl.constexpr,
    SPREAD: tl.constexpr,
    DIAGNOSTICS: tl.constexpr,
    CLAMPED: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Over a row, with t = l - l_r in units of ln 2: the sums of 2^t, 2^t t, 2^(t/kappa), 2^(t/kappa) t and
    2^(t/kappa) 2^t; those that nobody needs are 0. Every thread adds up what it reads; they meet once, at the end."""
    LANES: tl.constexpr = BLOCK // WIDTH
    place = tl.arange(0, LANES)[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
    cool = coolness * _LOG2_E
    offset, cool_offset = reference * _LOG2_E, reference * cool
    total = tl.zeros((LANES,), tl.float32)
    weighted, mass, mass_weighted, mass_policy = total, total, total, total
    whole = vocabulary // BLOCK
    for block in range(0, whole):
        logit = tl.load(logits_ptr + block * BLOCK + place).to(tl.float32)
        total, weighted, mass, mass_weighted, mass_policy = _add(
            logit, offset, cool, cool_offset, total, weighted, mass, mass_weighted, mass_policy,
            sums_ptr + block * (2 * LANES // 32), PIECES, TEMPERED, SPREAD, DIAGNOSTICS, CLAMPED,
        )  # fmt: skip
    if whole * BLOCK < vocabulary:
        column = whole * BLOCK + place
        logit = tl.load(logits_ptr + column, mask=column < vocabulary, other=float("-inf")).to(tl.float32)
        total, weighted, mass, mass_weighted, mass_policy = _add(
            logit, offset, cool, cool_offset, total, weighted, mass, mass_weighted, mass_policy,
            sums_ptr + whole * (2 * LANES // 32), PIECES, TEMPERED, SPREAD, DIAGNOSTICS, True,
        )  # fmt: skip
    return (
        tl.sum(total),
        tl.sum(weighted) if DIAGNOSTICS else 0.0,
        tl.sum(mass) if TEMPERED else 0.0,
        tl.sum(mass_weighted) if SPREAD else 0.0,
        tl.sum(mass_policy) if SPREAD and DIAGNOSTICS else 0.0,
    )


@triton.jit
def _add(
    logit,  # [LANES, WIDTH]; a row of it is in one thread, 32 of them in one warp
    offset,
    cool,
    cool_offset,
    total,  # [LANES], as the next four
    weighted,
    mass,
    mass_weighted,
    mass_policy,
    sums_ptr,
    PIECES: tl.constexpr,
    TEMPERED: tl.constexpr,
    SPREAD: tl.constexpr,
    DIAGNOSTICS: tl.constexpr,
    CLAMPED: tl.constexpr,  # -inf stands for a mask: 0 * -1e30 is 0 where 0 * -inf is NaN
):
    exponent = tl.fma(logit, _LOG2_E, -offset)
    if CLAMPED:
        exponent = tl.maximum(exponent, _MASKED)
    policy = _exp2(exponent)
    total += tl.sum(policy, axis=1)
    if DIAGNOSTICS:
        weighted += tl.sum(policy * exponent, axis=1)
    if TEMPERED:
        tempered = _exp2(tl.fma(logit, cool, -cool_offset))
        part = tl.sum(tempered, axis=1)
        mass += part
        if SPREAD:
            mass_weighted += tl.sum(tempered * exponent, axis=1)
            if DIAGNOSTICS:
                mass_policy += tl.sum(tempered * policy, axis=1)
        if PIECES:
            _store_pieces(sums_ptr, part)
    return total, weighted, mass, mass_weighted, mass_policy


@triton.jit
def _store_pieces(sums_ptr, part):
    """Each warp adds up its 32 lanes, and one lane of it stores the sum. Stored to every second place, the pieces are
    no contiguous run that the compiler would first bring together across warps, with two barriers a block."""
    COUNT: tl.constexpr = part.shape[0] // 32
    pieces = tl.sum(tl.reshape(part, (COUNT, 32)), axis=1)
    lane = tl.arange(0, 32)[None, :]
    place = tl.arange(0, COUNT)[:, None] * 2 + lane * 0
    tl.store(sums_ptr + place, pieces[:, None] + tl.zeros((COUNT, 32), tl.float32), mask=lane == 0)


@triton.jit
def _largest(logits_ptr, vocabulary, BLOCK: tl.constexpr):
    lanes = tl.arange(0, BLOCK)
    largest = tl.full((BLOCK,), _MASKED, tl.float32)
    for start in range(0, vocabulary, BLOCK):
        column = start + lanes
        logit = tl.load(logits_ptr + column, mask=column < vocabulary, other=float("-inf")).to(tl.float32)
        largest = tl.maximum(largest, logit)
    return tl.max(largest)


@triton.jit
def _draw_kernel(
    logits_ptr,  # [n, V]; if GRADIENT, drawn columns are overwritten
    logits_stride,
    labels_ptr,  # [n] int64
    keys_ptr,  # [n] int64
    weights_ptr,  # [n] float32, read if WEIGHTED
    sums_ptr,  # [n, 2 PIECES] float32, as `read` left it
    edges_ptr,  # [n, PIECES] float64 scratch: cumulative mass over the pieces, the label left out
    reference_ptr,  # this and the next four: as `read` left them, [n]
    total_ptr,
    mass_ptr,
    gt_probability_ptr,
    nll_ptr,
    misses_ptr,  # this and the next three: _Draws
    tokens_ptr,
    values_ptr,
    counts_ptr,
    loss_ptr,  # this and the next two: columns of RowStatistics, [n]
    gt_count_ptr,
    beta_share_ptr,
    scale_ptr,  # this and the next: _Columns, [n]
    label_slope_ptr,
    vocabulary,
    samples,  # K
    coolness,  # 1 / kappa
    beta,
    DIAGNOSTICS: tl.constexpr,
    GRADIENT: tl.constexpr,
    WEIGHTED: tl.constexpr,
    PIECE: tl.constexpr,
    PIECES: tl.constexpr,
    LEVELS: tl.constexpr,  # log2 of PIECES
    LOOKED_UP: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    logits_ptr += row * logits_stride
    sums_ptr += row * (2 * PIECES)
    edges_ptr += row * PIECES
    tokens_ptr += row * samples
    values_ptr += row * samples
    counts_ptr += row * samples
    label = _inside(tl.load(labels_ptr + row), vocabulary)
    offset = tl.load(reference_ptr + row) * _LOG2_E
    cool = coolness * _LOG2_E
    cool_offset = tl.load(reference_ptr + row) * cool
    total = tl.load(total_ptr + row)
    log2_total = tl.log2(total)
    lanes = tl.arange(0, _HANDLED)

    # The misses, in a row of their own: where on the cumulative mass each of them lies.
    exact_q, exact_mass = tl.load(gt_probability_ptr + row).to(tl.float64), tl.load(mass_ptr + row).to(tl.float64)
    key = tl.load(keys_ptr + row)
    misses = tl.zeros((), tl.int32)
    for start in range(0, samples, _HANDLED):
        draw = start + lanes
        past_label = _uniforms(key, draw) - exact_q
        miss = (past_label >= 0) & (draw < samples)
        place = misses + tl.cumsum(miss.to(tl.int32)) - 1
        tl.store(values_ptr + place, past_label * exact_mass, mask=miss)
        if GRADIENT:
            tl.store(counts_ptr + draw, tl.zeros((_HANDLED,), tl.int32), mask=draw < samples)
        misses += tl.sum(miss.to(tl.int32))

    # The label's piece once more, without the label; then the cumulative mass.
    label_piece = label // PIECE
    column = label_piece * PIECE + tl.arange(0, PIECE)
    logit = tl.load(logits_ptr + column, mask=column < vocabulary, other=float("-inf")).to(tl.float32)
    others = tl.sum(tl.where(column == label, 0.0, _exp2(tl.fma(logit, cool, -cool_offset))))
    last = tl.zeros((), tl.float64)
    used = tl.cdiv(vocabulary, PIECE)
    for start in range(0, used, 256):
        piece = start + tl.arange(0, 256)
        mass = tl.load(sums_ptr + 2 * piece, mask=piece < used, other=0.0)
        edges = last + tl.cumsum(tl.where(piece == label_piece, others, mass).to(tl.float64))
        tl.store(edges_ptr + piece, edges)
        last = tl.max(edges)
    tl.debug_barrier()  # here and below: what was stored is read by other threads from here on

    # The piece of each miss, by bisection: the first whose edge reaches the value.
    for start in range(0, misses, 64):
        number = start + tl.arange(0, 64)
        missed = number < misses
        value = tl.load(values_ptr + number, mask=missed, other=0.0)
        value = tl.minimum(tl.maximum(value, 1e-38), last)
        piece = tl.zeros((64,), tl.int32)
        for level in tl.static_range(LEVELS):
            middle = piece + (PIECES >> (level + 1))
            edge = tl.load(edges_ptr + middle - 1, mask=middle < used, other=float("inf"))
            piece = tl.where(edge < value, middle, piece)
        before = tl.load(edges_ptr + piece - 1, mask=piece > 0, other=0.0)
        tl.store(tokens_ptr + number, piece, mask=missed)
        tl.store(values_ptr + number, value - before, mask=missed)
    tl.debug_barrier()

    # The token of each miss: the last one with mass before which the sum is still below the value.
    inside = tl.arange(0, PIECE)
    for start in range(0, misses, LOOKED_UP):
        number = start + tl.arange(0, LOOKED_UP)
        missed = number < misses
        first = tl.load(tokens_ptr + number, mask=missed, other=0) * PIECE
        rest = tl.load(values_ptr + number, mask=missed, other=0.0).to(tl.float32)
        columns = first[:, None] + inside[None, :]
        logits = tl.load(logits_ptr + columns, mask=columns < vocabulary, other=float("-inf")).to(tl.float32)
        parts = tl.where(columns == label, 0.0, _exp2(tl.fma(logits, cool, -cool_offset)))
        reached = (tl.cumsum(parts, axis=1) - parts < rest[:, None]) & (parts > 0)
        found = tl.max(tl.where(reached, inside[None, :], 0), axis=1)
        tl.store(tokens_ptr + number, tl.minimum(first + found, vocabulary - 1), mask=missed)
    tl.debug_barrier()

    # Eq. 8 and 9 over the draws. Each miss writes its number where its token's logit was: draws of one token agree on
    # the last writer, and count themselves at its number. Which one that is does not matter.
    if logits_ptr.dtype.element_ty == tl.float32:
        tags_ptr = logits_ptr.to(tl.pointer_type(tl.int32), bitcast=True)
    else:
        tags_ptr = logits_ptr.to(tl.pointer_type(tl.int16), bitcast=True)
    log_p_sum = tl.zeros((_HANDLED,), tl.float32)
    force_sum = tl.zeros((_HANDLED,), tl.float32)
    for start in range(0, misses, _HANDLED):
        number = start + lanes
        missed = number < misses
        token = tl.load(tokens_ptr + number, mask=missed, other=0)
        drawn = tl.load(logits_ptr + token, mask=missed, other=0.0).to(tl.float32)
        exponent = tl.fma(drawn, _LOG2_E, -offset)
        p = _exp2(exponent) / total
        log_p_sum += tl.where(missed, exponent - log2_total, 0.0)
        force_sum += tl.where(missed, tl.maximum(1 - p, 0.0), 0.0)
        tl.store(values_ptr + number, p.to(tl.float64), mask=missed)
    label_log_p = -tl.load(nll_ptr + row)
    label_p = _exp2(label_log_p * _LOG2_E)
    hits = (samples - misses).to(tl.float32)
    tl.store(gt_count_ptr + row, hits)
    tl.store(loss_ptr + row, -(hits * label_log_p + beta * (tl.sum(log_p_sum) * _LN_2)) / samples)
    if DIAGNOSTICS:
        beta_force = tl.abs(beta) * tl.sum(force_sum)
        force = hits * (1 - label_p) + beta_force
        tl.store(beta_share_ptr + row, tl.where(force > 0, beta_force / force, 0.0))
    if GRADIENT:
        weight = tl.load(weights_ptr + row) if WEIGHTED else 1.0
        rho = (hits + beta * misses.to(tl.float32)) / samples
        tl.store(misses_ptr + row, misses)
        tl.store(scale_ptr + row, weight * rho / total)
        tl.store(label_slope_ptr + row, weight * (rho * label_p - hits / samples))
        tl.debug_barrier()  # also: the logits of all drawn tokens have been read
        for start in range(0, misses, _HANDLED):
            number = start + lanes
            token = tl.load(tokens_ptr + number, mask=number < misses, other=0)
            tl.store(tags_ptr + token, number.to(tags_ptr.dtype.element_ty), mask=number < misses)
        tl.debug_barrier()
        for start in range(0, misses, _HANDLED):
            number = start + lanes
            winner = _winner(tags_ptr, tokens_ptr, number, misses)
            tl.atomic_add(counts_ptr + winner, 1, mask=number < misses, sem="relaxed", scope="cta")
        tl.debug_barrier()
        for start in range(0, misses, _HANDLED):
            number = start + lanes
            missed = number < misses
            same = tl.load(counts_ptr + _winner(tags_ptr, tokens_ptr, number, misses), mask=missed, other=0)
            p = tl.load(values_ptr + number, mask=missed, other=0.0).to(tl.float32)
            slope = weight * (rho * p - beta * same.to(tl.float32) / samples)
            tl.store(values_ptr + number, slope.to(tl.float64), mask=missed)


@triton.jit
def _winner(tags_ptr, tokens_ptr, number, misses):
    """The number that was left at the token of each miss, 0 to 65,535 in 16 bits."""
    missed = number < misses
    token = tl.load(tokens_ptr + number, mask=missed, other=0)
    winner = tl.load(tags_ptr + token, mask=missed, other=0).to(tl.int32)
    return winner if tags_ptr.dtype.element_ty == tl.int32 else winner & 0xFFFF


@triton.jit
def _write_kernel(
    logits_ptr,  # [n, V], becomes the gradient: scale e^(l - l_r) - spread e^((l - l_r) / kappa)
    logits_stride,
    labels_ptr,  # [n] int64
    reference_ptr,  # [n] float32, as the next three
    scale_ptr,
    spread_ptr,  # read if SPREAD
    label_slope_ptr,
    misses_ptr,  # this and the next two: _Draws, read if SAMPLED
    tokens_ptr,
    slopes_ptr,
    vocabulary,
    samples,  # K
    coolness,  # 1 / kappa
    SPREAD: tl.constexpr,
    SAMPLED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    logits_ptr += row * logits_stride
    reference, factor = tl.load(reference_ptr + row), tl.load(scale_ptr + row)
    spread = tl.load(spread_ptr + row) if SPREAD else 0.0
    lanes = tl.arange(0, BLOCK)
    whole = vocabulary // BLOCK
    for block in range(0, whole):
        column = block * BLOCK + lanes
        slope = _slope(tl.load(logits_ptr + column).to(tl.float32), reference, coolness, factor, spread, SPREAD)
        tl.store(logits_ptr + column, slope.to(logits_ptr.dtype.element_ty))
    if whole * BLOCK < vocabulary:
        column = whole * BLOCK + lanes
        logit = tl.load(logits_ptr + column, mask=column < vocabulary, other=float("-inf")).to(tl.float32)
        slope = _slope(logit, reference, coolness, factor, spread, SPREAD)
        tl.store(logits_ptr + column, slope.to(logits_ptr.dtype.element_ty), mask=column < vocabulary)
    tl.debug_barrier()  # these columns were written by other threads above
    label = _inside(tl.load(labels_ptr + row), vocabulary)
    tl.store(logits_ptr + label, tl.load(label_slope_ptr + row).to(logits_ptr.dtype.element_ty))
    if SAMPLED:
        misses = tl.load(misses_ptr + row)
        for start in range(0, misses, _HANDLED):
            number = start + tl.arange(0, _HANDLED)
            missed = number < misses
            token = tl.load(tokens_ptr + row * samples + number, mask=missed, other=0)
            drawn = tl.load(slopes_ptr + row * samples + number, mask=missed, other=0.0)
            tl.store(logits_ptr + token, drawn.to(tl.float32).to(logits_ptr.dtype.element_ty), mask=missed)


@triton.jit
def _slope(logit, reference, coolness, factor, spread, SPREAD: tl.constexpr):
    slope = factor * _exp2(tl.fma(logit, _LOG2_E, -(reference * _LOG2_E)))
    if SPREAD:
        cool = coolness * _LOG2_E
        slope -= spread * _exp2(tl.fma(logit, cool, -(reference * cool)))
    return slope


@triton.jit
def _inside(label, vocabulary):
    """`read` flags a row whose label is out of range; until somebody looks, no other row's memory may be touched."""
    return tl.minimum(tl.maximum(label, 0), vocabulary - 1).to(tl.int32)


@triton.jit
def _uniforms(key, draw):
    """`otr.loss.draws.uniforms` of one token."""
    bits = key.to(tl.uint32) + draw.to(tl.uint32) * _GOLDEN
    bits = (bits ^ (bits >> 16)) * _MIX_FIRST + (key >> 32).to(tl.uint32)
    bits = (bits ^ (bits >> 15)) * _MIX_SECOND
    bits = bits ^ (bits >> 15) ^ 0x80000000
    return (bits.to(tl.float64) + 0.5) * (1.0 / 4294967296.0)


@triton.jit
def _exp2(exponent):
    """2^exponent; results below 2^-126 become 0. Triton's own keeps them, for two to four instructions more."""
    if _INTERPRETED:
        return tl.exp2(exponent)
    else:
        return tl.inline_asm_elementwise(
            "ex2.approx.ftz.f32 $0, $1;", "=f,f", [exponent], dtype=tl.float32, is_pure=True, pack=1
        )
