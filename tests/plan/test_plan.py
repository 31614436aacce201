"""What a plan promises, against the published sizes, the workflow's own job list and a run that was measured."""

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from checkouts import MICRO, ROOT, Checkout

from otr import config
from otr.config import Experiment, Model
from otr.config.pretraining import PretrainSettings
from otr.data.sources import Folders
from otr.errors import UserError
from otr.files import read_json, write_json, write_jsonl, write_record
from otr.machine.hardware import BANDWIDTH_SHARE, KNOWN, MFU, Hardware
from otr.models.shapes import TABLE, shape
from otr.plan.__main__ import main
from otr.plan.jobs import Plan
from otr.plan.text import finished, report, totals

FACTOR = 2.0
"""A plan calibrated on one run is to be right about another within this factor (time, memory)."""


def experiment(name: str = "paper") -> Experiment:
    return config.load(config.experiment_file(name))


def plan(found: Experiment, results: Path, gpu: str = "h100", calibrate: bool = False, **changes: float) -> Plan:
    folders = Folders(Path("none"), results / found.name / "generated")
    return Plan(found, Hardware.named(gpu, **changes), results, folders, Path("none"), calibrate)


def hours(made: Plan, stage: str) -> float:
    return sum(job.cost.device_hours for job in made.jobs if job.stage == stage)


@pytest.mark.parametrize("name", list(read_json(TABLE)))
def test_shapes_have_the_published_number_of_parameters(name: str, tmp_path: Path) -> None:
    found = shape(Model(label="x", hub=name), tmp_path, tmp_path)
    assert sum(parameter.numel() for parameter in found.parameters()) == read_json(TABLE)[name]["parameters"]
    assert {parameter.device.type for parameter in found.parameters()} == {"meta"}


def test_a_checkpoint_that_is_there_says_its_shape(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    here = shape(Model(label="x", hub="some/model"), tmp_path, tiny_checkpoint)
    assert here.num_parameters() == loaded.num_parameters()
    settings = PretrainSettings(hidden_size=64, layers=2, heads=2, intermediate_size=128, positions=1024, steps=30)
    assert shape(Model(label="x", pretrain=settings), tmp_path, tmp_path).num_parameters() == loaded.num_parameters()
    with pytest.raises(UserError, match="the shape of 'some/model' is not known"):
        shape(Model(label="x", hub="some/model"), tmp_path, tmp_path)


def test_training_flops_of_the_paper(tmp_path: Path) -> None:
    """5,000 traces of 4,096 tokens and prompts of 150, twice, less the incomplete batch of an epoch, in 156 steps."""
    made = plan(experiment(), tmp_path)
    tokens = made.tokens("otr")
    assert tokens == pytest.approx(156 * 64 * (4096 + 150), rel=0.001)
    flops = made.flops("qwen2.5-3b", "otr")
    assert flops.body + flops.head == pytest.approx(6 * 3.086e9 * tokens, rel=0.01)
    # Uniform lengths: the mean square is 4/3 of the squared mean.
    assert flops.attention == pytest.approx(6 * 36 * 2048 * tokens * 4096 * 4 / 3, rel=0.05)
    # As many of the 36 layers are recomputed as leave 6 of 84 GB free.
    recomputed = flops.recomputed / ((flops.body + flops.attention) / 3) * 36
    assert recomputed == pytest.approx(round(recomputed)) and 10 < recomputed < 30
    seconds = flops.total / (989e12 * MFU) + 60
    [job] = [job for job in made.jobs if job.name == "qwen2.5-3b otr" and job.stage == "train"]
    assert job.cost.device_hours == pytest.approx(seconds / 3600)
    assert job.cost.disk_gb == pytest.approx(2 * 3.086, rel=0.001)
    assert 70 < job.cost.memory_gb <= 84 - 6


@pytest.mark.parametrize(("precision", "size"), [("auto", 2), ("bfloat16", 2), ("float32", 4)])
def test_a_checkpoint_is_as_large_as_its_number_type(tmp_path: Path, precision: str, size: int) -> None:
    """On a GPU, where `auto` is bfloat16; it was planned as float32."""
    shipped = experiment()
    training = shipped.training.model_copy(update={"precision": precision})
    made = plan(shipped.model_copy(update={"training": training}), tmp_path)
    [job] = [job for job in made.jobs if job.name == "qwen2.5-3b otr" and job.stage == "train"]
    assert job.cost.disk_gb == pytest.approx(size * 3.086, rel=0.001)


def test_a_faster_device_takes_less_time(tmp_path: Path) -> None:
    slow, fast = plan(experiment(), tmp_path, "a100"), plan(experiment(), tmp_path, "h200")
    for stage in ("train", "sample"):
        assert hours(slow, stage) > 1.2 * hours(fast, stage)
    # Decoding follows the memory, training the arithmetic.
    assert hours(plan(experiment(), tmp_path, bandwidth_gb=6700), "sample") < 0.8 * hours(
        plan(experiment(), tmp_path), "sample"
    )
    assert hours(plan(experiment(), tmp_path, mfu=MFU / 2), "train") > 1.8 * hours(
        plan(experiment(), tmp_path), "train"
    )


def test_a_gpu_is_filled_with_completions_half_done_and_read_as_such(tmp_path: Path) -> None:
    """8B in bfloat16 on 84 GB: 0.92 x 84 - 16.4 - 4 = 56.9 GB for keys and values of 147,456 bytes a token. A solution
    of 4,096 tokens after a prompt of 150 takes 2,198 tokens on average: 175 of them."""
    made = plan(experiment(), tmp_path)
    [job] = [job for job in made.jobs if job.name == "qwen3-8b otr mathematics" and job.stage == "sample"]
    assert job.detail["sequences"] == 175
    read = 2 * 8.19e9 + 175 * 2198 * 147_456
    assert job.detail["rate"] == pytest.approx(175 / (read / (3350e9 * BANDWIDTH_SHARE) + 0.005), rel=0.01)
    assert job.cost.memory_gb == pytest.approx(0.92 * 84, rel=0.01)


def test_every_engine_of_a_job_is_paid_for(tmp_path: Path) -> None:
    two = experiment()
    one = two.model_copy(update={"engines": {}})
    name = "qwen3-8b otr general"
    [shared] = [job for job in plan(two, tmp_path).jobs if job.name == name and job.stage == "sample"]
    [alone] = [job for job in plan(one, tmp_path).jobs if job.name == name and job.stage == "sample"]
    assert shared.detail["hours"] == pytest.approx(alone.detail["hours"] / 2, rel=0.05)
    assert shared.cost.device_hours == pytest.approx(alone.cost.device_hours, rel=0.05)
    assert shared.cost.host_gb == pytest.approx(2 * alone.cost.host_gb)


def test_the_paper_s_own_rows_take_at_most_170_gpu_hours_of_sampling(tmp_path: Path) -> None:
    made = plan(experiment(), tmp_path)
    own = [job for job in made.jobs if job.stage == "sample" and " base-tuned " not in job.name]
    assert len(own) == 70 - 12
    assert sum(job.cost.device_hours for job in own) < 170
    extra = hours(made, "sample") - sum(job.cost.device_hours for job in own)
    assert re.search(rf"GPU-hours of sampling {extra:.1f} \(\d+%\) are base-tuned's", report(made))
    said = totals(made)
    for part in ("165 jobs, 0 done", "GPU-hours", "other core-hours", "GB a device", "GB of main memory", "GB of disk"):
        assert part in said


def test_a_job_that_does_not_fit_is_named(tmp_path: Path) -> None:
    text = report(plan(experiment(), tmp_path, memory_gb=40))
    assert re.search(r"- qwen3-4b otr: needs \d+ GB a device, 40 are there: raise the model's `gpus`", text)
    assert "GB a device, 84 are there" not in report(plan(experiment(), tmp_path))


def test_jobs_are_those_of_the_workflow(checkout: Checkout, tmp_path: Path) -> None:
    planned = checkout.planned("--config", "experiment=paper")
    jobs = [job.stage for job in plan(experiment(), tmp_path).jobs]
    for stage in ("subset", "base", "train"):
        assert jobs.count(stage) == planned[stage], stage
    assert jobs.count("sample") == sum(count for rule, count in planned.items() if rule.startswith("sample"))


def test_what_is_done_is_not_left(tmp_path: Path) -> None:
    before = plan(experiment(), tmp_path)
    done = [job for job in before.jobs if job.done]
    write_json(tmp_path / "paper/data/openr1/summary.json", {})
    write_json(tmp_path / "paper/train/qwen3-4b/base/run.json", {})
    after = plan(experiment(), tmp_path)
    assert done == []
    assert [(job.stage, job.name) for job in after.jobs if job.done] == [("subset", "openr1"), ("base", "qwen3-4b")]


def test_problems_are_counted_where_they_are(tmp_path: Path) -> None:
    paper = experiment()
    assert plan(paper, tmp_path).problems("gsm8k") == 1319
    write_jsonl(tmp_path / "paper/problems/gsm8k/problems.jsonl", [{"id": str(n)} for n in range(7)])
    assert plan(paper, tmp_path).problems("gsm8k") == 7
    qwen = experiment("qwen")
    assert plan(qwen, tmp_path).problems("gsm8k") == qwen.benchmarks["gsm8k"].limit


def test_a_real_model_on_a_cpu_is_planned_as_it_was_measured(tmp_path: Path) -> None:
    """Qwen2.5-Coder-0.5B in bfloat16 on one core: 12.5 GB and 30 CPU seconds a step (two were measured), 5.25 GB an
    engine, 470 CPU seconds for 56,400 tokens of GSM8K and MATH-500."""
    qwen = experiment("qwen")
    training = qwen.training.model_copy(update={"precision": "bfloat16"})
    qwen = qwen.model_copy(update={"sampling_dtype": "bfloat16", "training": training})
    for name, tokens in (("gsm8k", 41_493), ("math500", 14_945)):
        file = tmp_path / "qwen/eval/qwen/base" / name / "sampling.json"
        drawn = {"completions": qwen.benchmarks[name].limit, "tokens": tokens}
        write_record(file, {"drawn_now": drawn, "samples_sha256": ""})
    rows = [{"id": n, "problem": "p" * 300, "response": "r" * 400, "tokens": 100} for n in range(96)]
    (tmp_path / "qwen/data/gsm8k-train").mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(tmp_path / "qwen/data/gsm8k-train/train.parquet")
    made = plan(qwen, tmp_path, "cpu")
    jobs = {(job.stage, job.name): job.cost for job in made.jobs}
    training_cost, sampling_cost = jobs["train", "qwen sft"], jobs["sample", "qwen base mathematics"]
    assert training_cost.memory_gb == pytest.approx(12.5, rel=0.25)
    assert training_cost.device_hours * 3600 == pytest.approx(12 * 30 + 20, rel=0.25)
    assert sampling_cost.memory_gb == pytest.approx(5.25, rel=0.25)
    assert sampling_cost.device_hours * 3600 == pytest.approx(470, rel=0.25)


def test_float32_is_planned_slower_on_a_cpu_alone(tmp_path: Path) -> None:
    qwen, found = experiment("qwen"), {}
    for precision in ("bfloat16", "float32"):
        training = qwen.training.model_copy(update={"precision": precision})
        changed = qwen.model_copy(update={"training": training})
        found[precision] = [hours(plan(changed, tmp_path, device), "train") for device in ("cpu", "h100")]
    assert found["float32"][0] > 1.9 * found["bfloat16"][0]
    assert found["float32"][1] == found["bfloat16"][1]


def test_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither shapes from the hub nor problems: a plan is made on a machine without a network, too."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection is tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    made = plan(experiment(), tmp_path)
    assert sum(made.problems(name) for name in made.experiment.benchmarks) == 46_489
    assert len(made.jobs) > 100


def test_lengths_are_those_of_the_subset(tmp_path: Path) -> None:
    rows = [{"id": n, "problem": "p" * 40, "response": "r" * 400, "tokens": 100} for n in range(640)]
    (tmp_path / "paper/data/openr1").mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(tmp_path / "paper/data/openr1/train.parquet")
    made = plan(experiment(), tmp_path)
    # 4 characters a token: prompts of 10 tokens and 10 of the template.
    assert made.tokens("otr") == 2 * 640 * 120
    assert not any("openr1" in note for note in made.notes)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--experiment", str(ROOT / MICRO), "--results", str(tmp_path)]
    main([*arguments, "--gpu", "cpu"])
    said = capsys.readouterr()
    assert "# Plan of experiment micro on cpu" in said.out
    assert "core-hours" in said.err
    with pytest.raises(SystemExit):
        main([*arguments, "--gpu", "abacus"])
    assert f"--gpu: 'abacus' is unknown; allowed: {', '.join(KNOWN)}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_plan_agrees_with_measured_runs(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Two real runs; the plan is calibrated on the first and asked about the second, as for a run still to come."""
    settings = config.load(ROOT / MICRO).model_dump(mode="json", exclude={"figure2"}, exclude_unset=True)
    settings["tables"] = {
        "table1": {
            "caption": "c", "models": ["small"], "rows": ["sft", "otr"],
            "columns": [{"group": "g", "benchmarks": ["sums"], "average": "a"}],
        }
    }  # fmt: skip
    settings["training_seeds"] = 1
    settings["datasets"]["slips"] |= {"size": 320, "lengths": None}
    file = tmp_path / "micro.yaml"
    file.write_text(json.dumps(settings))
    root = tmp_path / "results" / "micro"
    (root / "data/slips").mkdir(parents=True)
    solution = "First 12 + 30 = 42, then 42 / 2 = 21. The answer is \\boxed{21}."
    rows = [{"id": n, "problem": f"What is half of {n} + 30?", "response": solution, "tokens": 0} for n in range(320)]
    from otr.data.subsample import token_counter

    length = token_counter(tiny_checkpoint)([solution])[0]
    pd.DataFrame([row | {"tokens": length} for row in rows]).to_parquet(root / "data/slips/train.parquet")
    shutil.copytree(tiny_checkpoint, root / "train/small/base/checkpoint")
    made = config.load(file)
    for run in ("sft", "otr"):
        command = [sys.executable, "-m", "otr.train", "--experiment", str(file), "--model", "small", "--run", run]
        command += ["--base", str(root / "train/small/base/checkpoint"), "--out", str(root / "train/small" / run)]
        command += ["--data", str(root / "data/slips/train.parquet")]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (root / "train/small/otr/run.json").rename(tmp_path / "measured.json")
    ahead = plan(made, tmp_path / "results", "cpu", calibrate=True)
    [promised] = [job for job in ahead.jobs if job.stage == "train" and job.name == "small otr"]
    assert not promised.done
    measured = read_json(tmp_path / "measured.json")
    predicted = promised.cost.device_hours * 3600 - ahead.startup
    assert 1 / 6 < predicted / measured["seconds"] < 6  # a machine may do other work during one of the two runs
    assert 1 / FACTOR < promised.cost.memory_gb / measured["peak_memory_gb"] < FACTOR
    metrics = [json.loads(line) for line in (root / "train/small/otr/metrics.jsonl").read_text().splitlines()]
    assert ahead.tokens("otr") == pytest.approx(sum(row["tokens"] for row in metrics), rel=0.25)
    written = sum(path.stat().st_size for path in (root / "train/small/otr/checkpoint").glob("*.safetensors"))
    assert promised.cost.disk_gb == pytest.approx(written / 1e9, rel=0.05)
    (tmp_path / "measured.json").rename(root / "train/small/otr/run.json")
    after = plan(made, tmp_path / "results", "cpu", calibrate=True)
    assert {(job, what) for job, what, _, _ in finished(after)} >= {("small otr", "training, s")}
    assert "| small otr" in report(after)
