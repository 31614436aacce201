"""Predictions against torch's own counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from train.tiny import model, recipe, sequences, trainer
from transformers import AutoModelForCausalLM, Qwen2Config

from otr.config import Training
from otr.train.footprint import expected_memory, training_flops


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


def test_states_are_16_bytes_a_parameter() -> None:
    made = trainer(tied=False)
    made.step(0, 10, sequences())
    held = sum(parameter.nbytes for parameter in made.policy.parameters()) * 2  # and as much for gradients
    held += sum(state.nbytes for moments in made.optimizer.state.values() for state in moments.values() if state.dim())
    assert expected_memory(model(tied=False), recipe(), ranks=1).states == held
    assert expected_memory(model(tied=False), recipe(), ranks=4).states == held / 4


def test_qwen_of_3_billion_fits_one_card() -> None:
    with torch.device("meta"):
        shape = Qwen2Config(
            vocab_size=151_936, hidden_size=2048, num_hidden_layers=36, num_attention_heads=16, num_key_value_heads=2,
            intermediate_size=11_008, tie_word_embeddings=True,
        )  # fmt: skip
        large = AutoModelForCausalLM.from_config(shape)
    paper = Training(dataset="x")
    assert 50e9 < expected_memory(large, paper, 1).total < 65e9
    without = paper.model_copy(update={"activation_checkpointing": False})
    assert expected_memory(large, without, 1).activations > 10 * expected_memory(large, paper, 1).activations
    assert training_flops(large, [10_240]) == pytest.approx(2.36e14, rel=0.01)
