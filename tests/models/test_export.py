"""The final form of a checkpoint says of itself what it holds."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from otr.data.chat import load_tokenizer
from otr.models.export import export


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_config_names_the_type_of_the_weights(tiny_checkpoint: Path, tmp_path: Path, precision: str) -> None:
    """Trained in float32 as every model is, written as `precision`; a loader that goes by config.json gets that."""
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    export(tmp_path / "checkpoint", model, load_tokenizer(tiny_checkpoint), precision)
    weights = load_file(tmp_path / "checkpoint" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {getattr(torch, precision)}
    config = json.loads((tmp_path / "checkpoint" / "config.json").read_text())
    before = json.loads((tiny_checkpoint / "config.json").read_text())
    assert config.pop("dtype") == precision
    before.pop("dtype")
    assert config == before
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint")
    assert loaded.dtype == getattr(torch, precision)
