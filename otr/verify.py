"""Check a results tree: every digest, every score against its verdicts; and what is made in seconds is made again and
compared: generated rows, tables, the comparison, figure 2, the report.

    otr verify results/micro

Prints what does not hold, a line each with what to do, and ends with status 1; or says how much was checked. Every byte
is read: a digest that was remembered (otr/files.py) is not trusted here. Nothing is changed.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

from otr import config
from otr.command.finished import check as check_finished
from otr.errors import UserError
from otr.files import Row, read_jsonl, read_record, visible_files
from otr.results import integrity

RECORDS = {
    "data/*/summary.json": ["train.parquet"],
    "data/*/overlap.json": [],
    "train/*/*/run.json": ["checkpoint"],
    "problems/*/summary.json": ["problems.jsonl", "demonstrations.jsonl"],
    "eval/*/*/*/sampling.json": ["samples.jsonl.gz"],
    "eval/*/*/*/score.json": ["verdicts.jsonl.gz"],
}
"""Where records lie in an experiment's folder -> files that each of them must speak of."""


class Checks:
    """Runs checks and gathers what they find, each finding once."""

    def __init__(self) -> None:
        self.count = 0
        self.found: list[str] = []

    def run(self, check: Callable[..., None], *arguments: object) -> None:
        self.count += 1
        try:
            check(*arguments)
            return
        except UserError as error:
            text = str(error)
        except (KeyError, TypeError, AttributeError) as error:
            text = f"{arguments[-1]}: is not of the form that otr writes ({error!r}); delete it and run again"
        if text not in self.found:
            self.found.append(text)


def verify(folder: Path, experiment: config.Experiment | None) -> Checks:
    """folder: of one experiment in the results tree. Without its experiment file tables are not drawn again."""
    checks = Checks()
    for pattern, names in RECORDS.items():
        for record in sorted(folder.glob(pattern)):
            checks.run(_record, names, record)
    for check, pattern in ((_training, "train/*/*/run.json"), (_sampling, "eval/*/*/*/sampling.json")):
        for record in sorted(folder.glob(pattern)):
            checks.run(check, folder, record)
    for record in sorted(folder.glob("eval/*/*/*/score.json")):
        checks.run(_score, record)
    for kept in sorted([*folder.glob("train/*/*/.finished/*/"), *folder.glob("eval/*/*/*/.finished/*/")]):
        checks.run(check_finished, kept, True)
    for kept in sorted(folder.glob("eval/*/*/.store/*/*.jsonl.gz")):
        checks.run(_readable, kept)
    for report in sorted(folder.glob("data/*/overlap.json")):
        checks.run(_overlap, folder, report)
    for make, shown in _made_again(folder, experiment) if experiment is not None else ():
        if shown.exists():
            checks.run(_again, make, shown)
    return checks


def _made_again(folder: Path, experiment: config.Experiment) -> Iterator[tuple[Callable[[Path], object], Path]]:
    """What writes a file or folder of the tree elsewhere, and where it lies in the tree."""
    from otr.figures import figure2
    from otr.report.__main__ import write as write_report
    from otr.tables import comparison, render
    from otr.tables.table import experiment_table

    results = folder.parent

    def draw(table: str, out: Path) -> None:
        render.write(experiment_table(experiment, table, results), out)

    def generate(out: Path) -> None:
        import_module(f"otr.data.{experiment.generator}.__main__").generate(experiment.seed, out / "generated")

    yield generate, folder / "generated"
    for table in experiment.tables:
        yield partial(draw, table), folder / "tables" / f"{table}.md"
    yield partial(comparison.write, experiment, results), folder / "tables" / "comparison.md"
    if experiment.figure2 is not None:
        yield partial(figure2.write, experiment, results), folder / "figures" / "figure2.png"
    yield lambda out: write_report(experiment, results, out / "report.html"), folder / "report.html"


def _record(names: list[str], path: Path) -> None:
    """A record's own checksum, and the files it speaks of."""
    spoken_of = read_record(path).get("sha256", {})
    for name in names:
        if name not in spoken_of:
            raise UserError(f"{path}: says nothing of {name}; delete it and run again")
    for name in spoken_of:
        integrity.check(path.parent / name, full=True)


def _training(folder: Path, path: Path) -> None:
    """A training started from the very weights that are in the tree now."""
    run = read_record(path)
    base = folder / "train" / path.parts[-3] / "base" / "run.json"
    if "base_sha256" in run and base.exists():
        _same(path, "base_sha256", run, read_record(base)["sha256"]["checkpoint"], base)


def _sampling(folder: Path, path: Path) -> None:
    """Completions are those of the checkpoint that is in the tree now."""
    model, run = path.parts[-4:-2]
    trained = folder / "train" / model / ("base" if run == config.BASE_TUNED_RUN else run) / "run.json"
    if trained.exists():
        _same(path, "checkpoint_sha256", read_record(path), read_record(trained)["sha256"]["checkpoint"], trained)


def _score(path: Path) -> None:
    """A score is what its verdicts give, and they are verdicts on the completions beside them."""
    from otr.evaluation.shares import right_shares

    score = read_record(path)
    names = tuple(str(score[key]) for key in ("model", "run", "benchmark"))
    if names != path.parts[-4:-1]:
        raise UserError(f"{path}: is the score of {'/'.join(names)}; delete it and run again")
    sampling = path.parent / "sampling.json"
    if sampling.exists():
        recorded = read_record(sampling)["sha256"]["samples.jsonl.gz"]
        _same(path, "samples_sha256", score["provenance"], recorded, sampling)
    right: dict[str, list[bool]] = {}
    for row in read_jsonl(path.parent / "verdicts.jsonl.gz"):
        right.setdefault(row["problem"], []).append(bool(row["correct"]))
    if not right:
        raise UserError(f"{path.parent / 'verdicts.jsonl.gz'}: is empty; delete it and run again")
    shares = right_shares(list(right.values()))
    for key, given in (("score", shares["mean_at_k"]), ("standard_error", shares["standard_error"])):
        if score[key] != given:
            raise UserError(f"{path}: {key} is {score[key]}, its verdicts give {given}; delete and run again")


def _same(path: Path, key: str, record: Row, expected: str, other: Path) -> None:
    if record.get(key) != expected:
        raise UserError(
            f"{path}: {key} is not that of {other}: they were not made together; delete {path} and run again"
        )


def _readable(path: Path) -> None:
    for _ in read_jsonl(path):
        pass


def _again(make: Callable[[Path], object], shown: Path) -> None:
    """Files that this code makes in seconds are what it makes of the tree now."""
    with tempfile.TemporaryDirectory() as again:
        make(Path(again))
        for made in visible_files(Path(again)):
            there = shown.parent / made.relative_to(again)
            if not there.exists() or there.read_bytes() != made.read_bytes():
                raise UserError(f"{there}: is not what this code makes of the results; delete it and run again")


def _overlap(folder: Path, path: Path) -> None:
    """overlap.md says what overlap.json holds, which is of the rows and problems that are in the tree now."""
    from otr.data.overlap import markdown

    report, rows = read_record(path), path.with_name("summary.json")
    if rows.exists():
        _same(path, "train_sha256", report, read_record(rows)["sha256"]["train.parquet"], rows)
    for name, digest in report["problems_sha256"].items():
        problems = folder / "problems" / name / "summary.json"
        if problems.exists() and read_record(problems)["sha256"]["problems.jsonl"] != digest:
            raise UserError(f"{path}: is not of the problems of {problems}; delete {path} and run again")
    shown = path.with_suffix(".md")
    if not shown.exists() or shown.read_text(encoding="utf-8") != markdown(report):
        raise UserError(f"{shown}: is not what {path.name} says; delete both and run again")


def _notes(folder: Path) -> Iterator[str]:
    """What is no damage and may yet surprise: a copy under results/ of another experiment's table, or an edited one."""
    for table in sorted((folder / "tables").glob("*.md")):
        copy = folder.parent / table.name
        if copy.exists() and copy.read_bytes() != table.read_bytes():
            yield f"note: {copy} is not {table}; it is another experiment's, or was edited"


def _experiment(folder: Path) -> config.Experiment | None:
    try:
        return config.load(config.experiment_file(folder.resolve().name))
    except UserError as error:
        print(f"note: tables are not drawn again ({error})")
        return None


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("otr verify", None, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of one experiment, e.g. results/micro")
    folder = parser.parse_args(arguments).folder
    if not folder.is_dir():
        parser.exit(2, f"error: {folder}: no such folder\n")
    checks = verify(folder, _experiment(folder))
    for line in (*checks.found, *_notes(folder)):
        print(line)
    if not checks.count:
        parser.exit(2, f"error: {folder}: holds no results of an experiment; name its folder, e.g. results/micro\n")
    if checks.found:
        print(f"{len(checks.found)} findings in {checks.count} checks")
        sys.exit(1)
    print(f"{checks.count} checks hold")


if __name__ == "__main__":
    main()
