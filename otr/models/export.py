"""The final form of every checkpoint that is made here: a plain Hugging Face folder that others load as it is.

Safetensors, the tokenizer with its chat template, generation_config.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from otr.data.chat import Chat
from otr.errors import UserError, first_line
from otr.files import replacing


def export(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, precision: str, writes: bool = True
) -> None:
    """Write the final checkpoint, its weights rounded to `precision` (the name of a torch type), with a
    generation_config that holds the stop tokens and nothing that would change sampling behind a reader's back.
    Every rank of a sharded model calls it and gives its shards; the first one writes. UserError when it cannot be
    written."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights: dict[str, Any] = get_model_state_dict(model, options=options)
    if not writes:
        return
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    dtype = getattr(torch, precision)
    state = {name: tensor.to(dtype) for name, tensor in weights.items()}
    stop = Chat(tokenizer).stop_ids(model.generation_config.eos_token_id)
    model.generation_config = GenerationConfig(
        eos_token_id=stop, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id
    )
    try:
        with replacing(folder) as target:
            model.save_pretrained(target, state_dict=state)
            model.config.dtype = dtype  # the model's own, float32, was written
            model.config.save_pretrained(target)
            tokenizer.save_pretrained(target)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{folder}: the final checkpoint cannot be written ({first_line(error)}); make room and run again, which "
            "goes on from the last resumable checkpoint"
        ) from None
