"""The Slurm profile on a real one-node Slurm with two pretend GPUs (cluster.sh)."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import MICRO, ROOT, Checkout, copy_of_tree

pytestmark = pytest.mark.slow

HOME = Path(os.environ.get("OTR_SLURM_HOME", "/tmp/otr-slurm"))
CLUSTER = ["sh", str(Path(__file__).with_name("cluster.sh"))]
# A real cluster's jobs need not be asked after a second.
TEST_CLUSTER = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    if missing := [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name) is None]:
        pytest.skip(f"no Slurm here: {', '.join(missing)} not found")
    if os.getuid() != 0:
        pytest.skip("a Slurm of one's own needs root")
    found = subprocess.run([*CLUSTER, "up"], capture_output=True, text=True, timeout=120)
    if "real cluster" in found.stderr:
        pytest.skip(found.stderr)
    assert found.returncode == 0, found.stderr
    yield
    subprocess.run([*CLUSTER, "down"], check=True, timeout=120)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    profile = ["--profile", str(ROOT / "workflow/profiles/slurm"), *TEST_CLUSTER]
    command = [sys.executable, "-m", "snakemake", *arguments, *profile]
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    with (folder / "output").open("w") as output:
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, text=True, env=environment)


def running_trainings() -> dict[str, str]:
    """The devices of each training that runs now, as Slurm has them, by job id."""
    ask = ["timeout", "10", "squeue", "--noheader", "--states=RUNNING", "--format=%i %k"]
    jobs = [line.split() for line in subprocess.run(ask, capture_output=True, text=True).stdout.splitlines()]
    found = {}
    for job in [words[0] for words in jobs if len(words) == 2 and words[1].startswith("rule_train")]:
        shown = subprocess.run(["timeout", "10", "scontrol", "-d", "show", "job", job], capture_output=True, text=True)
        if devices := re.search(r"GRES=gpu:1\(IDX:(\d+)\)", shown.stdout):
            found[job] = devices[1]
    return found


def test_the_table_is_the_local_one_and_trainings_have_devices_of_their_own(
    cluster: None, built: Checkout, tmp_path: Path
) -> None:
    here = copy_of_tree(tmp_path / "checkout")
    shutil.copy(built.folder / MICRO, here.folder / MICRO)
    # First the trainings alone, or samplings would take the devices in between.
    process = start(here.folder, "results/table1.md", "--jobs", "4", "--until", "train")
    together: set[frozenset[str]] = set()
    end = time.monotonic() + 1200
    while process.poll() is None and time.monotonic() < end:
        running = running_trainings()
        assert len(set(running.values())) == len(running), f"a device was given to two jobs: {running}"
        together.add(frozenset(running.values()))
        time.sleep(0.5)
    process.kill()
    output = (here.folder / "output").read_text()
    assert process.wait() == 0, output
    assert frozenset({"0", "1"}) in together
    process = start(here.folder, "results/table1.md", "--jobs", "4")
    assert process.wait(timeout=1200) == 0, (here.folder / "output").read_text()
    table = "results/micro/tables/table1.csv"
    assert (here.folder / table).read_bytes() == (built.folder / table).read_bytes()
    # The same checkout goes on without the cluster: nothing a job was asked for on it counts as a change.
    assert here.planned("results/table1.md") == {}


# As workflow/rules/common.smk has it. This cluster keeps no accounts, so all of these tests need it.
OURS = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from otr.launch import refusals, slurm
slurm.register()

onstart:
    refusals.repeat_none(Path("."))
"""

SNAKEFILE = """
rule all:
    input: "hungry", "slow", "failing", "after"

rule hungry:  # needs 700 MB
    output: "hungry"
    resources: mem_mb=lambda wildcards, attempt: 600 * attempt
    shell:
        "echo {resources.mem_mb} >> hungry.asked;"
        "python3 -c 'import time; held = bytearray(700 << 20); time.sleep(4)' && touch {output}"

rule slow:  # is never done within a minute
    output: "slow"
    resources: runtime=lambda wildcards, attempt: attempt
    shell: "echo {resources.runtime} >> slow.asked; test {resources.runtime} -gt 1 || sleep 300; touch {output}"

rule failing:
    output: "failing"
    log: "failing.log"
    shell: "echo 'error: the reason of all this' > {log}; echo . >> failing.tries; exit 1"

rule early:
    output: "early"
    shell: "sleep 30; touch {output}"

rule after:
    input: "early"
    output: "after"
    shell: "touch {output}"
"""


def test_failing_jobs_are_given_more_and_leave_the_others_running(cluster: None, tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(OURS + SNAKEFILE)
    process = start(tmp_path, "--jobs", "5")
    assert process.wait(timeout=500) == 1
    output = (tmp_path / "output").read_text()
    assert (tmp_path / "hungry").exists() and (tmp_path / "slow").exists(), output
    assert (tmp_path / "hungry.asked").read_text().split() == ["600", "1200"]
    assert (tmp_path / "slow.asked").read_text().split() == ["1", "2"]
    assert (tmp_path / "after").exists(), "a job that could run was left out"
    assert (tmp_path / "failing.tries").read_text() == ".\n" * 3
    assert not (tmp_path / "failing").exists()
    assert "error: the reason of all this" in output


OUTAGE = f"""
rule all:
    input: "after", "late", "refused"

rule early:
    output: "early"
    shell: "touch running; sleep 20; touch {{output}}"

rule after:
    input: "early"
    output: "after"
    shell: "touch {{output}}"

rule here:
    output: "here"
    localrule: True
    shell: "until test -e away; do sleep 1; done; touch {{output}}"

rule late:
    input: "here"
    output: "late"
    shell: "touch {{output}}"

rule refused:
    output: "refused"
    log: "refused.log"
    shell: "{sys.executable} stage.py --experiment {ROOT / MICRO} --log {{log}}"
"""

STAGE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from otr.command.stage import Stage
from otr.errors import UserError

with Stage("stage", None).run(None):
    with open("refused.tries", "a") as tries:
        tries.write("tried\\n")
    raise UserError("rows.jsonl:3: no solution")
"""


def test_a_controller_that_is_away_ends_nothing_and_a_user_error_is_submitted_once(
    cluster: None, tmp_path: Path
) -> None:
    """One job ends and another one is submitted while nobody answers."""
    (tmp_path / "Snakefile").write_text(OURS + OUTAGE)
    (tmp_path / "stage.py").write_text(STAGE)
    process = start(tmp_path, "--jobs", "5")
    await_file(tmp_path / "refused.log.refused", process)
    await_file(tmp_path / "running", process)
    pid = int((HOME / "slurmctld.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    (tmp_path / "away").touch()
    # The plugin gives up after five questions, each of which finds nobody for nine seconds.
    time.sleep(75)
    assert process.poll() is None, (tmp_path / "output").read_text()
    assert (tmp_path / "early").exists() and not (tmp_path / "after").exists()
    subprocess.run([*CLUSTER, "up"], check=True, timeout=120)
    assert process.wait(timeout=300) == 1  # of the refused job alone
    output = (tmp_path / "output").read_text()
    assert (tmp_path / "after").exists() and (tmp_path / "late").exists(), output
    assert "the Slurm controller does not answer" in output
    assert "Trying to restart job" not in output, "a submission was lost, or a refused job repeated"
    assert (tmp_path / "refused.tries").read_text() == "tried\n"


def await_file(file: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not file.exists():
        assert process.poll() is None and time.monotonic() < end, f"{file.name} was never written"
        time.sleep(0.2)
