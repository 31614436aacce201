"""A model's shape without its weights: for planning, before anything is fetched or trained.

    model = shape(experiment.models["qwen2.5-3b"], models=Path("models"), checkpoint=Path("results/.../checkpoint"))
    sum(parameter.numel() for parameter in model.parameters())      # 3085938688, and no memory taken

The first of these that there is: config.json of the base checkpoint the workflow made, of a local `path`, the settings
of a pre-trained model, the project's table of known hub models (otr/resources/model_shapes.json, sources inside).
The hub is never asked.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from otr.config import Model
from otr.config.pretraining import PretrainSettings
from otr.errors import UserError
from otr.files import Row, read_json
from otr.resources import RESOURCES

TABLE = RESOURCES / "model_shapes.json"


def shape(model: Model, models: Path, checkpoint: Path) -> PreTrainedModel:
    """A Hugging Face causal language model on the meta device. UserError when nothing says its shape.

    models: the folder that relative model paths are looked up in; checkpoint: where the workflow puts its base.
    """
    folders = [checkpoint, *([models / model.path] if model.path else [])]
    for folder in folders:
        if (folder / "config.json").is_file():
            return _empty(read_json(folder / "config.json"))
    if model.pretrain is not None:
        return _empty(_qwen3(model.pretrain))
    table: dict[str, Row] = read_json(TABLE)
    name = model.hub or str(model.path)
    if name not in table:
        raise UserError(
            f"models: the shape of '{name}' is not known before its checkpoint is here; make it "
            f"(snakemake {checkpoint}), or plan without this model. Known: {', '.join(table)}"
        )
    return _empty({key: value for key, value in table[name].items() if key not in ("source", "parameters")})


def _qwen3(settings: PretrainSettings) -> Row:
    """As otr/models/pretrain.py builds it."""
    return {
        "model_type": "qwen3",
        "vocab_size": settings.vocabulary,
        "hidden_size": settings.hidden_size,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "num_key_value_heads": settings.kv_heads,
        "head_dim": settings.head_dim,
        "intermediate_size": settings.intermediate_size,
        "max_position_embeddings": settings.positions,
        "tie_word_embeddings": True,
    }


def _empty(config: Row) -> Any:
    kind = config.pop("model_type")
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config))
