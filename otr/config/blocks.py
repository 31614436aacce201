"""The blocks of an experiment file: a class a block, a field a key, the text under a field its documentation.

Every block refuses unknown keys, so a typing error is reported and never ignored:

    workflow/experiments/micro.yaml: methods.otr.beta: 1.5 is not allowed: Input should be less than 1
"""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from otr.config import objectives as objectives_file
from otr.config.block import Block, Name, Share
from otr.config.pretraining import PretrainSettings
from otr.loss.objective import FORMULAS, Objective, ObjectiveName

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
    """Main memory that training this model takes: what a cluster is asked for (as much again after a kill), and what
    decides how many jobs run side by side on one machine."""
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


GoldStyle = Literal["plain", "after-hashes", "boxed", "list"]


class Gold(Block):
    """How a row's right answer is read (math: otr/evaluation/math/gold.py; choice: its letter; bbeh: its text)."""

    column: str
    """Column of the right answer."""
    style: GoldStyle = "plain"
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
