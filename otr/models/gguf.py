"""GGUF weights to a plain checkpoint folder (safetensors) that vLLM, transformers and lm-eval load as it is."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from otr.models.export import export


def convert(file: Path, out: Path) -> None:
    """Dequantize every tensor of a GGUF file to float32 and write the model with its tokenizer to the folder `out`."""
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
    loaded = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, trust_remote_code=False
    )
    # A model that remembers being quantized refuses to be saved: carry its weights over into a fresh one.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    export(out, model, tokenizer, "float32")
