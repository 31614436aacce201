"""Where a base model's weights lie: checks that need no model to be loaded. Imports no torch."""

import json
from collections.abc import Mapping
from pathlib import Path

from otr.config import Model
from otr.errors import UserError
from otr.files import Row

_NEEDED = ("config.json", "tokenizer_config.json")


def local_weights(model: Model, models: Path, weights: Mapping[str, str]) -> Path | None:
    """The folder or GGUF file of a model that lies on this machine; None for one of the hub and a pre-trained one.

    models: the folder that relative paths are looked up in; weights: local copies by hub id (`weights` of config.yaml).
    """
    if model.hub is not None and model.hub in weights:
        return Path(weights[model.hub]).expanduser()
    return models / model.path if model.path is not None else None


def check_origin(model: Model, models: Path, weights: Mapping[str, str], context: int = 0) -> None:
    """UserError when a local model is no whole checkpoint folder and no GGUF file.

    models, weights: as for local_weights; context: positions that the model must have.
    """
    found = local_weights(model, models, weights)
    if found is None:
        return
    if is_gguf(found):
        check_gguf(found)
    else:
        check_folder(found, context)


def is_gguf(path: Path) -> bool:
    return path.suffix == ".gguf"


def check_gguf(file: Path) -> None:
    """UserError when a file is not there or does not begin as GGUF files do."""
    if not file.is_file():
        raise UserError(f"path: no file '{file}'; set the folder with --config models=DIR, or name a hub model")
    with file.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            raise UserError(f"path: '{file}' is no GGUF file; fetch it again, or name a checkpoint folder")


def check_folder(folder: Path, context: int = 0) -> None:
    """A checkpoint folder has a config, a tokenizer with a chat template, and every safetensors file that its index
    names, whole; and it needs no code of its own."""
    if not folder.is_dir():
        raise UserError(f"path: '{folder}' is no folder; set the folder with --config models=DIR, or name a hub model")
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise UserError(f"path: '{folder}' has no {name}; a Hugging Face checkpoint folder is needed")
    for file in sorted(folder.glob("*config.json")):
        if "auto_map" in _object(file):
            raise UserError(
                f"path: '{file}' has an auto_map, which loads Python code of the folder; code of a model is never run "
                "here: use a model that transformers supports by itself"
            )
    index = folder / "model.safetensors.index.json"
    weights = ["model.safetensors"]
    if index.is_file():
        named = _object(index).get("weight_map")
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
            raise UserError(f"path: '{index}' is damaged; copy the checkpoint again")
        weights = sorted(set(named.values()))
    for name in weights:
        _check_weights(folder, name)
    _check_tokenizer(folder)
    positions = _object(folder / "config.json").get("max_position_embeddings")
    if isinstance(positions, int) and positions < context:
        raise UserError(
            f"path: '{folder}' has {positions} positions, fewer than the context of {context}; lower context"
        )


def _object(file: Path) -> Row:
    """The JSON object of a file of a model folder."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UserError(f"path: '{file}' is damaged; copy the checkpoint again")
    return found


def _check_weights(folder: Path, name: str) -> None:
    """A safetensors file begins with the length of its header, which says where each tensor lies: it is as long as its
    last tensor needs, or it is cut."""
    file = folder / name
    if Path(name).name != name or not name.endswith(".safetensors"):
        raise UserError(f"path: '{folder}': its index names '{name}'; safetensors beside the index are needed")
    if not file.is_file() or file.stat().st_size == 0:
        raise UserError(f"path: '{folder}' has no weights: {name} is missing (safetensors only, no pickles)")
    try:
        with file.open("rb") as raw:
            length = int.from_bytes(raw.read(8), "little")
            header = json.loads(raw.read(length)) if length < file.stat().st_size else {}
        ends = [tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        ends = []
    if not ends or 8 + length + max(ends) != file.stat().st_size:
        raise UserError(f"path: '{file}' is cut or damaged; copy the checkpoint again")


def _check_tokenizer(folder: Path) -> None:
    """Its tokens all have a row in the embedding, and it can render a conversation."""
    settings = _object(folder / "tokenizer_config.json")
    templates = [folder / "chat_template.jinja", folder / "chat_template.json", folder / "additional_chat_templates"]
    if not settings.get("chat_template") and not any(file.exists() for file in templates):
        raise UserError(f"path: '{folder}': its tokenizer has no chat template; use a model that has one")
    rows = _object(folder / "config.json").get("vocab_size")
    if not (folder / "tokenizer.json").is_file() or not isinstance(rows, int):
        return
    tokenizer = _object(folder / "tokenizer.json")
    model, added = tokenizer.get("model") or {}, tokenizer.get("added_tokens") or []
    known = model.get("vocab")
    ids = list(known.values()) if isinstance(known, dict) else list(range(len(known or [])))
    largest = max([*ids, *(token.get("id", 0) for token in added)], default=0)
    if largest >= rows:
        raise UserError(
            f"path: '{folder}': its tokenizer has a token {largest}, its embedding {rows} rows; the tokenizer is "
            "that of another model"
        )
