"""Completions of one benchmark of one run: listed, walked through, or beside another run's.

In: samples.jsonl.gz and verdicts.jsonl.gz of the folder. Out: lines; of a list, one a completion:

    problem  sample  verdict    answer  gold  reason
    17       1       wrong      59      49    different
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from otr.errors import UserError
from otr.files import Row, read_jsonl
from otr.report.evidence import DIFFERS, MARKS, mark
from otr.show.style import Style, columns, lines_of, one_line, pairs

ONLY = {
    **{name.replace(" ", "-"): sign + DIFFERS[sign] for name, sign in MARKS.items()},
    "differ": "".join(DIFFERS.values()),
}
"""What --only allows, with the marks of such completions. `differ`: plain math-verify says otherwise."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    path: Path
    problem: str | None = None
    sample: int | None = None
    only: str | None = None
    next: bool = False
    against: Path | None = None

    @property
    def wants_completions(self) -> bool:
        named = self.path.name in ("samples.jsonl.gz", "verdicts.jsonl.gz")
        return named or self.next or any(value is not None for value in (self.problem, self.sample, self.only))


def lines(request: Request, style: Style) -> Iterator[str]:
    """A list, or one completion. UserError where there is none."""
    folder = request.path if request.path.is_dir() else request.path.parent
    if request.problem is None and request.sample is None and not request.next:
        if request.against is not None:
            return _flips(folder, request.against, style)
        if request.only is not None:
            return _list(folder, request.only, style)
    found = _next(folder, request) if request.next else _named(folder, request)
    return _one(folder, found, request, style)


def completions(folder: Path) -> Iterator[tuple[Row, Row | None]]:
    """(sample, its verdict or None while there are no verdicts), in the order of the file."""
    verdicts = folder / "verdicts.jsonl.gz"
    graded = read_jsonl(verdicts) if verdicts.exists() else iter(())
    for sample, verdict in zip_longest(read_jsonl(folder / "samples.jsonl.gz"), graded):
        if sample is not None:
            yield sample, verdict


def _fits(sample: Row, verdict: Row | None, only: str | None) -> bool:
    return only is None or (verdict is not None and mark(sample, verdict) in ONLY[only])


def _list(folder: Path, only: str, style: Style) -> Iterator[str]:
    rows = [["problem", "sample", "answer", "gold", "reason", "found by"]]
    total = 0
    for sample, verdict in completions(folder):
        total += 1
        if verdict is not None and _fits(sample, verdict, only):
            where = [str(sample["problem"]), str(sample["sample"])]
            shown = [one_line(verdict.get(key), 40) for key in ("answer", "gold", "reason", "how")]
            rows.append(where + shown)
    yield style.title(f"{len(rows) - 1} of {total} completions: {only}")
    if len(rows) > 1:
        yield from columns(rows, style, names=6)
        yield style.dim(f"read them: otr show {shlex.quote(str(folder))} --only {only} --next")


def _named(folder: Path, request: Request) -> tuple[Row, Row | None]:
    wanted = {"problem": request.problem, "sample": request.sample}
    named = {key: value for key, value in wanted.items() if value is not None}
    for sample, verdict in completions(folder):
        if all(str(sample[key]) == str(named[key]) for key in named) and _fits(sample, verdict, request.only):
            return sample, verdict
    text = " and ".join(f"{key} {value}" for key, value in named.items()) or "completion"
    raise UserError(f"{folder}/samples.jsonl.gz: has no {text}{f' that is {request.only}' if request.only else ''}")


def _next(folder: Path, request: Request) -> tuple[Row, Row | None]:
    """The first completion that fits behind the named one; behind all samples of a problem where no sample is named."""
    is_behind, is_met = request.problem is None, False
    for sample, verdict in completions(folder):
        is_named = str(sample["problem"]) == request.problem and request.sample in (None, sample["sample"])
        if is_behind and _fits(sample, verdict, request.only):
            return sample, verdict
        if not is_behind:
            is_met = is_met or is_named
            is_behind = is_met and (request.sample is not None or not is_named)
            if is_behind and not is_named and _fits(sample, verdict, request.only):
                return sample, verdict
    if not is_met and request.problem is not None:
        raise UserError(f"{folder}/samples.jsonl.gz: has no problem {request.problem}")
    raise UserError(f"{folder}: that was the last{f' that is {request.only}' if request.only else ''}")


def _one(folder: Path, found: tuple[Row, Row | None], request: Request, style: Style) -> Iterator[str]:
    sample, verdict = found
    yield style.title(f"problem {sample['problem']}, sample {sample['sample']}")
    yield from ["", style.dim("prompt"), *lines_of(sample["prompt"])]
    yield from _answer(folder if request.against else None, sample, verdict, style)
    if request.against is not None:
        where = Request(request.against, str(sample["problem"]), sample["sample"])
        yield from _answer(request.against, *_named(request.against, where), style)
    if request.next:
        kept = [f"--only {request.only}"] if request.only else []
        kept += [f"--against {shlex.quote(str(request.against))}"] if request.against else []
        here = f"--problem {shlex.quote(str(sample['problem']))} --sample {sample['sample']} --next"
        yield from ["", style.dim(f"go on: {' '.join([f'otr show {shlex.quote(str(folder))}', *kept, here])}")]


def _answer(folder: Path | None, sample: Row, verdict: Row | None, style: Style) -> Iterator[str]:
    """A completion with its verdict; under the name of its run where there are two."""
    title = "completion" if folder is None else f"completion of {folder.parent.name}"
    yield from ["", style.dim(title), *lines_of(sample["completion"]), ""]
    yield from pairs([(key, sample.get(key)) for key in ("finish", "tokens", "seed")], style)
    if verdict is None:
        yield "not graded yet"
        return
    yield from pairs([(k, v) for k, v in verdict.items() if k not in ("problem", "sample", "correct")], style)
    yield f"{style.dim('verdict'.ljust(12))}  {style.verdict(bool(verdict.get('correct')))}"


def _flips(folder: Path, other: Path, style: Style) -> Iterator[str]:
    """The problems on which two runs differ: how many of their completions are right."""
    mine, theirs = (_by_problem(one) for one in (folder, other))
    if mine.keys() != theirs.keys():
        raise UserError(f"{folder} and {other}: these have not answered the same problems")
    one, two = folder.parent.name, other.parent.name
    rows = [["problem", f"{two}, right", f"{one}, right", f"{two}, answers", f"{one}, answers", "gold"]]
    for problem, own in mine.items():
        if _share(own) != _share(theirs[problem]):
            counts = [f"{sum(bool(v.get('correct')) for v in run)} of {len(run)}" for run in (theirs[problem], own)]
            read = [
                one_line(list(dict.fromkeys(str(v.get("answer")) for v in run)), 30) for run in (theirs[problem], own)
            ]
            rows.append([problem, *counts, *read, one_line(own[0].get("gold"), 30)])
    gained = sum(_share(own) >= 0.5 > _share(theirs[problem]) for problem, own in mine.items())
    lost = sum(_share(theirs[problem]) >= 0.5 > _share(own) for problem, own in mine.items())
    yield style.title(f"{two} → {one}: of {len(mine)} problems {gained} became right, {lost} became wrong")
    yield style.dim("right: at least half of a problem's completions are; below, every problem with another share")
    if len(rows) > 1:
        yield from columns(rows, style, names=6)


def _by_problem(folder: Path) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in read_jsonl(folder / "verdicts.jsonl.gz"):
        found.setdefault(str(row["problem"]), []).append(row)
    return found


def _share(verdicts: list[Row]) -> float:
    return sum(bool(verdict.get("correct")) for verdict in verdicts) / len(verdicts)
