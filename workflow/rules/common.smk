# Reads and checks the settings; one clear line and exit status 1 before any job starts when something is wrong.
import os
import shlex
import sys
from pathlib import Path

from snakemake.settings.enums import Quietness

from otr import config as settings
from otr import preflight
from otr.errors import UserError

# Commands below say `python`: the one that runs Snakemake, also inside a cluster job.
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

# Why a job runs would be told as a list of some fifty files; `snakemake -n --quiet rules` and --summary tell it better.
if isinstance(workflow.output_settings.quiet, set):
    workflow.output_settings.quiet.add(Quietness.REASON)

try:
    machine, experiment, EXPERIMENT = preflight.check(config, main_process=workflow.is_main_process)
except UserError as error:
    sys.exit(f"error: {error}")

RESULTS = f"results/{experiment.name}"
DATA = shlex.quote(machine.data)
MODELS = shlex.quote(machine.models)
SAMPLED = list(experiment.benchmarks)

# `gpu` is a limit only if the workflow has one: on a cluster the scheduler hands out devices.
GPUS = preflight.gpus(machine)
if workflow.is_main_process and workflow.nodes is None and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)


wildcard_constraints:
    model="|".join(map(re.escape, experiment.models)),
    run="|".join(map(re.escape, [settings.BASE_RUN, *experiment.methods])),
    tuned="|".join(map(re.escape, experiment.methods)),
    dataset="|".join(map(re.escape, experiment.datasets)),
    benchmark="|".join(map(re.escape, experiment.benchmarks)),
    table="|".join(map(re.escape, experiment.tables)),
