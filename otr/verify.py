"""Check a results tree: every digest, every score against its verdicts, every table against its scores.

    otr verify results/micro

Prints what does not hold, a line each with what to do, and ends with status 1; or says how much was checked. Every byte
is read: a digest that was remembered (otr/files.py) is not trusted here.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from otr import config, integrity
from otr.command.finished import check as check_finished
from otr.errors import UserError
from otr.files import Row, read_jsonl, read_record

RECORDS = ("data/*/summary.json", "train/*/*/run.json", "problems/*/summary.json", "eval/*/*/*/sampling.json",
           "eval/*/*/*/score.json")  # fmt: skip


class Check:
    """Runs checks and gathers what they find."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.count = 0

    def run(self, check: Callable[..., object], *arguments: object) -> None:
        self.count += 1
        try:
            check(*arguments)
        except UserError as error:
            if str(error) not in self.found:
                self.found.append(str(error))


def verify(folder: Path, experiment: config.Experiment | None) -> Check:
    """folder: of one experiment in the results tree. Without its experiment file tables are not drawn again."""
    checks = Check()
    for pattern in RECORDS:
        for record in sorted(folder.glob(pattern)):
            checks.run(_record, record)
    for file in sorted(folder.glob("eval/*/*/*/sampling.json")):
        checks.run(_sampling, folder, file)
    for file in sorted(folder.glob("train/*/*/run.json")):
        checks.run(_training, folder, file)
    for file in sorted(folder.glob("eval/*/*/*/score.json")):
        checks.run(_score, file)
    for kept in sorted(folder.glob("train/*/*/.finished/*/")):
        checks.run(check_finished, kept, True)
    for kept in sorted(folder.glob("eval/*/*/.store/*/*.jsonl.gz")):
        checks.run(lambda path: sum(1 for _ in read_jsonl(path)), kept)
    if experiment is not None:
        for table in experiment.tables:
            if (folder / "tables" / f"{table}.md").exists():
                checks.run(_table, folder, experiment, table)
    return checks


def _record(path: Path) -> None:
    """A record's own checksum, and the files it speaks of."""
    for name in read_record(path).get("sha256", {}):
        integrity.check(path.parent / name, full=True)


def _training(folder: Path, path: Path) -> None:
    """A training started from the very weights that are in the tree now."""
    run = read_record(path)
    base = folder / "train" / path.parts[-3] / "base" / "run.json"
    if "base_sha256" in run and base.exists():
        _same(path, "base_sha256", run, read_record(base)["sha256"]["checkpoint"], base)


def _sampling(folder: Path, path: Path) -> None:
    """Completions are those of the checkpoint that is in the tree now."""
    sampling = read_record(path)
    model, run = path.parts[-4:-2]
    trained = folder / "train" / model / ("base" if run == config.BASE_TUNED_RUN else run) / "run.json"
    if trained.exists():
        _same(path, "checkpoint_sha256", sampling, read_record(trained)["sha256"]["checkpoint"], trained)


def _score(path: Path) -> None:
    """A score is what its verdicts give, and they are verdicts on the completions beside them."""
    from otr.evaluation.score import right_shares

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
        raise UserError(f"{path.parent / 'verdicts.jsonl.gz'}: holds no verdicts; delete {path.parent} and run again")
    shares = right_shares(list(right.values()))
    for key, figure in (("score", "mean_at_k"), ("standard_error", "standard_error")):
        if score[key] != shares[figure]:
            raise UserError(
                f"{path}: {key} is {score[key]}, its verdicts give {shares[figure]}; delete it and run again"
            )


def _same(path: Path, key: str, record: Row, expected: str, other: Path) -> None:
    if record.get(key) != expected:
        raise UserError(
            f"{path}: {key} is not that of {other}: the two were not made together; delete {path.parent} and run again"
        )


def _table(folder: Path, experiment: config.Experiment, table: str) -> None:
    """A table is what its scores give, drawn again beside it."""
    from otr.tables.__main__ import main as draw

    with tempfile.TemporaryDirectory() as again:
        file = str(config.experiment_file(experiment.name))
        draw(["--experiment", file, "--table", table, "--results", str(folder.parent), "--out", again])
        for drawn in sorted(Path(again).iterdir()):
            shown = folder / "tables" / drawn.name
            if not shown.exists() or shown.read_bytes() != drawn.read_bytes():
                raise UserError(f"{shown}: is not what its scores give today; delete it and run again")


def _differences(copies: Path, tables: Path) -> Iterator[str]:
    """Copies under results/ that differ from the table they were copied from: of another experiment, or edited."""
    for table in sorted(tables.glob("*.md")):
        copy = copies / table.name
        if copy.exists() and copy.read_bytes() != table.read_bytes():
            yield f"note: {copy} is not {table}: another experiment's, or edited"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="otr verify", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of one experiment, e.g. results/micro")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.exit(2, f"error: {options.folder}: no such folder\n")
    try:
        experiment = config.load(config.experiment_file(options.folder.resolve().name))
    except UserError as error:
        print(f"note: tables are not drawn again ({error})")
        experiment = None
    checks = verify(options.folder, experiment)
    for line in checks.found:
        print(line)
    for line in _differences(options.folder.parent, options.folder / "tables"):
        print(line)
    if checks.found:
        print(f"{len(checks.found)} of {checks.count} checks failed")
        sys.exit(1)
    print(f"{checks.count} checks hold")


if __name__ == "__main__":
    main()
