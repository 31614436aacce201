"""Where each file of an experiment lies, and what of them is there.

    paths = Paths(Path("results"), "micro")
    paths.score(Cell("small", "otr", "stories"))     results/micro/eval/small/otr/stories/score.json

`Tree` walks a finished or unfinished tree in the order of the experiment file. A file that is not there yet is left
out. One that is damaged, or that lacks a key, raises UserError with its name.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from otr.config import BASE_RUN, BASE_TUNED_RUN, Cell, Experiment
from otr.files import Row, read_jsonl, read_record
from otr.results.integrity import checked
from otr.results.records import RunFile, SamplingFile, ScoreFile


class Paths:
    """Where the files of one experiment lie, whether they are there or not."""

    def __init__(self, results: Path | str, experiment: str) -> None:
        self.folder = Path(results) / experiment

    def subset(self, dataset: str) -> Path:
        return self.folder / "data" / dataset / "train.parquet"

    def summary(self, dataset: str) -> Path:
        return self.folder / "data" / dataset / "summary.json"

    def problems(self, benchmark: str) -> Path:
        return self.folder / "problems" / benchmark / "problems.jsonl"

    def demonstrations(self, benchmark: str) -> Path:
        return self.folder / "problems" / benchmark / "demonstrations.jsonl"

    def training(self, model: str, run: str) -> Path:
        """The folder of a run; of the base model it holds the checkpoint that all others start from."""
        return self.folder / "train" / model / run

    def checkpoint(self, model: str, run: str) -> Path:
        return self.training(model, run) / "checkpoint"

    def metrics(self, model: str, run: str) -> Path:
        return self.training(model, run) / "metrics.jsonl"

    def run(self, model: str, run: str) -> Path:
        return self.training(model, run) / "run.json"

    def evaluation(self, cell: Cell) -> Path:
        """The folder of one benchmark of one run."""
        return self.folder / "eval" / cell.model / cell.run / cell.benchmark

    def samples(self, cell: Cell) -> Path:
        return self.evaluation(cell) / "samples.jsonl.gz"

    def sampling(self, cell: Cell) -> Path:
        return self.evaluation(cell) / "sampling.json"

    def verdicts(self, cell: Cell) -> Path:
        return self.evaluation(cell) / "verdicts.jsonl.gz"

    def score(self, cell: Cell) -> Path:
        return self.evaluation(cell) / "score.json"


class Tree(Paths):
    """The results of one experiment that are there so far."""

    def __init__(self, results: Path, experiment: Experiment) -> None:
        super().__init__(results, experiment.name)
        self.experiment = experiment

    def expected(self) -> list[Cell]:
        """Every cell that a table of the experiment shows, each once."""
        return list(dict.fromkeys(cell for table in self.experiment.tables for cell in self.experiment.cells(table)))

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

    def scores(self) -> dict[Cell, ScoreFile]:
        return {cell: found for cell in self.cells() if (found := ScoreFile.found(self.score(cell)))}

    def samplings(self) -> dict[Cell, SamplingFile]:
        return {cell: found for cell in self.cells() if (found := SamplingFile.found(self.sampling(cell)))}

    def trainings(self) -> list[RunFile]:
        """run.json of every model and run that has one, base models too."""
        places = ((model, run) for model in self.experiment.models for run in self.runs())
        return [found for place in places if (found := RunFile.found(self.run(*place)))]

    def steps(self, model: str, run: str) -> list[Row]:
        """metrics.jsonl of a training; of one that still runs, the steps so far. Empty where there is none."""
        for path in (self.metrics(model, run), self.training(model, run) / ".resume" / "metrics.jsonl"):
            if path.exists():
                return list(read_jsonl(checked(path)))
        return []

    def subsets(self) -> dict[str, Row]:
        """summary.json of every training subset, by data set."""
        paths = {name: self.summary(name) for name in self.experiment.datasets}
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
