"""Scores of a run, of a run beside another, and of a whole experiment."""

from collections.abc import Iterator
from pathlib import Path

from otr.config import experiment_file, load
from otr.errors import UserError
from otr.results import ScoreFile
from otr.show.style import Style, columns
from otr.tables.accuracies import accuracies
from otr.tables.answer import answer, lines, signed
from otr.tables.paired import compare


def of_run(folder: Path, style: Style) -> Iterator[str]:
    """One line a benchmark."""
    scores = _scores(folder)
    first = next(iter(scores.values()))
    yield style.title(f"{first.model} {first.run}")
    rows = [["benchmark", "score, %", "±", "metric", "problems", "completions", "truncated, %", "no answer, %"]]
    for name, score in scores.items():
        shares = [_figure(score.details.get(key), ".1f") for key in ("truncated", "no_answer")]
        counts = [f"{score.problems}", f"{score.samples}"]
        rows.append([name, f"{score.score:.2f}", _error(score), score.metric, *counts, *shares])
    yield from columns(rows, style)
    yield style.dim("±: one standard error")


def compared(folder: Path, other: Path, style: Style) -> Iterator[str]:
    """A run's scores beside another's, with paired differences."""
    mine, theirs = _scores(folder), _scores(other)
    shared = [name for name in mine if name in theirs]
    if not shared:
        raise UserError(f"{folder} and {other}: have no benchmark in common")
    yield style.title(f"{folder.name} − {other.name}")
    rows = [["benchmark", other.name, folder.name, "difference", "± 95 %", "became right", "became wrong"]]
    for name in shared:
        values = [f"{scores[name].score:.2f}" for scores in (theirs, mine)]
        verdicts = [run / name / "verdicts.jsonl.gz" for run in (folder, other)]
        found = None
        if all(path.exists() for path in verdicts):
            found = compare(*([{name: accuracies(path)}] for path in verdicts))
        half = "—" if found is None or found.half is None else f"{found.half:.1f}"
        flips = ["—", "—"] if found is None else [str(len(found.gained)), str(len(found.lost))]
        rows.append([name, *values, signed(mine[name].score - theirs[name].score), half, *flips])
    yield from columns(rows, style)
    yield style.dim(
        "paired over problems; of one training each. The problems: the same command with a benchmark's folders"
    )


def of_experiment(folder: Path, style: Style) -> Iterator[str]:
    """A block a model: benchmarks down, runs across; then what the experiment's tables say."""
    for model in sorted(path for path in (folder / "eval").iterdir() if path.is_dir()):
        runs = {run.name: _scores(run) for run in sorted(model.iterdir()) if any(run.glob("*/score.json"))}
        benchmarks = list(dict.fromkeys(name for scores in runs.values() for name in scores))
        rows = [[model.name, *runs]]
        for name in benchmarks:
            cells = [
                f"{scores[name].score:.1f} ±{_error(scores[name])}" if name in scores else "—"
                for scores in runs.values()
            ]
            rows.append([name, *cells])
        yield from [*columns(rows, style), ""]
    yield style.dim("percent ± one standard error; a run is one training")
    own = folder / f"{folder.name}.yaml"
    try:
        # A variant's file lies with its results.
        experiment = load(own if own.exists() else experiment_file(folder.name))
    except UserError:
        return
    sentences = lines(answer(experiment, folder.parent))
    if sentences:
        yield from ["", style.title("The answer"), *sentences]


def _scores(folder: Path) -> dict[str, ScoreFile]:
    found = {path.parent.name: ScoreFile.read(path) for path in sorted(folder.glob("*/score.json"))}
    if not found:
        raise UserError(f"{folder}: has no scores yet")
    return found


def _error(score: ScoreFile) -> str:
    return _figure(score.standard_error, ".1f")


def _figure(value: object, pattern: str) -> str:
    return format(value, pattern) if isinstance(value, int | float) else "—"
