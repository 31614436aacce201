"""What an experiment's results tree holds so far, in the order of the experiment file.

In: `<results>/<experiment>/` as results/README.md describes it, finished or not. Out: rows for the page, e.g. a score

    {"model": "small", "run": "otr", "benchmark": "stories", "metric": "mean@4", "score": 29.5, "standard_error": 4.37,
     "problems": 100, "samples": 400, "details": {"truncated": 0.0, "no_answer": 0.0}, ...}

A file that is not there yet leaves its row out; one that is damaged raises UserError with its name.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from otr.config import BASE_RUN, BASE_TUNED_RUN, Experiment
from otr.files import Row, read_jsonl, read_record
from otr.integrity import checked


@dataclass(frozen=True)
class Cell:
    """One benchmark of one run."""

    model: str
    run: str
    benchmark: str

    @property
    def name(self) -> str:
        return f"{self.model}/{self.run}/{self.benchmark}"


class Tree:
    """The results of one experiment."""

    def __init__(self, results: Path, experiment: Experiment) -> None:
        self.experiment = experiment
        self.folder = results / experiment.name

    def expected(self) -> list[Cell]:
        """Every cell that a table of the experiment shows, each once."""
        names = dict.fromkeys(name for table in self.experiment.tables for name in self.experiment.cells(table))
        return [Cell(*name.split("/")) for name in names]

    def runs(self) -> list[str]:
        """The runs that a table shows or that have results, as the experiment file orders its methods."""
        shown = [cell.run for cell in self.expected()]
        found = [path.name for stage in ("train", "eval") for path in sorted((self.folder / stage).glob("*/*/"))]
        order = [BASE_RUN, BASE_TUNED_RUN, *shown, *self.experiment.methods]
        return sorted(dict.fromkeys([*shown, *found]), key=lambda run: _position(run, order))

    def cells(self) -> list[Cell]:
        """Expected cells and cells that were scored beside them, by model, run and benchmark."""
        scored = [Cell(*path.parts[-4:-1]) for path in sorted(self.folder.glob("eval/*/*/*/score.json"))]
        models, benchmarks, runs = list(self.experiment.models), list(self.experiment.benchmarks), self.runs()

        def place(cell: Cell) -> tuple[int, int, int]:
            return _position(cell.model, models), _position(cell.run, runs), _position(cell.benchmark, benchmarks)

        return sorted(dict.fromkeys([*self.expected(), *scored]), key=place)

    def path(self, cell: Cell, name: str) -> Path:
        return self.folder / "eval" / cell.model / cell.run / cell.benchmark / name

    def read(self, cell: Cell, name: str) -> Row | None:
        """score.json or sampling.json of a cell; None while it is not there."""
        path = self.path(cell, name)
        return read_record(path) if path.exists() else None

    def trainings(self) -> list[Row]:
        """run.json of every model and run that has one, base models too."""
        paths = [self.folder / "train" / m / r / "run.json" for m in self.experiment.models for r in self.runs()]
        return [read_record(path) for path in paths if path.exists()]

    def metrics(self, model: str, run: str) -> list[Row]:
        """metrics.jsonl of a training; of one that still runs, the steps so far. Empty where there is none."""
        folder = self.folder / "train" / model / run
        for path in (folder / "metrics.jsonl", folder / ".resume" / "metrics.jsonl"):
            if path.exists():
                return list(read_jsonl(checked(path)))
        return []

    def subsets(self) -> dict[str, Row]:
        """summary.json of every training subset, by data set."""
        paths = {name: self.folder / "data" / name / "summary.json" for name in self.experiment.datasets}
        return {name: read_record(path) for name, path in paths.items() if path.exists()}

    def overlaps(self) -> dict[str, str]:
        """overlap.md (training subset against problems) of every data set that has one."""
        texts = {name: self.text(f"data/{name}/overlap.md") for name in self.experiment.datasets}
        return {name: text for name, text in texts.items() if text is not None}

    def job_records(self) -> list[Row]:
        """Snakemake's benchmark files: seconds `s`, largest resident memory `max_rss` in MB, and so on, a job each."""
        folder = self.folder / "benchmarks"
        records = []
        for path in sorted(folder.glob("**/*.tsv")):
            with path.open(encoding="utf-8", newline="") as file:
                name = path.relative_to(folder).with_suffix("").as_posix()
                records += [{"job": name, **row} for row in csv.DictReader(file, delimiter="\t")]
        return records

    def text(self, name: str) -> str | None:
        """A text file of the experiment's folder; None while it is not there."""
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.exists() else None


def _position(name: str, order: Iterable[str]) -> int:
    """Names that the experiment does not know come last."""
    known = list(order)
    return known.index(name) if name in known else len(known)
