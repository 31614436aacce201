"""Hostile conditions in a checkout whose Table 1 was built: a clear line or a repair, never a wrong table."""

import gzip
import shutil
import subprocess
import sys
import time

import pytest
from checkouts import Checkout

pytestmark = pytest.mark.slow

TARGET = "results/table1.md"
RUN = "results/micro/eval/small/sft"


def said(run: subprocess.CompletedProcess[str]) -> str:
    return run.stdout + run.stderr


@pytest.fixture
def table(finished: Checkout) -> bytes:
    return (finished.folder / TARGET).read_bytes()


def test_a_deleted_intermediate_is_made_again(finished: Checkout, table: bytes) -> None:
    """And nothing else is; completions are taken over from the kept file."""
    for file in (f"{RUN}/sums/samples.jsonl.gz", f"{RUN}/sums/score.json", "results/micro/tables/table1.md", TARGET):
        (finished.folder / file).unlink()
    assert set(finished.planned(TARGET)) == {"sample_all", "grade_math_all", "table", "selected_table"}
    run = finished.snakemake("--cores", "2", TARGET)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "all completions are there already" in run.stdout + run.stderr
    assert (finished.folder / TARGET).read_bytes() == table


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_completions_are_refused(finished: Checkout, table: bytes, damage: str) -> None:
    """Cut in the middle, or well-formed but not what was sampled."""
    samples = finished.folder / RUN / "sums/samples.jsonl.gz"
    whole = samples.read_bytes()
    samples.unlink()  # the kept file is a second name of the same one
    better = gzip.decompress(whole).replace(b'"completion": "', b'"completion": "\\\\boxed{1} ')
    samples.write_bytes(whole[:-40] if damage == "cut" else gzip.compress(better))
    run = finished.snakemake("--cores", "2", TARGET)
    assert run.returncode != 0
    assert "samples.jsonl.gz: was damaged or changed (it is not what sampling.json says); delete it" in said(run)
    samples.unlink()  # as the message says; the table itself is older than the damage, so its scores are asked for
    run = finished.snakemake("--cores", "2", f"{RUN}/sums/score.json", TARGET)
    assert run.returncode == 0 and "all completions are there already" in said(run)
    assert (finished.folder / TARGET).read_bytes() == table


def test_cut_weights_are_one_error(finished: Checkout) -> None:
    """They are not even loaded."""
    weights = finished.folder / "results/micro/train/small/sft/checkpoint/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    run = finished.snakemake("--cores", "2", TARGET, "--forcerun", "sample_all", "--until", "sample_all")
    assert run.returncode != 0
    errors = {line for line in said(run).splitlines() if line.startswith("error: ")}
    assert len(errors) == 1 and "train/small/sft/checkpoint: was damaged or changed" in errors.pop(), said(run)


def test_a_second_call_at_once_is_refused(finished: Checkout, table: bytes) -> None:
    """The folder is locked; the first call is not disturbed."""
    with (finished.folder / "otr/tables/render.py").open("a") as file:
        file.write("\n# changed\nimport time\ntime.sleep(8)\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", TARGET]
    first = subprocess.Popen(command, cwd=finished.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    locks = finished.folder / ".snakemake/locks"
    end = time.monotonic() + 60
    while not (locks.exists() and any(locks.iterdir())):
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    second = finished.snakemake("--cores", "1", TARGET)
    assert second.returncode != 0
    assert "cannot be locked" in second.stdout + second.stderr
    assert first.wait(timeout=120) == 0
    assert (finished.folder / TARGET).read_bytes() == table


def test_read_only_results_are_an_error(finished: Checkout, table: bytes) -> None:
    """A mount of its own, as root may write where modes forbid it."""
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here")
    (finished.folder / "results/micro/tables/table1.csv").unlink()
    read_only = "mount --bind results results && mount -o remount,bind,ro results"
    command = f"{read_only} && {sys.executable} -m snakemake --cores 1 {TARGET} --forcerun table"
    run = subprocess.run([*namespace, "sh", "-c", command], cwd=finished.folder, capture_output=True, text=True)
    assert run.returncode != 0
    assert "Write-protected output files" in run.stdout + run.stderr
    assert (finished.folder / TARGET).read_bytes() == table
    assert finished.snakemake("--cores", "1", TARGET, "--forcerun", "table").returncode == 0
