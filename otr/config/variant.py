"""An experiment with keys of its file set on the command line: a variant with its own name.

    snakemake --cores all results/table1.md --config set="training.epochs=1 methods.otr.beta=0"

reads workflow/experiments/micro.yaml, sets the two keys and writes the whole as the experiment
micro-training.epochs-1-methods.otr.beta-0 into its results folder. The original's file and results are not touched, and
the variant's file is there to be read, copied and run again.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import yaml

from otr.config.reading import YamlLoader, read_yaml
from otr.errors import UserError
from otr.files import write_text

LONGEST = 100
"""Characters of a variant's name: it is a folder."""
_WHERE = "config.yaml (or --config): set"


def variant(original: Path, settings: str, results: Path, write: bool = True) -> Path:
    """The file of the variant, below `results`. Raises UserError where a setting cannot be read or leads nowhere.

    write: False where another process has written it.
    """
    content = read_yaml(original)
    for setting in settings.split():
        key, mark, value = setting.partition("=")
        if not mark or not key:
            raise UserError(f"{_WHERE}: '{setting}' is no setting; write key=value, as in training.epochs=1")
        _set(content, key, _value(setting, value), original)
    name = _name(original.stem, settings)
    content["name"] = name
    content["description"] = f"{content.get('description', original.stem)}, with {', '.join(settings.split())}"
    path = results / name / f"{name}.yaml"
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    # Unchanged where it says the same: Snakemake looks at its time.
    if write and not (path.exists() and path.read_text(encoding="utf-8") == text):
        write_text(path, f"{text}")
    return path


def _value(setting: str, text: str) -> Any:
    try:
        return yaml.load(text, YamlLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError:
        raise UserError(f"{_WHERE}: '{setting}': '{text}' is not readable as YAML") from None


def _set(content: Any, key: str, value: Any, original: Path) -> None:
    """The last name of the key may be new (a default that the file does not state); those before it are there."""
    *above, last = key.split(".")
    inside = content
    for position, name in enumerate(above):
        if not isinstance(inside, dict) or not isinstance(inside.get(name), dict):
            known = ", ".join(inside) if isinstance(inside, dict) else "(none)"
            where = ".".join(above[: position + 1])
            raise UserError(f"{_WHERE}: {original.name} has no block '{where}'; allowed: {known}")
        inside = inside[name]
    inside[last] = value


def _name(stem: str, settings: str) -> str:
    name = "-".join([stem, *(re.sub(r"[^A-Za-z0-9._]+", "-", setting).strip("-") for setting in settings.split())])
    # Settings that differ in signs alone (-0.1 and 0.1) must not share a folder.
    plain = re.sub(r"[A-Za-z0-9._= ]+", "", settings)
    if len(name) > LONGEST or plain:
        name = f"{name[: LONGEST - 9].rstrip('-')}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
    return name
