"""What a finished run of the workflow leaves on the screen: its table, what it says, where to read on.

In: the targets that were asked for and the results. Out: lines, e.g.

    Table 1: Main results on in-domain mathematical problems.
    Model   Method   Stories    Sums       Average
    Small   SFT      40.0 ±3.0  25.0 ±4.0  32.5 ±2.5
            OTR      40.0 ±3.0  30.0 ±4.0  35.0 ±2.5
    OTR scores 2.5 ± 1.1 points higher than SFT on Mathematics (...).

    open results/report.html; everything else: snakemake --cores all
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from otr.config import Experiment
from otr.files import write_text

SENTENCES = 8
"""More of them are in the report."""


def ending(
    targets: Sequence[str], experiment: Experiment, file: Path, results: Path = Path("results")
) -> Iterator[str]:
    """The lines after a run that made `targets`. Writes the report as well where the run did not: of what there is."""
    from otr.tables.answer import answer, lines
    from otr.tables.screen import screen
    from otr.tables.table import experiment_table

    there = [target for target in targets if Path(target).exists()]
    named = [Path(target).stem for target in there if Path(target).stem in experiment.tables]
    tables = named or (list(experiment.tables) if str(results / "report.html") in there else [])
    if tables:
        width = shutil.get_terminal_size((120, 24)).columns
        yield from ["", *screen(experiment_table(experiment, tables[0], results), width)]
        sentences = lines(answer(experiment, results, tables))
        if len(sentences) > SENTENCES + 1:
            rest = f"{len(sentences) - SENTENCES - 1} more are in {results}/report.html"
            sentences = [*sentences[:SENTENCES], rest, sentences[-1]]
        yield from ["", *sentences, ""]
    report = results / "report.html"
    if named and str(report) not in targets:
        yield from _report(experiment, file, results)
    made = f"experiment {experiment.name}: {', '.join(there) or 'everything'} up to date"
    where = [f"open {report}"] if report.exists() else []
    where += ["everything else: snakemake --cores all"] if named else [f"scores: otr show {results}/{experiment.name}"]
    yield from [made, "; ".join(where)]


def _report(experiment: Experiment, file: Path, results: Path) -> Iterator[str]:
    """A report of what is finished so far, at the places where the rule writes the whole one. That it fails is told and
    no more: the run has made what it was asked for."""
    whole = results / experiment.name / "report.html"
    log = results / experiment.name / "logs" / "report.log"
    places = ["--results", str(results), "--out", str(whole), "--log", str(log)]
    command = [sys.executable, "-m", "otr.report", "--experiment", str(file), *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        yield f"the report was not written; its log: {log}"
        return
    text = whole.read_text(encoding="utf-8")
    # The rule selected_report does the same with sed.
    beside = f'data-evidence="{experiment.name}/report/"'
    write_text(results / "report.html", text.replace('data-evidence="report/"', beside, 1))
