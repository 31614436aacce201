"""The screen while Snakemake works."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from checkouts import ROOT
from snakemake_interface_logger_plugins.common import LogEvent

from otr.launch.terminal import Calm, made

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

onsuccess:
    logger.info(terminal.made(sorted(workflow.dag_settings.targets) or rules.all.input, "tiny"))

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
    assert "Job 1: making a1" in run.stderr or "Job 2: making a1" in run.stderr
    ends = [line for line in run.stderr.splitlines() if line.startswith("finished ")]
    assert len(ends) == 4
    assert ends[0].startswith("finished making a") and "1 of 4 jobs, at least " in ends[0]
    assert ends[2].startswith("finished making c: 3 of 4 jobs, ")
    assert ends[3] == "finished all: 4 of 4 jobs"
    assert "experiment tiny: c.txt up to date" in run.stderr
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


def test_the_time_left_counts_what_remains_at_the_pace_so_far() -> None:
    clock = Clock()
    calm = Calm(clock)
    calm.filter(record(LogEvent.RUN_INFO, stats={"train": 4, "table": 1, "total": 5}))

    def start(job: int, rule: str) -> None:
        calm.filter(record(LogEvent.JOB_INFO, jobid=job, rule_name=rule, rule_msg=f"{rule} {job}", reason=""))

    def finish(job: int, done: int) -> str:
        assert not calm.filter(record(LogEvent.JOB_FINISHED, job_id=job))
        progress = record(LogEvent.PROGRESS, done=done, total=5)
        assert calm.filter(progress)
        return str(progress.msg)

    start(1, "train")
    start(2, "train")
    clock.now = 100.0
    # Three trainings of 100 s remain, one of them all but done: 200 s of work, two at a time.
    assert finish(1, 1) == "finished train 1: 1 of 5 jobs, at least 100 s left"
    assert finish(2, 2) == "finished train 2: 2 of 5 jobs, at least 100 s left"
    start(3, "table")
    clock.now = 101.0
    # Two trainings of 100 s; 201 busy seconds in 101 seconds.
    assert finish(3, 3) == "finished table 3: 3 of 5 jobs, about 100 s left"


def test_no_time_is_better_than_none_at_all() -> None:
    calm = Calm(Clock())
    calm.filter(record(LogEvent.RUN_INFO, stats={"generate": 1, "train": 4, "total": 5}))
    calm.filter(record(LogEvent.JOB_INFO, jobid=1, rule_name="generate", rule_msg="generating", reason=""))
    calm.filter(record(LogEvent.JOB_FINISHED, job_id=1))
    progress = record(LogEvent.PROGRESS, done=1, total=5)
    calm.filter(progress)
    assert progress.msg == "finished generating: 1 of 5 jobs"


def test_chatter_goes_and_news_stays() -> None:
    calm = Calm()
    assert not calm.filter(record(None, "Select jobs to execute..."))
    assert calm.filter(record(None, "Nothing to be done (all requested files are present and up to date)."))
    assert calm.filter(record(None, "Will exit after finishing currently running jobs (scheduler)."))
    assert not calm.filter(record(None, "Will exit after finishing currently running jobs (scheduler)."))
    assert calm.filter(record(LogEvent.ERROR, "MissingInputException in rule x"))


def test_a_long_reason_is_cut_at_a_name() -> None:
    info = record(LogEvent.JOB_INFO, jobid=1, rule_name="a", rule_msg="", reason="Missing: " + "file.txt, " * 60)
    assert Calm().filter(info)
    assert info.__dict__["reason"].endswith("file.txt, ...") and len(info.__dict__["reason"]) < 170


def test_only_what_is_there_is_named(tmp_path: Path) -> None:
    there = tmp_path / "table1.md"
    there.touch()
    assert made([str(there), str(tmp_path / "none")], "micro") == f"experiment micro: {there} up to date"
