"""Figure 2 from metrics.jsonl alone."""

import re
from pathlib import Path

import pytest
from checkouts import MICRO, ROOT

from otr import config
from otr.errors import UserError
from otr.figures import figure2
from otr.figures.plots import METHOD_COLOURS
from otr.files import write_jsonl
from otr.tables.__main__ import main

BLOCK = """
figure2:
  a: {model: large, runs: [sft, otr]}
  b: {models: [small, large], runs: [sft, otr]}
"""


def experiment_file(folder: Path, block: str = BLOCK) -> Path:
    file = folder / "micro.yaml"
    text = re.sub(r"\nfigure2:\n(  .*\n)+", "\n", (ROOT / MICRO).read_text())
    second = "  large:\n    label: Qwen3-0.6M\n    path: large\n"
    text = text.replace("\ndatasets:\n", f"{second}\ndatasets:\n").replace("models: [small]", "models: [small, large]")
    file.write_text(text + block)
    return file


def write_metrics(results: Path, model: str, run: str, steps: int = 40) -> None:
    rows = [{"step": n + 1, "gt_count": 200 + n * 0.5 + n % 3, "nll": 1 / (n + 1), "loss": 0.1} for n in range(steps)]
    write_jsonl(results / "micro" / "train" / model / run / "metrics.jsonl", rows)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("model: large", "model: huge", "figure2.a.model: 'huge' is unknown; allowed: small, large"),
        ("[small, large]", "[small, huge]", "figure2.b.models: 'huge' is unknown"),
        (
            "a: {model: large, runs: [sft, otr]}",
            "a: {model: large, runs: [base, otr]}",
            "figure2.a.runs: 'base' is unk",
        ),
        ("], runs: [sft, otr]}", "], runs: [sft, otter]}", "figure2.b.runs: 'otter' is unknown"),
        ("models: [small, large]", "models: []", "figure2.b.models: "),
        ("  b:", "  c:", "figure2.c: unknown key"),
    ],
)
def test_a_mistake_is_one_line_with_its_key(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in BLOCK
    with pytest.raises(UserError) as caught:
        config.load(experiment_file(tmp_path, BLOCK.replace(old, new, 1)))
    assert expected in str(caught.value)


def test_curves_of_a_panel_count_equally_many_draws(tmp_path: Path) -> None:
    file = experiment_file(tmp_path)
    file.write_text(
        file.read_text().replace("sft: {label: SFT, objective: sft", "sft: {label: SFT, samples: 9, objective: sft")
    )
    with pytest.raises(UserError, match=r"figure2.a.runs: draw unlike numbers of samples \(sft 9, otr 256\)"):
        config.load(file)


def test_each_run_is_needed_once(tmp_path: Path) -> None:
    experiment = config.load(experiment_file(tmp_path))
    runs = [run for row in ("sft", "otr") for run in experiment.runs(row)]
    assert experiment.figure2_runs() == [(model, run) for model in ("large", "small") for run in runs]
    assert config.load(experiment_file(tmp_path, "")).figure2_runs() == []


def test_smoothing_keeps_lines_and_removes_ripples() -> None:
    line = [3.0 + 2 * n for n in range(30)]
    assert figure2.smoothed(line, 7)[3:-3] == pytest.approx(line[3:-3])
    assert figure2.smoothed(line, 7)[0] == pytest.approx(sum(line[:4]) / 4)
    assert figure2.smoothed([0.0, 3.0, 0.0] * 5, 3)[1:-1] == pytest.approx([1.0] * 13)
    assert figure2.smoothed(line, 1) == pytest.approx(line)
    assert [figure2.window_of(steps) for steps in (1, 31, 32, 156, 256)] == [1, 1, 3, 9, 17]


def test_what_is_finished_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, file = tmp_path / "results", experiment_file(tmp_path)
    arguments = ["figure2", "--experiment", str(file), "--results", str(results), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main(arguments)
    assert "none of figure2's runs is finished" in capsys.readouterr().err
    for model, run in config.load(file).figure2_runs():
        if (model, run) != ("small", "sft"):
            write_metrics(results, model, run)
    main(arguments)
    assert "without unfinished runs (small/sft)" in capsys.readouterr().err
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(first) == {"figure2.png", "figure2.svg"}
    main(arguments)
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_panels_hold_the_metrics_and_a_method_keeps_its_colour(tmp_path: Path) -> None:
    experiment = config.load(experiment_file(tmp_path))
    for model, run in experiment.figure2_runs():
        write_metrics(tmp_path, model, run)
    metrics = figure2.read_metrics(tmp_path, "micro", experiment.figure2_runs())
    # The model of the first panel shows the same methods there: it has no second one.
    a, b = figure2.panels(experiment, metrics)
    labels = experiment.labels()
    assert [panel.title for panel in (a, b)] == [f"(a) values of β, {labels['large']}", f"(b) {labels['small']}"]
    assert [curve.label for curve in a.curves] == ["SFT", "OTR, β = -0.10"]
    assert [row["gt_count"] for row in a.curves[0].trainings[0]][:3] == [200.0, 201.5, 203.0]
    for one, other in zip(a.curves, b.curves, strict=True):
        assert one.look == other.look
    assert len({(curve.look["color"], curve.look["marker"], str(curve.look["linestyle"])) for curve in a.curves}) == 2


def test_trainings_of_one_method_are_one_curve(tmp_path: Path) -> None:
    file = experiment_file(tmp_path)
    text = re.sub(r"^training_seeds: \d+\n", "", file.read_text(), flags=re.MULTILINE)
    file.write_text("training_seeds: 3\n" + text)
    experiment = config.load(file)
    for number, run in enumerate(experiment.runs("otr")):
        write_metrics(tmp_path, "large", run, steps=40 - number)
    (panel,) = figure2.panels(experiment, figure2.read_metrics(tmp_path, "micro", experiment.figure2_runs()))
    (curve,) = panel.curves
    assert [len(training) for training in curve.trainings] == [40, 39, 38]
    figure = figure2._draw([panel])
    axes = figure.axes[0]
    assert len(axes.collections) == 1 and len(axes.get_lines()) == 1, "a band and a mean"
    assert axes.collections[0].get_zorder() < axes.get_lines()[0].get_zorder()
    assert len(axes.get_lines()[0].get_xdata()) == 38


def test_the_report_has_the_figures_colours() -> None:
    style = (ROOT / "otr" / "report" / "page.css").read_text()
    light = style.split("@media (prefers-color-scheme: dark)")[0]
    assert tuple(re.findall(r"--s\d+: (#[0-9a-f]{6});", light)) == METHOD_COLOURS
