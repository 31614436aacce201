"""What would break: a Triton kernel that computes, draws or flags something else than the torch rows.

On a machine with a GPU the tests run there. Without one they run in Triton's interpreter, which has to be chosen
before triton is first imported; `test_in_the_interpreter` therefore runs this file again in a process of its own.
"""

import dataclasses
import math
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from otr.loss import Objective, OTRHead, reference, rows
from otr.loss.draws import token_keys
from otr.loss.objective import FORMULAS, register
from otr.loss.objective import NAMES as ALL_NAMES

pytest.importorskip("triton", reason="the kernel needs triton")
import triton
from benchmarks import kernel as counts

GPU = torch.cuda.is_available()
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
here = pytest.mark.skipif(not (GPU or INTERPRETED), reason="no GPU; test_in_the_interpreter covers this test")
# The pins of CI and of the pipeline have this triton; another one's code is another (seen with 3.6: two barriers more).
pinned_compiler = pytest.mark.skipif(
    not triton.__version__.startswith("3.7."), reason="counted in the code of the triton that the pipeline pins"
)
SAMPLES = 100
NAMES = [name for name in ALL_NAMES if name == "otr" or not FORMULAS[name].sampled]
OBJECTIVES = [Objective(name, samples=SAMPLES) for name in NAMES]
# One of each kind that the kernels tell apart: without pi', sampled, spread over pi', with counted draws.
KINDS = ["sft", "otr", "expected-otr", "otr-rao-blackwell"]


@pytest.mark.slow
@pytest.mark.skipif(GPU or INTERPRETED, reason="the tests below run by themselves")
def test_in_the_interpreter() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "slow or not slow", "-p", "no:cacheprovider", __file__]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
    assert " passed" in result.stdout


# Instructions a logit over both reads, without and with diagnostics. Liger-Kernel's cross-entropy has 21.
@pinned_compiler
@pytest.mark.skipif(INTERPRETED, reason="the interpreter has no compiler")
@pytest.mark.parametrize(
    ("name", "bare", "diagnosed"), [("sft", 11, 15.5), ("otr", 16, 17), ("expected-otr", 20, 20.5)]
)
def test_machine_code_of_a_gpu_that_is_not_here(name: str, bare: float, diagnosed: float) -> None:
    """As a launch on an H100 (sm_90) specialises it: what a change costs shows here, not on somebody's GPU."""
    write = counts.write(name)
    for diagnostics, most in ((False, bare), (True, diagnosed)):
        read = counts.read(name, diagnostics)
        assert read.row.per_logit(16) + write.row.per_logit(16) <= most
        assert read.registers <= 48, "fewer than five programs of 256 threads on a multiprocessor"
        assert not any(loop.count("BAR.SYNC") for loop in read.loops), "an exchange between warps in every block"
        assert read.row.count("LDG") == 2, "a load of less than 16 bytes"
        assert read.barriers_once <= 36 and read.stack == 0 and read.shared <= 1024
    assert write.registers <= 32 and write.stack == 0 and write.shared == 0 and write.barriers_once == 1
    assert write.row.count("LDG") == write.row.count("STG") == 2


@pytest.mark.skipif(INTERPRETED, reason="the interpreter has no compiler")
def test_machine_code_of_the_draws() -> None:
    """K is no constant of the compiled code: the registers are those of any K, and no loop runs over pairs of draws."""
    draw = counts.draw(diagnostics=True)
    assert draw.registers <= 80 and draw.stack == 0
    # One warp a row: its barriers wait for nobody. The loops over 256 draws and 256 pieces have one each.
    once = draw.barriers_once + sum(loop.count("BAR.SYNC") for loop in draw.loops)
    assert counts.read("otr", True).barriers_once + once <= 60
    (lookup,) = [loop for loop in draw.loops if loop.count("MUFU.EX2") == 16]
    assert len(lookup.code) <= 2 * 150 and lookup.count("BAR.SYNC") == 0, "what each draw costs that missed the label"


@pytest.mark.skipif(INTERPRETED, reason="the interpreter has no compiler")
@pytest.mark.parametrize("pointer", ["*fp32", "*fp16"])
def test_compiles_for_other_types(pointer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(counts._TYPES, "logits_ptr", pointer)
    piece = 128 if pointer == "*fp32" else 256
    for found in (counts.read("otr", True), counts.draw(True, piece), counts.write("expected-otr")):
        assert found.stack == 0


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks to a row, the last one partly filled, at sizes the interpreter can bear."""
    if GPU or INTERPRETED:
        from otr.loss import kernel

        monkeypatch.setattr(kernel, "_BLOCK", 256)


def batch(vocabulary: int = 600, count: int = 8, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(vocabulary)
    logits = torch.randn(count, vocabulary, generator=generator) * torch.linspace(0.1, 6, count)[:, None]
    labels = torch.randint(vocabulary, (count,), generator=generator)
    logits[::2].scatter_(1, labels[::2, None], 7.0)
    keys = token_keys(0, 0, torch.arange(count) // 4, torch.arange(count))
    return logits.to(dtype).to(DEVICE), labels.to(DEVICE), keys.to(DEVICE)


def older(logits: Tensor, labels: Tensor) -> Tensor:
    """[n] float32 log-probabilities of a policy less and more sure of the label than this one."""
    log_p = logits.double().log_softmax(1).gather(1, labels[:, None])[:, 0]
    return (log_p + torch.linspace(-0.4, 0.4, len(labels), device=log_p.device)).clamp(min=-80).float()


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


@here
# The interpreter cuts float32 off to bfloat16 where a GPU rounds to nearest: twice the error.
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.bfloat16, 8e-3 if INTERPRETED else 4e-3), (torch.float16, 1e-3)],
)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=NAMES)
def test_matches_float64_autograd_and_the_torch_rows(
    objective: Objective, dtype: torch.dtype, tolerance: float
) -> None:
    from otr.loss import kernel

    if dtype != torch.float32 and objective.name not in KINDS:
        pytest.skip("the same kernels as those of the four kinds")
    logits, labels, keys = batch(dtype=dtype)
    weights = torch.linspace(0.5, 2, len(logits), device=DEVICE)
    leaf = logits.double().clone().requires_grad_()
    old = older(logits, labels)
    losses = reference.row_losses(leaf, labels, objective, rows.rollout(logits, labels, keys, objective), old)
    (gradient,) = torch.autograd.grad((losses * weights).sum(), leaf)
    slope, theirs = logits.clone(), logits.clone()
    found = kernel.row_pass(slope, labels, keys, objective, weights, old_log_p=old)
    torch_rows = rows.row_pass(theirs, labels, keys, objective, weights, old_log_p=old)
    assert relative(slope, gradient) < tolerance
    assert relative(found.loss, losses.detach()) < 1e-5
    for name, column in vars(torch_rows).items():
        torch.testing.assert_close(getattr(found, name), column, rtol=1e-5, atol=1e-6, msg=name)


@here
@pytest.mark.parametrize("objective", OBJECTIVES, ids=NAMES)
def test_diagnostics_and_gradient_are_optional(objective: Objective) -> None:
    from otr.loss import kernel

    logits, labels, keys = batch()
    full, bare, none = logits.clone(), logits.clone(), logits.clone()
    old = older(logits, labels)
    losses = [
        kernel.row_pass(full, labels, keys, objective, old_log_p=old).loss,
        kernel.row_pass(bare, labels, keys, objective, diagnostics=False, old_log_p=old).loss,
        kernel.row_pass(none, labels, keys, objective, gradient=False, old_log_p=old).loss,
    ]
    assert torch.equal(full, bare) and torch.equal(none, logits)
    assert torch.equal(losses[0], losses[1]) and torch.equal(losses[0], losses[2])


@here
@pytest.mark.parametrize("objective", OBJECTIVES, ids=NAMES)
def test_extreme_rows(objective: Objective) -> None:
    from otr.loss import kernel

    label = 4
    logits = torch.zeros(6, 900)
    logits[0] += 1e4
    logits[1] -= 1e4
    logits[2, ::2], logits[2, 1::2] = 1e4, -1e4
    logits[3, :-1] = -math.inf  # whole blocks of masked tokens before the first with mass
    logits[3, label] = -300.0
    logits[4, label] = 1e4
    logits[5, 9] = 1e4
    logits = logits.to(DEVICE)
    labels = torch.full((6,), label, device=DEVICE)
    keys = token_keys(0, 0, labels, torch.arange(6, device=DEVICE))
    old, slope, theirs = older(logits, labels), logits.clone(), logits.clone()
    found, wanted = (
        run(tensor, labels, keys, objective, old_log_p=old)
        for run, tensor in ((kernel.row_pass, slope), (rows.row_pass, theirs))
    )
    assert found.finite.all() and slope.isfinite().all()
    torch.testing.assert_close(slope, theirs, rtol=1e-5, atol=1e-6)
    for name, column in vars(wanted).items():
        torch.testing.assert_close(getattr(found, name), column, rtol=1e-5, atol=1e-6, msg=name)


@here
@pytest.mark.parametrize("kappa", [1.3, 0.2])
@pytest.mark.parametrize("objective", [Objective(name, samples=SAMPLES) for name in KINDS], ids=KINDS)
def test_labels_far_below_the_largest_logit(objective: Objective, kappa: float) -> None:
    """Sums relative to the label's logit grow large, then overflow, and the row is read again; masks do that too."""
    from otr.loss import kernel

    objective = dataclasses.replace(objective, kappa=kappa)
    logits = torch.randn(7, 900, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(7) * 100
    logits[torch.arange(7), labels] -= torch.tensor([0.0, 20.0, 60.0, 75.0, 90.0, 200.0, 0.0])
    logits[6, 256:512] = logits[6, ::3] = -math.inf
    logits[6, 600] = 1.0
    logits, labels = logits.to(DEVICE), labels.to(DEVICE)
    slope, theirs = logits.clone(), logits.clone()
    old = older(logits, labels)
    found = kernel.row_pass(slope, labels, labels, objective, old_log_p=old)
    wanted = rows.row_pass(theirs, labels, labels, objective, old_log_p=old)
    torch.testing.assert_close(slope, theirs, rtol=1e-5, atol=1e-6)
    for name, column in vars(wanted).items():
        torch.testing.assert_close(getattr(found, name), column, rtol=1e-5, atol=1e-6, msg=name)


@here
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_many_draws_of_few_tokens(dtype: torch.dtype) -> None:
    """More draws than are handled at a time, most of them of a token that others drew too."""
    from otr.loss import kernel

    objective = Objective(samples=700)
    logits = torch.full((3, 300), -math.inf)
    logits[:, [2, 7, 150, 299]] = torch.tensor([1.0, 0.5, 2.0, 0.0])
    labels = torch.tensor([2, 150, 299])
    logits, labels = logits.to(dtype).to(DEVICE), labels.to(DEVICE)
    slope, theirs = logits.clone(), logits.clone()
    found = kernel.row_pass(slope, labels, labels, objective)
    wanted = rows.row_pass(theirs, labels, labels, objective)
    assert torch.equal(found.gt_count, wanted.gt_count)
    torch.testing.assert_close(found.loss, wanted.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(slope, theirs, rtol=1e-5 if dtype == torch.float32 else 8e-3, atol=1e-6)


@here
def test_a_closed_form_from_outside_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A and B of the table are evaluated between the reads: the kernels know no objective by its name."""
    from otr.loss import kernel

    monkeypatch.setattr("otr.loss.objective.FORMULAS", dict(FORMULAS))
    added = register(
        "added",
        A=lambda token, objective: objective.scale * token.p * token.q + token.entropy * token.hits,
        B=lambda token, objective: 0.2 - token.q,
        needs=("q", "entropy", "hits"),
        constants={"scale": 0.5},
    )
    objective = Objective(added, samples=SAMPLES)
    logits, labels, keys = batch()
    slope, theirs = logits.clone(), logits.clone()
    found = kernel.row_pass(slope, labels, keys, objective, diagnostics=False)
    wanted = rows.row_pass(theirs, labels, keys, objective, diagnostics=False)
    torch.testing.assert_close(slope, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.loss, wanted.loss, rtol=1e-5, atol=1e-6)


@here
def test_a_label_out_of_range_is_flagged_and_touches_no_other_row() -> None:
    from otr.loss import kernel

    logits, labels, keys = batch(count=3)
    slope, alone = logits.clone(), logits.clone()
    labels[1] = 10**6
    found = kernel.row_pass(slope, labels, keys, Objective(samples=SAMPLES))
    assert found.finite.tolist() == [True, False, True]
    labels[1] = 0
    kernel.row_pass(alone, labels, keys, Objective(samples=SAMPLES))
    assert torch.equal(slope[[0, 2]], alone[[0, 2]])


@here
def test_rows_that_are_not_finite_are_flagged() -> None:
    from otr.loss import kernel

    logits = torch.zeros(6, 900)
    logits[1, 700] = math.nan
    logits[2, 700] = math.inf
    logits[3] = -math.inf
    logits[4, 3] = -math.inf
    logits[5, 4] = -math.inf
    labels = torch.full((6,), 3, device=DEVICE)
    for objective in OBJECTIVES:
        found = kernel.row_pass(logits.to(DEVICE, copy=True), labels, labels, objective, old_log_p=labels.float())
        assert found.finite.tolist() == [True, False, False, False, False, True]


@here
def test_draws_follow_the_sampling_policy() -> None:
    """Chi-squared of the columns' counts, read off the gradient: c_i = (rho p_i - g_i) K / R_i."""
    from otr.loss import kernel

    count, vocabulary = (30, 300) if INTERPRETED else (20_000, 5003)
    objective = Objective(samples=128, beta=-1.0)
    logits, _, _ = batch(vocabulary, 4)
    row = logits[2:3].clone()
    row[0, 7::5] = -math.inf
    label = row[0].topk(2).indices[1]
    labels = label.expand(count).contiguous()
    keys = token_keys(3, 0, torch.zeros(count, dtype=torch.long), torch.arange(count)).to(DEVICE)
    slope = row.repeat(count, 1)
    found = kernel.row_pass(slope, labels, keys, objective)
    reward = torch.full((vocabulary,), objective.beta, device=DEVICE)
    reward[label] = 1.0
    share = found.gt_count[:, None] / objective.samples
    rho = share + objective.beta * (1 - share)
    drawn = (rho * row.softmax(1) - slope) * objective.samples / reward
    counts = drawn.round().double()
    assert (drawn - counts).abs().max() < 0.01 and (counts.sum(1) == objective.samples).all()
    assert torch.equal(counts[:, label], found.gt_count.double())
    expected = (row[0].double() / objective.kappa).softmax(0) * count * objective.samples
    counts = counts.sum(0)
    assert not counts[expected == 0].any()
    large = expected > 10
    statistic = ((counts - expected) ** 2 / expected)[large].sum()
    assert abs(float(statistic) - int(large.sum())) < 5 * (2 * int(large.sum())) ** 0.5


@here
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scale_multiplies_in_float32_and_skips_one(dtype: torch.dtype) -> None:
    from otr.loss import kernel

    values = (torch.randint(-64, 65, (3, 301)) / 8).to(dtype).to(DEVICE)
    wanted = values.double() * 0.25
    kept = values.clone()
    kernel.scale(values, torch.tensor(1.0, device=DEVICE))
    assert torch.equal(values, kept)
    kernel.scale(values, torch.tensor(0.25, device=DEVICE))
    assert torch.equal(values.double(), wanted)
    kernel.scale(values[:0], torch.tensor(2.0, device=DEVICE))


@pytest.mark.gpu
@pytest.mark.skipif(INTERPRETED, reason="the interpreter is no GPU")
def test_head_on_a_gpu_matches_float64_and_repeats_bit_for_bit() -> None:
    """The whole head, through the kernel, at a real vocabulary; two runs show that no race decides a result."""
    generator = torch.Generator().manual_seed(0)
    tokens, width, vocabulary = 64, 128, 151_936
    hidden = (torch.randint(-8, 9, (tokens, width), generator=generator) / 8).cuda()
    weight = torch.nn.Parameter((torch.randint(-8, 9, (vocabulary, width), generator=generator) / 8).cuda())
    labels = torch.randint(vocabulary, (tokens,), generator=generator).cuda()
    positions = torch.arange(tokens).cuda()
    gradients = []
    for _ in range(2):
        leaf = hidden.clone().requires_grad_()
        out = OTRHead(weight, Objective(), logits_budget=20 * 4 * vocabulary)(leaf, labels, labels, positions, 0)
        gradients.append(torch.autograd.grad(out.loss, (leaf, weight)))
    assert all(torch.equal(first, second) for first, second in zip(*gradients, strict=True))
    logits = hidden.double() @ weight.detach().double().T
    drawn = rows.rollout(logits.float(), labels, token_keys(0, 0, labels, positions), Objective())
    leaf = hidden.double().requires_grad_()
    losses = reference.otr(leaf @ weight.detach().double().T, labels, drawn, -0.1)
    (wanted,) = torch.autograd.grad(losses.sum(), leaf)
    # Among 150,000 rare tokens, rounding hands a draw or two to a neighbour of the same mass.
    assert relative(gradients[0][0], wanted) < 1e-3
