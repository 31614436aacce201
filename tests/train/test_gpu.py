"""Training on a GPU computes what it computes on a CPU. Skipped where there is none."""

import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from train.command import Run
from train.ranks import BATCH, measured
from train.tiny import distance, gradients, trainer
from transformers import AttentionInterface

from otr.files import read_json
from otr.models.attention import PACKED, packed_attention
from otr.train.footprint import Layout
from otr.train.parallel import Ranks, started

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def gpu() -> Iterator[Ranks]:
    """A GPU as a group of one, as the command starts it."""
    with started() as ranks:
        yield ranks


@pytest.mark.parametrize("heads", [(16, 2, 128), (4, 4, 64)], ids=str)
def test_attention_is_each_sequence_alone(heads: tuple[int, int, int]) -> None:
    """The variable-length kernel in bfloat16, with heads that share keys and without, against float64."""
    count, groups, size = heads
    lengths = (700, 1, 333, 64)
    generator = torch.Generator().manual_seed(0)
    states = [torch.randn(1, h, sum(lengths), size, generator=generator) for h in (count, groups, groups)]
    boundaries = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32).cuda()
    here = [part.bfloat16().cuda().requires_grad_() for part in states]
    query, key, value = here
    found, _ = packed_attention(
        torch.nn.Identity(), query, key, value, None, size**-0.5, lengths=lengths, boundaries=boundaries
    )
    exact = [part.bfloat16().double().requires_grad_() for part in states]
    key, value = (part.repeat_interleave(count // groups, dim=1) for part in exact[1:])
    parts = zip(*(torch.split(part, list(lengths), dim=2) for part in (exact[0], key, value)), strict=True)
    expected = torch.cat([scaled_dot_product_attention(q, k, v, is_causal=True) for q, k, v in parts], 2)
    direction = torch.randn(found.shape, generator=generator).bfloat16()
    gradients_here = torch.autograd.grad(found, here, direction.cuda())
    gradients_there = torch.autograd.grad(expected.transpose(1, 2), exact, direction.double())
    assert distance(found.double().cpu(), expected.transpose(1, 2)) < 5e-3
    for ours, wanted in zip(gradients_here, gradients_there, strict=True):
        assert distance(ours.double().cpu(), wanted) < 1e-2


@pytest.mark.parametrize("objective", ["sft", "otr", "expected-otr"])
def test_float32_is_that_of_a_cpu(objective: str, gpu: Ranks) -> None:
    setting: dict[str, Any] = {"objective": objective, "compile": False}
    here, there = measured(setting, gpu), measured(setting)
    assert distance(here["gradients"].cpu(), there["gradients"]) < 1e-5
    assert distance(here["weights"].cpu(), there["weights"]) < 1e-5
    assert here["metrics"] == pytest.approx(there["metrics"], rel=1e-5)


LAYOUTS = [
    Layout(copies=True),
    Layout(copies=True, recomputed=1, fused=True),
    Layout(sharded=True),
    Layout(sharded=True, recomputed=2, fused=True),
]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_bfloat16_layouts_differ_by_rounding(layout: Layout, tied: bool, gpu: Ranks) -> None:
    """Gradients against float32 on a CPU; and the same layout gives the same bits again."""
    try:
        setting = {"tied": tied, "objective": "sft", "precision": "bfloat16"}
        made, again = (trainer(ranks=gpu, batch_size=9, layout=layout, **setting) for _ in range(2))
        found = [one.gradient(0, BATCH) for one in (made, again)]
        exact = measured({"tied": tied, "objective": "sft"})
        assert 1e-4 < distance(gradients(made).cpu(), exact["gradients"]) < 0.05
        assert found[0] == found[1] and torch.equal(gradients(made), gradients(again))
        assert found[0]["loss"] == pytest.approx(exact["metrics"]["loss"], rel=0.01)
    finally:
        AttentionInterface.register(PACKED, packed_attention)


def test_a_layer_that_is_compiled_once_serves_all_sizes(gpu: Ranks) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    layout = Layout(copies=True, recomputed=1, fused=True)
    try:
        made = trainer(ranks=gpu, precision="bfloat16", layout=layout)
        plain = trainer(ranks=gpu, precision="bfloat16", layout=dataclasses.replace(layout, fused=False))
        for one in (made, plain):
            one.gradient(0, BATCH)
        assert distance(gradients(made), gradients(plain)) < 0.03
        assert torch._dynamo.utils.counters["recompiles"] == {}
    finally:
        AttentionInterface.register(PACKED, packed_attention)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_command_stopped_and_killed_gives_the_same_bytes(precision: str, tmp_path: Path) -> None:
    run = Run(tmp_path, gpu=True)
    run.write(precision=precision, compile=False)
    run.finish("undisturbed")
    assert read_json(tmp_path / "undisturbed/run.json")["device"] == "cuda"
    for number, name in ((signal.SIGTERM, "stopped"), (signal.SIGKILL, "killed")):
        process = run.start(name)
        run.wait_for(process, name, "step-*")
        process.send(number)
        assert process.wait() == (143 if number == signal.SIGTERM else -9), process.errors()
        assert "going on after step" in run.finish(name)
        assert run.metrics(name) == run.metrics("undisturbed")
        assert run.weights(name) == run.weights("undisturbed")
