"""The typed settings of a model pre-trained here. Imports no torch, so that reading an experiment file stays quick."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class PretrainSettings(BaseModel):
    """Shape of a Qwen3 model and of its training. The defaults are small enough for two minutes on one CPU thread."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    hidden_size: Count = 96
    layers: Count = 3
    heads: Count = 3
    kv_heads: Count = 1
    head_dim: Annotated[int, Field(ge=1, multiple_of=32)] = 32
    """vLLM's CPU attention has no smaller one."""
    intermediate_size: Count = 288
    vocabulary: Annotated[int, Field(ge=300)] = 512
    """Entries of the tokenizer: 256 bytes, 3 special tokens, the rest merges."""
    positions: Count = 512
    rope_theta: Rate = 150.0
    """Short texts need fast rotations: at equal steps the loss was 0.54 with 300 and 0.65 with 10,000."""
    initial_scale: Rate = 0.2
    """Weights start as normal(0, initial_scale / sqrt(hidden_size))."""
    steps: Count = 650
    rows: Count = 8
    """Rows a step, each of `row_tokens` tokens filled with whole documents."""
    row_tokens: Count = 128
    learning_rate: Rate = 6e-3
    """Peak for embeddings and norms (AdamW)."""
    matrix_learning_rate: Rate = 1.5e-2
    """Peak for the matrices of the blocks (Muon)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    warmup_steps: Annotated[int, Field(ge=0)] = 30
    decay_share: Share = 0.4
    """Share of the steps, at the end, over which the learning rate falls to 2 %."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        if self.row_tokens > self.positions:
            raise ValueError(f"row_tokens ({self.row_tokens}) must not exceed positions ({self.positions})")
        return self
