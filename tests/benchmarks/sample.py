"""Our sampling against vLLM's own offline path (`LLM.generate`, what `vllm bench throughput` times), in one process.

    python tests/benchmarks/sample.py --experiment workflow/experiments/micro.yaml --model large --run otr \
        --benchmark stories --results results

Both draw the completions of a finished run again with the same prompts, seeds and decoding, in turn, `--rounds` times;
ours also writes them line by line, as the stage does. Printed are tokens a second and the ratio a round; at least 0.95
is the aim.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from otr import config
from otr.evaluation.engine import VllmEngine, engine_name
from otr.evaluation.protocols import Asker
from otr.evaluation.sample import Job, generation_stops, plan, run_jobs
from otr.evaluation.store import Store


def ours(job: Job, engine: VllmEngine) -> tuple[int, float]:
    """Tokens drawn, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        store = Store(Path(folder), "run")
        run_jobs([replace(job, store=store)], engine, "ours")
        seconds = time.perf_counter() - started
        return sum(store.tokens().values()), seconds


def theirs(job: Job, engine: VllmEngine) -> tuple[int, float]:
    from vllm import SamplingParams, TokensPrompt

    requests = list(job.requests.values())
    prompts = [TokensPrompt(prompt_token_ids=request.prompt_ids) for request in requests]
    settings = [
        SamplingParams(
            temperature=request.decoding.temperature,
            top_p=request.decoding.top_p,
            max_tokens=request.decoding.max_tokens,
            stop=list(request.decoding.stop_texts),
            stop_token_ids=list(request.decoding.stop_ids),
            seed=request.seed,
        )
        for request in requests
    ]
    started = time.perf_counter()
    outputs = engine._llm.generate(prompts, settings, use_tqdm=False)
    return sum(len(output.outputs[0].token_ids) for output in outputs), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("experiment", "model", "run", "benchmark"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--rounds", type=int, default=3)
    options: Any = parser.parse_args()
    experiment = config.load(options.experiment)
    results = options.results / experiment.name
    checkpoint = results / "train" / options.model / options.run / "checkpoint"
    asker = Asker(
        experiment.protocol(options.run), AutoTokenizer.from_pretrained(checkpoint), generation_stops(checkpoint)
    )
    problems = results / "problems" / options.benchmark
    job = plan(experiment, options.run, options.benchmark, problems, asker, {}, Path("unused"))
    name = engine_name("vllm")
    engine = VllmEngine(name, checkpoint, experiment.context, experiment.sampling_dtype, experiment.threads)
    theirs(job, engine)  # the first batch warms up
    ratios = []
    for number in range(options.rounds):
        (our_tokens, our_seconds), (their_tokens, their_seconds) = ours(job, engine), theirs(job, engine)
        if our_tokens != their_tokens and name.startswith("vllm-cpu"):
            raise SystemExit(f"ours drew {our_tokens} tokens, vLLM {their_tokens}: not the same work")
        our_speed, their_speed = our_tokens / our_seconds, their_tokens / their_seconds
        ratios.append(our_speed / their_speed)
        print(f"round {number + 1}: ours {our_speed:,.0f}, {name} {their_speed:,.0f} tokens/s, ratio {ratios[-1]:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f} (at least 0.95) on {len(job.requests)} prompts")


if __name__ == "__main__":
    main()
