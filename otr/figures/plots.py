"""Pictures from JSON files: training curves, length histograms. Never imports torch, vllm or transformers."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)

from otr.files import Row, replacing  # noqa: E402

INK = "#1f5f8b"
METHOD_COLOURS = (
    *("#8b8f96", "#5b6470", "#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#b8860b", "#56b4e9", "#8a5fbf", "#6b4f3a", "#3d7d2b", "#c2185b"),
)
"""Of base, base-tuned and the methods in the order of the experiment file; the report's style sheet has the same. Okabe
and Ito's colours, told apart with any colour vision, without yellow, which is too pale on white; then further ones."""


def save(figure: Figure, target: Path, dpi: int = 120) -> None:
    """Write a .png or .svg. Same data, same bytes: no date, no software version in the file, fixed ids."""
    kind = target.suffix[1:]
    unstated = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with replacing(target) as temporary, matplotlib.rc_context({"svg.hashsalt": target.name}):
        figure.savefig(temporary, format=kind, dpi=dpi, metadata=unstated)
    plt.close(figure)


def length_histogram(summary: Row, title: str, target: Path) -> None:
    """Response lengths of a training subset (the `response_tokens` of its summary.json) over those of its source."""
    lengths = summary["response_tokens"]["fine"]
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    for name, look, label in (
        ("subset", {"fill": True, "color": INK, "alpha": 0.8}, f"subset, {summary['examples']} examples"),
        ("source", {"color": "black", "linewidth": 1.2}, "the rows they were chosen from"),
    ):
        counts = lengths[name]
        if counts:
            axes.stairs([100 * count / sum(counts) for count in counts], lengths["edges"], label=label, **look)
    axes.set(title=title, xlabel="response length, tokens", ylabel="examples, %")
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, target)


def training_curves(metrics: list[Row], title: str, samples: int, target: Path) -> None:
    """Loss, likelihood, sampled ground-truth tokens and learning rate over the steps of one run."""
    steps = [row["step"] for row in metrics]
    panels = [
        ("loss", "objective"),
        ("nll", "negative log-likelihood, nats a token"),
        ("gt_count", f"ground-truth tokens among {samples} drawn"),
        ("entropy", "entropy, nats"),
        ("gradient_norm", "gradient norm before clipping"),
        ("learning_rate", "learning rate"),
    ]
    figure, grid = plt.subplots(2, 3, figsize=(11, 5.2), layout="constrained", sharex=True)
    for axes, (key, label) in zip(grid.flat, panels, strict=True):
        axes.plot(steps, [row[key] for row in metrics], color=INK, linewidth=1.2)
        axes.set_title(label, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[1]:
        axes.set_xlabel("optimizer step")
    figure.suptitle(title)
    save(figure, target)
