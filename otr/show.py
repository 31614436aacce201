"""`otr show`: a file or folder of results/ in readable form.

    otr show results/micro/eval/small/otr/stories                           the score
    otr show results/micro/eval/small/otr/stories --problem 3 --sample 1    a completion with its verdict
    otr show results/micro/train/small/otr                                  a run: settings, totals, last step
    otr show results/micro/tables/table1.csv                                a table

Colours appear on a terminal only (and not where NO_COLOR is set); a pipe gets plain text.
"""

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from otr.command.stage import Help
from otr.errors import UserError
from otr.files import Row, read_json, read_jsonl
from otr.report.grid import duration

LINES = 20
"""Of a long file of rows, so many are shown."""


class Style:
    """Words in colour, or plain."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def _set(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colours else text

    def title(self, text: str) -> str:
        return self._set("1", text)

    def dim(self, text: str) -> str:
        return self._set("2", text)

    def verdict(self, right: bool) -> str:
        return self._set("32;1", "right") if right else self._set("31;1", "wrong")


def show(path: Path, problem: str | None, sample: int | None, style: Style) -> Iterator[str]:
    """The lines for a path. Raises UserError when there is nothing to show."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if problem is not None or sample is not None or path.name in ("samples.jsonl.gz", "verdicts.jsonl.gz"):
        return _sample(path if path.is_dir() else path.parent, problem, sample, style)
    file = _main_file(path) if path.is_dir() else path
    if file.name == "score.json":
        return _score(file, style)
    if file.name == "run.json":
        return _run(file, style)
    if file.suffix == ".json":
        return _pairs(_flat(read_json(file)), style)
    if file.name.endswith((".jsonl", ".jsonl.gz")):
        return _rows(file, style)
    if file.suffix == ".csv":
        return _table(file)
    if file.suffix in (".md", ".tex", ".log", ".txt"):
        return iter(file.read_text(encoding="utf-8").splitlines())
    raise UserError(f"{file}: cannot be shown; allowed: .json, .jsonl, .jsonl.gz, .csv, .md, .tex and .log files")


def _main_file(folder: Path) -> Path:
    for name in ("score.json", "run.json", "summary.json", "problems.jsonl"):
        if (folder / name).exists():
            return folder / name
    found = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
    raise UserError(f"{folder}: has no score.json, run.json, summary.json or problems.jsonl; found: {found}")


def _score(path: Path, style: Style) -> Iterator[str]:
    score = read_json(path)
    error = score.get("standard_error")
    spread = "" if error is None else f" ± {error:.2f}"
    yield style.title(f"{score['model']} {score['run']} on {score['benchmark']}: {score['score']:.2f}{spread} %")
    yield style.dim(f"{score.get('metric', '')}, {score['problems']} problems, {score['samples']} completions; ± one")
    yield style.dim("standard error")
    yield ""
    yield from _pairs(_flat(score.get("details") or {}), style)
    yield from _part("Protocol", _flat(score.get("protocol") or {}), style)
    yield from _part("Provenance", _flat(score.get("provenance") or {}), style)
    if score.get("example_prompt"):
        yield from ["", style.title("One exact prompt"), *_lines(score["example_prompt"])]


def _sample(folder: Path, problem: str | None, sample: int | None, style: Style) -> Iterator[str]:
    """The first completion that fits, its prompt and its verdict."""
    wanted = {key: value for key, value in (("problem", problem), ("sample", sample)) if value is not None}
    rows = enumerate(read_jsonl(folder / "samples.jsonl.gz"))
    found = next(((i, row) for i, row in rows if all(str(row[key]) == str(wanted[key]) for key in wanted)), None)
    if found is None:
        text = " and ".join(f"{key} {value}" for key, value in wanted.items()) or "completion"
        raise UserError(f"{folder}/samples.jsonl.gz: has no {text}")
    place, row = found
    verdicts = folder / "verdicts.jsonl.gz"
    verdict = next(islice(read_jsonl(verdicts), place, None), None) if verdicts.exists() else None
    yield style.title(f"problem {row['problem']}, sample {row['sample']}")
    yield from ["", style.dim("prompt"), *_lines(row["prompt"])]
    yield from ["", style.dim("completion"), *_lines(row["completion"]), ""]
    yield from _pairs([(key, row.get(key)) for key in ("finish", "tokens", "seed")], style)
    if verdict is None:
        yield "not judged yet"
        return
    yield from _pairs([(k, v) for k, v in verdict.items() if k not in ("problem", "sample", "correct")], style)
    yield f"{style.dim('verdict'.ljust(12))}  {style.verdict(bool(verdict.get('correct')))}"


def _run(path: Path, style: Style) -> Iterator[str]:
    run = read_json(path)
    yield style.title(f"{run.get('model')} {run.get('run')}")
    if run.get("seconds") is not None:
        yield style.dim(f"{run.get('steps')} steps in {duration(run['seconds']).text}")
    metrics = path.parent / "metrics.jsonl"
    nested = {key: value for key, value in run.items() if isinstance(value, dict)}
    yield from ["", *_pairs([(key, value) for key, value in run.items() if key not in nested], style)]
    for name, values in nested.items():
        yield from _part(name.replace("_", " ").capitalize(), _flat(values), style)
    if metrics.exists():
        last = deque(read_jsonl(metrics), maxlen=1)
        yield from _part("Last step", _flat(last[0]) if last else [], style)


def _rows(path: Path, style: Style) -> Iterator[str]:
    for number, row in enumerate(islice(read_jsonl(path), LINES), start=1):
        yield style.title(f"line {number}")
        yield from _pairs(_flat(row), style)
    yield style.dim(f"(the first {LINES} lines at most)")


def _table(path: Path) -> Iterator[str]:
    import pandas as pd

    text = pd.read_csv(path, dtype=str, keep_default_na=False).to_string(index=False)
    return iter(str(text).splitlines())


def _part(title: str, pairs: list[tuple[str, object]], style: Style) -> Iterator[str]:
    if pairs:
        yield from ["", style.title(title), *_pairs(pairs, style)]


def _pairs(pairs: list[tuple[str, object]], style: Style) -> Iterator[str]:
    width = max((len(key) for key, _ in pairs), default=0)
    for key, value in pairs:
        yield f"{style.dim(key.ljust(max(12, width)))}  {_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "—" if value is None or value == "" else _visible(str(value))


def _lines(text: object) -> list[str]:
    return [_visible(line) for line in str(text).split("\n")]


def _visible(text: str) -> str:
    """Control characters that a model wrote, as \\x1b: they must not steer the reader's terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _flat(value: Row, prefix: str = "") -> list[tuple[str, object]]:
    """A nested mapping as pairs of dotted key and value."""
    pairs: list[tuple[str, object]] = []
    for key, inner in value.items():
        name = f"{prefix}{key}"
        pairs += _flat(inner, f"{name}.") if isinstance(inner, dict) else [(name, inner)]
    return pairs


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m otr.show", description=__doc__, formatter_class=Help)
    parser.add_argument("path", type=Path, help="a file or folder below results/")
    parser.add_argument("--problem", help="show the completion of this problem (its id)")
    parser.add_argument("--sample", type=int, help="its completion of this number, from 0 (default: the first)")
    options = parser.parse_args(arguments)
    style = Style(sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    try:
        for line in show(options.path, options.problem, options.sample, style):
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
