"""What a training run will need, worked out from the model's shape before it starts.

    expected_memory(model, recipe, ranks=1).total          # bytes a rank, with its parts

Weights, gradients and AdamW's two moments are float32 and spread over the ranks: 16 bytes a parameter. What is computed
with is not: the root's group (embedding and head) stays gathered, one layer at a time comes on top.
"""

from dataclasses import dataclass
from typing import Any

from otr.config import Training
from otr.loss.head import LOGITS_BUDGET


@dataclass(frozen=True)
class Memory:
    """Bytes a rank."""

    states: float
    """Weights, gradients, moments."""
    gathered: float
    """Copies of whole weights in the computation's type, and their gradients before they are spread."""
    head: float
    """Logits, and the head's float32 gradient."""
    activations: float

    @property
    def total(self) -> float:
        return self.states + self.gathered + self.head + self.activations

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size / 1e9:.2g}" for name, size in vars(self).items())
        return f"{self.total / 1e9:.2g} GB a rank ({parts})"


def expected_memory(model: Any, recipe: Training, ranks: int, sharded: bool = True) -> Memory:
    """Of a Hugging Face causal language model with gated feed-forward layers, at a full micro-batch.

    Activations are counted by the tensors that autograd keeps: with activation checkpointing one hidden state a layer
    and all of the layer that is being recomputed, without it all of every layer.
    """
    config = model.config
    size = 2 if recipe.precision == "bfloat16" else 4
    parameters = sum(parameter.numel() for parameter in model.parameters())
    vocabulary, hidden = model.get_output_embeddings().weight.shape
    root = vocabulary * hidden * (1 if config.tie_word_embeddings else 2)
    layer = (parameters - root) / config.num_hidden_layers
    tokens = max(recipe.tokens_per_microbatch, min(recipe.max_length, config.max_position_embeddings))
    logits = min(LOGITS_BUDGET, tokens * vocabulary * size)
    # Kept of a layer: its input and both norms' (in float32 too), queries, keys, values and the attention's output, and
    # four of the feed-forward layer's width.
    kept = tokens * size * (14 * hidden + 4 * config.intermediate_size)
    layers = config.num_hidden_layers
    activations = layers * tokens * hidden * size + kept if recipe.activation_checkpointing else layers * kept
    return Memory(
        states=16 * parameters / ranks,
        gathered=(root + 2 * layer) * 2 * size if sharded else 0,
        head=logits + 4 * vocabulary * hidden,
        activations=activations,
    )


def training_flops(model: Any, lengths: list[int]) -> float:
    """Floating-point operations of a forward and backward pass over sequences of these lengths: 6 a parameter and token
    (the embedding's look-up is free, the head's product is not), and causal attention's 6 x layers x width x length^2.
    Recomputed activations do not count, as is usual for model FLOPs utilisation."""
    config = model.config
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if not config.tie_word_embeddings:
        parameters -= model.get_input_embeddings().weight.numel()
    width = config.num_attention_heads * getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    attention = 6 * config.num_hidden_layers * width * sum(length**2 for length in lengths)
    return float(6 * parameters * sum(lengths) + attention)
