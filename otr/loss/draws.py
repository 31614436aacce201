"""The random numbers of OTR: a pure function of (seed, step, example, position, draw), never of a generator's state.

In go the identities of n tokens, out come K uniform numbers in (0, 1) for each:

    keys = token_keys(seed=0, step=12, examples=torch.tensor([7, 7]), positions=torch.tensor([101, 102]))
    uniforms(keys, 256)          # [2, 256] float64, the same on every device and in every batch that holds the tokens

So a token draws the same numbers whatever sequence is packed beside it, however the batch is cut into chunks,
micro-batches and ranks, and after a resume. Everything is integer arithmetic modulo 2^64 or 2^32, hence exact; the
Triton kernel repeats `uniforms` in 32-bit registers.

Two mixers are used, each published with its tests: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", 2014) turns an identity into a 64-bit key, and a 32-bit xorshift-multiply permutation of low bias
(C. Wellons' hash-prospector, constants 16 21f0aaad 15 735a2d97 15) turns a key and a counter into a draw. Philox would
do as well and costs twenty times as many integer operations, which on a CPU is more than the rest of the loss.
"""

import torch
from torch import Tensor

from .workspace import Workspace

_GOLDEN_64 = 0x9E3779B97F4A7C15
_MIX_64 = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
# The Weyl step and the two multipliers of the draw, shared with the Triton kernel.
GOLDEN_32 = 0x9E3779B9
MIX_32 = (0x21F0AAAD, 0x735A2D97)


def token_keys(seed: int, step: int, examples: Tensor, positions: Tensor) -> Tensor:
    """[n] int64 keys of n tokens; `examples` and `positions` are [n] integer tensors (any sign)."""
    stream = _mix_int(_mix_int(seed) ^ (step % 2**64))
    return _mix(_mix(examples.long() ^ _signed(stream, 64)) ^ positions.long())


def call_keys(labels: Tensor, seed: int, step: int | None, examples: Tensor | None, positions: Tensor | None) -> Tensor:
    """[n] int64 keys of one call's tokens where some of their names may be missing. labels: [n] int64, with -100.

    Unnamed tokens must not draw alike: row i of every micro-batch and rank would else reuse the same uniforms, whose
    noise then never averages out. Without `step` one comes from torch's generator (torch.manual_seed repeats it, as it
    does dropout). Without `examples` the call's labels name them, so that other data draw otherwise on every rank.
    """
    if step is None:
        step = int(torch.randint(2**62, ()))
    if positions is None:
        positions = torch.arange(len(labels), device=labels.device)
    if examples is None:
        examples = token_keys(0, 0, labels, torch.arange(len(labels), device=labels.device)).sum().expand(len(labels))
    return token_keys(seed, step, examples, positions)


def uniforms(keys: Tensor, count: int, work: Workspace | None = None) -> Tensor:
    """[n, count] float64 in (0, 1): the first `count` draws of each token, on the grid (i + 1/2) / 2^32.

    keys: [n] int64 from `token_keys`. The low half of a key starts the counter, the high half is added between the
    two multiplications, so two tokens share their draws only where all 64 bits agree. With `work` the result
    lies there.
    """
    low, high = keys.to(torch.int32), (keys >> 32).to(torch.int32)
    counter = torch.arange(count, dtype=torch.int32, device=keys.device) * _signed(GOLDEN_32, 32)
    work, shape = work or Workspace(keys.device), (len(keys), count)
    bits = torch.add(low[:, None], counter, out=work.take("bits", shape, torch.int32))
    shifted = work.take("shifted", shape, torch.int32)
    _fold(bits, 16, shifted).mul_(_signed(MIX_32[0], 32)).add_(high[:, None])
    _fold(bits, 15, shifted).mul_(_signed(MIX_32[1], 32))
    _fold(bits, 15, shifted)
    numbers = work.take("uniforms", shape, torch.float64).copy_(bits)
    return numbers.add_(2.0**31 + 0.5).mul_(2.0**-32)


def _fold(bits: Tensor, by: int, shifted: Tensor) -> Tensor:
    """bits ^= bits >> by, a logical shift of int32 (torch's own copies the sign bit). shifted: a buffer like `bits`."""
    torch.bitwise_right_shift(bits, by, out=shifted)
    return bits.bitwise_xor_(shifted.bitwise_and_((1 << (32 - by)) - 1))


def _signed(value: int, bits: int) -> int:
    """The two's complement reading of an unsigned number, as torch's signed integers want it."""
    return value - (1 << bits) if value >> (bits - 1) else value


def _mix(state: Tensor) -> Tensor:
    state = state + _signed(_GOLDEN_64, 64)
    state = (state ^ ((state >> 30) & (2**34 - 1))) * _signed(_MIX_64[0], 64)
    state = (state ^ ((state >> 27) & (2**37 - 1))) * _signed(_MIX_64[1], 64)
    return state ^ ((state >> 31) & (2**33 - 1))


def _mix_int(state: int) -> int:
    state = (state + _GOLDEN_64) % 2**64
    state = (state ^ (state >> 30)) * _MIX_64[0] % 2**64
    state = (state ^ (state >> 27)) * _MIX_64[1] % 2**64
    return state ^ (state >> 31)
