"""The typed experiment: everything that decides a result, a class a block of its file, a field a key.

Every block refuses unknown keys, so a typing error is reported and never ignored:

    workflow/experiments/micro.yaml: methods.otr.beta: 1.5 is not allowed: Input should be less than 1
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import Field, field_validator, model_validator

from otr.config import objectives as objectives_file
from otr.config.block import Block, Name, Share
from otr.config.pretraining import PretrainSettings
from otr.config.tables import TableLayout
from otr.loss.objective import FORMULAS, Objective, ObjectiveName

BASE_RUN = "base"
BASE_TUNED_RUN = "base-tuned"
"""The base checkpoint prompted in the tuned protocol, with which a tuned run is compared like for like."""
SEED_MARK = ".seed"
"""Between a method's name and the number of a further training seed, in a run's name."""

NumberType = Literal["auto", "bfloat16", "float32"]
"""auto: bfloat16 where the machine computes it natively, float32 elsewhere (otr/machine/precision.py)."""
Beta = Annotated[float, Field(ge=0, lt=1)]


class Source(Block):
    """Where rows come from: exactly one of `path`, `hub`, `evalplus`, `generated` and `shipped`."""

    path: str | None = None
    """JSONL or parquet files: one name or a glob, relative to the `data` folder of config.yaml."""
    hub: str | None = None
    """A data set's id on the Hugging Face hub."""
    subset: str | None = None
    """Of a hub data set: its configuration."""
    split: str | None = None
    """Of a hub data set: `train` where nothing is said."""
    revision: str | None = None
    """Pins the hub data set to a commit."""
    evalplus: Literal["humaneval", "mbpp"] | None = None
    """The data set that the installed evalplus ships for its own grading. It fetches it once and keeps it."""
    generated: str | None = None
    """A file that the experiment's generator writes, relative to its output folder."""
    shipped: str | None = None
    """A file that comes with the project, relative to otr/resources."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if sum(origin is not None for origin in self._origins) != 1:
            raise ValueError("name exactly one of path, hub, evalplus, generated and shipped")
        if self.hub is None and (self.subset or self.split or self.revision):
            raise ValueError("subset, split and revision belong to hub sources")
        return self

    @property
    def _origins(self) -> list[str | None]:
        return [self.path, self.hub, self.evalplus, self.generated, self.shipped]


class Model(Block):
    """A base model: exactly one of `pretrain`, `path` and `hub` says where its weights come from."""

    label: str
    """As tables and pages print it."""
    pretrain: PretrainSettings | None = None
    """Shape and settings of a small model that the workflow pre-trains itself."""
    path: str | None = None
    """A folder with config.json, tokenizer and safetensors, or a GGUF file; relative to `models` of config.yaml."""
    hub: str | None = None
    """A model's id on the Hugging Face hub. `weights` of config.yaml may name a local copy of it."""
    revision: str | None = None
    """Pins the hub model to a commit."""
    gpus: Annotated[int, Field(ge=1, le=1024)] = 1
    """Devices a training job of this model takes on a GPU machine."""
    memory_gb: Annotated[int, Field(ge=1, le=10**5)] = 4
    """Main memory that training this model asks a cluster for; a job that was killed asks for as much again."""
    sampling_memory_gb: Annotated[int, Field(ge=1, le=10**5)] | None = None
    """The same for sampling, an engine; null takes memory_gb."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if sum(origin is not None for origin in (self.pretrain, self.path, self.hub)) != 1:
            raise ValueError("name exactly one of pretrain, path and hub")
        return self


class Lengths(Block):
    """Length-uniform sampling (section 4.1): equally many examples from each interval of response lengths."""

    minimum: Annotated[int, Field(ge=0)] = 0
    """Responses must be longer than this, in tokens."""
    maximum: Annotated[int, Field(ge=1, le=10**7)]
    """Longest response kept, in tokens."""
    intervals: Annotated[int, Field(ge=1, le=1000)]
    """Number of equal-width intervals of (minimum, maximum]."""

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.maximum - self.minimum < self.intervals:
            raise ValueError(f"maximum must exceed minimum by at least intervals ({self.intervals})")
        return self

    @property
    def edges(self) -> list[int]:
        """Interval i holds the lengths above edges[i] and up to edges[i + 1]."""
        width = self.maximum - self.minimum
        return [self.minimum + number * width // self.intervals for number in range(self.intervals + 1)]


class Dataset(Block):
    """A training set: rows, which columns hold what, and the subset taken from them."""

    source: Source
    """Where the rows come from."""
    problem: str
    """Column of the problem; a dotted path such as messages.0.content reaches into a row."""
    solution: str
    """Column of the worked solution that becomes the response."""
    id: str | None = None
    """Column of the rows' own ids, kept as source_id in train.parquet; without it rows are known by their number."""
    style: Literal["plain", "gsm8k"] = "plain"
    """gsm8k: drop the <<calculator>> marks and turn the last '#### x' into 'The answer is \\boxed{x}.'"""
    tokenizer: Name
    """The model whose tokenizer counts response lengths."""
    only_if: str | None = None
    """Keep a row only where this column is true (a verified answer, say)."""
    size: Annotated[int, Field(ge=1, le=10**8)] | None = None
    """Number of examples in the subset; null takes all."""
    lengths: Lengths | None = None
    """Null draws uniformly over rows."""


MEMORY_AND_SPEED = ("tokens_per_microbatch", "activation_checkpointing", "compile", "checkpoint_minutes")
"""Keys of a training recipe that decide no result."""


class Training(Block):
    """One fine-tuning recipe. Defaults are the paper's (section 4.1); what it leaves open says so."""

    dataset: Name
    """The training set, a key of `datasets`."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 2
    """Passes over the training subset."""
    batch_size: Annotated[int, Field(ge=1, le=10**6)] = 64
    """Sequences an optimizer step; an incomplete last batch of an epoch is dropped (open in the paper)."""
    max_length: Annotated[int, Field(ge=8, le=10**7)] = 10240
    """Longest sequence in tokens, prompt and response together."""
    over_length: Literal["drop", "refuse"] = "drop"
    """What happens to longer examples: counted and dropped, or the run is refused. None is ever cut."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-6
    """Peak of the cosine schedule."""
    minimum_learning_rate: Annotated[float, Field(ge=0)] = 1e-6
    """Where the cosine schedule ends."""
    warmup: Share = 0.03
    """Share of all steps with a linearly rising learning rate."""
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    """AdamW's betas, weight decay and clipping are open in the paper; these are verl's defaults of that time."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.01
    """AdamW's, on matrices alone."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""
    normalisation: Literal["token", "sequence"] = "token"
    """Mean over the batch's trained tokens, or over its sequences' means (Eq. 1, 10). Open in the paper."""
    precision: NumberType = "auto"
    """Of the computation; master weights are always float32."""
    tokens_per_microbatch: Annotated[int, Field(ge=1, le=10**8)] = 10240
    """Whole sequences are packed up to this many tokens; memory grows with it, results do not change."""
    activation_checkpointing: bool | Literal["auto"] = "auto"
    """Recomputes activations in the backward pass: a third more work, much less memory, the same result. Of all layers,
    of none, or ("auto") on a GPU of as many as its memory asks for."""
    compile: bool = True
    """On a GPU, fuse each layer's small operations with torch.compile. The same formulas, rounded elsewhere."""
    checkpoint_minutes: Annotated[float, Field(gt=0, le=10**5)] = 15.0
    """How often a resumable checkpoint is written."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.minimum_learning_rate > self.learning_rate:
            raise ValueError(
                f"minimum_learning_rate ({self.minimum_learning_rate:g}) must not exceed learning_rate "
                f"({self.learning_rate:g})"
            )
        return self

    def deciding(self) -> dict[str, Any]:
        """The keys that decide a result; the others decide memory and speed alone, and may change within a run."""
        return self.model_dump(mode="json", exclude=set(MEMORY_AND_SPEED))


class Method(Block):
    """A fine-tuning method: an objective, and what it changes in the experiment's training recipe."""

    label: str
    """As tables and pages print it."""
    objective: ObjectiveName | Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    """The loss: a row of the table in docs/loss.md, or one that the file under `objectives` registers."""
    kappa: Annotated[float, Field(gt=0, le=1000)] = 1.3
    """Temperature of the distribution that OTR samples from (the paper's κ)."""
    samples: Annotated[int, Field(ge=1, le=10**5)] = 256
    """Tokens sampled at each position (the paper's K)."""
    beta: Annotated[float, Field(lt=1, ge=-1000)] = -0.1
    """Reward of a sampled token that is not the ground truth (the paper's β)."""
    constants: dict[str, float] = {}
    """Numbers of the objective's own, by name: `alpha` of power, `gamma` of focal, `k` of otr-top-k (docs/loss.md)."""
    training: dict[str, Any] = {}
    """Keys of `training` that this method sets otherwise."""

    @field_validator("objective")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMULAS:
            allowed = ", ".join(map(repr, FORMULAS))
            raise ValueError(f'found "{name}": input should be {allowed}')
        if "old_log_p" in FORMULAS[name].needs:
            raise ValueError(f"{name!r} needs the older policy's log-probabilities: train it with otr.OTRHead")
        return name

    @model_validator(mode="after")
    def _read_by_the_objective(self) -> Self:
        formula = self.loss().formula  # also checks the constants
        if "beta" in self.model_fields_set and not formula.reads_beta:
            raise ValueError(f"the objective {self.objective!r} does not read beta; leave it out")
        return self

    def loss(self) -> Objective:
        """The objective with this method's constants."""
        return Objective(FORMULAS[self.objective], self.kappa, self.samples, self.beta, **self.constants)

    def settings(self) -> dict[str, Any]:
        """What of this block decides a training, besides the recipe: the objective, its constants and its code."""
        found = self.model_dump(mode="json", exclude={"label", "training"})
        if not self.constants:
            del found["constants"]
        if not FORMULAS[self.objective].reads_beta:
            del found["beta"]
        brought = objectives_file.code(self.objective)
        return found if brought is None else found | {"code": brought}


class FewShot(Block):
    """Worked demonstrations in front of the base model's prompt."""

    source: Source
    """Where the worked examples come from."""
    problem: str = "problem"
    """Column of the problem."""
    solution: str = "solution"
    """Column of the worked solution."""
    style: Literal["plain", "gsm8k"] = "plain"
    """As for a training set."""
    count: Annotated[int, Field(ge=1, le=1000)] = 5
    """Worked examples in a prompt: the first so many of the source."""


class Gold(Block):
    """How a row's right answer is read (math: otr/evaluation/math/gold.py; choice: its letter; bbeh: its text)."""

    column: str
    """Column of the right answer."""
    style: Literal["plain", "after-hashes", "boxed", "list"] = "plain"
    """How it is written there: by itself, after `####`, in a \\boxed{}, or as a list of answers."""


Scorer = Literal["math", "humaneval", "mbpp", "choice", "bbeh"]
CODE_SCORERS = ("humaneval", "mbpp")
GENERAL_SCORERS = ("choice", "bbeh")
Kind = Literal["math", "code", "general"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Each is graded by a stage of its own: otr.evaluation.math, .code, .general."""


class Benchmark(Block):
    """A set of problems, how they are asked and how they are scored."""

    label: str
    """As tables and pages print it."""
    source: Source
    """Where the rows come from."""
    scorer: Scorer = "math"
    """math: math-verify, mean@k. humaneval, mbpp: evalplus in a sandbox, pass@1; rows as evalplus publishes them.
    choice: lm-eval, exact match of the option's letter. bbeh: lm-eval, exact match of BIG-Bench Extra Hard's answer."""
    problem: str
    """Column of the problem."""
    id: str | None = None
    """Column of the rows' own ids, kept through to verdicts; without it rows are known by their number."""
    options: str | None = None
    """choice: the column with the options, which are lettered and put under the problem: a list of texts, lists of
    text and label (ARC), or texts by their letter (MedQA)."""
    gold: Gold | None = None
    """Of every scorer but humaneval and mbpp, whose rows carry their own tests."""
    category: str | None = None
    """choice, bbeh: the column by which the score is broken down in score.json (a subject, a task)."""
    mini: str | None = None
    """bbeh: the column that is true for a row of the mini set, scored separately in score.json."""
    instruction: str = ""
    """Text after the problem, in both protocols and the same for all methods."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Take only the first so many rows."""
    samples: Annotated[int, Field(ge=1, le=10**5)]
    """k of mean@k: completions a problem in protocols that sample; their share of right ones is the score."""
    few_shot: FewShot | None = None
    """Worked examples for the natural prompt; null asks without."""
    max_tokens: Annotated[int, Field(ge=1, le=10**7)] | None = None
    """Overrides the protocol's."""
    suite: Name = "all"
    """Benchmarks of one suite are sampled in one job, with one load of the checkpoint."""

    @property
    def kind(self) -> Kind:
        """Which stage grades the completions."""
        if self.scorer in CODE_SCORERS:
            return "code"
        return "general" if self.scorer in GENERAL_SCORERS else "math"

    @model_validator(mode="after")
    def _fitting_keys(self) -> Self:
        if (self.gold is None) != (self.scorer in CODE_SCORERS):
            needs = "has no gold: its rows carry tests" if self.gold else "needs gold: {column: ...}"
            raise ValueError(f"scorer {self.scorer} {needs}")
        if (self.options is None) == (self.scorer == "choice"):
            raise ValueError("options (a column with a list) belongs to scorer choice, which needs it")
        if self.gold and self.gold.style != "plain" and self.scorer != "math":
            raise ValueError(f"gold.style '{self.gold.style}' belongs to scorer math")
        if self.category and self.kind != "general":
            raise ValueError("category belongs to the scorers choice and bbeh")
        if self.mini and self.scorer != "bbeh":
            raise ValueError("mini belongs to scorer bbeh")
        return self


class Protocol(Block):
    """How a checkpoint is asked (section 4.2): the prompt's form and the decoding."""

    prompt: Literal["natural", "chat"]
    """natural: 'Question: ... Answer:' with the benchmark's few-shot set; chat: the chat template, 0-shot."""
    instruction: str = ""
    """Text after the problem, the same for all methods."""
    temperature: Annotated[float, Field(ge=0, le=100)]
    """0 is greedy decoding."""
    top_p: Annotated[float, Field(gt=0, le=1)]
    """Nucleus sampling: the smallest set of tokens with this probability."""
    max_tokens: Annotated[int, Field(ge=1, le=10**7)] = 8192
    """Longest completion, in tokens. A longer one is truncated and has no answer."""

    @property
    def greedy(self) -> bool:
        """Greedy decoding gives the same completion every time, so one a problem is all there is to know."""
        return self.temperature == 0


class Protocols(Block):
    base: Protocol
    """How the base model is prompted."""
    tuned: Protocol
    """How every tuned model is prompted, and the base model a second time (run base-tuned)."""


class MethodsPanel(Block):
    """Figure 2a: one model, several methods."""

    model: Name
    """The model of all curves."""
    runs: Annotated[tuple[Name, ...], Field(min_length=1, max_length=7)]
    """A curve a method."""


class ModelsPanel(Block):
    """Figure 2b: several models, each with the same methods."""

    models: Annotated[tuple[Name, ...], Field(min_length=1, max_length=7)]
    """The models."""
    runs: Annotated[tuple[Name, ...], Field(min_length=1, max_length=4)]
    """The methods of each of them."""


class Figure2(Block):
    """The paper's Figure 2: ground-truth tokens sampled over the training steps of these runs."""

    a: MethodsPanel
    """Left panel: one model, several methods."""
    b: ModelsPanel
    """Right panel: several models."""

    @property
    def runs(self) -> list[tuple[str, str]]:
        """(model, run) of every curve, each once."""
        first = [(self.a.model, run) for run in self.a.runs]
        return list(dict.fromkeys(first + [(model, run) for model in self.b.models for run in self.b.runs]))


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
