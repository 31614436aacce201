# Reads and checks the settings; one clear line and exit status 1 before any job starts when something is wrong.
import logging
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

# The code of this very checkout, whatever else is installed.
sys.path.insert(0, str(workflow.basedir))

from otr import config as settings
from otr.launch import ending, imports, preflight, reasons, refusals, remaining, stopping, terminal
from otr.errors import UserError
from otr.plan.needs import needs
from otr.plan.requests import MEMORY, Requests
from otr.results import Paths

preflight.set_paths(workflow.basedir)
reasons.look_behind_ancient()


CALM = terminal.Calm()
if logger.getEffectiveLevel() > logging.DEBUG:
    logger.addFilter(CALM)

try:
    machine, experiment, EXPERIMENT = preflight.check(config, main_process=workflow.is_main_process)
except UserError as error:
    sys.exit(f"error: {error}")

RESULTS = f"results/{experiment.name}"
PATHS = Paths("results", experiment.name)  # of the files that stages read; wildcards in braces

# What a command is told of this machine (EXPERIMENT, machine.data, ...) stands in its text and in no `params`: Snakemake
# compares those, and another folder or engine must redo nothing. Content decides: params hold settings and digests.
UNSANDBOXED = "--allow-unsandboxed" if machine.allow_unsandboxed else ""

# `gpu` is a limit only if the workflow has one: on a cluster the scheduler hands out devices. A cluster's jobs read the
# workflow again (they alone are no main process) and must find the same numbers.
CLUSTER = not workflow.is_main_process or workflow.nodes is not None
GPUS = preflight.gpus(machine, CLUSTER)
if not CLUSTER and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)
# Nor is memory: two trainings that do not fit side by side run one after the other. A dry run shows what jobs ask for.
MEGABYTES = None if workflow.output_settings.dryrun else preflight.memory(experiment)
if not CLUSTER and MEGABYTES and "mem_mb" not in workflow.global_resources:
    workflow.register_resource("mem_mb", MEGABYTES)

if CLUSTER and workflow.is_main_process and find_spec("snakemake_executor_plugin_slurm"):
    from otr.launch import slurm

    slurm.register()

# How long the jobs took that ran here before: for the time that is left.
TIMES = Path(RESULTS, "logs", "seconds.json")
if not CLUSTER and workflow.resource_settings.cores:
    CALM.expect(workflow.resource_settings.cores // experiment.threads, remaining.expected(experiment.name, TIMES))

# For --sdm conda alone; otherwise jobs use the environment that runs Snakemake.
ENVIRONMENT = f"../../envs/{'gpu' if GPUS else 'cpu'}.yaml"


wildcard_constraints:
    model="|".join(map(re.escape, experiment.models)),
    run="|".join(map(re.escape, [settings.BASE_RUN, settings.BASE_TUNED_RUN, *experiment.tuned_runs])),
    tuned="|".join(map(re.escape, experiment.tuned_runs)),
    dataset="|".join(map(re.escape, experiment.datasets)),
    benchmark="|".join(map(re.escape, experiment.benchmarks)),
    table="|".join(map(re.escape, experiment.tables)),
    unknown=rf"(?!(?:{'|'.join(map(re.escape, [*experiment.tables, 'comparison', 'paper_audit']))})\.md$)[^/]+",


def code(*modules):
    """The files that a change of redoes a rule which runs these modules: given as inputs, so Snakemake compares their
    contents. Only where a rerun is cheap; hours of training and sampling are repeated on request alone (--forcerun)."""
    return [os.path.relpath(file) for file in imports.files(*modules)]


# What jobs ask a scheduler for. A plan takes seconds: the process that submits makes it, and no other.
REQUESTS = Requests(machine, experiment, Path("results"), planned=CLUSTER and workflow.is_main_process)

# A dry run says what jobs will ask for. A plan takes seconds: for models that are not the workflow's own.
if workflow.output_settings.dryrun and any(model.hub for model in experiment.models.values()):
    CALM.tell(lambda: needs(workflow.dag.needrun_jobs(exclude_finished=False), experiment, REQUESTS))


def generated(*sources):
    """The folder of the generator's files, where one of the sources needs it."""
    return [f"{RESULTS}/generated"] if any(source and source.generated for source in sources) else []


def refused(wildcards):
    """One line instead of Snakemake's, which would not say which tables there are."""
    allowed = ", ".join(f"results/{name}.md" for name in experiment.tables) or "(the experiment names no table)"
    sys.exit(f"error: results/{wildcards.unknown}.md: {experiment.name} has no such table; allowed: {allowed}")


onstart:
    stopping.stop_on_sigterm()
    refusals.repeat_none(Path(RESULTS, "logs"))
    preflight.remember_forced(workflow.dag_settings)


onsuccess:
    remaining.record(CALM.remaining, TIMES)
    for line in ending.ending(sorted(workflow.dag_settings.targets) or rules.all.input, experiment, EXPERIMENT):
        logger.info(line)


onerror:
    remaining.record(CALM.remaining, TIMES)
    logger.info(CALM.next_step(f"{RESULTS}/logs"))
