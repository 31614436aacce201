"""The experiment file's schema for editors, and docs/experiment.md: both are made from the types of otr/config.

    python -m otr.config        writes workflow/experiments/schema.json and docs/experiment.md

Run it after a change of the types; a test holds both files against them. Each experiment file names the schema in its
first line, so that an editor with a YAML language server completes keys and shows what they mean.
"""

import argparse
import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from otr.config.experiment import Experiment, Machine
from otr.config.reading import EXPERIMENTS
from otr.files import write_text

SCHEMA = EXPERIMENTS / "schema.json"
PAGE = EXPERIMENTS.parents[1] / "docs" / "experiment.md"
HEAD = """# The experiment file

All keys of `workflow/experiments/<name>.yaml`, and of `config.yaml` at the end. This page is made from the types in
`otr/config/` (`python -m otr.config` writes it). A key without a default must be given. An unknown key is refused.

The first line of each experiment file names its schema. Editors with a YAML language server then complete keys and show
their meaning.
"""
_NAMES = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "null"}


def schema() -> str:
    """The JSON schema of an experiment file."""
    found = Experiment.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **found}, indent=1) + "\n"


def page() -> str:
    """docs/experiment.md: a table of keys for each block, in the order in which the file names them."""
    sections = [_section("The whole file", Experiment)]
    sections += [_section(f"`{path}`", block) for path, block in _blocks(Experiment, "", set())]
    return "\n".join([HEAD, *sections, _section("config.yaml: this machine", Machine)])


def _blocks(block: type[BaseModel], prefix: str, seen: set[type]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every block below one, each once, with the place it stands at first."""
    inner = [(name, kind) for name, field in block.model_fields.items() for kind in _models(field.annotation)]
    for name, kind in inner:
        if kind not in seen:
            seen.add(kind)
            path = f"{prefix}{name}{_mark(block.model_fields[name])}"
            yield path, kind
            yield from _blocks(kind, f"{path}.", seen)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _mark(field: FieldInfo) -> str:
    """`models.<name>` for a mapping by name."""
    return ".<name>" if "dict" in str(field.annotation).split("[")[0] else ""


def _section(title: str, block: type[BaseModel]) -> str:
    properties = block.model_json_schema()["properties"]
    rows = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for name, field in block.model_fields.items():
        default = "" if field.is_required() else f"`{_yaml(field.get_default(call_default_factory=True))}`"
        cells = [f"`{name}`", _takes(properties[name]), default, field.description or ""]
        rows.append(f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |")
    text = " ".join((block.__doc__ or "").split())
    return "\n".join([f"## {title}", "", text, "", *rows, ""])


def _yaml(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    return "null" if value is PydanticUndefined else json.dumps(value)


def _takes(schema: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if "anyOf" in schema:
        parts = list(dict.fromkeys(_takes(part) for part in schema["anyOf"]))
        return (", or " if any(", " in part for part in parts) else " or ").join(parts)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "$ref" in schema or "allOf" in schema:
        return "block"
    kind = schema.get("type")
    if kind == "object":
        inner = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
        return "blocks by name" if any(isinstance(kind, dict) and "$ref" in kind for kind in inner) else "mapping"
    if kind == "array":
        return "list"
    return f"{_NAMES.get(str(kind), str(kind))}{_bounds(schema)}"


def _bounds(schema: dict[str, Any]) -> str:
    low = {"minimum": "at least", "exclusiveMinimum": "above"}
    high = {"maximum": "at most", "exclusiveMaximum": "below"}
    found = [f"{word} {schema[key]:g}" for key, word in (low | high).items() if key in schema]
    return f", {', '.join(found)}" if found else ""


def main(arguments: list[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m otr.config", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(arguments)
    write_text(SCHEMA, schema())
    write_text(PAGE, page())
    print(f"{SCHEMA}\n{PAGE}")


if __name__ == "__main__":
    main()
