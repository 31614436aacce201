"""`otr table`: draw a table of an experiment from its score files.

    otr table --experiment workflow/experiments/micro.yaml --table table1 --out results/micro/tables
    otr table comparison --experiment workflow/experiments/paper.yaml --out results
    otr table audit --out results
    otr table figure2 --experiment workflow/experiments/paper.yaml --out results/paper/figures

The first writes <out>/table1.{md,csv,tex}; the second compares an experiment with the published tables
(<out>/comparison.{md,csv}); the third checks the published tables against themselves (<out>/paper_audit.md); the fourth
draws <out>/figure2.{png,svg}. Each takes what is finished so far.
"""

import sys
from pathlib import Path

from otr.command.stage import Command, Stage
from otr.errors import UserError
from otr.files import write_text
from otr.tables import audit, comparison, render
from otr.tables.table import experiment_table


def main(arguments: list[str] | None = None) -> None:
    given = sys.argv[1:] if arguments is None else arguments
    commands = {"comparison": _compare, "audit": _audit, "figure2": _figure2}
    if given and given[0] in commands:
        commands[given[0]](given[1:])
    else:
        _draw(given)


def _draw(arguments: list[str]) -> None:
    stage = Stage("otr table", __doc__)
    stage.add("--table", required=True, help="a table of the experiment file, e.g. table1")
    _add_folders(stage)
    with stage.run(arguments) as (experiment, options):
        if options.table not in experiment.tables:
            known = ", ".join(experiment.tables) or "(none defined)"
            raise UserError(f"--table: '{options.table}' is not a table of {options.experiment}; allowed: {known}")
        table = experiment_table(experiment, options.table, options.results)
        paths = render.write(table, options.out)
        missing = sum(cell.score is None for block in table.blocks for row in block.rows for cell in row.cells)
        stage.done(f"{paths[0]}: drawn" + (f", {missing} cells not scored yet" if missing else ""))


def _compare(arguments: list[str]) -> None:
    stage = Stage("otr table comparison", "Ours beside the published tables.")
    _add_folders(stage)
    with stage.run(arguments) as (experiment, options):
        cells = comparison.write(experiment, options.results, options.out)
        stage.done(f"{options.out}/comparison.md: {sum(cell.difference is not None for cell in cells)} cells compared")


def _audit(arguments: list[str]) -> None:
    command = Command("otr table audit", "Checks of the published tables.")
    command.add("--out", type=Path, required=True, help="folder for paper_audit.md")
    with command.work(arguments) as options:
        write_text(options.out / "paper_audit.md", audit.markdown())
        command.done(f"{options.out}/paper_audit.md: written")


def _figure2(arguments: list[str]) -> None:
    from otr.figures import figure2  # matplotlib takes a second, which tables need not wait for

    stage = Stage("otr table figure2", figure2.__doc__)
    _add_folders(stage)
    with stage.run(arguments) as (experiment, options):
        missing = figure2.write(experiment, options.results, options.out)
        unfinished = ", ".join(f"{model}/{run}" for model, run in missing)
        stage.done(
            f"{options.out}/figure2.png: drawn" + (f", without unfinished runs ({unfinished})" if missing else "")
        )


def _add_folders(stage: Stage) -> None:
    stage.add("--results", type=Path, default=Path("results"), help="folder of all results (default: results)")
    stage.add("--out", type=Path, required=True, help="folder to write to")


if __name__ == "__main__":
    main()
