"""Reading the settings: one YAML file in, one validated object out, one clear line when something is wrong.

The only reader of YAML in the project. An experiment is a whole file chosen by name (workflow/experiments/<name>.yaml);
config.yaml holds the few settings of this machine.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from otr.config import objectives
from otr.config.blocks import Figure2, Training
from otr.config.checks import check_names, check_sizes
from otr.config.experiment import BASE_RUN, BASE_TUNED_RUN, SEED_MARK, Experiment, Machine, sources
from otr.errors import UserError
from otr.files import readable

EXPERIMENTS = Path(__file__).resolve().parents[2] / "workflow" / "experiments"


def load(path: Path | str) -> Experiment:
    """Read and check an experiment file. Raises UserError: one line with file, key, what was found, what is allowed."""
    path = Path(path)
    values = read_yaml(path)
    shown = _shown(path)
    try:
        if isinstance(values, dict) and isinstance(values.get("objectives"), str):
            objectives.load(path.parent, values["objectives"], shown)
        experiment = _validate(Experiment, values, shown)
        if experiment.name != path.stem:
            raise UserError(f"{shown}: name: '{experiment.name}' must be the file's name, '{path.stem}'")
        _check_references(experiment, shown)
        check_names(experiment, shown)
        check_sizes(experiment, shown)
    except UserError as error:
        raise UserError(shown + _one_line(str(error).removeprefix(shown))) from None
    return experiment


def _one_line(message: str) -> str:
    """A message that quotes the file, without its line breaks and the rest of very long words."""
    return re.sub(r"(\S{60})\S{140,}", r"\1...", " ".join(message.splitlines()))


def machine(settings: Mapping[str, Any]) -> Machine:
    """The machine's settings from config.yaml and --config."""
    return _validate(Machine, dict(settings), "config.yaml (or --config)")


def experiment_file(name: str) -> Path:
    """The file of an experiment by its name; UserError lists what there is."""
    path = EXPERIMENTS / f"{name}.yaml"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or not path.is_file():
        known = ", ".join(sorted(file.stem for file in EXPERIMENTS.glob("*.yaml")))
        raise UserError(f"config.yaml (or --config): experiment: '{name}' is unknown; allowed: {known}")
    return path


class YamlLoader(yaml.SafeLoader):
    """Safe YAML that reads 5e-6 as a number (YAML 1.1 reads a string) and refuses a key written twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]  # <<: *other may repeat a key
        keys = [self.construct_object(key, deep=True) for key in own]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise yaml.MarkedYAMLError(problem=f"the key '{key}' stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        _check_aliases(node)
        return self.construct_document(node)


_MOST_VALUES = 100_000
"""Values of a file with every alias written out; the largest experiment that ships has a thousand."""


def _check_aliases(root: Any) -> None:
    """Refuse a file that contains itself, or that a few lines of aliases make larger than any memory."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in open_nodes:
            raise yaml.MarkedYAMLError(problem="an anchor that contains itself", problem_mark=node.start_mark)
        if id(node) not in sizes:
            open_nodes.add(id(node))
            inner = node.value if isinstance(node, yaml.SequenceNode) else []
            if isinstance(node, yaml.MappingNode):
                inner = [part for pair in node.value for part in pair]
            sizes[id(node)] = 1 + sum(map(size, inner))
            open_nodes.discard(id(node))
        if sizes[id(node)] > _MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {_MOST_VALUES} values", problem_mark=node.start_mark)
        return sizes[id(node)]

    size(root)


YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> Any:
    """What a YAML file says. Raises UserError with one line."""
    try:
        with readable(_shown(path), "an experiment file (YAML)"):
            return yaml.load(path.read_text(encoding="utf-8"), YamlLoader)  # noqa: S506 (a SafeLoader)
    except RecursionError:
        raise UserError(f"{_shown(path)}: not readable as YAML: nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).replace("\n", " ")
        raise UserError(f"{_shown(path)}{line}: not readable as YAML: {problem}") from None


def _shown(path: Path) -> str:
    """The path as a user would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


T = TypeVar("T", bound=BaseModel)


def _validate(kind: type[T], value: Any, where: str, prefix: str = "") -> T:
    """Validate plain YAML values; the first problem becomes a UserError of one line."""
    try:
        # By way of JSON: strict about types, and a YAML list may still fill a tuple.
        return kind.model_validate_json(json.dumps(value, default=str))
    except ValidationError as error:
        # A mistyped key is also a missing one: the first of the two says more.
        first = min(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
        # A union's branch names stand in the location too; only what is in the file is shown.
        keys, inside = [], value
        for key in first["loc"]:
            if isinstance(inside, dict) and (key in inside or key == first["loc"][-1]):
                keys.append(key)
                inside = inside.get(key)
            elif isinstance(inside, list) and isinstance(key, int):
                keys.append(key)
                inside = inside[key] if key < len(inside) else None
        location = ".".join([*([prefix] if prefix else []), *map(str, keys)])
        raise UserError(f"{where}: {location + ': ' if location else ''}{_problem(kind, keys, first)}") from None


def _problem(kind: type[BaseModel], keys: list[Any], error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown key; allowed: {', '.join(_fields(kind, keys[:-1]))}"
    if error["type"] == "missing":
        return "this key is missing"
    message: str = error["msg"].removeprefix("Value error, ")
    found = error["input"]
    if error["type"] == "value_error" or isinstance(found, dict | list):
        return message
    return f"found {json.dumps(found, default=str)}: {message[0].lower()}{message[1:]}"


def _fields(kind: Any, keys: list[Any]) -> list[str]:
    """The keys allowed at a place of the file, found by walking down the types."""
    for key in keys:
        if _is_block(kind):
            kind = kind.model_fields[key].annotation
        else:  # a mapping's value, a list's element
            kind = get_args(kind)[-1 if get_origin(kind) is dict else 0]
        while get_origin(kind) in (Annotated, Union, UnionType):
            kind = next(part for part in get_args(kind) if part is not NoneType)
    return list(kind.model_fields) if _is_block(kind) else []


def _is_block(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _check_references(experiment: Experiment, where: str) -> None:
    """Every name that one block uses must be defined by another."""

    def check(key: str, name: str, known: Mapping[str, Any] | list[str]) -> None:
        if name not in known:
            raise UserError(f"{where}: {key}: '{name}' is unknown; allowed: {', '.join(known) or '(none defined)'}")

    for name in (BASE_RUN, BASE_TUNED_RUN):
        if name in experiment.methods:
            raise UserError(f"{where}: methods.{name}: this name is the untrained model's; choose another")
    for name in experiment.methods:
        if re.search(rf"{re.escape(SEED_MARK)}\d+$", name):
            raise UserError(
                f"{where}: methods.{name}: names ending in .seed<number> are reserved for further training seeds; "
                "choose another"
            )
    for suite in experiment.engines:
        check("engines", suite, list(dict.fromkeys(benchmark.suite for benchmark in experiment.benchmarks.values())))
    check("training.dataset", experiment.training.dataset, experiment.datasets)
    for run, method in experiment.methods.items():
        merged = experiment.training.model_dump(mode="json") | method.training
        recipe = _validate(Training, merged, where, f"methods.{run}.training")
        check(f"methods.{run}.training.dataset", recipe.dataset, experiment.datasets)
    for name, dataset in experiment.datasets.items():
        check(f"datasets.{name}.tokenizer", dataset.tokenizer, experiment.models)
    for name, table in experiment.tables.items():
        runs = [BASE_RUN, BASE_TUNED_RUN, *experiment.methods]
        for model in table.models:
            check(f"tables.{name}.models", model, experiment.models)
        for run in table.rows:
            check(f"tables.{name}.rows", run, runs)
        if table.like_for_like:
            check(f"tables.{name}.like_for_like", table.like_for_like, runs)
        for benchmark in table.benchmarks:
            check(f"tables.{name}.columns", benchmark, experiment.benchmarks)
    if experiment.figure2:
        _check_figure2(experiment, experiment.figure2, where, check)
    uses_generator = any(source.generated for _, source in sources(experiment))
    if uses_generator and experiment.generator is None:
        raise UserError(f"{where}: generator: null makes no files, but a source names 'generated'; allowed: micro")


def _check_figure2(experiment: Experiment, figure: Figure2, where: str, check: Callable[[str, str, Any], None]) -> None:
    """Its models and methods exist, and all curves of a panel count the hits of equally many draws."""
    check("figure2.a.model", figure.a.model, experiment.models)
    for model in figure.b.models:
        check("figure2.b.models", model, experiment.models)
    for panel, runs in (("a", figure.a.runs), ("b", figure.b.runs)):
        for run in runs:
            check(f"figure2.{panel}.runs", run, experiment.methods)
        draws = {run: experiment.methods[run].samples for run in runs}
        if len(set(draws.values())) > 1:
            found = ", ".join(f"{run} {count}" for run, count in draws.items())
            raise UserError(f"{where}: figure2.{panel}.runs: draw unlike numbers of samples ({found}); one is needed")
