"""What is checked of an experiment beyond its single keys, so that it is refused before the first job and not by one.

Every function raises UserError: one line with file, key, what was found and what is allowed.
"""

from collections.abc import Mapping
from typing import Any

from otr.config.blocks import Training
from otr.config.experiment import Experiment
from otr.errors import UserError

RESULTS = ("comparison", "paper_audit", "report", "figure2", "readme", "logs", "all")
"""Files and folders of results/ that belong to no table and no experiment, and the rule that makes everything."""


def check_names(experiment: Experiment, where: str) -> None:
    """No table or experiment takes a name that something else has, and no two names differ in case alone: on many
    file systems these are one file."""
    if experiment.name.lower() in (*RESULTS, *map(str.lower, experiment.tables)):
        raise UserError(f"{where}: name: '{experiment.name}' is the name of other files in results/; choose another")
    for table in experiment.tables:
        if table.lower() in RESULTS:
            raise UserError(f"{where}: tables.{table}: results/{table}.md is another file's name; choose another")
    groups: dict[str, Mapping[str, Any]] = {
        "models": experiment.models,
        "datasets": experiment.datasets,
        "methods": experiment.methods,
        "benchmarks": experiment.benchmarks,
        "tables": experiment.tables,
    }
    for key, group in groups.items():
        seen: dict[str, str] = {}
        for name in group:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                raise UserError(f"{where}: {key}.{name}: differs from {other} in case alone; choose another name")


def check_sizes(experiment: Experiment, where: str) -> None:
    """Numbers of different blocks fit each other."""
    for name, dataset in experiment.datasets.items():
        if dataset.size is not None and dataset.lengths is not None and dataset.size < dataset.lengths.intervals:
            raise UserError(
                f"{where}: datasets.{name}.size: {dataset.size} examples do not fill the {dataset.lengths.intervals} "
                "intervals of lengths; raise size or lower lengths.intervals"
            )
    for run, method in experiment.methods.items():
        own = {"batch_size", "dataset"} & set(method.training)
        _check_recipe(
            experiment, experiment.recipe(run), f"{where}: {f'methods.{run}.training' if own else 'training'}"
        )
    for name, benchmark in experiment.benchmarks.items():
        if benchmark.max_tokens is not None:
            _check_context(experiment, benchmark.max_tokens, f"{where}: benchmarks.{name}.max_tokens")
            continue
        for protocol in ("base", "tuned"):
            limit = getattr(experiment.protocols, protocol).max_tokens
            _check_context(experiment, limit, f"{where}: protocols.{protocol}.max_tokens")
    for name, model in experiment.models.items():
        if model.pretrain is not None and model.pretrain.positions < experiment.context:
            raise UserError(
                f"{where}: models.{name}.pretrain.positions: {model.pretrain.positions} are fewer than the context of "
                f"{experiment.context}; raise positions or lower context"
            )


def _check_recipe(experiment: Experiment, recipe: Training, where: str) -> None:
    size = experiment.datasets[recipe.dataset].size
    if size is not None and size < recipe.batch_size:
        raise UserError(
            f"{where}.batch_size: {recipe.batch_size} is more than the {size} examples of datasets.{recipe.dataset}; "
            "lower it or raise size"
        )


def _check_context(experiment: Experiment, max_tokens: int, where: str) -> None:
    if max_tokens >= experiment.context:
        raise UserError(
            f"{where}: {max_tokens} leave no room for a prompt in the context of {experiment.context}; lower it or "
            "raise context"
        )
