"""The gradient of a step is the same however it is computed, and the one that plain autograd gives."""

from typing import Any

import pytest
import torch
from torch import Tensor
from train.tiny import distance, gradients, model, recipe, sequences, trainer, weights

from otr.data.chat import Tokens
from otr.errors import UserError
from otr.loss import Objective, reference, rows
from otr.loss.draws import token_keys
from otr.train.loop import CHECKPOINT_SHARE, Example, Pace, Trainer, _checked_step, examples

TOLERANCE = 2e-6
BATCH = sequences()


def gradient(step: int = 3, **settings: Any) -> tuple[Tensor, float]:
    made = trainer(**settings)
    metrics = made.gradient(step, BATCH)
    return gradients(made), metrics["loss"]


def assert_same(found: tuple[Tensor, float], expected: tuple[Tensor, float]) -> None:
    assert distance(found[0], expected[0]) < TOLERANCE
    assert found[1] == pytest.approx(expected[1], rel=TOLERANCE)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("objective", ["sft", "otr"])
@pytest.mark.parametrize("normalisation", ["token", "sequence"])
@pytest.mark.parametrize(
    "change",
    [
        {"tokens_per_microbatch": 1},  # one sequence at a time
        {"tokens_per_microbatch": 10_000},  # all in one
        {"activation_checkpointing": True},
        {"logits_budget": 7 * 97 * 4},  # seven rows of logits at a time
    ],
    ids=["one by one", "one batch", "activation checkpointing", "chunked head"],
)
def test_the_split_does_not_matter(tied: bool, objective: str, normalisation: str, change: dict[str, Any]) -> None:
    settings = {"tied": tied, "objective": objective, "normalisation": normalisation}
    assert_same(gradient(**settings | change), gradient(**settings))


def reference_gradient(objective: Objective, tied: bool, normalisation: str, step: int) -> tuple[Tensor, float]:
    """Each sequence alone through the plain model with full logits, losses as the paper writes them, autograd."""
    plain = model(tied)
    losses = []
    for example in BATCH:
        tokens = example.tokens
        output = plain(input_ids=torch.tensor([tokens.ids]), use_cache=False)
        places = torch.arange(tokens.prompt - 1, len(tokens.ids) - 1)
        logits, labels = output.logits[0, places], torch.tensor(tokens.ids[tokens.prompt :])
        keys = token_keys(5, step, torch.full_like(places, example.id), places)
        drawn = rows.rollout(logits.detach(), labels, keys, objective)
        losses.append(reference.row_losses(logits, labels, objective, drawn))
    if normalisation == "token":
        loss = torch.cat(losses).mean()
    else:
        loss = torch.stack([sequence.mean() for sequence in losses]).mean()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in plain.parameters()]), loss.item()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("normalisation", ["token", "sequence"])
@pytest.mark.parametrize("objective", ["sft", "dft", "otr", "expected-otr"])
def test_plain_autograd_gives_the_same(objective: str, normalisation: str, tied: bool) -> None:
    expected = reference_gradient(Objective(objective), tied, normalisation, step=3)
    assert_same(gradient(objective=objective, normalisation=normalisation, tied=tied), expected)


def test_the_two_normalisations_differ() -> None:
    assert distance(gradient(normalisation="token")[0], gradient(normalisation="sequence")[0]) > 0.01


def test_sequences_do_not_see_each_other() -> None:
    """Another sequence in front changes no statistic of a sequence."""
    alone, together = trainer("sft"), trainer("sft")
    one = alone.gradient(0, BATCH[:1])
    other = alone.gradient(0, BATCH[1:2])
    both = together.gradient(0, BATCH[:2])
    total = one["nll"] * one["trained_tokens"] + other["nll"] * other["trained_tokens"]
    assert both["nll"] * both["trained_tokens"] == pytest.approx(total, rel=TOLERANCE)


def test_draws_are_new_each_step_and_the_same_each_time() -> None:
    assert torch.equal(gradient(step=3)[0], gradient(step=3)[0])
    assert distance(gradient(step=4)[0], gradient(step=3)[0]) > 1e-3


def test_a_step_is_clipped_adamw() -> None:
    """Against torch's own unfused optimizer on the reference gradient."""
    made = trainer("sft", clip=0.01)
    row = made.step(0, steps=10, sequences=BATCH)
    expected = model()
    flat, _ = reference_gradient(Objective("sft"), True, "token", step=0)
    optimizer = torch.optim.AdamW(
        expected.parameters(), lr=row["learning_rate"], betas=(0.9, 0.95), weight_decay=0.01, foreach=False
    )
    offset = 0
    for parameter in expected.parameters():
        part = flat[offset : offset + parameter.numel()] * 0.01 / flat.norm()
        parameter.grad = part.view_as(parameter).clone()
        offset += parameter.numel()
    optimizer.step()
    wanted = torch.cat([parameter.detach().flatten() for parameter in expected.parameters()])
    assert row["gradient_norm"] == pytest.approx(float(flat.norm()), rel=1e-5)
    before = torch.cat([parameter.detach().flatten() for parameter in model().parameters()])
    assert distance(weights(made) - before, wanted - before) < 1e-3  # Adam divides by the root of tiny squares
    assert distance(weights(made), wanted) < TOLERANCE


def test_batches_packed_beforehand_are_those_of_the_step() -> None:
    packed, alone = trainer(), trainer()
    packed.gradient(3, BATCH, packed.micro_batches(BATCH))
    alone.gradient(3, BATCH)
    assert torch.equal(gradients(packed), gradients(alone))


def test_an_id_beyond_the_vocabulary_is_refused_before_it_is_looked_up() -> None:
    made = trainer()
    bad = [*BATCH, Example(1, Tokens([3, 97, 4], prompt=1))]
    with pytest.raises(ValueError, match="token id 97: the model has ids 0 to 96"):
        made.gradient(0, bad)


def test_metrics_of_a_step() -> None:
    row = trainer().step(0, steps=100, sequences=BATCH)
    trained = sum(len(example.tokens.ids) - example.tokens.prompt for example in BATCH)
    assert row["step"] == 1
    assert row["trained_tokens"] == trained
    assert row["tokens"] == sum(len(example.tokens.ids) for example in BATCH)
    assert row["sequences"] == 8
    assert row["learning_rate"] == pytest.approx(1e-3 / 4)
    assert 0 < row["gt_probability"] < 1
    assert 0 <= row["gt_count"] <= 256


def test_masters_must_be_float32() -> None:
    with pytest.raises(ValueError, match="master weights must be float32, found {torch.bfloat16}"):
        Trainer(model().to(torch.bfloat16), Objective(), recipe(), 0, trainer().ranks)


def test_bfloat16_computes_coarsely_and_keeps_float32_masters() -> None:
    made = trainer("sft", precision="bfloat16", learning_rate=1e-7, minimum_learning_rate=0.0, warmup=0.0)
    exact, exact_loss = gradient(objective="sft")
    loss = made.gradient(0, BATCH)["loss"]
    assert 1e-4 < distance(gradients(made), exact) < 0.05
    assert loss == pytest.approx(exact_loss, rel=0.01)
    made.optimizer.zero_grad()
    before = weights(made)
    made.step(0, 10, BATCH)
    assert {parameter.dtype for parameter in made.policy.parameters()} == {torch.float32}
    assert {state.dtype for moments in made.optimizer.state.values() for state in moments.values()} == {torch.float32}
    changed = (weights(made) - before).abs()
    # Rounded to bfloat16, steps of 1e-7 on weights near 0.2 would vanish.
    assert (changed > 0).float().mean() > 0.8
    assert changed.max() < 3e-7


def test_a_nan_in_the_loss_stops_before_any_weight_changes() -> None:
    made = trainer()
    made.step(0, 10, BATCH)
    poisoned = BATCH[5].tokens.ids[-2]
    with torch.no_grad():
        made.model.get_input_embeddings().weight[poisoned] = float("nan")
    before = weights(made)
    with pytest.raises(UserError) as caught:
        _checked_step(made, 1, 10, BATCH)
    assert "training stopped at step 2" in str(caught.value)
    assert ", ".join(str(example.id) for example in BATCH) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert torch.equal(weights(made).nan_to_num(), before.nan_to_num())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_gradient_stops_before_any_weight_changes(value: float) -> None:
    made = trainer()
    before = weights(made)
    made.model.model.norm.weight.register_hook(lambda gradient: torch.full_like(gradient, value))
    with pytest.raises(UserError, match="step 1: the gradient's norm is (nan|inf)"):
        _checked_step(made, 0, 10, BATCH)
    assert torch.equal(weights(made), before)


class _Letters:
    """A chat whose tokens are letters."""

    def example(self, problem: str, response: str) -> Tokens:
        return Tokens([ord(letter) for letter in problem + response] + [0], len(problem))


ROWS = [{"id": number, "problem": "ab", "response": "c" * number} for number in range(1, 21)]


def test_over_length_examples_are_dropped_and_counted() -> None:
    kept, dropped = examples(ROWS, _Letters(), recipe(max_length=13))  # type: ignore[arg-type]
    assert dropped == 10
    assert [example.id for example in kept] == list(range(1, 11))
    assert max(len(example.tokens.ids) for example in kept) == 13


def test_over_length_examples_are_refused() -> None:
    with pytest.raises(UserError, match="10 of 20 examples are longer than max_length 13 tokens"):
        examples(ROWS, _Letters(), recipe(max_length=13, over_length="refuse"))  # type: ignore[arg-type]


def test_fewer_than_a_batch_is_refused() -> None:
    with pytest.raises(UserError, match="5 examples of at most max_length 8 tokens are fewer than one batch of 8"):
        examples(ROWS, _Letters(), recipe(max_length=8))  # type: ignore[arg-type]


@pytest.mark.parametrize("write, minutes, expected", [(5.0, 15.0, 15 * 60), (18.0, 15.0, 15 * 60), (98.0, 15.0, 4900)])
def test_writing_checkpoints_takes_at_most_its_share_of_the_time(write: float, minutes: float, expected: float) -> None:
    """Steps of 30 s for 100 hours; writes of 8B at 1 GB/s and faster. The first one comes early, to know its cost."""
    now, writes, pace = 0.0, [], Pace(minutes, 0.0)
    while now < 360_000:
        now += 30
        if pace.is_due(now):
            pace.written(now, now + write)
            writes.append(now)
            now += write
    assert 60 * minutes < writes[0] <= 60 * minutes + 30
    assert expected + write < writes[2] - writes[1] <= expected + write + 60
    assert len(writes) * write / now <= CHECKPOINT_SHARE + write / now


def test_a_single_slow_write_does_not_delay_all_others() -> None:
    pace = Pace(1.0, 0.0)
    pace.written(60.0, 160.0)
    assert not pace.is_due(160.0 + 4999) and pace.is_due(160.0 + 5001)
    pace.written(5200.0, 5201.0)
    assert pace.pause == 60 and pace.is_due(5262.0)
