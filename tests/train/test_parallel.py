"""Two ranks under FSDP2 compute what one process computes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from train.command import Run
from train.ranks import measured, on_ranks
from train.tiny import distance, gradients, sequences, trainer, weights
from transformers import AttentionInterface

from otr.models.attention import PACKED, packed_attention
from otr.train.footprint import Layout


@pytest.mark.slow
def test_two_ranks_are_one_process(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [
        {"tied": True},
        {"tied": False},
        {"tied": True, "normalisation": "sequence", "objective": "sft"},
        {"tied": False, "activation_checkpointing": True},
        {"tied": True, "tokens_per_microbatch": 10_000},  # one micro-batch a rank
        {"tied": False, "tokens_per_microbatch": 1},  # nine sequences: a rank has nothing to do once
    ]
    found = on_ranks(2, settings, tmp_path / "found")
    for number, setting in enumerate(settings):
        expected = measured(setting)
        for rank in range(2):
            here = found[rank][number]
            assert distance(here["gradients"], expected["gradients"]) < 2e-6, setting
            assert here["metrics"] == pytest.approx(expected["metrics"], rel=2e-6)
            assert here["norm"] == pytest.approx(expected["norm"], rel=2e-6)
            assert distance(here["weights"], expected["weights"]) < 2e-6
        assert torch.equal(found[0][number]["weights"], found[1][number]["weights"])


@pytest.mark.slow
def test_bfloat16_ranks_keep_float32_shards(tmp_path: Path) -> None:
    setting = {"tied": True, "objective": "sft", "precision": "bfloat16"}
    (found,), _ = on_ranks(2, [setting], tmp_path / "found")
    exact = measured({"tied": True, "objective": "sft"})
    assert 1e-4 < distance(found["gradients"], exact["gradients"]) < 0.05
    assert found["gradients"].dtype == found["weights"].dtype == torch.float32
    assert not torch.equal(found["weights"], found["weights"].bfloat16().float())


def test_a_group_of_one_is_one_process() -> None:
    """What a single GPU runs if copies of the weights leave it too little memory."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        for setting in ({"tied": True}, {"tied": False, "activation_checkpointing": True}):
            recomputed = 2 if "activation_checkpointing" in setting else 0
            here = measured(setting | {"layout": Layout(sharded=True, recomputed=recomputed)})
            expected = measured(setting)
            assert distance(here["gradients"], expected["gradients"]) < 2e-6
            assert distance(here["weights"], expected["weights"]) < 2e-6
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("tied", [True, False])
def test_copies_compute_what_a_group_of_one_computes(tied: bool) -> None:
    """What a single GPU runs, in bfloat16: the same step, and the masters are back in their places after it."""
    setting = {"tied": tied, "precision": "bfloat16", "objective": "sft"}
    copied = measured(setting | {"layout": Layout(copies=True)})
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        sharded = measured(setting | {"layout": Layout(sharded=True)})
    finally:
        dist.destroy_process_group()
    assert distance(copied["gradients"], sharded["gradients"]) < 2e-6
    assert distance(copied["weights"], sharded["weights"]) < 2e-6
    assert copied["metrics"] == pytest.approx(sharded["metrics"], rel=1e-6)
    assert copied["weights"].dtype == torch.float32
    exact = measured({"tied": tied, "objective": "sft"})
    assert 1e-4 < distance(copied["gradients"], exact["gradients"]) < 0.05


def test_copies_follow_the_weights_and_leave_the_masters_alone() -> None:
    made = trainer("sft", precision="bfloat16", layout=Layout(copies=True), learning_rate=1e-2)
    names = [name for name, _ in made.policy.named_parameters()]
    first = made.step(0, 10, sequences())["loss"]
    for number in range(1, 6):
        last = made.step(number, 10, sequences())["loss"]
    assert last < first - 0.1
    assert [name for name, _ in made.policy.named_parameters()] == names
    assert {parameter.dtype for parameter in made.policy.parameters()} == {torch.float32}
    assert made.policy.head.weight is made.model.get_input_embeddings().weight
    assert not torch.equal(weights(made), weights(made).bfloat16().float())


@pytest.mark.slow
@pytest.mark.parametrize("layout", [Layout(recomputed=1), Layout(sharded=True, recomputed=2)], ids=str)
def test_fused_layers_compute_the_same(layout: Layout) -> None:
    """Two steps on micro-batches of many sizes, which all run the code that the first one compiled."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        made, plain = trainer(layout=dataclasses.replace(layout, fused=True)), trainer(layout=Layout())
        for number in range(2):
            batch = sequences(9, seed=number)
            found, expected = made.gradient(number, batch), plain.gradient(number, batch)
            assert found == pytest.approx(expected, rel=2e-6)
            assert distance(gradients(made), gradients(plain)) < 2e-6
            made.optimizer.zero_grad()
            plain.optimizer.zero_grad()
        assert torch._dynamo.utils.counters["recompiles"] == {}
    finally:
        dist.destroy_process_group()
        AttentionInterface.register(PACKED, packed_attention)


@pytest.mark.slow
def test_the_command_starts_ranks_itself(tmp_path: Path) -> None:
    """--gpus 2: stopped by SIGTERM, gone on with by two ranks, the same as one process; the checkpoint loads."""
    run = Run(tmp_path)
    # Many micro-batches a step: torchrun needs some time to hand the signal on, and the run must not be over by then.
    run.write(epochs=3, checkpoint_minutes=60.0, tokens_per_microbatch=16)
    run.finish("alone")
    command = [sys.executable, "-m", "otr.train", *run.arguments("two"), "--gpus", "2", "--log", str(tmp_path / "log")]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    steps = tmp_path / "two" / ".resume" / "metrics.jsonl"
    while not (steps.exists() and steps.stat().st_size):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode != 0
    assert len(run.checkpoints("two")) == 1
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    assert "going on after step" in (tmp_path / "log").read_text()
    found, expected = run.metrics("two"), run.metrics("alone")
    assert [row["trained_tokens"] for row in found] == [row["trained_tokens"] for row in expected]
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    assert found[-1]["nll"] == pytest.approx(expected[-1]["nll"], rel=1e-2)
    assert json.loads((tmp_path / "two" / "run.json").read_text())["ranks"] == 2
    one, two = (load_file(tmp_path / out / "checkpoint" / "model.safetensors") for out in ("alone", "two"))
    assert {name: tensor.shape for name, tensor in one.items()} == {name: tensor.shape for name, tensor in two.items()}
    assert max(float((one[name] - two[name]).norm() / one[name].norm()) for name in one) < 0.05
