"""Completions of one checkpoint for all its sampled benchmarks, with one engine load.

In: a checkpoint and problems. Out, a folder a benchmark: samples.jsonl.gz, one line a completion

    {"problem": "0", "sample": 2, "seed": 5381, "prompt": "...", "completion": "...", "finish": "stop", "tokens": 64}

and sampling.json (effective decoding, engine, throughput). Finished completions are kept as they come in --out/.store
under a fingerprint of everything that decides them (weights, prompts, decoding, seeds, engine). An interrupted run
goes on where it stopped, and a benchmark that is added later leaves the others' completions alone.

With --engines N the work is shared by N processes, a device each; which of them draws a completion does not change it.
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

from otr.command.progress import Progress, say
from otr.command.progress import screen as progress_screen
from otr.command.stage import Stage
from otr.config import Experiment
from otr.errors import UserError
from otr.evaluation.engine import Engine, Request, engine_name, open_engine
from otr.evaluation.protocols import Asker, Prompt
from otr.files import Row, claimed, read_json, read_jsonl, replacing, sha256, write_json, write_jsonl
from otr.machine import devices
from otr.machine.provenance import provenance


@dataclass(frozen=True)
class Job:
    """One benchmark's requests and where their completions are kept."""

    benchmark: str
    prompts: dict[str, Prompt]
    """By problem id."""
    requests: dict[tuple[str, int], Request]
    """By problem id and sample number."""
    fingerprint: str
    store: Path

    @property
    def packed(self) -> Path:
        """The store once it is whole."""
        return self.store.with_suffix(".jsonl.gz")


@dataclass(frozen=True)
class Part:
    """One of several equal shares of the work."""

    number: int
    of: int

    def file(self, job: Job) -> Path:
        return job.store.with_suffix(f".{self.number}.jsonl") if self.of > 1 else job.store


WHOLE = Part(0, 1)


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
    shots = list(read_jsonl(problems / "demonstrations.jsonl"))
    prompts = {
        row["id"]: asker.prompt(settings, row["problem"], shots) for row in read_jsonl(problems / "problems.jsonl")
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
    return Job(benchmark, prompts, requests, fingerprint, store / benchmark / f"{fingerprint}.jsonl")


def stored(job: Job) -> dict[tuple[str, int], Row]:
    """The completions already there. A half-written last line, left by a killed process, is dropped."""
    if job.packed.exists():
        return {(row["problem"], row["sample"]): row for row in read_jsonl(job.packed)}
    rows: dict[tuple[str, int], Row] = {}
    for part in sorted(job.store.parent.glob(f"{job.fingerprint}*.jsonl")):
        text = part.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            with replacing(part) as temporary:
                temporary.write_bytes(whole)
        rows |= {(row["problem"], row["sample"]): row for row in read_jsonl(part)}
    return rows


def missing(jobs: list[Job]) -> list[Request]:
    """The requests whose completions are not there yet."""
    have = {job.benchmark: stored(job) for job in jobs}
    return [request for job in jobs for key, request in job.requests.items() if key not in have[job.benchmark]]


def run_jobs(jobs: list[Job], engine: Engine, title: str, part: Part = WHOLE) -> dict[str, Row]:
    """Draw every completion that is not there yet, or a part of them; returns tokens and seconds a benchmark."""
    by_key = {request.key: (job, key) for job in jobs for key, request in job.requests.items()}
    wanted = missing(jobs)[part.number :: part.of]
    measured = {job.benchmark: {"completions": 0, "tokens": 0} for job in jobs}
    files = {job.benchmark: _appending(part.file(job)) for job in jobs}
    started = time.monotonic()
    try:
        with Progress(title, len(wanted), "completions") as progress:
            for completion in engine.complete(wanted):
                job, (problem, sample) = by_key[completion.key]
                row = {
                    "problem": problem,
                    "sample": sample,
                    "seed": job.requests[problem, sample].seed,
                    "prompt": job.prompts[problem].text,
                    "completion": completion.text,
                    "finish": completion.finish,
                    "tokens": completion.tokens,
                }
                files[job.benchmark].write((json.dumps(row, ensure_ascii=False) + "\n").encode())
                files[job.benchmark].flush()
                measured[job.benchmark]["completions"] += 1
                measured[job.benchmark]["tokens"] += completion.tokens
                progress.update()
    finally:
        for file in files.values():
            file.close()
    seconds = time.monotonic() - started
    speed = sum(found["tokens"] for found in measured.values()) / seconds
    # The benchmarks share the engine, and so its time.
    of_all = {"seconds_of_all_benchmarks": round(seconds, 2), "tokens_per_second": round(speed)}
    return {name: found | of_all for name, found in measured.items()}


def _appending(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def finish(job: Job, folder: Path, details: Row) -> None:
    """Write samples.jsonl.gz in the order of problems; the store becomes a second name of that very file, so it
    outlives Snakemake's removal of outputs and costs no disk."""
    rows = stored(job)
    samples = folder / "samples.jsonl.gz"
    write_jsonl(samples, (rows[key] for key in job.requests))
    with replacing(job.packed) as temporary:
        temporary.hardlink_to(samples)
    for other in job.store.parent.iterdir():
        if other != job.packed:
            other.unlink(missing_ok=True)  # a second run of this very job may be as far
    write_json(folder / "sampling.json", details | {"samples_sha256": sha256(samples)})


def run_parts(arguments: list[str], engines: int, log: Path | None) -> None:
    """Run this command once for each engine, a device each where there are any. UserError when one fails.

    The first one's progress is shown: shares are alike.
    """
    visible = [device for device in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
    command = [sys.executable, "-m", "otr.evaluation.sample", *arguments]
    parts = []
    for number in range(engines):
        environment = dict(os.environ)
        if visible:
            environment["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
        own = ["--part", str(number), *(["--log", f"{log}.part{number}"] if log else [])]
        screen = progress_screen() if number == 0 else subprocess.DEVNULL if log else None
        parts.append(subprocess.Popen([*command, *own], env=environment, stderr=screen))
    failed = [number for number, part in enumerate(parts) if part.wait() != 0]
    if failed:
        raise UserError(f"engine {failed[0] + 1} of {engines} failed; its account is in the log; run the same again")


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("python -m otr.evaluation.sample", __doc__)
    stage.add("--model", required=True, help="a model of the experiment")
    stage.add("--run", required=True, help="base, or a method of the experiment")
    stage.add("--benchmarks", required=True, nargs="+", help="benchmarks of the experiment")
    stage.add("--checkpoint", required=True, type=Path, help="checkpoint folder to ask")
    stage.add("--problems", required=True, type=Path, help="folder with a folder of problems a benchmark")
    stage.add(
        "--engine", default="auto", choices=["auto", "vllm", "transformers"], help="default: vLLM where installed"
    )
    stage.add("--engines", type=int, default=1, help="processes that share the work, a device each (default: 1)")
    stage.add("--part", type=int, help=argparse.SUPPRESS)  # which of them this process is
    stage.add("--out", required=True, type=Path, help="folder of the run's evaluation")
    with stage.run(arguments) as (experiment, options), ExitStack() as claims:
        from transformers import AutoTokenizer

        check_context(options.checkpoint, experiment.context)
        asker = Asker(
            experiment.protocol(options.run),
            AutoTokenizer.from_pretrained(options.checkpoint),
            generation_stops(options.checkpoint),
        )
        name = engine_name(options.engine)
        weights = sha256(options.checkpoint)
        identity = {
            "weights": weights,
            "engine": name,
            "dtype": experiment.sampling_dtype,
            "context": experiment.context,
        }
        jobs = [
            plan(experiment, options.run, b, options.problems / b, asker, identity, options.out / ".store")
            for b in options.benchmarks
        ]
        title = f"sample {options.model} {options.run}"
        if options.part is None:
            for job in jobs:
                claims.enter_context(claimed(job.store.parent, "sampling"))
        complete = all(len(stored(job)) == len(job.requests) for job in jobs)
        if not complete and options.part is None:
            devices.lease(options.engines, at_most=True)
        started = time.monotonic()
        if complete:
            say(f"{title}: all completions are there already")
            measured: dict[str, Row] = {job.benchmark: {} for job in jobs}
            load_seconds = 0.0
        elif options.engines > 1 and options.part is None:
            say(f"{title}: starting {options.engines} engines, {name}")
            run_parts(sys.argv[1:] if arguments is None else arguments, options.engines, options.log)
            measured = {job.benchmark: {"engines": options.engines} for job in jobs}
            load_seconds = 0.0
        else:
            say(f"{title}: starting {name}")
            engine = open_engine(
                options.engine, options.checkpoint, experiment.context, experiment.sampling_dtype, experiment.threads
            )
            load_seconds = time.monotonic() - started
            part = WHOLE if options.part is None else Part(options.part, options.engines)
            measured = run_jobs(jobs, engine, title, part)
        if options.part is not None:
            stage.done(f"{title}, part {options.part + 1} of {options.engines}")
            return
        for job in jobs:
            request = next(iter(job.requests.values()))
            details = {
                "engine": name,
                "dtype": experiment.sampling_dtype,
                "decoding": asdict(request.decoding),
                "seed": experiment.seed,
                "checkpoint_sha256": weights,
                "fingerprint": job.fingerprint,
                "example_prompt": next(iter(job.prompts.values())).text,
                "engine_seconds": round(load_seconds, 2),
                "drawn_now": measured[job.benchmark],
                "provenance": provenance(),
            }
            finish(job, options.out / job.benchmark, details)
        tokens = sum(row["tokens"] for job in jobs for row in stored(job).values())
        stage.done(f"{title}: {sum(len(job.requests) for job in jobs)} completions, {tokens} tokens, engine {name}")


if __name__ == "__main__":
    main()
