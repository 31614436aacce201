"""What is checked when the workflow is read, before any job starts. Imports nothing heavy."""

import os
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from otr import config
from otr.command.finished import AGAIN
from otr.config.variant import variant
from otr.data.sources import LOOKED_AT, Folders, check_local_sources, source_files
from otr.data.subsample import examples
from otr.errors import UserError
from otr.evaluation.problems import demonstrations, problems
from otr.files import sha256
from otr.machine.devices import installed
from otr.models.origin import check_origin


def set_paths(checkout: str) -> None:
    """Let the commands of rules find `python` (the one that runs Snakemake, also inside a cluster job) and this
    checkout's code."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [checkout, os.environ.get("PYTHONPATH")]))


def remember_forced(dag_settings: Any) -> None:
    """Let stages know what --forcerun and --force name: they make that again and take no finished output over. Jobs
    that this process starts or submits inherit it."""
    forced = {str(name) for name in dag_settings.forcerun}
    if dag_settings.forcetargets:
        forced |= {str(target) for target in dag_settings.targets}
    if dag_settings.forceall:
        forced.add("*")
    os.environ[AGAIN] = "\n".join(sorted(forced))


def check(settings: Mapping[str, Any], main_process: bool) -> tuple[config.Machine, config.Experiment, Path]:
    """The machine's settings, the experiment and its file. Raises UserError with one line.

    Rows and model folders are looked into by the main process alone: the jobs it starts find them checked.
    """
    machine = config.machine(settings)
    path = config.experiment_file(machine.experiment)
    if machine.set:
        path = variant(path, machine.set, Path("results"), write=main_process)
    experiment = config.load(path)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    if main_process:
        folders = Folders(Path(machine.data), Path("generated"))
        check_local_sources(experiment, str(shown), folders)
        _check_rows(experiment, str(shown), folders)
        _check_golds(experiment, str(shown), folders)
        for name, model in experiment.models.items():
            try:
                check_origin(model, Path(machine.models), machine.weights, experiment.context)
            except UserError as error:
                raise UserError(f"{shown}: models.{name}: {error}") from None
    return machine, experiment, shown


def content(machine: config.Machine, *sources: config.Source | None) -> list[str]:
    """Digests of the local files of sources: the same rows in another folder are the same rows."""
    folders = Folders(Path(machine.data), Path("generated"))
    local = [source for source in sources if source is not None and (source.path or source.shipped)]
    return [sha256(file) for source in local for file in source_files(source, folders)]


def weights(machine: config.Machine, model: config.Model) -> str | None:
    """Digest of a local model folder: changed weights in the same place are another model."""
    return sha256(Path(machine.models) / model.path) if model.path is not None else None


def _check_rows(experiment: config.Experiment, file: str, folders: Folders) -> None:
    """Every local row that may be trained on holds its texts, and there are as many as the settings ask for."""
    for name, dataset in experiment.datasets.items():
        if dataset.source.path is None and dataset.source.shipped is None:
            continue
        try:
            files = source_files(dataset.source, folders)
            limit = LOOKED_AT if any(file.suffix == ".parquet" for file in files) else None
            found = sum(1 for _ in islice(examples(dataset, folders), limit))
            if found == limit:
                continue
            if dataset.size is not None and found < dataset.size:
                raise UserError(f"size: {dataset.size} examples are asked for, the source has {found} usable ones")
            recipes = {run: experiment.recipe(run) for run in experiment.methods}
            batches = [recipe.batch_size for recipe in recipes.values() if recipe.dataset == name]
            if found < max(batches, default=0):
                raise UserError(f"{found} usable rows are fewer than one batch of {max(batches)}; lower batch_size")
        except UserError as error:
            raise UserError(f"{file}: datasets.{name}: {error}") from None


def _check_golds(experiment: config.Experiment, file: str, folders: Folders) -> None:
    """Every right answer of a local benchmark can be read, and its few-shot set has enough examples."""
    for name, benchmark in experiment.benchmarks.items():
        try:
            if benchmark.source.path is not None:
                problems(benchmark, folders)
            if benchmark.few_shot is not None and benchmark.few_shot.source.path is not None:
                demonstrations(benchmark.few_shot, folders)
        except UserError as error:
            raise UserError(f"{file}: benchmarks.{name}: {error}") from None


ANY_NUMBER = 1 << 20


def gpus(machine: config.Machine, cluster: bool) -> int:
    """Devices that a job may take: the setting, or as many as nvidia-smi lists.

    On a cluster `auto` is as many as a job asks for: its scheduler hands them out, and a head node has none to count.
    """
    if machine.gpus != "auto":
        return machine.gpus
    if cluster:
        return ANY_NUMBER
    return len(installed())


def memory(experiment: config.Experiment) -> int | None:
    """MB of main memory that jobs side by side share on this machine; None for models made here, which are small."""
    if all(model.pretrain for model in experiment.models.values()):
        return None
    return int(psutil.virtual_memory().total // 10**6)
