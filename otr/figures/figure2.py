"""Figure 2 of the paper: how many ground-truth tokens are sampled as training goes on.

In: the metrics.jsonl of finished runs, one line an optimizer step, of which three keys are read:

    {"step": 1, "gt_count": 225.17, "nll": 0.197, ...}

Out: figure2.png and figure2.svg. Panel a compares OTR's values of β with SFT on one model, panel b OTR with SFT across
models. The upper row shows gt_count: of the K tokens drawn at a position, how many are the ground truth, averaged over
the step's trained tokens (for SFT too, where it is measured and changes nothing). The lower row shows the mean negative
log-likelihood of the same tokens, which the paper infers from the upper (section 4.4) and never shows.

Colours are Okabe and Ito's, told apart with any colour vision; line styles and markers do the same in grey print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otr.config import Experiment, Figure2
from otr.errors import UserError
from otr.figures.plots import save
from otr.files import Row, read_jsonl

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette without its yellow, which is too pale for a line on white."""
STYLES = ("--", "-", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (4, 2)), (0, (1, 3)))
MARKERS = ("s", "o", "^", "D", "v", "P", "X")
MARKS = 8
"""Markers on a curve."""
WINDOWS = 16
"""The smoothing window is this part of the longest run's steps."""

Run = tuple[str, str]


@dataclass(frozen=True)
class Curve:
    label: str
    metrics: list[Row]
    look: dict[str, Any]


def read_metrics(results: Path, experiment: str, runs: Sequence[Run]) -> dict[Run, list[Row]]:
    """The metrics of those runs that are finished. UserError when none is."""
    found = {}
    for model, run in runs:
        file = results / experiment / "train" / model / run / "metrics.jsonl"
        if file.exists():
            found[model, run] = list(read_jsonl(file))
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


def curves(
    figure: Figure2, metrics: Mapping[Run, list[Row]], labels: Mapping[str, str], betas: Mapping[str, float]
) -> tuple[list[Curve], list[Curve]]:
    """Of both panels, less the runs without metrics. In b a model keeps its colour and a method its line and marker."""
    looks = [
        {"color": colour, "linestyle": style, "marker": marker}
        for colour, style, marker in zip(COLOURS, STYLES, MARKERS, strict=True)
    ]
    a = [
        Curve(_with_beta(labels[run], betas.get(run)), metrics[figure.a.model, run], look)
        for run, look in zip(figure.a.runs, looks, strict=False)
        if (figure.a.model, run) in metrics
    ]
    b = [
        Curve(f"{labels[model]}, {labels[run]}", metrics[model, run], look | {"color": colour})
        for model, colour in zip(figure.b.models, COLOURS, strict=False)
        for run, look in zip(figure.b.runs, looks, strict=False)
        if (model, run) in metrics
    ]
    return a, b


def _with_beta(label: str, beta: float | None) -> str:
    """The main setting's label need not say its β, beside the others it must."""
    return label if beta is None or "β" in label else f"{label}, β = {beta:.2f}"


def write(experiment: Experiment, results: Path, out: Path) -> list[Run]:
    """Draw figure2.png and figure2.svg into `out`; returns the runs that are not finished and so not shown.

    UserError when the experiment has no figure2, or none of its runs is finished.
    """
    figure, labels = experiment.figure2, experiment.labels()
    if figure is None:
        raise UserError(f"experiment '{experiment.name}': has no figure2; add one to its file")
    metrics = read_metrics(results, experiment.name, figure.runs)
    betas = {name: method.beta for name, method in experiment.methods.items() if method.objective == "otr"}
    a, b = curves(figure, metrics, labels, betas)
    titles = f"(a) values of β, {labels[figure.a.model]}", "(b) models"
    samples = [experiment.methods[runs[0]].samples for runs in (figure.a.runs, figure.b.runs)]
    for kind in ("png", "svg"):
        save(_draw((a, b), titles, samples), out / f"figure2.{kind}", dpi=160)
    return [run for run in figure.runs if run not in metrics]


def _draw(panels: tuple[list[Curve], list[Curve]], titles: tuple[str, str], samples: Sequence[int]) -> Any:
    import matplotlib.pyplot as plt

    window = window_of(max(len(curve.metrics) for panel in panels for curve in panel))
    figure, grid = plt.subplots(
        2, 2, figsize=(10, 6.8), layout="constrained", sharex="col", height_ratios=(1.6, 1), squeeze=False
    )
    for column, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        for axes, key in zip(grid[:, column], ("gt_count", "nll"), strict=True):
            _plot(axes, panel, key, window)
        grid[0, column].set_title(title)
        grid[0, column].set_ylabel(f"ground-truth tokens\namong {samples[column]} drawn, mean per token")
        grid[1, column].set_ylabel("negative log-likelihood,\nnats per token")
        grid[1, column].set_xlabel("optimizer step")
        if panel:
            grid[1, column].legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2, frameon=False, handlelength=4, fontsize=9
            )
    figure.supxlabel(f"Thin: every step. Thick: centred moving mean over {window} steps.", fontsize=9)
    return figure


def _plot(axes: Any, panel: list[Curve], key: str, window: int) -> None:
    for number, curve in enumerate(panel):
        steps = [row["step"] for row in curve.metrics]
        values = [row[key] for row in curve.metrics]
        axes.plot(steps, values, color=curve.look["color"], linewidth=0.4, alpha=0.3)
        every = max(1, len(steps) // MARKS)
        axes.plot(
            steps, smoothed(values, window), label=curve.label, linewidth=1.6, markersize=5, markerfacecolor="white",
            markevery=(number * every // max(1, len(panel)), every), **curve.look,
        )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
