"""`otr show`: a file or folder of results/ in readable form.

    otr show results/micro                                          every score, and what they say
    otr show results/micro/eval/small/otr                           a run's scores, one line each
    otr show results/micro/eval/small/otr --against results/micro/eval/small/sft      beside another run's
    otr show results/micro/eval/small/otr/stories                   one score with its protocol
    otr show results/micro/eval/small/otr/stories --only wrong      its wrong completions, one line each
    otr show results/micro/eval/small/otr/stories --only wrong --next                 reads them one by one
    otr show results/micro/eval/small/otr/stories --problem 3 --sample 1              one with its verdict
    otr show results/micro/train/small/otr                          a training: settings, totals, last step
    otr show results/micro/tables/table1.csv                        a table

With --against and another run's folder of the same benchmark: the problems on which they differ, or both completions of
a problem. Colours appear on a terminal only (and not where NO_COLOR is set); a pipe gets plain text.
"""

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from otr.command.progress import duration
from otr.command.stage import Help
from otr.errors import UserError
from otr.files import read_json, read_jsonl
from otr.results import ScoreFile
from otr.show import completions, scores
from otr.show.completions import ONLY, Request
from otr.show.style import Style, flat, lines_of, pairs, part

LINES = 20
"""Of a long file of rows, so many are shown."""


def show(request: Request, style: Style) -> Iterator[str]:
    """The lines for a path. Raises UserError when there is nothing to show."""
    path = request.path
    for given in (path, request.against):
        if given is not None and not given.exists():
            raise UserError(f"{given}: no such file or folder")
    if (path / "eval").is_dir() or any(path.glob("*/score.json")):
        return _scores(request, style)
    if request.wants_completions or (request.against and (path / "score.json").exists()):
        return completions.lines(request, style)
    file = _main_file(path) if path.is_dir() else path
    if file.name == "score.json":
        return _score(file, style)
    if file.name == "run.json":
        return _run(file, style)
    if file.suffix == ".json":
        return pairs(flat(read_json(file)), style)
    if file.name.endswith((".jsonl", ".jsonl.gz")):
        return _rows(file, style)
    if file.suffix == ".csv":
        return _table(file)
    if file.suffix in (".md", ".tex", ".log", ".txt"):
        return iter(file.read_text(encoding="utf-8").splitlines())
    raise UserError(f"{file}: cannot be shown; allowed: .json, .jsonl, .jsonl.gz, .csv, .md, .tex and .log files")


def _scores(request: Request, style: Style) -> Iterator[str]:
    path = request.path
    if (path / "eval").is_dir():
        return scores.of_experiment(path, style)
    if request.against is not None:
        return scores.compared(path, request.against, style)
    return scores.of_run(path, style)


def _main_file(folder: Path) -> Path:
    for name in ("score.json", "run.json", "summary.json", "problems.jsonl"):
        if (folder / name).exists():
            return folder / name
    found = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
    raise UserError(f"{folder}: has no score.json, run.json, summary.json or problems.jsonl; found: {found}")


def _score(path: Path, style: Style) -> Iterator[str]:
    score = ScoreFile.read(path)
    spread = "" if score.standard_error is None else f" ± {score.standard_error:.2f}"
    yield style.title(f"{score.model} {score.run} on {score.benchmark}: {score.score:.2f}{spread} %")
    yield style.dim(f"{score.metric}, {score.problems} problems, {score.samples} completions; ± one")
    yield style.dim("standard error")
    yield ""
    yield from pairs(flat(score.details), style)
    yield from part("Protocol", flat(score.protocol), style)
    yield from part("Provenance", flat(score.provenance), style)
    if score.example_prompt:
        yield from ["", style.title("One exact prompt"), *lines_of(score.example_prompt)]


def _run(path: Path, style: Style) -> Iterator[str]:
    run = read_json(path)
    yield style.title(f"{run.get('model')} {run.get('run')}")
    if run.get("seconds") is not None:
        yield style.dim(f"{run.get('steps')} steps in {duration(run['seconds'])}")
    metrics = path.parent / "metrics.jsonl"
    nested = {key: value for key, value in run.items() if isinstance(value, dict)}
    yield from ["", *pairs([(key, value) for key, value in run.items() if key not in nested], style)]
    for name, values in nested.items():
        yield from part(name.replace("_", " ").capitalize(), flat(values), style)
    if metrics.exists():
        last = deque(read_jsonl(metrics), maxlen=1)
        yield from part("Last step", flat(last[0]) if last else [], style)


def _rows(path: Path, style: Style) -> Iterator[str]:
    for number, row in enumerate(islice(read_jsonl(path), LINES), start=1):
        yield style.title(f"line {number}")
        yield from pairs(flat(row), style)
    yield style.dim(f"(the first {LINES} lines at most)")


def _table(path: Path) -> Iterator[str]:
    import pandas as pd

    text = pd.read_csv(path, dtype=str, keep_default_na=False).to_string(index=False)
    return iter(str(text).splitlines())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="otr show", description=__doc__, formatter_class=Help)
    parser.add_argument("path", type=Path, help="a file or folder below results/")
    parser.add_argument("--problem", help="show the completion of this problem (its id)")
    parser.add_argument("--sample", type=int, help="its completion of this number, from 0 (default: the first)")
    parser.add_argument("--only", choices=ONLY, help="completions of this kind alone")
    parser.add_argument("--next", action="store_true", help="the completion behind the named one, else the first")
    parser.add_argument("--against", type=Path, help="another run's folder, to compare with")
    options = parser.parse_args(arguments)
    request = Request(**vars(options))
    style = Style(sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    try:
        for line in show(request, style):
            print(line)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python must not complain of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
