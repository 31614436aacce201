"""Pictures from JSON files: training curves, length histograms. Never imports torch, vllm or transformers."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)

from otr.files import Row, replacing  # noqa: E402

INK, ACCENT = "#1f4e79", "#d1660f"


def save(figure: Any, target: Path, dpi: int = 120) -> None:
    """Write a .png or .svg. Same data, same bytes: no date, no software version in the file, fixed ids."""
    kind = target.suffix[1:]
    unstated = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with replacing(target) as temporary, matplotlib.rc_context({"svg.hashsalt": target.name}):
        figure.savefig(temporary, format=kind, dpi=dpi, metadata=unstated)
    plt.close(figure)


def length_histogram(summary: Row, title: str, target: Path) -> None:
    """Response lengths of a training subset (the `response_tokens` of its summary.json)."""
    lengths = summary["response_tokens"]
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    axes.stairs(lengths["histogram"], lengths["edges"], fill=True, color=INK, alpha=0.85)
    axes.set(title=f"{title}: {summary['examples']} examples", xlabel="response length, tokens", ylabel="examples")
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
