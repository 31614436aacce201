"""Predictions against torch's own counts."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from benchmarks.train import SHAPES
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from train.tiny import model, recipe, sequences, trainer
from transformers import AutoModelForCausalLM

from otr.config import Training
from otr.train import footprint
from otr.train.footprint import SPARE, Layout, choose_layout, expected_memory, training_flops


@pytest.mark.parametrize("tied", [True, False])
def test_flops_are_those_of_the_products(tied: bool) -> None:
    """Torch's counter over a real step."""
    made = trainer("sft", tied, tokens_per_microbatch=10_000)
    batch = sequences()
    with FlopCounterMode(display=False) as counter:
        made.gradient(0, batch)
    lengths = [len(example.tokens.ids) for example in batch]
    trained = sum(len(example.tokens.ids) - example.tokens.prompt for example in batch)
    # Prompt tokens skip the head; norms are counted as parameters here and are no products; torch counts attention's
    # backward pass as 2.5 times the forward one, and not as causal.
    skipped = 6 * 97 * 32 * (sum(lengths) - trained)
    assert counter.get_total_flops() == pytest.approx(training_flops(made.model, lengths) - skipped, rel=0.12)


ALONE = Layout()


def test_states_are_16_bytes_a_parameter() -> None:
    made = trainer(tied=False)
    made.step(0, 10, sequences())
    held = sum(parameter.nbytes for parameter in made.policy.parameters()) * 2  # and as much for gradients
    held += sum(state.nbytes for moments in made.optimizer.state.values() for state in moments.values() if state.dim())
    assert expected_memory(model(tied=False), recipe(), 1, ALONE).states == held
    assert expected_memory(model(tied=False), recipe(), 4, Layout(sharded=True)).states == held / 4
    assert expected_memory(model(tied=False), recipe(), 1, Layout(copies=True)).states == held * 18 / 16


@pytest.mark.parametrize("fused", [pytest.param(True, marks=pytest.mark.slow), False])
def test_activations_are_the_tensors_that_autograd_keeps(fused: bool) -> None:
    """Of one layer, in bfloat16; the model's own weights do not count."""
    made = trainer("sft", precision="bfloat16", layout=Layout(copies=True, fused=fused), tokens_per_microbatch=10_000)
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    layer, tokens = made.model.model.layers[0].to(torch.bfloat16), 64
    hidden = torch.randn(1, tokens, 32, dtype=torch.bfloat16, requires_grad=True)
    positions = torch.arange(tokens)[None]
    rotary = made.model.model.rotary_emb(hidden, positions)
    boundaries = torch.tensor([0, tokens], dtype=torch.int32)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = layer(hidden, position_embeddings=rotary, lengths=(tokens,), boundaries=boundaries)
    for parameter in layer.parameters():
        kept.pop(parameter.untyped_storage().data_ptr(), None)
    small = made.recipe.model_copy(update={"tokens_per_microbatch": tokens, "max_length": tokens})
    layout = Layout(copies=True, fused=fused)
    assert result.requires_grad
    assert sum(kept.values()) == pytest.approx(footprint._kept_of_layer(made.model, small, layout), rel=0.15)


def shape(name: str) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(SHAPES[name])


CARD = 84e9
PAPER = Training(dataset="x", precision="bfloat16")


@pytest.mark.parametrize(("name", "ranks"), [("qwen2.5-3b", 1), ("qwen3-4b", 1), ("qwen2.5-7b", 2), ("qwen3-8b", 2)])
def test_the_papers_models_fit_with_6_gb_to_spare(name: str, ranks: int) -> None:
    model = shape(name)
    layout = choose_layout(model, PAPER, ranks, gpu=True, capacity=CARD)
    assert layout.copies == (ranks == 1) and layout.sharded == (ranks > 1) and layout.fused
    assert expected_memory(model, PAPER, ranks, layout).total <= CARD - SPARE


def test_layers_are_recomputed_as_memory_asks_for() -> None:
    model = shape("qwen2.5-3b")
    layouts = [choose_layout(model, PAPER, 1, True, capacity) for capacity in (149e9, 84e9, 67e9, 60e9)]
    assert [layout.recomputed for layout in layouts] == sorted(layout.recomputed for layout in layouts)
    assert layouts[0].recomputed == 0 and 0 < layouts[1].recomputed < 36 and layouts[2].recomputed == 36
    assert [layout.copies for layout in layouts] == [True, True, True, False], "too small for copies: a group of one"
    assert layouts[3].sharded
    for layout, capacity in zip(layouts[:3], (149e9, 84e9, 67e9), strict=True):
        left = capacity - expected_memory(model, PAPER, 1, layout).total
        one_more = replace(layout, recomputed=layout.recomputed - 1)
        assert left >= SPARE
        assert layout.recomputed == 0 or capacity - expected_memory(model, PAPER, 1, one_more).total < SPARE


def test_keys_decide_before_memory_does() -> None:
    model = shape("qwen2.5-3b")
    for asked, recomputed in ((True, 36), (False, 0)):
        paper = PAPER.model_copy(update={"activation_checkpointing": asked, "compile": False})
        found = choose_layout(model, paper, 1, gpu=True, capacity=CARD)
        assert found.recomputed == recomputed and not found.fused
    assert choose_layout(model, PAPER, 1, gpu=False, capacity=None) == Layout()
    assert choose_layout(model, PAPER, 2, gpu=False, capacity=None) == Layout(sharded=True)


def test_flops_of_a_long_sequence() -> None:
    assert training_flops(shape("qwen2.5-3b"), [10_240]) == pytest.approx(2.36e14, rel=0.01)
