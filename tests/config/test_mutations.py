"""Shipped experiment files with one thing changed at random: each loads, or ends in one line on file and key."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkouts import ROOT
from limits import not_quadratic

from otr import config
from otr.errors import UserError

NAMES = ("micro", "methods", "qwen", "paper")
COUNT = 75
"""Of each file."""

VALUES: list[Any] = [
    None, True, False, "", " ", "x", "no-such-name", "ß→\u202e𝟙", "a\nb", "../../etc/passwd", "-1", "1e3", "{x}", "*",
    "a.b", "x" * 5000, "\x00", "CON", 0, 1, -1, 2, 10**9, 10**30, -(10**9), 0.5, -0.5, 1e-300, 1e300, float("nan"),
    float("inf"), [], {}, [None], [[]], [{}], ["x", "x"], {"": ""}, {"x": None}, {"x": {"y": {"z": 1}}},
    [1, "1", True], {1: 2}, {None: 1},
]  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a file, containers too."""
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*at, key))


def mutated(values: Any, generator: random.Random) -> tuple[Any, str]:
    """A copy with one thing changed, and what was done."""
    made = copy.deepcopy(values)
    *path, last = generator.choice(list(places(made)))
    holder = made
    for key in path:
        holder = holder[key]
    where = ".".join(map(str, [*path, last]))
    how = generator.choice(["value", "value", "value", "delete", "rename", "copy", "scale", "wrap"])
    if how == "delete":
        del holder[last]
    elif how == "rename" and isinstance(holder, dict):
        name = generator.choice(["x", f"{last} ", str(last).upper(), "", "é", "base", "-", "a/b", 7, None, "x" * 300])
        # In its place, as a reader of the file would.
        pairs = [(name if key == last else key, value) for key, value in holder.items()]
        holder.clear()
        holder.update(pairs)
        where += f" -> {name!r}"
    elif how == "copy":  # a value from elsewhere in the file
        source = made
        for key in generator.choice(list(places(values))):
            source = source[key]
        holder[last] = copy.deepcopy(source)
    elif how == "scale" and isinstance(holder[last], int | float):
        holder[last] = holder[last] * generator.choice([-1, 0, 10**6, 0.3, 10**18])
    elif how == "wrap":
        holder[last] = generator.choice(
            [[holder[last]], {"x": holder[last]}, [holder[last], holder[last]], str(holder[last])]
        )
    else:
        holder[last] = generator.choice(VALUES)
    return made, f"{how} {where}"


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_file_loads_or_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    check(name, tmp_path, range(COUNT))


def check(name: str, folder: Path, seeds: range) -> None:
    values = yaml.safe_load((ROOT / "workflow" / "experiments" / f"{name}.yaml").read_text(encoding="utf-8"))
    file = folder / f"{name}.yaml"
    for seed in seeds:
        made, done = mutated(values, random.Random(f"{name} {seed}"))
        file.write_text(yaml.safe_dump(made, allow_unicode=True, sort_keys=False), encoding="utf-8")
        with not_quadratic(f"{seed} {done}"):  # nor does a check grow with a number of the file
            try:
                config.load(file)
            except UserError as error:
                said = str(error)
                assert said.startswith(str(file)) and len(said.splitlines()) == 1 and len(said) < 2000, (
                    f"{seed} {done}: {said}"
                )
                assert len(said) > len(str(file)) + 10, f"{seed} {done}: {said}"
            except Exception as error:
                raise AssertionError(f"{seed} {done}: {type(error).__name__}: {error}") from error
