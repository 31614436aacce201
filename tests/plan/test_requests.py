"""What jobs ask a scheduler for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml
from checkouts import MICRO, ROOT

from otr import config
from otr.command.stage import STOPPED
from otr.plan.jobs import Plan
from otr.plan.requests import MARGIN, SPARE, Requests, profile_block

PAPER = config.load(config.experiment_file("paper"))
MACHINE = config.machine({"experiment": "paper", "cores_per_gpu": 6, "grading_cores": 12})


def requests(results: Path) -> Requests:
    return Requests(MACHINE, PAPER, results, planned=True)


def test_minutes_are_the_plan_s_with_a_margin(tmp_path: Path) -> None:
    made = requests(tmp_path)
    hours = made._hours["sample", "qwen3-8b otr general"]
    assert 4 < hours < 8
    asked = made.minutes("sample", "sample-general-qwen3-8b-otr", 1, "qwen3-8b otr general")
    assert asked == int(-(-(MARGIN * 60 * hours + SPARE) // 1))
    # What nobody planned for has its usual time, and no plan is made where nobody reads it.
    assert made.minutes("subset", "subset-openr1", 1) == 120
    assert "_hours" not in vars(Requests(MACHINE, PAPER, tmp_path, planned=False))


def test_training_sampling_and_grading_ask_for_their_own(tmp_path: Path) -> None:
    made = requests(tmp_path)
    assert made.training("qwen3-8b", "x", 1) == 144_000
    assert made.sampling("qwen3-8b", 2, "x", 1) == 48_000
    assert made.cores(1, 2) == made.cores(2, 2) == 12
    assert made.cores(2, 0) == 2 * PAPER.threads
    assert (made.grading_cores(1), made.grading_cores(0)) == (12, PAPER.threads)


def test_a_time_out_escalates_time_and_all_else_memory(tmp_path: Path) -> None:
    made, log = requests(tmp_path), "train-qwen3-4b-otr"
    first = made.minutes("train", log, 1, "qwen3-4b otr")
    assert made.training("qwen3-4b", log, 2) == 128_000
    assert made.minutes("train", log, 2, "qwen3-4b otr") == first
    note = tmp_path / "paper" / "logs" / f"{log}.log{STOPPED}"
    note.parent.mkdir(parents=True)
    note.write_text("4711\n")
    assert made.training("qwen3-4b", log, 2) == 64_000
    assert made.minutes("train", log, 2, "qwen3-4b otr") in (2 * first - 1, 2 * first)
    # Then killed for its memory: more of both, as both were too little.
    assert made.training("qwen3-4b", log, 3) == 128_000


STAGE = """
import sys, time
from otr.command.stage import Stage
stage = Stage("x", None)
with stage.run(sys.argv[1:]):
    print("ready", flush=True)
    if not sys.argv[-1].endswith("done.log"):
        time.sleep(60)
    stage.done("x")
"""


def test_sigterm_of_a_scheduler_is_noted_beside_the_log_until_a_job_ends_well(tmp_path: Path) -> None:
    environment = os.environ | {"SLURM_JOB_ID": "4711"}
    for name in ("ended.log", "done.log"):
        log = tmp_path / name
        note = log.with_name(f"{name}{STOPPED}")
        note.write_text("4710\n")
        command = [sys.executable, "-c", STAGE, "--experiment", str(ROOT / MICRO), "--log", str(log)]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and (not log.exists() or "ready" not in log.read_text()):
                pass
            process.send_signal(signal.SIGTERM) if name == "ended.log" else None
            assert process.wait(60) == (143 if name == "ended.log" else 0)
        assert (note.read_text() == "4710\n4711\n") if name == "ended.log" else not note.exists()


def test_the_profile_s_block_names_the_rules_of_the_workflow(tmp_path: Path) -> None:
    from otr.data.sources import Folders
    from otr.machine.hardware import Hardware

    plan = Plan(PAPER, Hardware.named("h100"), tmp_path, Folders(tmp_path, tmp_path), tmp_path)
    block = yaml.safe_load(profile_block(requests(tmp_path), PAPER, plan.jobs))["set-resources"]
    assert set(block) == {
        "subset", "base", "train", "sample_mathematics", "sample_code", "sample_general", "grade_math_mathematics",
        "grade_code_code", "grade_general_general",
    }  # fmt: skip
    assert block["sample_general"] == {
        "runtime": requests(tmp_path).minutes("sample", "", 1, "qwen3-8b otr general"), "mem_mb": 48_000,
    }  # fmt: skip
    assert block["train"]["mem_mb"] == 144_000
