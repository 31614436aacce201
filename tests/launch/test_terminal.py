"""The screen while Snakemake works."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from checkouts import ROOT
from snakemake_interface_logger_plugins.common import LogEvent

from otr.launch.terminal import Calm

SNAKEFILE = """
import sys
sys.path.insert(0, {root!r})
from otr.launch import terminal
CALM = terminal.Calm()
logger.addFilter(CALM)

rule all:
    input: "c.txt"

rule a:
    output: "a{{n}}.txt"
    log: "a{{n}}.log"
    message: "making a{{wildcards.n}}"
    shell: "echo the cause of {{wildcards.n}} > {{log}}; {command}"

rule c:
    input: "a1.txt", "a2.txt"
    output: "c.txt"
    message: "making c"
    shell: "touch {{output}}"

onerror:
    logger.info(CALM.next_step("logs"))
"""


def snakemake(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    (folder / "Snakefile").write_text(SNAKEFILE.format(root=str(ROOT), command=command))
    call = [sys.executable, "-m", "snakemake", "--cores", "1"]
    return subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=120)


def test_a_run_tells_starts_ends_and_what_it_made(tmp_path: Path) -> None:
    run = snakemake(tmp_path, "touch {output}")
    assert run.returncode == 0, run.stderr
    assert {"start: making a1", "start: making a2", "start: making c"} <= set(run.stderr.splitlines())
    ends = [line for line in run.stderr.splitlines() if line.startswith("finished ")]
    assert len(ends) == 4
    assert ends[0].startswith("finished making a") and ends[2].startswith("finished making c: 3 of 4 jobs")
    assert ends[3] == "finished all: 4 of 4 jobs"
    for chatter in (
        "Rules claiming",
        "Provided resources",
        "Select jobs",
        "Using shell",
        "Finished jobid",
        "Execute 1",
    ):
        assert chatter not in run.stderr


def test_a_failure_shows_its_cause_and_the_next_step(tmp_path: Path) -> None:
    run = snakemake(tmp_path, "false")
    assert run.returncode == 1
    failed = next(line[-1] for line in run.stderr.splitlines() if line.startswith("FAILED: making a"))
    assert f"  the end of a{failed}.log:\n  | the cause of {failed}\n" in run.stderr
    assert "Fix the cause named above, then run the same command again" in run.stderr
    assert "CalledProcessError" not in run.stderr
    assert "up to date" not in run.stderr


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(event: LogEvent | None, text: str = "", **values: Any) -> logging.LogRecord:
    made_record = logging.LogRecord("snakemake", logging.INFO, "", 0, text, None, None)
    made_record.__dict__.update(values, event=event)
    return made_record


def told(calm: Calm, jobs: dict[str, int]) -> str:
    """What the reader sees of the list of jobs."""
    stats = record(LogEvent.RUN_INFO, "Job stats", stats=jobs | {"total": sum(jobs.values())})
    assert calm.filter(stats)
    return str(stats.msg)


def start(calm: Calm, job: int, rule: str, reason: str = "") -> str:
    info = record(LogEvent.JOB_INFO, jobid=job, rule_name=rule, rule_msg=f"{rule} {job}", reason=reason)
    assert calm.filter(info)
    return str(info.msg)


def finish(calm: Calm, job: int, done: int, total: int) -> str:
    assert not calm.filter(record(LogEvent.JOB_FINISHED, job_id=job))
    progress = record(LogEvent.PROGRESS, done=done, total=total)
    assert calm.filter(progress)
    return str(progress.msg)


def test_what_a_dry_run_ends_with_follows_its_second_count() -> None:
    """The first one scrolls away with the list of jobs."""
    calm = Calm()
    calm.tell(lambda: ["train: 4 GPUs", "sample: 1 GPU"])
    assert told(calm, {"table": 1}) == "Job stats\nAll of it takes about 1 s."
    assert told(calm, {"table": 1}).splitlines()[-2:] == ["train: 4 GPUs", "sample: 1 GPU"]


def test_the_time_left_counts_what_remains_at_the_pace_so_far() -> None:
    clock = Clock()
    calm = Calm(clock)
    calm.expect(2, {})
    assert told(calm, {"train": 4, "table": 1}) == "Job stats"
    start(calm, 1, "train")
    start(calm, 2, "train")
    clock.now = 100.0
    # Three trainings of 100 s remain, one of them all but done: 200 s of work, two at a time, and a table.
    assert finish(calm, 1, 1, 5) == "finished train 1: 1 of 5 jobs, about 101 s left"
    start(calm, 3, "train")
    assert finish(calm, 2, 2, 5) == "finished train 2: 2 of 5 jobs, about 101 s left"


def test_a_shipped_experiments_time_is_known_before_its_first_job_ends() -> None:
    clock = Clock()
    calm = Calm(clock)
    calm.expect(2, {"base": 60.0, "train": 10.0})
    assert told(calm, {"base": 1, "train": 4}) == "Job stats\nAll of it takes about 80 s."
    start(calm, 1, "base")
    clock.now = 120.0
    # Twice as slow a machine: four trainings of 20 s, two at a time.
    assert finish(calm, 1, 1, 5) == "finished base 1: 1 of 5 jobs, about 40 s left"


def test_no_time_is_named_where_a_rule_is_unknown() -> None:
    calm = Calm(Clock())
    calm.expect(2, {"generate": 1.0})
    assert told(calm, {"generate": 1, "train": 4}) == "Job stats"
    start(calm, 1, "generate")
    assert finish(calm, 1, 1, 5) == "finished generate 1: 1 of 5 jobs"


def test_a_start_says_why_where_that_is_news() -> None:
    calm = Calm()
    assert start(calm, 1, "train", "Missing output files: a.txt") == "start: train 1"
    assert start(calm, 5, "train", f"Missing output files: {'long/' * 40}file.txt") == "start: train 5"
    assert start(calm, 2, "train", "Params have changed since last execution") == (
        "start: train 2 (params have changed since last execution)"
    )
    assert len(start(calm, 3, "train", "Updated input files: " + "file.txt, " * 60)) < 130
    assert not calm.filter(record(LogEvent.JOB_INFO, jobid=4, rule_name="all", rule_msg=None, reason=""))


def test_chatter_goes_and_news_stays() -> None:
    calm = Calm()
    assert not calm.filter(record(None, "Select jobs to execute..."))
    assert calm.filter(record(None, "Nothing to be done (all requested files are present and up to date)."))
    assert calm.filter(record(None, "Will exit after finishing currently running jobs (scheduler)."))
    assert not calm.filter(record(None, "Will exit after finishing currently running jobs (scheduler)."))
    assert calm.filter(record(LogEvent.ERROR, "MissingInputException in rule x"))
