"""Where a base model's weights lie: checks that need no model to be loaded. Imports no torch."""

import importlib.util
import json
from pathlib import Path

from otr.config import Gguf, Model
from otr.errors import UserError
from otr.files import sha256

_NEEDED = ("config.json", "tokenizer_config.json")


def check_origin(model: Model, models: Path) -> None:
    """UserError when a local folder is not a whole checkpoint, or a package with weights is not installed.

    models: the folder that relative paths are looked up in.
    """
    if model.path is not None:
        check_folder(models / model.path)
    if model.gguf is not None:
        gguf_file(model.gguf)


def check_folder(folder: Path) -> None:
    """A checkpoint folder has a config, a tokenizer and every safetensors file that its index names."""
    if not folder.is_dir():
        raise UserError(f"path: '{folder}' is no folder; set the folder with --config models=DIR, or name a hub model")
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise UserError(f"path: '{folder}' has no {name}; a Hugging Face checkpoint folder is needed")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            weights = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError):
            raise UserError(f"path: '{index}' is damaged; copy the checkpoint again") from None
    else:
        weights = ["model.safetensors"]
    for name in weights:
        if not (folder / name).is_file() or (folder / name).stat().st_size == 0:
            raise UserError(f"path: '{folder}' has no weights: {name} is missing (safetensors only, no pickles)")


def gguf_file(gguf: Gguf, verify: bool = False) -> Path:
    """The file inside its installed package; its hash is checked on demand."""
    package = importlib.util.find_spec(gguf.package)
    if package is None or not package.submodule_search_locations:
        raise UserError(f"gguf.package: '{gguf.package}' is not installed; run envs/install.sh")
    file = Path(package.submodule_search_locations[0]) / gguf.file
    if not file.is_file():
        raise UserError(f"gguf.file: '{gguf.file}' is not in the package '{gguf.package}'")
    if verify and (found := sha256(file)) != gguf.sha256:
        raise UserError(f"gguf.sha256: {file.name} has {found}, the experiment names {gguf.sha256}")
    return file
