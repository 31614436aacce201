"""Jobs that ended in a user error are not tried again, whatever `--retries` says.

A retry gets more time and memory (otr/plan/requests.py), which helps a job that ran out of them. One that said what is
wrong with its input would wait in the queue and say it again. A stage notes beside its log that it ended so
(otr/command/stage.py); Snakemake asks a job how often it may be repeated when it has failed, and here the note answers.
"""

from pathlib import Path
from typing import Any

from snakemake.jobs import Job

from otr.command.stage import REFUSED


def repeat_none(logs: Path) -> None:
    """From now on; what earlier runs noted in the folder of logs is removed, as its cause may be gone."""
    for note in logs.glob(f"*{REFUSED}"):
        note.unlink(missing_ok=True)
    Job.restart_times = property(_restart_times)


def _restart_times(job: Any) -> int:
    return 0 if any(Path(f"{log}{REFUSED}").exists() for log in job.log) else int(job.rule.restart_times)
