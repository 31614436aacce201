"""GGUF weights to a plain checkpoint folder (safetensors) that vLLM and transformers load as it is.

    convert(Path("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"), Path("checkpoint"))

A GGUF file does not say whether embedding and head are one matrix, and llama.cpp stores the head of a tied model apart
when it gets another quantisation. Untied matrices have nothing in common: their difference is as large as they are. Two
quantisations of one matrix differ by their rounding errors: 4.4 % between Q5_0 and Q8_0 of Qwen2.5-Coder-0.5B, some
30 % with 2 bits.
"""

from pathlib import Path
from typing import Any

import torch
from gguf import GGML_QUANT_SIZES, GGUFReader
from transformers import AutoModelForCausalLM, AutoTokenizer

from otr.data.chat import Chat
from otr.errors import UserError, first_line
from otr.files import Row
from otr.models.export import export

_SAME_MATRIX = 0.4
"""Largest difference of head and embedding, relative to the head, that counts as quantisation of one matrix."""
_EMBEDDING, _HEAD = "token_embd.weight", "output.weight"


def convert(file: Path, out: Path) -> Row:
    """Dequantize every tensor of a GGUF file to float32 and write the model with its tokenizer to the folder `out`.

    Returns what was found: `bits`, how the weights were stored (type to number of tensors); `tied`, whether embedding
    and head are one matrix; `head_difference`, the relative difference that decided it (None where the file has one
    matrix alone). UserError when the file cannot be read.
    """
    try:
        stored = {tensor.name: tensor.tensor_type for tensor in GGUFReader(file).tensors}
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
        tokenizer.name_or_path = str(file)
        Chat(tokenizer)  # one without a chat template is refused before its weights are read
        loaded = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, trust_remote_code=False
        )
    except (ValueError, OSError, KeyError, NotImplementedError) as error:
        raise UserError(
            f"{file}: cannot be read as GGUF ({first_line(error)}); another file, or a checkpoint folder"
        ) from None
    config = loaded.config.get_text_config()
    weights = loaded.state_dict()
    difference = _head_difference(loaded) if _HEAD in stored else None
    config.tie_word_embeddings = difference is None or difference < _SAME_MATRIX
    if config.tie_word_embeddings and difference is not None:
        # The copy that was stored with more bits is nearer to what both came from.
        embedding, head = _names(loaded)
        better = max((_bits(stored[_EMBEDDING]), embedding), (_bits(stored[_HEAD]), head))[1]
        weights[embedding] = weights[head] = weights[better]
    # A model that remembers being quantized refuses to be saved: carry its weights over into a fresh one.
    if hasattr(loaded.config, "quantization_config"):
        del loaded.config.quantization_config
    loaded.config.tie_word_embeddings = config.tie_word_embeddings
    model = AutoModelForCausalLM.from_config(loaded.config, dtype=torch.float32)
    model.load_state_dict(weights)
    model.tie_weights()
    export(out, model, tokenizer, "float32")
    kinds = sorted(kind.name for kind in stored.values())
    return {
        "bits": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "tied": config.tie_word_embeddings,
        "head_difference": None if difference is None else round(difference, 4),
    }


def _head_difference(model: Any) -> float:
    """||head - embedding|| / ||head|| of a model, both [vocabulary, hidden]."""
    embedding, head = (part.weight.detach() for part in (model.get_input_embeddings(), model.get_output_embeddings()))
    return float((head - embedding).norm() / head.norm())


def _names(model: Any) -> tuple[str, str]:
    """The names of embedding and head in the model's state."""
    wanted = (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
    names = {id(parameter): name for name, parameter in model.named_parameters(remove_duplicate=False)}
    return names[id(wanted[0])], names[id(wanted[1])]


def _bits(kind: Any) -> float:
    """Bits a weight of a GGUF tensor type."""
    weights, size = GGML_QUANT_SIZES[kind]
    return float(8 * size / weights)
