"""Snakemake's Slurm plugin, with what clusters do to it: a controller that is away for minutes, and no accounting.

The plugin forgets its jobs when their states cannot be asked for, so nothing would ever finish; a submission that fails
uses up one of a job's retries; and `sacct`, its first choice, is installed also where there is no accounting.

In: the plugin's executor, registered with Snakemake. Out: the same with the class below in its place.
"""

import subprocess
import time
from collections.abc import AsyncIterator
from typing import Any

import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

PAUSE = 10.0
"""Seconds between two looks at whether the controller is back."""
AWAY = "the Slurm controller does not answer; running jobs go on, and so does this run when it is back"


class Executor(plugin.Executor):  # type: ignore[misc]
    _is_away = False
    _is_cancelled = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workflow.executor_settings.status_command == "sacct" and not _keeps_accounts():
            self.logger.info("Slurm keeps no accounts here: the states of jobs are asked for with squeue")
            self.workflow.executor_settings.status_command = "squeue"
            # The plugin goes back to sacct by itself wherever the program is installed.
            installed = plugin.is_query_tool_available
            plugin.is_query_tool_available = lambda tool: tool != "sacct" and installed(tool)

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """Yields the jobs that go on; all of them while nobody knows."""
        answers = self._status_query_calls
        async for job in super().check_active_jobs(active_jobs):
            yield job
        if active_jobs and self._status_query_calls == answers:
            self._say_away()
            for job in active_jobs:
                yield job
        else:
            self._is_away = False

    def run_job(self, job: Any) -> None:
        """Submit, as soon as there is someone to submit to. Runs in one of the plugin's own threads."""
        while not self._is_cancelled and not _answers():
            self._say_away()
            time.sleep(PAUSE)
        super().run_job(job)

    def cancel(self) -> None:
        self._is_cancelled = True
        super().cancel()

    def _say_away(self) -> None:
        if not self._is_away:
            self.logger.warning(AWAY)
        self._is_away = True


def register() -> None:
    """Put this executor in the plugin's place."""
    ExecutorPluginRegistry().get_plugin("slurm").executor = Executor


def _keeps_accounts() -> bool:
    """False where sacct says that there is no accounting; any other trouble of it passes."""
    if not plugin.is_query_tool_available("sacct"):
        return False
    asked = subprocess.run(["sacct", "-X", "--noheader", "--name", "otr"], capture_output=True, text=True, check=False)
    return "accounting storage is disabled" not in asked.stdout + asked.stderr


def _answers() -> bool:
    try:
        return subprocess.run(["scontrol", "ping"], capture_output=True, timeout=60, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
