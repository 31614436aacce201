"""The two files of settings, typed: an experiment file decides every result, config.yaml is of this machine."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from otr.config import objectives as objectives_file
from otr.config.block import Block, Name
from otr.config.blocks import (
    Benchmark,
    Dataset,
    Figure2,
    Method,
    Model,
    NumberType,
    Protocol,
    Protocols,
    Source,
    Training,
)  # fmt: skip
from otr.config.tables import TableLayout

BASE_RUN = "base"
BASE_TUNED_RUN = "base-tuned"
"""The base checkpoint prompted in the tuned protocol, with which a tuned run is compared like for like."""
SEED_MARK = ".seed"
"""Between a method's name and the number of a further training seed, in a run's name."""


class Cell(NamedTuple):
    """One benchmark of one run of a model: what a score is of."""

    model: str
    run: str
    benchmark: str

    def __str__(self) -> str:
        return "/".join(self)


class Experiment(Block):
    """Everything that decides a result. Machine settings (engine, folders) are in config.yaml instead."""

    name: Name
    """The file's name without .yaml; results lie in results/<name>/."""
    description: str
    """What the experiment is for, in a sentence."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Of training, sampling and every other random choice."""
    training_seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    """Trainings of each method and model: with seed, seed + 1, ... Tables show their mean, and ± counts them."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads of one training or sampling job. Part of the experiment because sums on a CPU depend on it."""
    engines: dict[Name, Annotated[int, Field(ge=1, le=1024)]] = {}
    """By suite: how many engines (one GPU each) share its sampling; 1 where none is named. Scores do not change."""
    context: Annotated[int, Field(ge=16, le=10**7)]
    """Longest prompt and completion together, in tokens, the sampling engine is set up for. A longer one is refused; no
    other completion depends on it."""
    sampling_dtype: NumberType = "auto"
    """Number type that completions are computed in."""
    generator: Literal["micro"] | None = None
    """The program that makes rows of its own (the default experiment's micro world)."""
    objectives: Annotated[str, Field(pattern=objectives_file.NAME)] | None = None
    """A Python file beside this one that calls `otr.register`, for objectives of your own. It runs with your rights."""
    models: dict[Name, Model]
    """Base models by name."""
    datasets: dict[Name, Dataset]
    """Training sets by name."""
    training: Training
    """The recipe of every method."""
    methods: dict[Name, Method]
    """Fine-tuning methods by name. `base` and `base-tuned` are the untrained model's."""
    protocols: Protocols
    """How models are prompted and decoded."""
    benchmarks: dict[Name, Benchmark]
    """Benchmarks by name."""
    tables: dict[Name, TableLayout]
    """Tables by name: which models, runs and benchmarks each shows."""
    figure2: Figure2 | None = None
    """The paper's Figure 2; null draws none."""

    @property
    def digest(self) -> str:
        """SHA-256 of the settings that decide a number: not of comments, labels, tables' layouts and machine sizes."""
        shown: Any = {"description", "tables", "figure2", "threads", "engines"}
        exclude: dict[str, Any] = dict.fromkeys(shown, True)
        exclude |= {name: {"__all__": {"label"}} for name in ("methods", "benchmarks")}
        exclude["models"] = {"__all__": {"label", "gpus", "memory_gb"}}
        settings = self.model_dump(mode="json", exclude=exclude)
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def method(self, run: str) -> Method:
        """The method that a run trains with: runs of further seeds are called <method>.seed1, .seed2, ..."""
        return self.methods[self._method_and_seed(run)[0]]

    def training_seed(self, run: str) -> int:
        """The seed of a run's training. All runs are sampled with the experiment's."""
        return self.seed + self._method_and_seed(run)[1]

    def _method_and_seed(self, run: str) -> tuple[str, int]:
        name, mark, number = run.rpartition(SEED_MARK)
        return (name, int(number)) if mark and number.isdigit() and run not in self.methods else (run, 0)

    def runs(self, row: str) -> list[str]:
        """The runs whose mean a table's row shows: one a training seed; a base model has no training."""
        if row not in self.methods:
            return [row]
        return [row, *(f"{row}{SEED_MARK}{number}" for number in range(1, self.training_seeds))]

    @property
    def tuned_runs(self) -> list[str]:
        return [run for method in self.methods for run in self.runs(method)]

    def recipe(self, run: str) -> Training:
        """The training recipe of a run: the experiment's, with the method's changes."""
        return Training.model_validate_json(
            json.dumps(self.training.model_dump(mode="json") | self.method(run).training)
        )

    def protocol(self, run: str) -> Protocol:
        return self.protocols.base if run == BASE_RUN else self.protocols.tuned

    def suites(self) -> dict[str, list[str]]:
        """The benchmarks of each suite that a table has: no others are built."""
        tabled = {name for table in self.tables.values() for name in table.benchmarks}
        found: dict[str, list[str]] = {}
        for name, benchmark in self.benchmarks.items():
            if name in tabled:
                found.setdefault(benchmark.suite, []).append(name)
        return found

    def sampling_settings(self, run: str, benchmarks: list[str]) -> dict[str, Any]:
        """Everything of this file that decides a run's completions, given its checkpoint and the problems."""
        return {
            "protocol": self.protocol(run).model_dump(mode="json"),
            "benchmarks": {
                name: self.benchmarks[name].model_dump(
                    mode="json", include={"scorer", "instruction", "samples", "max_tokens"}
                )
                for name in benchmarks
            },
            **self.model_dump(mode="json", include={"seed", "sampling_dtype"}),
        }

    def prompting_settings(self, benchmarks: list[str]) -> dict[str, Any]:
        """Everything of this file that decides how long prompts and completions may be, given the problems."""
        keys = {"scorer", "instruction", "max_tokens", "few_shot", "suite"}
        return {
            "protocols": self.protocols.model_dump(mode="json"),
            "benchmarks": {name: self.benchmarks[name].model_dump(mode="json", include=keys) for name in benchmarks},
            "context": self.context,
        }

    def cells(self, table: str) -> list[Cell]:
        """The results that a table needs."""
        layout = self.tables[table]
        runs = [run for row in layout.compared for run in self.runs(row)]
        return [Cell(model, run, name) for model in layout.models for run in runs for name in layout.benchmarks]

    def figure2_runs(self) -> list[tuple[str, str]]:
        """(model, run) of each training that Figure 2 shows: of a row that a table has, those of all seeds."""
        tabled = {(model, row) for table in self.tables.values() for model in table.models for row in table.rows}
        return [
            (model, run)
            for model, row in (self.figure2.runs if self.figure2 else [])
            for run in (self.runs(row) if (model, row) in tabled else [row])
        ]

    def labels(self) -> dict[str, str]:
        """Names as printed: of models, benchmarks, runs."""
        named: list[Mapping[str, Model | Method | Benchmark]] = [self.models, self.methods, self.benchmarks]
        own = {BASE_RUN: "Base", BASE_TUNED_RUN: "Base, tuned protocol"}
        return own | {name: item.label for group in named for name, item in group.items()}


class Machine(Block):
    """config.yaml: which experiment, and what only this machine knows."""

    experiment: str
    """Which experiment: a file's name in workflow/experiments without .yaml."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """What samples completions; auto takes vLLM where it is installed."""
    data: str = "data"
    """Folder that relative `path` sources are looked up in."""
    models: str = "models"
    """Folder that relative model paths are looked up in."""
    weights: dict[str, str] = {}
    """Local copies of hub models, by hub id: a checkpoint folder or a GGUF file."""
    gpus: Annotated[int, Field(ge=0, le=1024)] | Literal["auto"] = "auto"
    """Devices that jobs may take; auto takes all that nvidia-smi lists."""
    track: Literal["none", "tensorboard", "wandb"] = "none"
    """Where training curves are shown besides metrics.jsonl and curves.png. wandb stays offline by itself."""
    gpu_type: str = "h100"
    """What a cluster's devices are, for the times that jobs ask for: a name that `otr plan --gpu` knows."""
    cores_per_gpu: Annotated[int, Field(ge=1)] = 4
    """CPU cores that a job takes for each of its GPUs. Redoes nothing when changed."""
    grading_cores: Annotated[int, Field(ge=1)] = 8
    """CPU cores that grading takes where there are GPUs (elsewhere `threads`)."""
    allow_unsandboxed: bool = False
    """Run generated code without a sandbox where neither bubblewrap nor user namespaces work. Code that a model wrote
    may do anything that this user may."""
    set: str = ""
    """Keys of the experiment set otherwise, as in "training.epochs=1 seed=3": a variant with a name and results of its
    own."""


def sources(experiment: Experiment) -> list[tuple[str, Source]]:
    """Every source of rows with the key it stands under."""
    found = [(f"datasets.{name}.source", dataset.source) for name, dataset in experiment.datasets.items()]
    for name, benchmark in experiment.benchmarks.items():
        found.append((f"benchmarks.{name}.source", benchmark.source))
        if benchmark.few_shot:
            found.append((f"benchmarks.{name}.few_shot.source", benchmark.few_shot.source))
    return found
