"""A retry is for what may go better next time: never for a user error."""

import subprocess
import sys
from pathlib import Path

from checkouts import ROOT

TRIES = {"refused": 1, "full": 1, "away": 3, "crashed": 3}

SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from otr.launch import refusals

rule all:
    input: {list(TRIES)}

rule stage:
    output: "{{end}}"
    log: "logs/{{end}}.log"
    shell: "{sys.executable} stage.py --experiment {ROOT}/workflow/experiments/micro.yaml --log {{log}}"

onstart:
    refusals.repeat_none(Path("logs"))
"""

STAGE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from otr.command.stage import Stage
from otr.errors import TemporaryError, UserError

ENDS = {{
    "refused": UserError("rows.jsonl:3: no solution"),
    "full": OSError(28, "No space left on device", "samples.jsonl.gz"),
    "away": TemporaryError("the hub cannot be reached"),
    "crashed": RuntimeError("by chance"),
}}
with Stage("stage", None).run(None) as (_, options):
    with open(options.log.stem + ".tries", "a") as tries:
        tries.write("tried\\n")
    raise ENDS[options.log.stem]
"""


def test_a_user_error_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "logs").mkdir()
    # What an earlier run noted does not count, as its cause may be gone.
    (tmp_path / "logs" / "away.log.refused").write_text("an earlier reason\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--retries", "2", "--keep-going"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1, run.stderr
    found = {end: len((tmp_path / f"{end}.tries").read_text().splitlines()) for end in TRIES}
    assert found == TRIES, run.stderr
