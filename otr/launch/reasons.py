"""A job whose `ancient` input is made again is asked for reasons of its own.

Snakemake 9 takes every job behind one that it runs for decided, and afterwards passes over those that an `ancient`
input alone connects: they do not run even where their outputs are missing or their settings have changed, and the call
ends as if all were done (snakemake/snakemake#4166). Here `ready` is such an input of every training and sampling.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from snakemake.dag import DAG

_update_needrun = DAG.update_needrun


def look_behind_ancient() -> None:
    """Let Snakemake look into jobs that are behind a rerun one by `ancient` inputs alone."""
    DAG.update_needrun = _update_needrun_of_all


async def _update_needrun_of_all(dag: Any, create_inventory: bool = False) -> None:
    dag.bfs = _behind  # in there, walks serve to leave jobs out and nothing else
    try:
        await _update_needrun(dag, create_inventory=create_inventory)
    finally:
        del dag.bfs


def _behind(direction: Any, *jobs: Any) -> Iterator[Any]:
    """The jobs and those that their outputs, unless `ancient`, are inputs of; the same for these, and so on."""
    queue = deque(jobs)
    seen = set(queue)
    while queue:
        job = queue.popleft()
        yield job
        for next_job, files in direction[job].items():
            if next_job not in seen and not all(file.is_ancient for file in files):
                seen.add(next_job)
                queue.append(next_job)
