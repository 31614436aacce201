"""How a training run uses a device's memory, worked out from the model's shape before it starts.

    layout = choose_layout(model, recipe, ranks=1, gpu=True, capacity=84e9)     # copies, and 23 of 36 layers recomputed
    expected_memory(model, recipe, 1, layout).total                            # bytes a rank, with its parts

Weights, gradients and AdamW's two moments are float32 and spread over the ranks: 16 bytes a parameter. What is computed
with is not. The parts that are not alive at the same time are not added up: the larger moment counts.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from otr.config import Training
from otr.loss.head import LOGITS_BUDGET

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SPARE = 6e9
"""Bytes of a GPU that a layout leaves free: what the allocator loses between blocks, and what no formula here holds."""

_CONTEXT = 0.7e9
"""CUDA's context, loaded kernels and cuBLAS' workspaces. Assumed, as is the next."""
_NCCL = 0.9e9
"""Buffers of the ranks' communicators."""


@dataclass(frozen=True)
class Layout:
    """The choices that decide memory and speed, and no result but for rounding."""

    sharded: bool = False
    """Weights, gradients and moments are spread over the ranks (FSDP2)."""
    copies: bool = False
    """bfloat16 copies of all weights stay in memory (a lone GPU)."""
    recomputed: int = 0
    """Layers whose activations are forgotten and computed again."""
    fused: bool = False
    """Layers are compiled."""


@dataclass(frozen=True)
class Memory:
    """Bytes a rank."""

    states: float
    """Weights, gradients, moments, and the copies of a lone GPU."""
    gathered: float
    """Whole weights in the computation's type, and their gradients until they are spread, of the largest group."""
    head: float
    """Logits, and the head's float32 gradient."""
    activations: float
    runtime: float
    """What the driver and the communication library take."""

    @property
    def total(self) -> float:
        return self.states + self.gathered + self.head + self.activations + self.runtime

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size / 1e9:.2g}" for name, size in vars(self).items())
        return f"{self.total / 1e9:.2g} GB a rank ({parts})"


def choose_layout(model: "PreTrainedModel", recipe: Training, ranks: int, gpu: bool, capacity: float | None) -> Layout:
    """The fastest layout that leaves SPARE of `capacity` bytes a GPU free, or, if none does, the smallest one.

    Several ranks are sharded over. A lone GPU keeps bfloat16 copies where they fit, and is a group of one where they do
    not. With activation_checkpointing "auto", as many layers are recomputed as memory asks for.
    """
    layers = model.config.num_hidden_layers
    asked = recipe.activation_checkpointing
    recomputed = layers if asked is True or (asked == "auto" and gpu) else 0
    if not gpu:
        return Layout(sharded=ranks > 1, recomputed=recomputed)
    small = Layout(sharded=ranks > 1, recomputed=recomputed, fused=recipe.compile)
    if ranks == 1 and recipe.precision == "bfloat16":
        copies = replace(small, copies=True)
        fits = capacity is None or _left(model, recipe, ranks, copies, capacity) >= SPARE
        small = copies if fits else replace(small, sharded=True)
    if asked == "auto" and capacity is not None:
        free = _left(model, recipe, ranks, small, capacity) - SPARE
        of_layer = (
            _activations(model, recipe, replace(small, recomputed=0)) - _activations(model, recipe, small)
        ) / layers
        kept = int(max(free, 0) // of_layer)
        return replace(small, recomputed=max(0, layers - kept))
    return small


def expected_memory(model: "PreTrainedModel", recipe: Training, ranks: int, layout: Layout, gpu: bool = True) -> Memory:
    """Of a Hugging Face causal language model with gated feed-forward layers, at a full micro-batch.

    Three moments are looked at. While the head runs, its group is gathered and its gradient is whole. Then, sharded,
    that gradient is copied in float32 and spread. In a layer's backward pass all that the layer kept is there, with two
    layers gathered and one's gradient in two copies.
    """
    config = model.config
    size = 2 if recipe.precision == "bfloat16" else 4
    parameters = sum(parameter.numel() for parameter in model.parameters())
    vocabulary, hidden = model.get_output_embeddings().weight.shape
    head = vocabulary * hidden
    layer = (parameters - head * (1 if config.tie_word_embeddings else 2)) / config.num_hidden_layers
    logits = min(LOGITS_BUDGET, _tokens(model, recipe) * vocabulary * size)
    # The head's weight as the product takes it: gathered, or cast for the while, or a copy that is there anyway.
    cast = 0 if layout.copies or (size == 4 and not layout.sharded) else size * head
    waiting = _activations(model, recipe, layout)
    moments = [(cast, logits + 4 * head, waiting)]
    if layout.sharded:
        moments.append((cast + 4 * head + 4 * head / ranks, 4 * head, waiting))
    gathered = (2 * size + size + 4 + 4 / ranks) * layer if layout.sharded else 0
    root = cast if layout.sharded and config.tie_word_embeddings else 0
    again = _kept_of_layer(model, recipe, layout) if layout.recomputed else 0
    moments.append((gathered + root, 4 * head if config.tie_word_embeddings else 0, waiting + again))
    gathered, of_head, activations = max(moments, key=sum)
    runtime = (_CONTEXT + (_NCCL if ranks > 1 else 0)) if gpu else 0.0
    states = (16 * parameters + (2 * parameters if layout.copies else 0)) / ranks
    return Memory(states, gathered, of_head, activations, runtime)


def _left(model: Any, recipe: Training, ranks: int, layout: Layout, capacity: float) -> float:
    return capacity - expected_memory(model, recipe, ranks, layout).total


def _tokens(model: Any, recipe: Training) -> int:
    """Of the fullest micro-batch."""
    return max(recipe.tokens_per_microbatch, min(recipe.max_length, int(model.config.max_position_embeddings)))


def _activations(model: Any, recipe: Training, layout: Layout) -> float:
    """What waits for the backward pass: all that a layer keeps, or its input alone if it is recomputed."""
    size = 2 if recipe.precision == "bfloat16" else 4
    inputs = layout.recomputed * _tokens(model, recipe) * model.config.hidden_size * size
    return float(inputs + (model.config.num_hidden_layers - layout.recomputed) * _kept_of_layer(model, recipe, layout))


def _kept_of_layer(model: Any, recipe: Training, layout: Layout) -> float:
    """Bytes that autograd keeps of a layer, as counted by the tensors it saves in a Qwen2 and a Qwen3 layer of true
    width: inputs of the products and of attention, of the norms of its heads if it has them, and three of the
    feed-forward layer's width; op by op also a fourth of these, and each norm's input in float32."""
    config = model.config
    size = 2 if recipe.precision == "bfloat16" else 4
    heads = config.num_attention_heads * getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    hidden, wide = (5, 3) if layout.fused else (9, 4)
    normed = hasattr(model.model.layers[0].self_attn, "q_norm")
    of_heads = 4 + ((1.25 if layout.fused else 3.75) if normed else 0)
    width = hidden * config.hidden_size + of_heads * heads + wide * config.intermediate_size
    return float(_tokens(model, recipe) * size * width)


def training_flops(model: "PreTrainedModel", lengths: list[int]) -> float:
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
