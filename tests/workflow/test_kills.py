"""SIGKILL at random moments of the whole chain, and two processes at the same files. kills.py kills more often."""

import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import MICRO, Checkout
from workflow.kills import disturb

pytestmark = pytest.mark.slow


def test_killed_at_random_moments_the_results_are_the_same(built: Checkout, tmp_path: Path) -> None:
    report = disturb(built, tmp_path, kills=4, seed=0)
    print(report)
    assert report.count >= 4
    assert not report.faults, report


def test_two_samplings_of_one_run_leave_the_same_completions(finished: Checkout) -> None:
    """As after a killed Snakemake whose jobs live on. The second one gives up; started again, it finds all done."""
    evaluation = finished.folder / "results/micro/eval/small/sft"
    files = sorted(evaluation.glob("*/samples.jsonl.gz"))
    expected = [file.read_bytes() for file in files]
    for file in (*files, *evaluation.glob(".store/*/*"), *evaluation.glob("*/.finished/*/samples.jsonl.gz")):
        file.unlink()
    benchmarks = [file.parent.name for file in files]
    command = [sys.executable, "-m", "otr.evaluation.sample", "--experiment", MICRO, "--model", "small", "--run", "sft"]
    command += ["--benchmarks", *benchmarks, "--problems", "results/micro/problems", "--out", str(evaluation)]
    command += ["--checkpoint", "results/micro/train/small/sft/checkpoint"]
    both = [subprocess.Popen(command, cwd=finished.folder, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], errors
    assert any("another process is sampling into this folder" in error for error in errors)
    assert [file.read_bytes() for file in files] == expected
    subprocess.run(command, cwd=finished.folder, check=True, capture_output=True, timeout=300)
    assert [file.read_bytes() for file in files] == expected
