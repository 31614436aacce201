"""What an experiment will cost before it is paid for: jobs, device-hours, memory and disk of each stage.

    otr plan --experiment workflow/experiments/paper.yaml --gpu h100
    otr plan --experiment workflow/experiments/qwen.yaml --gpu cpu --data /folder/with/rows --calibrate

In: the experiment, a device, and whatever the results folder already holds (problems, subsets, finished runs). Out: a
text of tables and the assumptions they rest on. The model behind it:

  training   6 x parameters x tokens (body) + 6 x vocabulary x width x trained tokens (head) + 6 x layers x width x
             length^2 (attention), and with activation checkpointing a third of body and attention again; over
             peak x MFU x devices, MFU being the share of all these operations, recomputed ones included. Memory:
             otr/train/footprint.py. Disk: the final checkpoint; while a run goes on, two resumable ones of 12 bytes a
             parameter.
  sampling   a decode step reads all weights and the keys and values of the batch, or computes 2 x parameters x batch,
             whichever takes longer (roofline), plus a fixed overhead. The batch is what fits the memory when
             completions are half done on average. Prompts cost 2 x parameters of the layers x tokens; the last
             completion runs on alone to its limit. Device-hours count every engine of a job.
  grading    seconds of a core a completion.

On a CPU the speed is a core's in bfloat16, and 0.45 of it where an experiment or the processor computes in float32.

--calibrate takes the speed of training and decoding from finished runs instead (of the same model, else of others); do
so only where they ran on the machine that is planned for.
"""

from pathlib import Path

from otr.command.stage import Stage
from otr.config import Machine
from otr.data.sources import Folders
from otr.machine.hardware import KNOWN, Hardware
from otr.plan.jobs import Plan
from otr.plan.requests import Requests, profile_block
from otr.plan.text import report, totals


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr plan", __doc__)
    stage.add("--gpu", default="h100", help=f"device: {', '.join(KNOWN)} (default: h100)")
    for key, what in [
        ("--tflops", "peak of dense bfloat16 products"),
        ("--memory-gb", "memory of one device"),
        ("--bandwidth-gb", "memory bandwidth, GB a second"),
        ("--mfu", "share of the peak that training reaches"),
    ]:
        stage.add(key, type=_positive, help=f"{what}, instead of the device's")
    stage.add("--completion-tokens", type=_positive, help="assumed completion length where none was measured")
    stage.add("--calibrate", action="store_true", help="take speeds from finished runs in --results")
    stage.add("--slurm", action="store_true", help="print the resource block of a Snakemake profile instead")
    stage.add("--results", type=Path, default=Path("results"), help="folder of all results (default: results)")
    stage.add("--data", type=Path, default=Path("data"), help="folder of relative `path` sources (default: data)")
    stage.add("--models", type=Path, default=Path("models"), help="folder of relative model paths (default: models)")
    with stage.run(arguments) as (experiment, options):
        hardware = Hardware.named(
            options.gpu, tflops=options.tflops, memory_gb=options.memory_gb, bandwidth_gb=options.bandwidth_gb,
            mfu=options.mfu,
        )  # fmt: skip
        folders = Folders(options.data, options.results / experiment.name / "generated")
        plan = Plan(
            experiment, hardware, options.results, folders, options.models, options.calibrate, options.completion_tokens
        )
        if options.slurm:
            machine = Machine(experiment=experiment.name, gpu_type=hardware.name if hardware.is_gpu else "h100")
            requests = Requests(machine, experiment, options.results, planned=True)
            print(profile_block(requests, experiment, plan.jobs), flush=True)
        else:
            print(report(plan), flush=True)
        stage.done(f"plan {experiment.name}: {totals(plan)}")


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise ValueError(f"{text} is not above 0")
    return value


if __name__ == "__main__":
    main()
