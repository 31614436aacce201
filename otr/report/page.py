"""The page: everything the tree holds, put into the template.

In: an experiment and its results tree. Out: HTML text that asks for nothing outside itself: the style sheet, the
script, charts and samples are inside, and its content security policy allows no other script (by hash) and no request.
What came from a model or a data set is escaped by the template (autoescape) or stands in a JSON block without "<".
The same tree gives the same bytes.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from otr.config import Experiment
from otr.files import Row
from otr.report import charts, samples
from otr.report.grid import MISSING, Grid, Line, duration, figure, grid, percent
from otr.results import Cell, Tree
from otr.tables.render import groups
from otr.tables.table import Table, experiment_table

PANELS = {
    "loss": "objective (not comparable between methods)",
    "nll": "negative log-likelihood, nats a token",
    "gt_probability": "probability of the ground truth",
    "gt_count": "ground-truth tokens among those drawn",
    "entropy": "entropy, nats",
    "gradient_norm": "gradient norm before clipping",
    "learning_rate": "learning rate",
    "tokens_per_second": "tokens a second",
}


def render(experiment: Experiment, results: Path) -> str:
    """The whole page as text. Raises UserError when a file of the tree is damaged."""
    page = Page(Tree(results, experiment), results)
    environment = Environment(
        loader=PackageLoader("otr.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, style = _asset("page.js"), _asset("page.css")
    text: str = environment.get_template("page.html").render(
        page=page,
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        missing=MISSING,
    )
    return text


def _asset(name: str) -> str:
    return files("otr.report").joinpath(name).read_text(encoding="utf-8")


def json_block(value: Any) -> Markup:
    """JSON that may stand inside a script element: no character of it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def prose(markdown: str) -> Markup:
    """A Markdown file of the tree as HTML without its title, headings two levels down; HTML inside it is escaped."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(re.sub(r"\A# .*\n", "", markdown))
    html = re.sub(r"<(/?)h([1-4])>", lambda match: f"<{match[1]}h{int(match[2]) + 2}>", html)
    return Markup(
        html.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace("</table>", "</table></div>")
    )


class Page:
    """What the template asks for, a property or method a section."""

    def __init__(self, tree: Tree, results: Path) -> None:
        self.tree = tree
        self.experiment = tree.experiment
        self.labels: Mapping[str, str] = self.experiment.labels()
        self.tables = [experiment_table(self.experiment, name, results) for name in self.experiment.tables]
        self.cells = tree.cells()
        self.scores: dict[Cell, Row] = {cell: row for cell in self.cells if (row := tree.read(cell, "score.json"))}
        self.sampling: dict[Cell, Row] = {cell: row for cell in self.cells if (row := tree.read(cell, "sampling.json"))}
        self.trainings = tree.trainings()
        self.missing = [cell.name for cell in tree.expected() if cell not in self.scores]
        self._styles = {run: f"s{number % 10}" for number, run in enumerate(tree.runs())}

    # Names

    def label(self, name: str) -> str:
        """As printed; a run whose label another run has too (SFT of two recipes) is followed by its name."""
        method, _, seed = name.partition(".seed")
        if seed:
            return f"{self.label(method)}, seed {seed}"
        label = self.labels.get(name, name)
        shared = name in self._styles and sum(self.labels.get(run) == label for run in self._styles) > 1
        return f"{label} ({name})" if shared else label

    def style(self, run: str) -> str:
        """The CSS class of a run's colour, the same in every chart."""
        return self._styles.get(run, "s9")

    @property
    def scored_runs(self) -> list[str]:
        return [run for run in self._styles if any(cell.run == run for cell in self.scores)]

    # Overview

    @property
    def tiles(self) -> list[tuple[str, str]]:
        """Main figures: (value, what it counts)."""
        expected = len(self.tree.expected())
        completions = sum(int(row.get("samples") or 0) for row in self.scores.values())
        tuned = [row for row in self.trainings if "steps" in row]
        seconds = sum(float(row.get("seconds") or 0) for row in tuned)
        tiles = [
            (f"{expected - len(self.missing)} of {expected}", "scores of the tables are there"),
            (f"{completions:,}", "completions judged"),
            (str(len(tuned)), f"trainings, {duration(seconds).text} in all"),
        ]
        return [*tiles, *[(value, name) for name, value in self._common.items()]]

    @property
    def _common(self) -> dict[str, str]:
        """Facts of provenance as short texts; several where the scores disagree."""
        found: dict[str, list[str]] = {}
        for row in self.scores.values():
            origin = row.get("provenance") or {}
            commit = str(origin.get("commit", "unknown"))
            short = commit[:8] + ("+changes" if commit.endswith("+changes") else "")
            for name, value in (("commit", short), ("engine", origin.get("engine")), ("seed", origin.get("seed"))):
                if value is not None and str(value) not in found.setdefault(name, []):
                    found[name].append(str(value))
        return {name: ", ".join(values) for name, values in found.items() if values}

    # Tables of the paper

    def spans(self, table: Table) -> list[tuple[str, int]]:
        return groups(table.columns)

    def title(self, table: Table) -> str:
        number = table.name.removeprefix("table")
        return f"Table {number}" if number.isdigit() else table.name

    def legend(self, sentence: str) -> Markup:
        """*word* at the start in bold."""
        return Markup(re.sub(r"^\*(.+?)\*", r"<b>\1</b>", str(escape(sentence))))

    def hint(self, cell: Any) -> str:
        """What a pointer over a table's cell shows."""
        if cell.score is None:
            return "not scored yet"
        error = "" if cell.score.standard_error is None else f" ± {cell.score.standard_error:.2f} (standard error)"
        counts = "" if cell.score.problems is None else f", {cell.score.problems} problems"
        return f"{cell.shown}{error}{counts}"

    @property
    def figure2(self) -> str | None:
        """Figure 2 as a data address, so that nothing in its SVG can meet the page's own names."""
        text = self.tree.text("figures/figure2.svg")
        return None if text is None else "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()

    # Scores

    @property
    def dot_plots(self) -> list[tuple[str, Markup]]:
        """A chart of scores with standard errors for each model."""
        plots = []
        for model in self.experiment.models:
            rows = []
            for benchmark in self.experiment.benchmarks:
                dots = [self._dot(cell, row) for cell, row in self.scores.items() if _is(cell, model, benchmark)]
                if dots:
                    rows.append((self.label(benchmark), dots))
            if rows:
                title = f"{self.label(model)}: score and standard error by benchmark, percent"
                plots.append((self.label(model), Markup(charts.dot_plot(title, rows))))
        return plots

    def _dot(self, cell: Cell, row: Row) -> charts.Dot:
        error = row.get("standard_error")
        return charts.Dot(
            self.label(cell.run), self.style(cell.run), float(row["score"]), None if error is None else float(error)
        )

    @property
    def score_grid(self) -> Grid:
        headers = (
            "Model | Run | Benchmark | Measure | Score, % # | Standard error # | Problems # | Completions # | Correct #"
            " | Cut at limit, % # | No answer, % # | Tokens, mean #"
        )
        rows: list[Line] = []
        for cell in self.cells:
            row = self.scores.get(cell, {})
            details = row.get("details") or {}
            rows.append(
                [
                    *map(self.label, (cell.model, cell.run, cell.benchmark)),
                    str(row.get("metric", "missing")),
                    figure(row.get("score")),
                    figure(row.get("standard_error")),
                    figure(row.get("problems"), ",d"),
                    figure(row.get("samples"), ",d"),
                    figure(details.get("correct"), ",d"),
                    percent(details.get("truncated")),
                    percent(details.get("no_answer")),
                    figure(details.get("mean_tokens"), ",.0f"),
                ]
            )
        return grid("All scores", headers, rows)

    @property
    def share_grids(self) -> list[Grid]:
        """Shares cut at the token limit and without an answer: a row a run, a column a benchmark."""
        names = {
            "truncated": "Completions cut at the token limit, %",
            "no_answer": "Completions without an answer, %",
        }
        return [self._share_grid(key, name) for key, name in names.items() if self.scores]

    def _share_grid(self, key: str, name: str) -> Grid:
        benchmarks = [b for b in self.experiment.benchmarks if any(cell.benchmark == b for cell in self.cells)]
        headers = " | ".join(["Model", "Run", *(f"{self.label(b).replace('|', '/')} #" for b in benchmarks)])
        rows: list[Line] = []
        for model, run in dict.fromkeys((cell.model, cell.run) for cell in self.cells):
            shares = [((self.scores.get(Cell(model, run, b)) or {}).get("details") or {}).get(key) for b in benchmarks]
            rows.append([self.label(model), self.label(run), *map(percent, shares)])
        return grid(name, headers, rows)

    # Training

    @property
    def curves(self) -> list[tuple[str, list[str], list[tuple[str, Markup]]]]:
        """For each model: label, the runs drawn, and its panels (title, chart)."""
        found = []
        for model in self.experiment.models:
            metrics = {run: rows for run in self._styles if (rows := self.tree.metrics(model, run))}
            panels = [
                (title, Markup(charts.line_chart(title, self._lines(metrics, key)))) for key, title in PANELS.items()
            ]
            panels = [(title, chart) for title, chart in panels if chart]
            if panels:
                found.append((self.label(model), list(metrics), panels))
        return found

    def _lines(self, metrics: Mapping[str, list[Row]], key: str) -> list[charts.Line]:
        lines = []
        for run, rows in metrics.items():
            kept = [(float(row["step"]), float(row[key])) for row in rows if isinstance(row.get(key), int | float)]
            if kept:
                steps, values = zip(*kept, strict=True)
                lines.append(charts.Line(self.label(run), self.style(run), steps, values))
        return lines

    @property
    def training_grid(self) -> Grid:
        headers = (
            "Model | Run | Objective | Examples # | Steps # | Trained tokens # | Last loss # | Last NLL, nats #"
            " | Learning rate # | Batch # | Epochs #"
        )
        rows: list[Line] = []
        for row in self.trainings:
            if "steps" not in row:
                continue
            metrics = self.tree.metrics(row["model"], row["run"])
            last, recipe, method = metrics[-1] if metrics else {}, row.get("recipe") or {}, row.get("method") or {}
            rows.append(
                [
                    self.label(row["model"]),
                    self.label(row["run"]),
                    str(method.get("objective", MISSING)),
                    figure(row.get("examples"), ",d"),
                    figure(row.get("steps"), ",d"),
                    figure(row.get("trained_tokens"), ",d"),
                    figure(last.get("loss"), ".4f"),
                    figure(last.get("nll"), ".4f"),
                    figure(recipe.get("learning_rate"), ".2g"),
                    figure(recipe.get("batch_size"), ",d"),
                    figure(recipe.get("epochs"), ",d"),
                ]
            )
        return grid("Trainings", headers, rows)

    # Data

    @property
    def histograms(self) -> list[tuple[str, Markup, str]]:
        """A chart of response lengths for each training subset, with a sentence."""
        found = []
        for name, summary in self.tree.subsets().items():
            lengths = summary.get("response_tokens") or {}
            chart = charts.histogram(
                f"{name}: response lengths, tokens", lengths.get("edges") or [], lengths.get("histogram") or []
            )
            of = summary.get("usable_rows_in_source")
            least, median, most = (lengths.get(key, MISSING) for key in ("minimum", "median", "maximum"))
            note = (
                f"{summary.get('examples', 0):,} examples"
                + (f" of {of:,} usable rows" if of else "")
                + "; responses of"
                f" {least} to {most} tokens, median {median}, {lengths.get('total', 0):,} in all"
            )
            found.append((name, Markup(chart), note))
        return found

    # Samples

    @property
    def sample_block(self) -> Markup:
        chosen = samples.choose(self.tree, list(self.scores), self.experiment.seed)
        names = {name for cell in self.scores for name in (cell.model, cell.run, cell.benchmark)}
        return json_block(chosen | {"labels": {name: self.label(name) for name in sorted(names)}})

    # Times

    @property
    def time_grids(self) -> list[Grid]:
        grids = [self._training_times(), self._sampling_times(), self._job_times()]
        return [made for made in grids if made.rows]

    def _training_times(self) -> Grid:
        headers = (
            "Model | Run | Time # | Tokens/s # | TFLOP/s a rank # | Peak memory, GB # | Devices # | Kind | Too long #"
        )
        rows: list[Line] = [
            [
                self.label(row["model"]),
                self.label(row["run"]),
                duration(row["seconds"]),
                figure(row.get("tokens_per_second"), ",d"),
                figure(row.get("teraflops_a_rank"), ",.3g"),
                figure(row.get("peak_memory_gb")),
                figure(row.get("ranks"), "d"),
                str(row.get("device", MISSING)),
                figure(row.get("dropped_over_length"), ",d"),
            ]
            for row in self.trainings
            if row.get("seconds") is not None
        ]
        return grid("Training", headers, rows)

    def _sampling_times(self) -> Grid:
        """One engine draws all benchmarks of a run, so times are of the run."""
        headers = "Model | Run | Engine | Start # | Drawing # | Completions # | Tokens # | Tokens/s #"
        by_run: dict[tuple[str, str], list[Row]] = {}
        for cell, row in self.sampling.items():
            by_run.setdefault((cell.model, cell.run), []).append(row)
        rows: list[Line] = []
        for (model, run), parts in by_run.items():
            drawn = [part.get("drawn_now") or {} for part in parts]
            seconds = max((float(d.get("seconds_of_all_benchmarks") or 0) for d in drawn), default=0.0)
            tokens = sum(int(d.get("tokens") or 0) for d in drawn)
            rows.append(
                [
                    self.label(model),
                    self.label(run),
                    str(parts[0].get("engine", MISSING)),
                    duration(max((float(part.get("engine_seconds") or 0) for part in parts), default=0.0)),
                    duration(seconds),
                    figure(sum(int(d.get("completions") or 0) for d in drawn), ",d"),
                    figure(tokens, ",d"),
                    figure(tokens / seconds if seconds else None, ",.0f"),
                ]
            )
        note = "What the last call of the stage drew; a call that found everything drawn counts nothing."
        return grid("Sampling", headers, rows, note)

    def _job_times(self) -> Grid:
        headers = "Job | Time # | Peak memory, MB # | Mean load, % of a core #"
        rows: list[Line] = [
            [
                record["job"],
                duration(_number(record.get("s"))),
                figure(_number(record.get("max_rss")), ",.0f"),
                figure(_number(record.get("mean_load")), ",.0f"),
            ]
            for record in self.tree.job_records()
        ]
        return grid("Jobs, as Snakemake measured them", headers, rows)

    # Beside the paper, overlap, provenance

    @property
    def comparison(self) -> Markup | None:
        text = self.tree.text("tables/comparison.md")
        return None if text is None else prose(text)

    @property
    def overlaps(self) -> list[tuple[str, Markup]]:
        """Training subset against test problems, by data set."""
        return [(name, prose(text)) for name, text in self.tree.overlaps().items()]

    @property
    def provenance_lines(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(self.title(table), table.provenance) for table in self.tables]

    @property
    def prompts(self) -> list[tuple[str, str]]:
        """One exact prompt for each way of asking and benchmark: (where, text)."""
        found: dict[tuple[str, str], str] = {}
        for cell, row in self.scores.items():
            form = str((row.get("protocol") or {}).get("prompt", ""))
            if row.get("example_prompt"):
                found.setdefault((self.label(cell.benchmark), form), str(row["example_prompt"]))
        return [(f"{benchmark}, {form}" if form else benchmark, text) for (benchmark, form), text in found.items()]


def _is(cell: Cell, model: str, benchmark: str) -> bool:
    return cell.model == model and cell.benchmark == benchmark


def _number(text: Any) -> float | None:
    """Snakemake writes - or NA where it measured nothing."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
