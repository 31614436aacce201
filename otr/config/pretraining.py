"""The typed settings of a model pre-trained here. Imports no torch, so that reading an experiment file stays quick."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from otr.config.block import Block, Share

Count = Annotated[int, Field(ge=1, le=10**7)]
Rate = Annotated[float, Field(gt=0)]


class PretrainSettings(Block):
    """Shape of a Qwen3 model and of its training. The defaults are small enough for two minutes on one CPU thread."""

    hidden_size: Count = 96
    """Width of the model."""
    layers: Count = 3
    """Blocks."""
    heads: Count = 3
    """Attention heads."""
    kv_heads: Count = 1
    """Heads of keys and values."""
    head_dim: Annotated[int, Field(ge=1, multiple_of=32)] = 32
    """vLLM's CPU attention has no smaller one."""
    intermediate_size: Count = 288
    """Width inside an MLP."""
    vocabulary: Annotated[int, Field(ge=300)] = 512
    """Entries of the tokenizer: 256 bytes, 3 special tokens, the rest merges."""
    positions: Count = 512
    """Longest sequence, in tokens."""
    rope_theta: Rate = 150.0
    """Short texts need fast rotations: at equal steps the loss was 0.54 with 300 and 0.65 with 10,000."""
    initial_scale: Rate = 0.2
    """Weights start as normal(0, initial_scale / sqrt(hidden_size))."""
    initial_noise: Annotated[float, Field(ge=0)] = 0.0
    """Each of them times 1 + normal(0, initial_noise): what another rounding leads to (benchmark "stability")."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the initial weights, on top of the experiment's."""
    steps: Count = 650
    """Optimizer steps."""
    rows: Count = 8
    """Rows a step, each of `row_tokens` tokens filled with whole documents."""
    row_tokens: Count = 128
    """Tokens of a row."""
    learning_rate: Rate = 6e-3
    """Peak for embeddings and norms (AdamW)."""
    matrix_learning_rate: Rate = 1.5e-2
    """Peak for the matrices of the blocks (Muon)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """Of the matrices."""
    warmup_steps: Annotated[int, Field(ge=0)] = 30
    """Steps of a linearly rising learning rate."""
    decay_share: Share = 0.4
    """Share of the steps, at the end, over which the learning rate falls to 2 %."""
    threads: Count = 1
    """CPU threads. A setting because sums depend on it; everything else waits for a base, so it may take all cores."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        if self.row_tokens > self.positions:
            raise ValueError(f"row_tokens ({self.row_tokens}) must not exceed positions ({self.positions})")
        return self
