"""Packed sequences attend within themselves, in every family of models that is trained here."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from train.tiny import distance
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from otr.models.attention import PACKED, attends_fully, packed_attention

SHAPE: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 40, "max_position_embeddings": 64, "initializer_range": 0.2, "pad_token_id": 0,
}  # fmt: skip
CONFIGS = {
    "qwen2": Qwen2Config(**SHAPE),
    "qwen3": Qwen3Config(**SHAPE, head_dim=8),
    "llama": LlamaConfig(**SHAPE),
}
LENGTHS = (7, 1, 12, 5)


@pytest.mark.parametrize("family", CONFIGS)
def test_packed_is_each_sequence_alone(family: str) -> None:
    torch.manual_seed(0)
    assert attends_fully(CONFIGS[family])
    alone, packed = (
        AutoModelForCausalLM.from_config(deepcopy(CONFIGS[family]), dtype=torch.float32, attn_implementation=kind).model
        for kind in ("eager", PACKED)
    )
    packed.load_state_dict(alone.state_dict())
    ids = torch.randint(60, (1, sum(LENGTHS)))
    expected = torch.cat([alone(part, use_cache=False).last_hidden_state for part in ids.split(LENGTHS, 1)], 1)
    found = packed(
        input_ids=ids,
        position_ids=torch.cat([torch.arange(length) for length in LENGTHS])[None],
        use_cache=False,
        lengths=LENGTHS,
        boundaries=torch.tensor([0, 7, 8, 20, 25], dtype=torch.int32),
    ).last_hidden_state
    assert distance(found, expected) < 2e-6
    direction = torch.randn_like(found)
    for output in (found, expected):
        (output * direction).sum().backward()
    for (name, here), there in zip(packed.named_parameters(), alone.parameters(), strict=True):
        assert distance(here.grad, there.grad) < 5e-6, name


def test_sliding_windows_are_left_to_the_model() -> None:
    assert not attends_fully(Qwen2Config(**SHAPE, use_sliding_window=True, sliding_window=4, max_window_layers=0))
    assert attends_fully(Qwen2Config(**SHAPE, use_sliding_window=False, sliding_window=4))


def test_a_mask_is_refused() -> None:
    states = torch.randn(1, 2, 4, 8)
    with pytest.raises(ValueError, match="takes no mask"):
        packed_attention(
            torch.nn.Identity(),
            states,
            states,
            states,
            torch.ones(4, 4),
            1.0,
            lengths=(4,),
            boundaries=torch.tensor([0, 4]),
        )
