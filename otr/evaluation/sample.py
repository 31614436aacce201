"""Completions of one checkpoint for all its sampled benchmarks, with one engine load.

In: a checkpoint and problems. Out, a folder a benchmark: samples.jsonl.gz, one line a completion

    {"problem": "0", "sample": 2, "seed": 5381, "prompt": "...", "completion": "...", "finish": "stop", "tokens": 64}

and sampling.json (effective decoding, engine, throughput). Completions are kept as they come in --out/.store under a
fingerprint of everything that decides them (weights, prompts, decoding, seeds, engine). An interrupted run goes on
where it stopped, and a benchmark that is added later leaves the others' completions alone. Finished files are kept in
--out/<benchmark>/.finished, where Snakemake's removal of outputs does not reach, and are taken over whatever engine is
installed by then.

With --engines N the work is shared by N processes, a device each. Which of them samples a completion does not change
it, and N may be another number after an interruption.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from otr.command.finished import Finished
from otr.command.progress import Progress, say
from otr.command.progress import screen as progress_screen
from otr.command.stage import Stage
from otr.config import Experiment
from otr.data.chat import load_tokenizer
from otr.errors import TemporaryError, UserError
from otr.evaluation.engine import Engine, Request, engine_device, engine_name, open_engine
from otr.evaluation.protocols import Asker, Prompt
from otr.evaluation.store import Key, Store
from otr.files import Row, claimed, read_json, read_jsonl, sha256
from otr.machine import devices
from otr.machine.memory import uncollected
from otr.machine.precision import computed_in
from otr.machine.provenance import provenance
from otr.results import Drawn, SamplingFile
from otr.results.integrity import check, checked, trained_on


@dataclass(frozen=True)
class Job:
    """One benchmark's requests and where their completions are kept."""

    benchmark: str
    prompts: dict[str, Prompt]
    """By problem id."""
    requests: dict[Key, Request]
    """By problem id and sample number."""
    store: Store
    content: Row
    """What decides the completions, whatever engine samples them."""
    suite: str

    def kept(self, folder: Path) -> Finished:
        """Its finished files in the benchmark's folder."""
        return Finished(folder, ["samples.jsonl.gz", "sampling.json"], self.content, rule=f"sample_{self.suite}")


@dataclass(frozen=True)
class Part:
    """One of several shares of the work. Problems are dealt out in turn by their place among all problems, whether
    their completions are there yet or not: what one part takes never depends on how far another one is. The samples of
    a problem stay together, since an engine keeps its prompt's keys and values."""

    number: int
    of: int
    parent: int | None = None
    """The process that shares out the work and collects it; without it a part has nothing to work for."""

    def requests(self, jobs: list[Job]) -> list[Request]:
        """The part's requests whose completions are not there yet."""
        problems = [(job.benchmark, problem) for job in jobs for problem in job.prompts]
        own = set(problems[self.number :: self.of])
        have = {job.benchmark: job.store.tokens() for job in jobs}
        return [
            request
            for job in jobs
            for key, request in job.requests.items()
            if (job.benchmark, key[0]) in own and key not in have[job.benchmark]
        ]

    def check_parent(self) -> None:
        if self.parent is not None and os.getppid() != self.parent:
            raise TemporaryError("the process that shares out the work has ended; run the same command again")


WHOLE = Part(0, 1)
ESTIMATE_FROM = 0.25
"""An engine works on hundreds of completions at once: after the first two of 190 the rest looked like 9 hours, and took
ten minutes."""


def check_context(checkpoint: Path, context: int) -> None:
    """UserError when a checkpoint was not made for so many positions."""
    positions = read_json(checkpoint / "config.json").get("max_position_embeddings")
    if positions is not None and context > positions:
        raise UserError(
            f"context: {context} is more than the {positions} positions of {checkpoint}; lower context (and max_tokens)"
        )


def generation_stops(checkpoint: Path) -> Any:
    """The end tokens that a checkpoint's generation_config.json names."""
    file = checkpoint / "generation_config.json"
    return read_json(file).get("eos_token_id") if file.exists() else None


def seed_of(experiment_seed: int, benchmark: str, problem: str, sample: int) -> int:
    """A seed of its own for each completion, the same in every run and engine."""
    text = f"{experiment_seed}/{benchmark}/{problem}/{sample}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def plan(
    experiment: Experiment, run: str, benchmark: str, problems: Path, asker: Asker, identity: Row, store: Path
) -> Job:
    """The requests of one benchmark. UserError when a prompt and its completion may not fit the engine's context."""
    protocol, settings = experiment.protocol(run), experiment.benchmarks[benchmark]
    shots = list(read_jsonl(checked(problems / "demonstrations.jsonl")))
    prompts = {
        row["id"]: asker.prompt(settings, row["problem"], shots)
        for row in read_jsonl(checked(problems / "problems.jsonl"))
    }
    decoding = asker.decoding(settings)
    requests = {}
    for problem, prompt in prompts.items():
        if len(prompt.ids) + decoding.max_tokens > experiment.context:
            raise UserError(
                f"benchmarks.{benchmark}: the prompt of problem {problem} has {len(prompt.ids)} tokens; with "
                f"max_tokens {decoding.max_tokens} that is over the context of {experiment.context}; raise context or "
                "lower max_tokens"
            )
        for sample in range(1 if protocol.greedy else settings.samples):
            seed = None if protocol.greedy else seed_of(experiment.seed, benchmark, problem, sample)
            requests[problem, sample] = Request(f"{benchmark}/{problem}/{sample}", prompt.ids, decoding, seed)
    deciding = [
        identity,
        asdict(decoding),
        [(request.key, request.prompt_ids, request.seed) for request in requests.values()],
    ]
    fingerprint = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:16]
    # What is finished is taken over whatever engine sampled it; what is unfinished is not gone on with by another one.
    content = {key: value for key, value in identity.items() if key != "engine"}
    content["requests"] = hashlib.sha256(json.dumps(deciding[1:]).encode()).hexdigest()
    return Job(benchmark, prompts, requests, Store(store / benchmark, fingerprint), content, settings.suite)


def run_jobs(jobs: list[Job], engine: Engine, title: str, part: Part = WHOLE) -> None:
    """Sample every completion that is not there yet, or a part of them."""
    by_key = {request.key: (job, key) for job in jobs for key, request in job.requests.items()}
    wanted = part.requests(jobs)
    with (
        ExitStack() as open_files,
        Progress(title, len(wanted), "completions", estimate_from=ESTIMATE_FROM) as progress,
    ):
        writers = {job.benchmark: open_files.enter_context(job.store.writer()) for job in jobs}
        for completion in engine.complete(wanted):
            job, (problem, sample) = by_key[completion.key]
            writers[job.benchmark].add(
                {
                    "problem": problem,
                    "sample": sample,
                    "seed": job.requests[problem, sample].seed,
                    "prompt": job.prompts[problem].text,
                    "completion": completion.text,
                    "finish": completion.finish,
                    "tokens": completion.tokens,
                }
            )
            progress.update()
            part.check_parent()


def _drawn(jobs: list[Job], before: dict[str, dict[Key, int]], seconds: float, engines: int) -> dict[str, Drawn]:
    """What was added to each benchmark's store, and how fast. The benchmarks share the engines, and so their time."""
    now = {job.benchmark: job.store.tokens() for job in jobs}
    new = {name: [tokens for key, tokens in found.items() if key not in before[name]] for name, found in now.items()}
    whole = sum(map(sum, new.values()))
    return {
        name: Drawn(
            completions=len(found),
            tokens=sum(found),
            seconds_of_all_benchmarks=round(seconds, 2),
            tokens_per_second=round(whole / seconds),
            engines=engines,
        )
        for name, found in new.items()
    }


def finish(job: Job, folder: Path, sampling: SamplingFile) -> None:
    """Write samples.jsonl.gz in the order of problems, and sampling.json."""
    samples = folder / "samples.jsonl.gz"
    job.store.write(job.requests, samples)
    sampling.write(folder / "sampling.json", samples)
    job.kept(folder).keep()
    job.store.clear()


def plan_all(
    experiment: Experiment, run: str, benchmarks: list[str], checkpoint: Path, problems: Path, identity: Row, out: Path
) -> list[Job]:
    """The jobs of a checkpoint's benchmarks; identity: what decides completions besides prompts and decoding."""
    check_context(checkpoint, experiment.context)
    tokenizer = load_tokenizer(checkpoint)
    asker = Asker(experiment.protocol(run), tokenizer, generation_stops(checkpoint))
    return [plan(experiment, run, name, problems / name, asker, identity, out / ".store") for name in benchmarks]


def run_parts(arguments: list[str], engines: int, weights: str, benchmarks: list[str], log: Path | None) -> None:
    """Run this command for these benchmarks once for each engine, a device each where there are any. UserError when one
    fails.

    The first one's progress is shown: shares are alike.
    """
    visible = _visible_devices()
    own = ["--benchmarks", *benchmarks, "--engines", str(engines), "--weights", weights, "--parent", str(os.getpid())]
    command = [sys.executable, "-m", "otr.evaluation.sample", *arguments, *own]
    parts = []
    for number in range(engines):
        environment = dict(os.environ)
        if visible:
            environment["CUDA_VISIBLE_DEVICES"] = visible[number]
        place = ["--part", str(number), *(["--log", f"{log}.part{number}"] if log else [])]
        screen = progress_screen() if number == 0 else subprocess.DEVNULL if log else None
        parts.append(subprocess.Popen([*command, *place], env=environment, stderr=screen))
    failed = [number for number, part in enumerate(parts) if part.wait() != 0]
    if failed:
        account = f"{log}.part{failed[0]}" if log else "above"
        raise UserError(
            f"engine {failed[0] + 1} of {engines} failed; its account is in {account}; what is finished is kept: run "
            "the same command again"
        )


def _visible_devices() -> list[str]:
    return [device for device in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    stage = Stage("otr sample", __doc__)
    stage.add("--model", required=True, help="a model of the experiment")
    stage.add("--run", required=True, help="base, or a method of the experiment")
    stage.add("--benchmarks", required=True, nargs="+", help="benchmarks of the experiment")
    stage.add("--checkpoint", required=True, type=Path, help="checkpoint folder to ask")
    stage.add("--problems", required=True, type=Path, help="folder with a folder of problems a benchmark")
    stage.add(
        "--engine", default="auto", choices=["auto", "vllm", "transformers"], help="default: vLLM where installed"
    )
    stage.add("--engines", type=int, default=1, help="processes that share the work, a device each (default: 1)")
    stage.add("--out", required=True, type=Path, help="folder of the run's evaluation")
    # Of a process that samples one part: which part, of what checkpoint's hash, for which process.
    stage.add("--part", type=int, help=argparse.SUPPRESS)
    stage.add("--weights", help=argparse.SUPPRESS)
    stage.add("--parent", type=int, help=argparse.SUPPRESS)
    with stage.run(arguments) as (experiment, options), ExitStack() as claims:
        name = engine_name(options.engine)
        dtype = computed_in(experiment.sampling_dtype, engine_device(name))
        title = f"sample {options.model} {options.run}"
        # The context is no part of it: it refuses a completion that may not fit, and changes none that does.
        identity = {
            "weights": options.weights or check(options.checkpoint) or sha256(options.checkpoint),
            "engine": name,
            "dtype": dtype,
        }
        with uncollected():  # a tokenizer brings transformers
            jobs = plan_all(
                experiment, options.run, options.benchmarks, options.checkpoint, options.problems, identity, options.out
            )
        if options.part is not None:
            part = Part(options.part, options.engines, options.parent)
            if part.requests(jobs):
                run_jobs(jobs, _open(experiment, options, dtype, jobs), title, part)
            stage.done(f"{title}, part {options.part + 1} of {options.engines}")
            return
        for job in jobs:
            claims.enter_context(claimed(job.store.folder, "sampling"))
        count = sum(len(job.requests) for job in jobs)
        jobs = [job for job in jobs if not job.kept(options.out / job.benchmark).adopt()]
        before = {job.benchmark: job.store.tokens() for job in jobs}
        load_seconds, measured = 0.0, dict[str, Drawn]()
        if all(len(before[job.benchmark]) == len(job.requests) for job in jobs):
            say(f"{title}: all completions are there already")
        else:
            devices.lease(options.engines, at_most=True, say=say)
            engines = min(options.engines, len(_visible_devices()) or options.engines)
            say(f"{title}: starting {name}" + (f", {engines} engines" if engines > 1 else ""))
            started = time.monotonic()
            if engines > 1:
                run_parts(arguments, engines, identity["weights"], [job.benchmark for job in jobs], options.log)
            else:
                engine = _open(experiment, options, dtype, jobs)
                load_seconds = time.monotonic() - started
                run_jobs(jobs, engine, title)
            measured = _drawn(jobs, before, time.monotonic() - started - load_seconds, engines)
        for job in jobs:
            request = next(iter(job.requests.values()))
            sampling = SamplingFile(
                engine=name,
                dtype=dtype,
                decoding=asdict(request.decoding),
                seed=experiment.seed,
                checkpoint_sha256=identity["weights"],
                training_rows_sha256=trained_on(options.checkpoint),
                fingerprint=job.store.fingerprint,
                example_prompt=next(iter(job.prompts.values())).text,
                engine_seconds=round(load_seconds, 2),
                drawn_now=measured.get(job.benchmark, Drawn()),
                provenance=provenance(),
            )
            finish(job, options.out / job.benchmark, sampling)
        new = sum(found.tokens for found in measured.values())
        stage.done(f"{title}: {count} completions, {new} tokens sampled now, engine {name}")


def _open(experiment: Experiment, options: argparse.Namespace, dtype: str, jobs: list[Job]) -> Engine:
    requests = [request for job in jobs for request in job.requests.values()]
    length = sum(len(r.prompt_ids) + r.decoding.max_tokens / 2 for r in requests) / len(requests)
    return open_engine(options.engine, options.checkpoint, experiment.context, dtype, experiment.threads, length)


if __name__ == "__main__":
    main()
