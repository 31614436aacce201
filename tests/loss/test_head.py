"""What would break: a chunk counted twice, a prompt token trained, a draw that depends on the batch, lost gradients."""

import math

import pytest
import torch
from torch import Tensor, nn

from otr.loss import HeadOutput, Objective, OTRHead, otr_loss, reference
from otr.loss.draws import token_keys
from otr.loss.head import IGNORED, chunk_rows
from otr.loss.objective import NAMES
from otr.loss.rows import rollout

TOKENS, WIDTH, VOCABULARY = 37, 24, 301


class Batch:
    """Two packed examples with untrained prompts. The values are small multiples of 1/8, so that the products, and
    with them the draws, are exact and the same however the batch is cut."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        generator = torch.Generator().manual_seed(0)
        self.hidden = torch.randint(-8, 9, (TOKENS, WIDTH), generator=generator).div(8).to(dtype).requires_grad_()
        self.weight = nn.Parameter(torch.randint(-8, 9, (VOCABULARY, WIDTH), generator=generator) / 8)
        self.labels = torch.randint(VOCABULARY, (TOKENS,), generator=generator)
        self.labels[::2] = (self.hidden @ self.weight.T.to(dtype)).argmax(1)[::2]
        self.examples = torch.tensor([3] * 20 + [8] * 17)
        self.positions = torch.cat([torch.arange(20), torch.arange(17)])
        self.labels[:4] = self.labels[20:23] = IGNORED

    def run(
        self, objective: Objective, rows: slice | Tensor = slice(None), chunk: int = 1000, **options: object
    ) -> HeadOutput:
        budget = chunk * VOCABULARY * self.hidden.element_size()
        head = OTRHead(self.weight, objective, seed=5, logits_budget=budget, **options)  # type: ignore[arg-type]
        names = (column[rows] for column in (self.labels, self.examples, self.positions))
        out: HeadOutput = head(self.hidden[rows], *names, step=9, old_log_p=self.older()[rows])
        return out

    def older(self) -> Tensor:
        """[T] log-probabilities of a policy less and more sure of the labels, where they are trained."""
        log_p = (self.hidden @ self.weight.T.to(self.hidden.dtype)).detach().double().log_softmax(1)
        return log_p.gather(1, self.labels.clamp(0, VOCABULARY - 1)[:, None])[:, 0] + torch.linspace(-0.4, 0.4, TOKENS)

    def gradients(self) -> tuple[Tensor, Tensor]:
        assert self.hidden.grad is not None and self.weight.grad is not None
        found = self.hidden.grad, self.weight.grad
        self.hidden.grad = self.weight.grad = None
        return found

    def reference(self, objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
        """The summed loss and its gradients by float64 autograd through full logits, on the head's own draws.

        bfloat16 logits are rounded by the product, before any loss sees them; the reference takes them as rounded
        (their gradient as if not), so that what is left is the head's own error."""
        hidden = self.hidden.detach().double().requires_grad_()
        weight = self.weight.detach().to(self.hidden.dtype).double().requires_grad_()
        kept = self.labels != IGNORED
        logits, labels = hidden[kept] @ weight.T, self.labels[kept]
        logits = logits + (logits.to(self.hidden.dtype) - logits).detach()
        keys = token_keys(5, 9, self.examples[kept], self.positions[kept])
        drawn = rollout(logits.detach().to(self.hidden.dtype), labels, keys, objective)
        loss = reference.row_losses(logits, labels, objective, drawn, self.older()[kept]).sum()
        hidden_gradient, weight_gradient = torch.autograd.grad(loss, (hidden, weight))
        return loss.detach(), hidden_gradient, weight_gradient


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


@pytest.mark.parametrize("chunk", [1000, 7, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_head_matches_float64_autograd(name: str, dtype: torch.dtype, chunk: int) -> None:
    batch, tolerance = Batch(dtype), 1e-5 if dtype == torch.float32 else 4e-3
    out = batch.run(Objective(name), chunk=chunk)
    out.loss.backward()
    wanted = batch.reference(Objective(name))
    for found, want in zip((out.loss, *batch.gradients()), wanted, strict=True):
        assert relative(found.detach(), want) < tolerance
    assert out.tokens == TOKENS - 7


def test_tied_weight_gets_both_gradients() -> None:
    """The embedding and the head are one Parameter: autograd adds the head's gradient to the embedding's."""
    batch, tokens = Batch(), torch.arange(TOKENS) % VOCABULARY

    def loss(weight: Tensor, kept: Tensor) -> Tensor:
        hidden = nn.functional.embedding(tokens, weight)
        return reference.sft((hidden @ weight.T)[kept], batch.labels[kept]).sum()

    hidden = nn.functional.embedding(tokens, batch.weight)
    OTRHead(batch.weight, Objective("sft"))(hidden, batch.labels, batch.examples, batch.positions, 0).loss.backward()
    tied = batch.weight.detach().double().requires_grad_()
    (wanted,) = torch.autograd.grad(loss(tied, batch.labels != IGNORED), tied)
    assert batch.weight.grad is not None and relative(batch.weight.grad, wanted) < 1e-5


@pytest.mark.parametrize("name", ["otr", "sft"])
def test_same_draws_however_the_batch_is_cut(name: str) -> None:
    """Chunks of any size, one example at a time, reversed order: the same counts exactly, the same gradients."""
    batch, objective = Batch(), Objective(name)
    whole = batch.run(objective)
    whole.loss.backward()
    gradients = batch.gradients()
    cuts: dict[str, list[slice | Tensor]] = {
        "micro-batches": [slice(0, 20), slice(20, TOKENS)],
        "another packing": [torch.cat([torch.arange(20, TOKENS), torch.arange(20)])],
        "single tokens": [slice(t, t + 1) for t in range(TOKENS)],
    }
    for name_of_cut, parts in cuts.items():
        outs = [batch.run(objective, part, chunk=5) for part in parts]
        sum(out.loss for out in outs).backward()  # type: ignore[union-attr]
        assert sum(out.gt_count for out in outs) == whole.gt_count, name_of_cut
        for found, wanted in zip(batch.gradients(), gradients, strict=True):
            assert relative(found, wanted) < 2e-6, name_of_cut


def test_seed_and_step_change_the_draws() -> None:
    batch, counts = Batch(), set()
    for seed, step in ((0, 0), (1, 0), (0, 1)):
        out = OTRHead(batch.weight, Objective(), seed=seed)(
            batch.hidden, batch.labels, batch.examples, batch.positions, step
        )
        counts.add(float(out.loss.detach()))
    assert len(counts) == 3


@pytest.mark.parametrize("name", ["sft", "dft", "expected-otr"])
def test_diagnostics_leave_trained_parameters_bitwise_equal(name: str) -> None:
    """Ten optimiser steps with and without the sampled analysis."""
    trained = []
    for diagnostics in (True, False):
        batch = Batch()
        optimiser = torch.optim.AdamW([batch.weight, batch.hidden], lr=1e-2)
        counts = 0.0
        for _ in range(10):
            out = batch.run(Objective(name), diagnostics=diagnostics)
            (out.loss / out.tokens).backward()
            optimiser.step()
            optimiser.zero_grad()
            counts += float(out.gt_count)
        assert (counts > 0) == diagnostics
        trained.append((batch.weight.detach(), batch.hidden.detach()))
    assert all(torch.equal(left, right) for left, right in zip(*trained, strict=True))


def test_weights_scale_each_tokens_loss() -> None:
    batch = Batch()
    weights = torch.linspace(0, 1, TOKENS)
    head = OTRHead(batch.weight, Objective("sft"))
    out = head(batch.hidden, batch.labels, batch.examples, batch.positions, 0, weights)
    out.loss.backward()
    found = batch.gradients()
    kept = batch.labels != IGNORED
    rows = nn.functional.cross_entropy(batch.hidden @ batch.weight.T, batch.labels, reduction="none")
    wanted = (rows * weights)[kept].sum()
    torch.testing.assert_close(out.loss, wanted)
    torch.testing.assert_close(out.nll, rows[kept].double().sum())
    for gradient, want in zip(found, torch.autograd.grad(wanted, (batch.hidden, batch.weight)), strict=True):
        assert relative(gradient, want) < 1e-5


@pytest.mark.parametrize("count", [0, 5])
def test_nothing_to_train_is_a_zero_loss_with_zero_gradients(count: int) -> None:
    batch = Batch()
    empty = torch.full((count,), 0)
    hidden = torch.ones(count, WIDTH, requires_grad=True)
    out = OTRHead(batch.weight, Objective())(hidden, empty + IGNORED, empty, empty, 0)
    out.loss.backward()
    assert out.loss == 0 and out.tokens == 0 and out.entropy == 0
    assert batch.weight.grad is not None and not batch.weight.grad.any()
    assert hidden.grad is not None and hidden.grad.shape == hidden.shape and not hidden.grad.any()


def test_frozen_weight_and_evaluation_make_no_gradient() -> None:
    batch = Batch()
    trained = batch.run(Objective())
    with torch.no_grad():
        evaluated = batch.run(Objective())
    assert not evaluated.loss.requires_grad and evaluated.loss == trained.loss.detach()
    batch.weight.requires_grad_(False)
    batch.run(Objective()).loss.backward()
    assert batch.weight.grad is None and batch.hidden.grad is not None


def test_bfloat16_master_gets_a_bfloat16_gradient() -> None:
    batch = Batch(torch.bfloat16)
    batch.weight = nn.Parameter(batch.weight.detach().bfloat16())
    batch.run(Objective(), chunk=7).loss.backward()
    assert batch.weight.grad is not None and batch.weight.grad.dtype == torch.bfloat16
    assert relative(batch.weight.grad, batch.reference(Objective())[2]) < 4e-3


def test_scaling_the_loss_scales_the_gradients() -> None:
    """1 / tokens in bfloat16 would be off by up to 0.4 % for every token alike."""
    batch = Batch(torch.bfloat16)
    batch.run(Objective()).loss.backward()
    plain = batch.gradients()
    (batch.run(Objective()).loss / 30.3).backward()
    for found, wanted in zip(batch.gradients(), plain, strict=True):
        assert abs(float((found.double() * wanted.double()).sum() / (wanted.double() ** 2).sum()) * 30.3 - 1) < 3e-4


def test_chunks_are_few_equal_and_whole_tiles() -> None:
    """What a GPU computes: a part of a tile costs a whole one, a chunk more a pass over the weight's gradient."""
    for rows, most in ((10_240, 4113), (10_240, 5265), (4096, 4110), (7001, 2441), (129, 4113), (1, 4113), (50, 7)):
        size = chunk_rows(rows, 10, 10.0 * most)
        chunks = [min(size, rows - start) for start in range(0, rows, size)]
        tile = min(128, most)
        assert size % tile == 0 and size <= most
        assert len(chunks) == -(-rows // (most - most % tile)), "more chunks than the budget asks for"
        assert chunks[0] - chunks[-1] < tile * len(chunks)
    assert chunk_rows(0, 10, 5.0) == 1  # nothing to train, and a budget below one row


def test_gradients_are_those_of_one_chunk_even_if_the_last_is_ragged() -> None:
    """300 rows in chunks of 128, 128 and 44."""
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(300, 16, generator=generator)
    weight, labels = torch.randn(40, 16, generator=generator), torch.randint(40, (300,), generator=generator)
    found = []
    for rows in (300, 140):
        leaf, parameter = hidden.clone().requires_grad_(), nn.Parameter(weight.clone())
        head = OTRHead(parameter, Objective("sft"), logits_budget=rows * 40 * 4)
        head(leaf, labels, labels, labels, 0).loss.backward()
        assert leaf.grad is not None and parameter.grad is not None
        found.append((leaf.grad, parameter.grad))
    for one, many in zip(*found, strict=True):
        assert relative(many, one) < 2e-6


def test_divisor_in_the_weights_is_a_divided_loss() -> None:
    """Known beforehand, it costs no pass over the gradients; the result is the one of dividing afterwards."""
    batch = Batch()
    (batch.run(Objective()).loss / 30).backward()
    wanted = batch.gradients()
    head = OTRHead(batch.weight, Objective(), seed=5)
    weights = torch.full((TOKENS,), 1 / 30)
    head(batch.hidden, batch.labels, batch.examples, batch.positions, 9, weights).loss.backward()
    for found, want in zip(batch.gradients(), wanted, strict=True):
        assert relative(found, want) < 1e-6


@pytest.mark.skipif(not hasattr(torch.Tensor, "grad_dtype"), reason="torch 2.10 and later")
def test_a_copy_whose_gradient_is_float32_gets_it_unrounded() -> None:
    """What sharded training hands to the head: a bfloat16 copy of a float32 weight."""
    batch = Batch(torch.bfloat16)
    exact = batch.reference(Objective("sft"))[2]
    batch.weight = nn.Parameter(batch.weight.detach().bfloat16())
    batch.weight.grad_dtype = torch.float32
    batch.run(Objective("sft"), chunk=7).loss.backward()
    gradient = batch.weight.grad
    assert gradient is not None and gradient.dtype == torch.float32 and relative(gradient, exact) < 4e-3
    assert not torch.equal(gradient, gradient.bfloat16().float())


def test_without_waiting_the_caller_checks() -> None:
    batch = Batch()
    kept = (batch.labels != IGNORED).nonzero().view(-1)
    with torch.no_grad():
        batch.hidden[[25, 31], 3] = math.nan
    out = OTRHead(batch.weight, Objective("sft"))(
        *(column[kept] for column in (batch.hidden, batch.labels, batch.examples, batch.positions)), 0, wait=False
    )
    with pytest.raises(FloatingPointError, match="example 8, position 5 .* 2 rows are"):
        out.check()
    none = kept[:0]
    empty = OTRHead(batch.weight, Objective("sft"))(batch.hidden[none], none, none, none, 0, wait=False)
    empty.check()
    assert empty.loss == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_bad_hidden_state_raises_and_names_the_token(bad: float) -> None:
    batch = Batch()
    with torch.no_grad():
        batch.hidden[25, 3] = bad
    with pytest.raises(FloatingPointError, match="example 8, position 5 .* 1 row is"):
        batch.run(Objective("sft"), chunk=4)


def test_bad_hidden_state_of_an_untrained_token_is_never_read() -> None:
    batch = Batch()
    with torch.no_grad():
        batch.hidden[1] = math.nan
    assert batch.run(Objective()).loss.isfinite()


def test_shapes_and_labels_out_of_range_are_refused() -> None:
    batch = Batch()
    batch.labels[10] = VOCABULARY
    with pytest.raises(ValueError, match=f"labels: 0 to {VOCABULARY - 1}"):
        batch.run(Objective())
    with pytest.raises(ValueError, match=r"examples: \[37\] is needed"):
        OTRHead(batch.weight, Objective())(batch.hidden, batch.labels, batch.examples[1:], batch.positions, 0)
    with pytest.raises(ValueError, match=r"hidden: \[T, 24\] is needed"):
        OTRHead(batch.weight, Objective())(batch.hidden.T, batch.labels, batch.examples, batch.positions, 0)


@pytest.mark.parametrize("name", NAMES)
def test_otr_loss_of_logits_matches_the_head(name: str) -> None:
    batch, objective = Batch(), Objective(name)
    out = batch.run(objective)
    out.loss.backward()
    gradients = batch.gradients()
    logits = batch.hidden @ batch.weight.T
    before = logits.detach().clone()
    names = {"examples": batch.examples, "positions": batch.positions, "old_log_p": batch.older()}
    options = {"seed": 5, "step": 9} | names
    total = otr_loss(logits, batch.labels, objective, reduction="sum", **options)  # type: ignore[arg-type]
    mean = otr_loss(logits, batch.labels, objective, **options)  # type: ignore[arg-type]
    rows = otr_loss(logits, batch.labels, objective, reduction="none", **options)  # type: ignore[arg-type]
    assert torch.equal(logits, before)
    torch.testing.assert_close(total, out.loss)
    torch.testing.assert_close(mean, out.loss / 30)
    torch.testing.assert_close(rows.sum(), out.loss)
    assert not rows[batch.labels == IGNORED].any()
    for found, wanted in zip(torch.autograd.grad(rows.sum(), (batch.hidden, batch.weight)), gradients, strict=True):
        assert relative(found, wanted) < 1e-5


def test_otr_loss_of_nothing_is_zero_and_bad_logits_raise() -> None:
    logits = torch.zeros(3, 8, requires_grad=True)
    loss = otr_loss(logits, torch.full((3,), IGNORED))
    loss.backward()
    assert loss == 0 and logits.grad is not None and not logits.grad.any()
    with pytest.raises(FloatingPointError, match="position 1 "):
        otr_loss(torch.tensor([[0.0, 1.0], [math.nan, 0.0]]), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="reduction"):
        otr_loss(logits, torch.zeros(3, dtype=torch.long), reduction="average")


def test_unnamed_draws_never_repeat_and_obey_manual_seed() -> None:
    """Row i of every micro-batch once reused the same uniforms: four times the variance of a step's loss."""
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(2, 64, 50, generator=generator), torch.randint(50, (2, 64), generator=generator)

    def noise(rank_labels: Tensor, seed: int) -> Tensor:
        """[128] K-draw losses less their mean, which is the same however tokens draw."""
        torch.manual_seed(seed)
        rows = otr_loss(logits, rank_labels, Objective(samples=4, beta=-0.5), reduction="none")
        return rows - otr_loss(logits, rank_labels, Objective("expected-otr", beta=-0.5), reduction="none")

    first, again, other_seed = noise(labels, 1), noise(labels, 1), noise(labels, 2)
    assert first.shape == labels.shape and torch.equal(first, again)
    changed = labels.clone()
    changed[0, 0] = IGNORED  # another rank: the same seed, one label apart
    for other in (other_seed, noise(changed, 1)):
        pair = torch.stack([first.flatten()[1:], other.flatten()[1:]])
        assert abs(float(pair.corrcoef()[0, 1])) < 0.35
    head = OTRHead(nn.Linear(8, 50, bias=False), "otr")
    hidden = torch.randn(128, 8, generator=generator)
    assert len({float(head(hidden, labels.flatten()).loss.detach()) for _ in range(3)}) == 3


def test_log_p_is_the_label_s_and_makes_the_first_ratio_one() -> None:
    batch, objective = Batch(), Objective("proximal-sft")
    head = OTRHead(batch.weight, objective, logits_budget=7 * 4 * VOCABULARY)
    old = head.log_p(batch.hidden, batch.labels)
    kept = batch.labels != IGNORED
    log_p = (batch.hidden @ batch.weight.T).log_softmax(1)
    torch.testing.assert_close(old[kept], log_p[kept].gather(1, batch.labels[kept, None])[:, 0])
    assert not old[~kept].any()
    out = head(batch.hidden, batch.labels, old_log_p=old)
    out.loss.backward()
    torch.testing.assert_close(-out.loss, out.tokens.float(), rtol=1e-5, atol=0.0)  # every ratio is 1
    found = batch.gradients()
    head.objective = Objective("sft")
    head(batch.hidden, batch.labels).loss.backward()
    for proximal, sft in zip(found, batch.gradients(), strict=True):
        assert relative(proximal, sft) < 1e-5  # and where the ratio is 1 the gradient is SFT's
    head.objective = objective
    with pytest.raises(ValueError, match="'proximal-sft' needs old_log_p"):
        head(batch.hidden, batch.labels)


def test_what_is_almost_right_is_taken_or_refused_in_one_line() -> None:
    batch = Batch()
    weight, labels, logits = batch.weight, batch.labels, (batch.hidden @ batch.weight.T).detach()
    assert OTRHead(nn.Linear(4, 9, bias=False), "sft").objective == Objective("sft")
    for match, call in {
        "weight: a linear layer without bias": lambda: OTRHead(nn.Linear(4, 9)),
        r"weight: \[V, H\] is needed": lambda: OTRHead(nn.Parameter(torch.zeros(4))),
        "objective name: one of sft, dft": lambda: OTRHead(weight, "sfft"),  # type: ignore[arg-type]
        "labels: int64 is needed, found torch.float32": lambda: OTRHead(weight)(batch.hidden, labels.float()),
        "examples: int64 is needed": lambda: otr_loss(logits, labels, examples=labels.double()),
        r"positions: \[37\] is needed": lambda: otr_loss(logits, labels, positions=labels[1:]),
        r"or \[B, T, V\] and \[B, T\], are needed, found \[37, 301\], \[36\]": lambda: otr_loss(logits, labels[1:]),
    }.items():
        with pytest.raises(ValueError, match=match):
            call()
