"""Figure 2 of the paper: how many ground-truth tokens are sampled as training goes on.

In: the metrics.jsonl of finished runs, one line an optimizer step, of which three keys are read:

    {"step": 1, "gt_count": 225.17, "nll": 0.197, ...}

Out: figure2.png and figure2.svg. Panel a compares OTR's values of β with SFT on one model, panel b OTR with SFT across
models. The upper row shows gt_count: of the K tokens drawn at a position, how many are the ground truth, averaged over
the step's trained tokens (for SFT too, where it is measured and changes nothing). The lower row shows the mean negative
log-likelihood of the same tokens, which the paper infers from the upper (section 4.4) and never shows.

A panel is a model, a colour a method, the same as in the report. Several training seeds of a method are a band from the
least to the greatest of their smoothed curves around their mean; of a single training every step is a thin line behind
the smoothed one. Line styles and markers tell methods apart in grey print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otr.config import BASE_RUN, BASE_TUNED_RUN, Experiment
from otr.errors import UserError
from otr.figures.plots import METHOD_COLOURS, save
from otr.files import Row, read_jsonl
from otr.results import Paths
from otr.results.integrity import checked

STYLES = ("--", "-", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (4, 2)), (0, (1, 3)))
MARKERS = ("s", "o", "^", "D", "v", "P", "X")
MARKS = 8
"""Markers on a curve."""
WINDOWS = 16
"""The smoothing window is this part of the longest run's steps."""

Run = tuple[str, str]


@dataclass(frozen=True)
class Curve:
    """A method's trainings of one model, a list of steps each."""

    label: str
    trainings: list[list[Row]]
    look: dict[str, Any]


@dataclass(frozen=True)
class Panel:
    title: str
    samples: int
    """K: how many tokens are drawn at a position."""
    curves: list[Curve]


def read_metrics(results: Path, experiment: str, runs: Sequence[Run]) -> dict[Run, list[Row]]:
    """The metrics of those runs that are finished. UserError when none is."""
    found = {}
    for model, run in runs:
        file = Paths(results, experiment).metrics(model, run)
        if file.exists():
            found[model, run] = list(read_jsonl(checked(file)))
    if not found:
        raise UserError(f"{results}/{experiment}/train: none of figure2's runs is finished; train one first")
    return found


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Centred moving mean over `window` (odd) values; near the ends over those of the window that exist."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    means = []
    for position in range(len(values)):
        first, end = max(0, position - window // 2), min(len(values), position + window // 2 + 1)
        means.append((sums[end] - sums[first]) / (end - first))
    return means


def window_of(steps: int) -> int:
    """An odd number of steps."""
    return 2 * (steps // (2 * WINDOWS)) + 1


def panels(experiment: Experiment, metrics: Mapping[Run, list[Row]]) -> list[Panel]:
    """Values of β on one model, then each model with its methods, less what is not finished. A model whose methods the
    first panel shows already has no second one."""
    figure, labels = experiment.figure2, experiment.labels()
    if figure is None:
        return []
    shown = [(f"(a) values of β, {labels[figure.a.model]}", figure.a.model, figure.a.runs)]
    shown += [
        (f"(b) {labels[model]}", model, figure.b.runs)
        for model in figure.b.models
        if model != figure.a.model or not set(figure.b.runs) <= set(figure.a.runs)
    ]
    made = [
        Panel(title, experiment.methods[rows[0]].samples, _curves(experiment, model, rows, metrics))
        for title, model, rows in shown
    ]
    return [panel for panel in made if panel.curves]


def _curves(experiment: Experiment, model: str, rows: Sequence[str], metrics: Mapping[Run, list[Row]]) -> list[Curve]:
    places = [BASE_RUN, BASE_TUNED_RUN, *experiment.methods]
    found = []
    for row in rows:
        trainings = [metrics[model, run] for run in experiment.runs(row) if (model, run) in metrics]
        method, place = experiment.methods[row], places.index(row)
        look = {
            "color": METHOD_COLOURS[place % len(METHOD_COLOURS)],
            "linestyle": STYLES[(place - 2) % len(STYLES)],
            "marker": MARKERS[(place - 2) % len(MARKERS)],
        }
        beta = method.beta if method.objective == "otr" else None
        if trainings:
            found.append(Curve(_with_beta(method.label, beta), trainings, look))
    return found


def _with_beta(label: str, beta: float | None) -> str:
    """The main setting's label need not say its β, beside the others it must."""
    return label if beta is None or "β" in label else f"{label}, β = {beta:.2f}"


def write(experiment: Experiment, results: Path, out: Path) -> list[Run]:
    """Draw figure2.png and figure2.svg into `out`; returns the runs that are not finished and so not shown.

    UserError when the experiment has no figure2, or none of its runs is finished.
    """
    if experiment.figure2 is None:
        raise UserError(f"experiment '{experiment.name}': has no figure2; add one to its file")
    wanted = experiment.figure2_runs()
    metrics = read_metrics(results, experiment.name, wanted)
    for kind in ("png", "svg"):
        save(_draw(panels(experiment, metrics)), out / f"figure2.{kind}", dpi=160)
    return [run for run in wanted if run not in metrics]


def _draw(shown: Sequence[Panel]) -> Any:
    import matplotlib.pyplot as plt

    every = [training for panel in shown for curve in panel.curves for training in curve.trainings]
    window = window_of(max(map(len, every)))
    size = (2.6 + 3.6 * len(shown), 5.6)
    figure, grid = plt.subplots(
        2, len(shown), figsize=size, layout="constrained", sharex="col", height_ratios=(1.6, 1), squeeze=False
    )
    for column, panel in enumerate(shown):
        for axes, key in zip(grid[:, column], ("gt_count", "nll"), strict=True):
            _plot(axes, panel.curves, key, window)
        grid[0, column].set_title(panel.title, fontsize=10)
        grid[1, column].set_xlabel("optimizer step")
    grid[0, 0].set_ylabel(f"ground-truth tokens\namong {shown[0].samples} sampled, mean")
    grid[1, 0].set_ylabel("negative log-likelihood,\nnats per token")
    # Beside the panels, each method once.
    handles = {line.get_label(): line for axes in grid[0] for line in axes.get_lines() if line.get_label()[0] != "_"}
    figure.legend(
        handles.values(), handles.keys(), loc="outside right center", frameon=False, handlelength=4, fontsize=9
    )
    spread = (
        "band: all training seeds" if any(len(c.trainings) > 1 for p in shown for c in p.curves) else "thin: every step"
    )
    figure.supxlabel(f"Centred moving mean over {window} steps; {spread}.", fontsize=9)
    return figure


def _plot(axes: Any, curves: Sequence[Curve], key: str, window: int) -> None:
    for number, curve in enumerate(curves):
        # Trainings of one method take equally many steps; of one that still runs, those it has.
        length = min(map(len, curve.trainings))
        steps = [row["step"] for row in curve.trainings[0][:length]]
        smooth = [smoothed([row[key] for row in training[:length]], window) for training in curve.trainings]
        colour = curve.look["color"]
        if len(smooth) > 1:
            low, high = ([end(values) for values in zip(*smooth, strict=True)] for end in (min, max))
            axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0, zorder=1)
        else:
            raw = [row[key] for row in curve.trainings[0][:length]]
            axes.plot(steps, raw, color=colour, linewidth=0.4, alpha=0.3, zorder=2)
        mean = [sum(values) / len(values) for values in zip(*smooth, strict=True)]
        every = max(1, len(steps) // MARKS)
        axes.plot(
            steps, mean, label=curve.label, linewidth=1.7, markersize=5, markerfacecolor="white", zorder=3,
            markevery=(number * every // max(1, len(curves)), every), **curve.look,
        )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
