"""The schema and the page of keys are those of the types, every key is explained, and editors find the schema."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from otr.config import EXPERIMENTS, Machine
from otr.config.__main__ import PAGE, SCHEMA, page, schema
from otr.config.reading import YamlLoader

SHIPPED = sorted(EXPERIMENTS.glob("*.yaml"))


def test_the_files_are_made_from_the_types_as_they_are() -> None:
    assert SCHEMA.read_text() == schema(), "run `python -m otr.config`"
    assert PAGE.read_text() == page(), "run `python -m otr.config`"


def keys() -> Iterator[tuple[str, dict[str, Any]]]:
    whole = json.loads(schema())
    for name, block in (*whole["$defs"].items(), ("Experiment", whole), ("Machine", Machine.model_json_schema())):
        for key, found in block["properties"].items():
            yield f"{name}.{key}", found


def test_every_key_is_explained() -> None:
    assert [name for name, found in keys() if not found.get("description")] == []
    text = PAGE.read_text()
    assert [name for name, _ in keys() if f"| `{name.split('.')[1]}` |" not in text] == []


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_experiment_names_the_schema_and_fits_it(file: Any) -> None:
    text = file.read_text()
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA.name}"
    experiment = json.loads(json.dumps(yaml.load(text, YamlLoader)))
    jsonschema.validate(experiment, json.loads(schema()))
    experiment["methods"]["otr"]["betta"] = -0.1
    with pytest.raises(jsonschema.ValidationError, match="betta"):
        jsonschema.validate(experiment, json.loads(schema()))
