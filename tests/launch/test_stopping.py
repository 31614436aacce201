"""Ctrl-C, and SIGTERM to Snakemake alone: a stop within seconds, told as one, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkouts import ROOT

SNAKEFILE = """
import sys
sys.path.insert(0, {root!r})
from otr.launch import stopping, terminal
CALM = terminal.Calm()
logger.addFilter(CALM)

rule all:
    input: "1.txt", "2.txt"

rule stage:
    output: "{{n}}.txt"
    message: "making {{wildcards.n}}"
    shell: "touch {{output}}; {python} stage.py {{wildcards.n}}; echo whole > {{output}}"

onstart:
    stopping.stop_on_sigterm()

onerror:
    logger.info(CALM.next_step("logs"))
"""

STAGE = """
import pathlib, signal, sys, time
number = sys.argv[1]
def stop(*_):
    pathlib.Path(f"checkpoint-{number}").write_text("")
    sys.exit(143)
if not pathlib.Path(f"checkpoint-{number}").exists():
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    pathlib.Path(f"started-{number}").write_text("")
    time.sleep(300)
"""


@pytest.mark.parametrize("whom", ["snakemake", "everyone"])
def test_a_stop_is_no_crash_and_the_same_command_goes_on(tmp_path: Path, whom: str) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(root=str(ROOT), python=sys.executable))
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "profiles" / "default").mkdir(parents=True)
    (tmp_path / "profiles/default/config.yaml").write_text((ROOT / "profiles/default/config.yaml").read_text())
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    with (tmp_path / "said").open("w") as said:
        # A shell's background job ignores SIGINT, and would hand that on.
        run = subprocess.Popen(
            command, cwd=tmp_path, start_new_session=True, stdout=said, stderr=said,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    end = time.monotonic() + 120
    while len(list(tmp_path.glob("started-*"))) < 2:
        assert run.poll() is None and time.monotonic() < end, (tmp_path / "said").read_text()
        time.sleep(0.05)
    if whom == "snakemake":
        run.send_signal(signal.SIGTERM)
    else:
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does on Ctrl-C
    assert run.wait(timeout=60) != 0
    text = (tmp_path / "said").read_text()
    assert "stopped; the same command goes on" in text, text
    for alarm in ("FAILED", "Traceback", "CalledProcessError", "Error in rule", "WorkflowError", "Fix the cause"):
        assert alarm not in text, text
    assert len(list(tmp_path.glob("checkpoint-*"))) == 2
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (tmp_path / "1.txt").read_text() == (tmp_path / "2.txt").read_text() == "whole\n"
