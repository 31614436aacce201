"""Proximal SFT compares with the policy at the start of an iteration, which the loop keeps and a resumed run finds."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from train.tiny import ALONE, distance, gradients, model, recipe, sequences, trainer, weights
from transformers import AttentionInterface

from otr.loss import Objective
from otr.models.attention import PACKED, packed_attention
from otr.train import loop
from otr.train.footprint import Layout
from otr.train.loop import Example, Trainer, train

BATCHES = [sequences(8, seed=seed) for seed in range(3)]


def proximal(iteration: int, layout: Layout | None = None, **changes: object) -> Trainer:
    objective = Objective("proximal-sft", clip=0.05, iteration=iteration)
    return Trainer(model(), objective, recipe(**{"learning_rate": 1e-2} | changes), 5, ALONE, layout)


def label_log_p(made: Trainer, batch: list[Example]) -> Tensor:
    """[t] log p of the labels in the order of the examples, by the plain model with full logits."""
    plain = model()
    plain.load_state_dict(made.model.state_dict())
    found = []
    for example in batch:
        tokens = example.tokens
        log_p = plain(input_ids=torch.tensor([tokens.ids]), use_cache=False).logits[0].double().log_softmax(-1)
        places = torch.arange(tokens.prompt - 1, len(tokens.ids) - 1)
        found.append(log_p[places, torch.tensor(tokens.ids[tokens.prompt :])])
    return torch.cat(found)


def test_the_ratio_is_to_the_policy_at_the_start_of_the_iteration() -> None:
    made = proximal(iteration=3)
    with torch.no_grad():
        old = [label_log_p(made, batch) for batch in BATCHES]
    made.begin(0, BATCHES)
    clipped = 0
    for number, batch in enumerate(BATCHES):
        with torch.no_grad():
            ratio = (label_log_p(made, batch) - old[number]).exp()
        clipped += int((ratio > 1.05).sum())
        row = made.step(number, 3, batch)
        assert row["loss"] == pytest.approx(-float(ratio.clamp(max=1.05).mean()), rel=1e-5)
    assert clipped > 10  # else the third step would have compared nothing


def test_an_iteration_of_one_step_is_sft() -> None:
    made, sft = proximal(iteration=1), trainer("sft")
    made.begin(0, BATCHES[:1])
    made.gradient(0, BATCHES[0])
    sft.gradient(0, BATCHES[0])
    assert distance(gradients(made), gradients(sft)) < 1e-5


def test_a_sharded_policy_keeps_the_same() -> None:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        losses = []
        for layout in (Layout(), Layout(sharded=True)):
            made = proximal(iteration=3, layout=layout)
            made.begin(0, BATCHES)
            losses.append([made.step(number, 3, batch)["loss"] for number, batch in enumerate(BATCHES)])
        assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    finally:
        dist.destroy_process_group()
        AttentionInterface.register(PACKED, packed_attention)


def test_other_objectives_keep_nothing() -> None:
    made = trainer("otr")
    made.begin(0, BATCHES)
    assert made.iteration == 1 and not made._old_log_p


def run(out: Path, stop_after: int | None, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Ten steps with iterations of four, told to stop in step `stop_after` and gone on with."""
    data = sequences(40, seed=9)

    def made() -> Trainer:
        return proximal(iteration=4, epochs=2, checkpoint_minutes=60.0)

    if stop_after is not None:
        flag, step = loop._Flag(), Trainer.step

        def told(self: Trainer, number: int, *arguments: object) -> dict[str, object]:
            flag.is_set = flag.is_set or number + 1 == stop_after
            return step(self, number, *arguments)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "step", told)
            with pytest.raises(SystemExit):
                loop._steps(made(), data, out, "run", flag, lambda row: None)
    last = made()
    train(last, data, out, "run")
    return weights(last)


@pytest.mark.parametrize(("stop_after", "written"), [(2, 4), (4, 4), (5, 8), (9, 10)])
def test_a_stop_waits_for_the_end_of_the_iteration(
    stop_after: int, written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside one the older policy would be lost; the run that goes on is the undisturbed one, bit for bit."""
    monkeypatch.setattr(loop.checkpoint, "remove", lambda path: None)  # keeps every checkpoint that was written
    for out in ("alone", "stopped"):
        (tmp_path / out).mkdir()
    alone = run(tmp_path / "alone", None, monkeypatch)
    stopped = run(tmp_path / "stopped", stop_after, monkeypatch)
    assert [path.name for path in (tmp_path / "stopped").glob("step-*")] == [f"step-{written}"]
    assert torch.equal(alone, stopped)
