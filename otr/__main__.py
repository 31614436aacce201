"""The stages of the project as subcommands: `otr train ...` runs the module otr.train, and so on.

    otr                                   this list
    otr --version
    otr train --help                      a stage's options, with units and defaults
    otr show results/micro                every score, and what they say

Snakemake calls the stages in their order (`snakemake --cores all`); each can be run by hand as well.
Exit status: 0 done, 1 a failure, 2 something the user can fix (one line says what).
"""

import runpy
import sys
from importlib.metadata import version

STAGES = {
    "Rows": {
        "generate": ("otr.data.micro", "documents, problems and worked solutions of the default experiment"),
        "subset": ("otr.data.subsample", "the training subset of a data set, by response length"),
        "problems": ("otr.evaluation.problems", "a benchmark's problems and few-shot examples, in one form"),
        "overlap": ("otr.data.overlap", "which test problems a training subset contains"),
    },
    "Models": {
        "base": ("otr.models", "a base checkpoint: pre-train, convert, fetch or link it"),
        "ready": ("otr.plan.ready", "what would stop a model's jobs: prompts too long, a disk too full"),
        "train": ("otr.train", "fine-tune a checkpoint with a method (SFT, DFT, OTR, ...)"),
    },
    "Evaluation": {
        "prompt": ("otr.evaluation.prompt", "what a checkpoint is sent in each protocol, and what a training sees"),
        "sample": ("otr.evaluation.sample", "completions of a checkpoint, by vLLM"),
        "grade-math": ("otr.evaluation.math", "verdicts and scores of mathematics benchmarks"),
        "grade-code": ("otr.evaluation.code", "verdicts and scores of code benchmarks, run in a sandbox"),
        "grade-general": ("otr.evaluation.general", "verdicts and scores of multiple choice and exact match"),
    },
    "Results": {
        "table": ("otr.tables", "a table in Markdown, CSV and LaTeX; also: comparison, audit, figure2"),
        "report": ("otr.report", "everything of an experiment on one HTML page"),
        "plan": ("otr.plan", "jobs, hours, memory and disk of an experiment, before paying for them"),
        "verify": ("otr.verify", "check every digest, score and table of a results tree"),
        "show": ("otr.show", "scores, completions, runs and tables in readable form; compares two runs"),
    },
}
"""Groups of subcommands: name -> (module, what it makes)."""


def modules() -> dict[str, str]:
    """Subcommand -> module."""
    return {name: module for group in STAGES.values() for name, (module, _) in group.items()}


def usage() -> str:
    width = max(map(len, modules()))
    groups = [
        "\n".join([f"{title}:", *(f"  {name:<{width}}  {text}" for name, (_, text) in stages.items())])
        for title, stages in STAGES.items()
    ]
    return "\n\n".join(["usage: otr STAGE [options]", (__doc__ or "").strip(), *groups])


def main() -> None:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    if arguments[0] in ("-V", "--version"):
        print(f"otr {version('otr')}")
        return
    module = modules().get("grade-math" if arguments[0] == "grade" else arguments[0])
    if module is None:
        print(f"error: '{arguments[0]}' is not a stage; allowed: {', '.join(modules())}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [f"otr {arguments[0]}", *arguments[1:]]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in ("", "otr"):
            raise
        remedy = f"otr {arguments[0]} is part of the reproduction: pip install 'otr[cpu]', or 'otr[gpu]'"
        print(f"error: the package '{package}' is not installed; {remedy}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
