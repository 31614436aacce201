"""The typed settings of a model pre-trained here. Imports no torch, so that reading an experiment file stays quick."""

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class PretrainSettings(BaseModel):
    """Shape of the model and of its training."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hidden_size: PositiveInt = 96
    layers: PositiveInt = 3
    heads: PositiveInt = 3
    kv_heads: PositiveInt = 1
    head_dim: int = Field(default=32, ge=32)  # vLLM's CPU attention has no smaller one
    intermediate_size: PositiveInt = 288
    vocabulary: int = Field(default=512, ge=300)
    positions: PositiveInt = 512
    steps: PositiveInt = 650
    rows: PositiveInt = 16
    row_tokens: PositiveInt = 128
    learning_rate: PositiveFloat = 6e-3
    matrix_learning_rate: PositiveFloat = 2e-2
    weight_decay: float = Field(default=0.1, ge=0)
    warmup_steps: int = Field(default=30, ge=0)
    decay_share: float = Field(default=0.4, ge=0, le=1)
