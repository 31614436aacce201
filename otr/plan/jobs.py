"""The jobs of an experiment and what each costs on a device. The model is stated in otr/plan/__main__.py."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from otr.config import BASE_RUN, Benchmark, Cell, Dataset, Experiment, Training
from otr.data.sources import Folders, load_rows
from otr.errors import UserError
from otr.evaluation.engine import (
    CPU_CACHE_GIB,
    PROMPT_BATCH,
    WORKING_BYTES,
    cache_bytes,
    sequences,
    sequences_on_cpu,
)
from otr.files import Row
from otr.machine.hardware import DISK_BYTES_A_SECOND, Hardware
from otr.machine.precision import computed_in
from otr.results import Paths, RunFile, SamplingFile
from otr.tables import paper

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STARTUP = 60.0
"""Seconds until a training job or a sampling engine works."""
STEP_OVERHEAD = 0.005
"""Seconds of a decode step that are neither reading nor computing."""
HOST_PROCESS_GB = 6.0
"""Main memory of a process with torch, CUDA and vLLM, besides weights. Assumed."""
PROCESS_GB = 0.95
"""Main memory of a process with torch and transformers, before there is a model."""
ENGINE_GB = 1.1
"""The same with vLLM."""
SAMPLER_BYTES = 24
"""Of each logit while a step's tokens are chosen: in two number types, sorted, with its place."""
PROMPT, DEMONSTRATION = 150, 200
"""Tokens of a prompt, and of each few-shot example in front of it."""
PROMPTS = {"bbeh": 1300, "mmlupro": 250, "supergpqa": 250}
"""Tokens of a prompt of public benchmarks whose problems are long: BBEH's 4,520 were counted with Qwen's tokenizer, the
options of the other two are an estimate. Names in letters and digits alone."""
CHECKPOINT_SHARE = 0.02
"""Of a training's time that resumable checkpoints may take (otr/train/loop.py)."""
RESPONSE = 400
"""Assumed tokens of a training response of unknown length."""
EXAMPLES = 10_000
"""Assumed training examples of a set of unknown size."""
PROBLEMS = 500
"""Problems of a benchmark that cannot be counted yet."""
GRADE_SECONDS = {"math": 0.01, "code": 1.0, "general": 0.001}
"""Of a core, a completion."""
SUBSET_HOURS = 0.25
"""Of a core, to tokenize a source of the paper's size."""
TOKEN_BYTES = 2.5
"""Of a completion's token on disk, compressed, with its verdict."""


@dataclass(frozen=True)
class Cost:
    """Of one job, or of a stage's jobs together."""

    device_hours: float = 0.0
    """Hours times devices."""
    core_hours: float = 0.0
    """Of jobs that take no device."""
    memory_gb: float = 0.0
    """Most at once of a device (a process, on a CPU)."""
    host_gb: float = 0.0
    """Most at once of the main memory of a machine with a device."""
    disk_gb: float = 0.0
    """That stays."""


@dataclass(frozen=True)
class Decoding:
    """Of one engine."""

    rate: float
    """Tokens a second."""
    sequences: int
    """Completions at once."""
    memory_gb: float


@dataclass(frozen=True)
class Job:
    stage: str
    name: str
    cost: Cost
    done: bool
    detail: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of a training run."""

    body: float
    head: float
    attention: float
    recomputed: float

    @property
    def total(self) -> float:
        return self.body + self.head + self.attention + self.recomputed


@dataclass(frozen=True)
class Corpus:
    """Lengths in tokens of a data set's examples."""

    responses: list[int]
    prompts: list[int]
    known: bool
    """Measured, not assumed."""

    def of(self, recipe: Training) -> tuple[list[int], list[int], float]:
        """Lengths of the sequences trained on, of their responses, and how often each is seen on average."""
        kept = [(p + r, r) for p, r in zip(self.prompts, self.responses, strict=True) if p + r <= recipe.max_length]
        steps = recipe.epochs * (len(kept) // recipe.batch_size)
        return [whole for whole, _ in kept], [r for _, r in kept], steps * recipe.batch_size / max(1, len(kept))


class Plan:
    """All jobs of an experiment on a device."""

    def __init__(
        self, experiment: Experiment, hardware: Hardware, results: Path, folders: Folders, models: Path,
        calibrate: bool = False, completion_tokens: float | None = None,
    ) -> None:  # fmt: skip
        self.experiment = experiment
        self.hardware = hardware
        self.tree = Paths(results, experiment.name)
        self._folders = folders
        self._models = models
        self.calibrate = calibrate
        self.completion_tokens = completion_tokens
        self._shapes: dict[str, Any] = {}
        self._parameters: dict[str, int] = {}
        self._corpora: dict[str, Corpus] = {}
        self._counts: dict[str, int] = {}
        self.notes: list[str] = []

    # What there is to do

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(model, run) of every checkpoint that a table or figure needs."""
        cells = [cell for table in self.experiment.tables for cell in self.experiment.cells(table)]
        return list(dict.fromkeys([(cell.model, cell.run) for cell in cells] + self.experiment.figure2_runs()))

    @property
    def asked(self) -> list[tuple[str, str, str]]:
        """(model, run, suite) of every sampling job."""
        suite = {name: benchmark.suite for name, benchmark in self.experiment.benchmarks.items()}
        cells = [cell for table in self.experiment.tables for cell in self.experiment.cells(table)]
        return list(dict.fromkeys((model, run, suite[name]) for model, run, name in cells))

    @cached_property
    def jobs(self) -> list[Job]:
        trained = [(model, run) for model, run in self.pairs if run in self.experiment.tuned_runs]
        datasets = dict.fromkeys(self.experiment.recipe(run).dataset for _, run in trained)
        return [
            *(self._subset(name) for name in datasets),
            *(self._base(model) for model in dict.fromkeys(model for model, _ in self.pairs)),
            *(self._train(model, run) for model, run in trained),
            *(job for asked in self.asked for job in self._evaluate(*asked)),
        ]

    # What a job takes

    def _subset(self, name: str) -> Job:
        tokens = sum(self.corpus(name).responses) + sum(self.corpus(name).prompts)
        return Job(
            "subset",
            name,
            Cost(core_hours=SUBSET_HOURS, host_gb=2.0, disk_gb=2 * tokens / 1e9),
            self.tree.summary(name).exists(),
        )

    def _base(self, model: str) -> Job:
        settings, parameters = self.experiment.models[model], self.parameters(model)
        hours = 0.0
        if settings.pretrain:
            tokens = settings.pretrain.steps * settings.pretrain.rows * settings.pretrain.row_tokens
            cpu = Hardware.named("cpu")  # on any machine: the job takes no GPU; it computes in float32
            hours = 6 * parameters * tokens / (cpu.flops * cpu.share("float32") * self.experiment.threads) / 3600
        # A path is linked; the hub's weights are bfloat16, everything made here is float32.
        size = 0 if settings.path else (2 if settings.hub else 4) * parameters / 1e9
        done = self.tree.run(model, BASE_RUN).exists()
        return Job("base", model, Cost(core_hours=hours, disk_gb=size), done)

    def _train(self, model: str, run: str) -> Job:
        from otr.train.footprint import expected_memory

        recipe, shape = self.experiment.recipe(run), self.shape(model)
        ranks = self._ranks(model)
        flops = self.flops(model, run)
        hours = (flops.total / self._training_speed(model, recipe) / ranks + self.startup) / 3600
        gpu = self.hardware.is_gpu
        memory = expected_memory(shape, recipe, ranks, self._layout(model, run), gpu).total / 1e9
        memory += 0 if gpu else PROCESS_GB
        parameters = self.parameters(model)
        final = parameters * (2 if self._number_type(recipe.precision) == "bfloat16" else 4) / 1e9
        resumable = 12 * parameters
        detail: Row = {
            "model": model,
            "tokens": self.tokens(run),
            "flops": flops,
            "devices": ranks,
            "hours": hours,
            "parameters": parameters,
            "resumable_gb": 2 * resumable / 1e9,
            "write_seconds": resumable / DISK_BYTES_A_SECOND,
        }
        done = self.tree.run(model, run).exists()
        # Every rank reads the whole model in float32 before it is spread; the first one gathers it to write it.
        host = (ranks * (4 * parameters / 1e9 + HOST_PROCESS_GB)) if self.hardware.is_gpu else 0.0
        cost = Cost(hours * ranks, 0.0, memory, host, final)
        return Job("train", f"{model} {run}", cost, done, detail)

    def _evaluate(self, model: str, run: str, suite: str) -> Iterable[Job]:
        names = self.experiment.suites()[suite]
        cells = {name: Cell(model, run, name) for name in names}
        completions = {name: self._completions(run, name) for name in names}
        tokens = {name: completions[name] * self._mean_tokens(model, run, name) for name in names}
        count, total = sum(completions.values()), sum(tokens.values())
        prompts = sum(completions[name] * self._prompt_tokens(run, name) for name in names)
        decoding = self._decoding(model, count, prompts / count + total / count / 2)
        engines = min(self.experiment.engines.get(suite, 1), count) if self.hardware.is_gpu else 1
        longest = max(self._limit(run, name) for name in names)
        seconds = self.startup + total / decoding.rate / engines
        if not (self.calibrate and self._measured_decoding):  # whose rates hold all of a job's work
            seconds += 2 * self._layers(model) * prompts / self._prefill_speed / engines
            seconds += longest * self._step_seconds(model, 1, longest)
        done = all(self.tree.sampling(cell).exists() for cell in cells.values())
        detail: Row = {
            "model": model, "completions": count, "tokens": total, "rate": decoding.rate, "engines": engines,
            "hours": seconds / 3600, "sequences": decoding.sequences,
        }  # fmt: skip
        host = engines * (self._weights(model) / 1e9 + HOST_PROCESS_GB) if self.hardware.is_gpu else 0.0
        cost = Cost(engines * seconds / 3600, 0.0, decoding.memory_gb, host, total * TOKEN_BYTES / 1e9)
        yield Job("sample", f"{model} {run} {suite}", cost, done, detail)
        for kind in GRADE_SECONDS:
            graded = [name for name in names if self.experiment.benchmarks[name].kind == kind]
            if graded:
                hours = sum(completions[name] for name in graded) * GRADE_SECONDS[kind] / 3600
                done = all(self.tree.score(cells[name]).exists() for name in graded)
                yield Job(f"grade {kind}", f"{model} {run} {suite}", Cost(core_hours=hours), done)

    # Training

    def flops(self, model: str, run: str) -> Flops:
        """Of a whole training run."""
        from otr.train.footprint import training_flops

        recipe, shape = self.experiment.recipe(run), self.shape(model)
        lengths, responses, passes = self.corpus(recipe.dataset).of(recipe)
        vocabulary, hidden = shape.get_output_embeddings().weight.shape
        products = training_flops(shape, [1]) - training_flops(shape, [])  # of one token; its attention is negligible
        attention = training_flops(shape, lengths) - products * sum(lengths)
        body = (products - 6 * vocabulary * hidden) * sum(lengths)
        head = 6 * vocabulary * hidden * sum(responses)
        recomputed = self._layout(model, run).recomputed / shape.config.num_hidden_layers
        again = (body + attention) / 3 * recomputed
        return Flops(*(passes * part for part in (body, head, attention, again)))

    def _layout(self, model: str, run: str) -> Any:
        from otr.train.footprint import choose_layout

        gpu, memory = self.hardware.is_gpu, self.hardware.memory_gb
        capacity = memory * 1e9 if gpu and memory else None
        return choose_layout(self.shape(model), self.experiment.recipe(run), self._ranks(model), gpu, capacity)

    def tokens(self, run: str) -> float:
        """Tokens that a run reads, prompts included."""
        lengths, _, passes = self.corpus(self.experiment.recipe(run).dataset).of(self.experiment.recipe(run))
        return passes * sum(lengths)

    def _training_speed(self, model: str, recipe: Training) -> float:
        """Operations a second of one rank."""
        if self.calibrate and (measured := self._measured_training):
            return median(measured.get(model) or [speed for speeds in measured.values() for speed in speeds])
        if self.hardware.is_gpu:
            return self.hardware.flops
        share = self.hardware.share(computed_in(recipe.precision, "cpu"))
        return self.hardware.flops * share * self.experiment.threads

    @cached_property
    def _measured_training(self) -> dict[str, list[float]]:
        """Operations a second and rank of finished runs, by model."""
        found: dict[str, list[float]] = {}
        for model, run in self.pairs:
            done = RunFile.found(self.tree.run(model, run)) if run in self.experiment.tuned_runs else None
            if done and done.seconds and done.ranks:
                speed = self.flops(model, run).total / done.seconds / done.ranks
                found.setdefault(model, []).append(speed)
        return found

    def corpus(self, name: str) -> Corpus:
        """Lengths of a data set's examples: of the subset itself if it is there, else as its settings promise."""
        if name not in self._corpora:
            file = self.tree.subset(name)
            dataset = self.experiment.datasets[name]
            self._corpora[name] = _measured_corpus(file) if file.exists() else _assumed_corpus(dataset)
            if not self._corpora[name].known:
                found = self._corpora[name].responses
                self.notes.append(
                    f"data set {name}: {len(found)} responses of {sum(found) / len(found):.0f} tokens on average "
                    f"({'as its `lengths` promise' if dataset.lengths else 'assumed'}), prompts of {PROMPT}"
                )
        return self._corpora[name]

    # Sampling

    def _decoding(self, model: str, completions: int, length: float) -> "Decoding":
        """Of one engine; length: tokens of a prompt and, on average, half of its completion."""
        weights, cache = self._weights(model), self._cache_bytes(model)
        if self.hardware.memory_gb is not None:
            batch = min(completions, sequences(1e9 * self.hardware.memory_gb, weights, cache, length))
            memory = (weights + batch * cache * length + WORKING_BYTES) / 1e9
        else:
            at_once = sequences_on_cpu(cache, length)
            batch, memory = min(completions, at_once), self._engine_memory(model, at_once) / 1e9
        if self.calibrate and (measured := self._measured_decoding):
            rate = median(measured.get(model) or [rate for rates in measured.values() for rate in rates])
        else:
            rate = batch / self._step_seconds(model, batch, length)
        return Decoding(rate, batch, memory)

    def _engine_memory(self, model: str, at_once: int) -> float:
        """Bytes of main memory that an engine on a CPU takes for so many completions at once: 5.18e9 for 256 of
        Qwen2.5-Coder-0.5B in bfloat16, where 5.25e9 were measured."""
        shape = self.shape(model)
        size = 2 if self._sampling_dtype == "bfloat16" else 4
        head = shape.get_output_embeddings().weight
        config = shape.config
        # The head is copied into the order that its products want, and read in float32 before that.
        tables = (size + 4) * head.numel()
        prompts = (
            3 * (config.intermediate_size + config.hidden_size) * size * max(self.experiment.context, PROMPT_BATCH)
        )
        logits = SAMPLER_BYTES * at_once * len(head)
        return float(ENGINE_GB * 1e9 + self._weights(model) + CPU_CACHE_GIB * 2**30 + tables + prompts + logits)

    def _step_seconds(self, model: str, batch: int, context: float) -> float:
        # The roofline of one decode step, which makes a token for each of `batch` sequences. The weights are read once
        # for all of them, the keys and values of every sequence by itself, and each token costs two operations a
        # parameter. Small batches wait for memory (reading), large ones for arithmetic (computing): the slower counts.
        reading = (self._weights(model) + batch * context * self._cache_bytes(model)) / self.hardware.bytes_a_second
        computing = 2 * self.parameters(model) * batch / self._prefill_speed
        return max(reading, computing) + STEP_OVERHEAD

    @property
    def _prefill_speed(self) -> float:
        if self.hardware.is_gpu:
            return self.hardware.prefill_flops
        return self.hardware.prefill_flops * self.hardware.share(self._sampling_dtype) * self.experiment.threads

    @cached_property
    def _measured_decoding(self) -> dict[str, list[float]]:
        """Tokens a second of finished sampling jobs that sampled everything in one go, by model."""
        found: dict[str, list[float]] = {}
        for model, run, suite in self.asked:
            if (measured := self.measured_sampling(model, run, suite)) is not None:
                found.setdefault(model, []).append(measured[0] / measured[1])
        return found

    def measured_sampling(self, model: str, run: str, suite: str) -> tuple[float, float, float] | None:
        """Tokens, seconds of sampling (of all engines together) and seconds of starting, of a finished job."""
        cells = [Cell(model, run, name) for name in self.experiment.suites()[suite]]
        files = [found for cell in cells if (found := SamplingFile.found(self.tree.sampling(cell)))]
        drawn = [file.drawn_now for file in files if file.drawn_now]
        tokens = sum(part.tokens for part in drawn)
        seconds = max((part.seconds_of_all_benchmarks * part.engines for part in drawn), default=0.0)
        return (tokens, seconds, files[0].engine_seconds or 0.0) if tokens and seconds else None

    def _number_type(self, wanted: str) -> str:
        """What `precision` or `sampling_dtype` comes to on the device."""
        return "bfloat16" if self.hardware.is_gpu and wanted == "auto" else computed_in(wanted, "cpu")

    @property
    def _sampling_dtype(self) -> str:
        return self._number_type(self.experiment.sampling_dtype)

    def _weights(self, model: str) -> float:
        """Bytes an engine holds."""
        return self.parameters(model) * (2.0 if self._sampling_dtype == "bfloat16" else 4.0)

    def _cache_bytes(self, model: str) -> float:
        """Keys and values of one token."""
        return cache_bytes(self.shape(model).config, self._sampling_dtype)

    def _completions(self, run: str, name: str) -> int:
        benchmark = self.experiment.benchmarks[name]
        return self.problems(name) * (1 if self.experiment.protocol(run).greedy else benchmark.samples)

    def problems(self, name: str) -> int:
        """Problems of a benchmark: those prepared, those in a local file, or as many as are known to be published."""
        if name not in self._counts:
            self._counts[name] = self._count(name, self.experiment.benchmarks[name])
        return self._counts[name]

    def _count(self, name: str, benchmark: Benchmark) -> int:
        file = self.tree.problems(name)
        if file.exists():
            return sum(1 for line in file.open(encoding="utf-8") if line.strip())
        source = benchmark.source
        if source.path or source.generated or source.shipped:  # nothing is fetched for a plan
            try:
                return len(load_rows(source, self._folders, [], benchmark.limit))
            except (UserError, OSError):
                pass  # not here yet
        count = paper.PROBLEMS.get(benchmark.label, benchmark.limit or PROBLEMS)
        if benchmark.label not in paper.PROBLEMS:
            self.notes.append(f"benchmark {name}: {count} problems (assumed; not prepared yet)")
        return min(count, benchmark.limit or count)

    def _limit(self, run: str, name: str) -> int:
        return self.experiment.benchmarks[name].max_tokens or self.experiment.protocol(run).max_tokens

    def _mean_tokens(self, model: str, run: str, name: str) -> float:
        """Tokens of a completion: as sampled before by this run, else by others of its protocol, else assumed."""
        like = [run] + [other for _, other in self.pairs if self._alike(other, run)]
        for other in dict.fromkeys(like):
            for candidate in dict.fromkeys([model, *self.experiment.models]):
                file = SamplingFile.found(self.tree.sampling(Cell(candidate, other, name)))
                if file and file.drawn_now and file.drawn_now.completions:
                    return file.drawn_now.tokens / file.drawn_now.completions
        limit = self._limit(run, name)
        if run in self.experiment.tuned_runs and self.experiment.benchmarks[name].kind == "math":
            found = self.corpus(self.experiment.recipe(run).dataset).responses
            return min(limit, sum(found) / len(found))
        return min(limit, self.completion_tokens or limit / 2)

    def _alike(self, other: str, run: str) -> bool:
        return self.experiment.protocol(other) == self.experiment.protocol(run)

    def _prompt_tokens(self, run: str, name: str) -> int:
        shots = self.experiment.benchmarks[name].few_shot
        natural = self.experiment.protocol(run).prompt == "natural"
        return PROMPTS.get(_public(name), PROMPT) + (shots.count * DEMONSTRATION if shots and natural else 0)

    # Both

    @property
    def startup(self) -> float:
        return STARTUP if self.hardware.is_gpu else STARTUP / 4

    def shape(self, model: str) -> "PreTrainedModel":
        if model not in self._shapes:
            from otr.models.shapes import shape

            checkpoint = self.tree.checkpoint(model, BASE_RUN)
            self._shapes[model] = shape(self.experiment.models[model], self._models, checkpoint)
        return self._shapes[model]

    def parameters(self, model: str) -> int:
        if model not in self._parameters:
            self._parameters[model] = sum(parameter.numel() for parameter in self.shape(model).parameters())
        return self._parameters[model]

    def _layers(self, model: str) -> int:
        """Parameters that a prompt's token is multiplied with: a look-up costs nothing, and the head runs once."""
        shape = self.shape(model)
        tables = 1 if shape.config.tie_word_embeddings else 2
        return self.parameters(model) - tables * int(shape.get_output_embeddings().weight.numel())

    def _ranks(self, model: str) -> int:
        return self.experiment.models[model].gpus if self.hardware.is_gpu else 1


def _public(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _measured_corpus(file: Path) -> Corpus:
    """Response lengths as counted; prompts by their characters, at the responses' characters a token."""
    import pandas as pd

    rows = pd.read_parquet(file)
    responses = [int(length) for length in rows["tokens"]]
    ratio = sum(map(len, rows["response"])) / max(1, sum(responses))
    template = 10  # of a chat turn's marks
    return Corpus(responses, [round(len(text) / ratio) + template for text in rows["problem"]], known=True)


def _assumed_corpus(dataset: Dataset) -> Corpus:
    size = dataset.size or EXAMPLES
    if dataset.lengths is None:
        return Corpus([RESPONSE] * size, [PROMPT] * size, known=False)
    low, width = dataset.lengths.minimum, dataset.lengths.maximum - dataset.lengths.minimum
    return Corpus([low + math.ceil(width * (n + 0.5) / size) for n in range(size)], [PROMPT] * size, known=False)
