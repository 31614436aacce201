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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from otr.config import BASE_RUN, BASE_TUNED_RUN, Cell, Experiment
from otr.files import Row
from otr.report import charts, evidence
from otr.report.grid import MISSING, Grid, Line, figure, grid, percent, time
from otr.results import SamplingFile, Tree
from otr.tables import answer
from otr.tables.marks import Entry
from otr.tables.render import groups
from otr.tables.scores import Score, read_scores
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


COLOURS = 12
"""The page's style sheet has so many."""
CLAIMS = 8
"""Where there are more comparisons, those of ablations are folded away."""


def render(experiment: Experiment, results: Path) -> tuple[str, Iterator[tuple[str, str]]]:
    """The page, and the pages of evidence beside it with their paths below `report/` (none where the completions are
    few enough to stand in the page). Raises UserError when a file of the tree is damaged."""
    page = Page(Tree(results, experiment), results)
    environment = Environment(
        loader=PackageLoader("otr.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, style = _asset("page.js") + _asset("evidence.js"), _asset("page.css")
    shared = {
        "style": Markup(style),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "name": experiment.name,
    }
    text: str = environment.get_template("page.html").render(page=page, missing=MISSING, **shared)
    template = environment.get_template("chunk.html")
    pages = (
        (
            chunk.file,
            template.render(
                title=f"{page.label(chunk.benchmark)} · {page.label(chunk.model)} · {experiment.name}",
                index=page.evidence_of(chunk),
                id=f"c{number}",
                data=chunk.data,
                **shared,
            ),
        )
        for number, chunk in enumerate(page.evidence.chunks)
        if not page.evidence.is_embedded
    )
    return text, pages


def _asset(name: str) -> str:
    return files("otr.report").joinpath(name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Claim:
    """A difference as the first screen shows it."""

    found: answer.Difference
    bar: Markup
    see: str
    """What a click on it opens: model, run, benchmarks and the run beside it."""


@dataclass(frozen=True)
class Group:
    """The claims of a table."""

    title: str
    caption: str
    claims: list[Claim]

    @property
    def size(self) -> int:
        return len(self.claims)


def json_block(value: object) -> Markup:
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
        self.scores = tree.scores()
        self.sampling = tree.samplings()
        self.trainings = tree.trainings()
        self.missing = [str(cell) for cell in tree.expected() if cell not in self.scores]
        rows = [BASE_RUN, BASE_TUNED_RUN, *self.experiment.methods]
        self._rows = {run: row for row in rows for run in self.experiment.runs(row)}
        shown = {self._rows.get(run, run) for run in tree.runs()}
        # By the place in the experiment, so that a colour stays when more runs finish; figures count likewise.
        self._styles = {row: f"s{number % COLOURS}" for number, row in enumerate(rows) if row in shown}
        self.answer = answer.answer(self.experiment, results)
        self.evidence = evidence.collect(tree, list(self.scores))
        self._row_scores: dict[Cell, Score] = {}
        for layout in self.experiment.tables.values():
            self._row_scores |= read_scores(results, self.experiment.name, layout, self.experiment.runs)

    # Names

    def label(self, name: str) -> str:
        """As printed; a method whose label an earlier one has too (SFT of another recipe) is followed by its name."""
        row = self._rows.get(name, name)
        if row != name:
            return f"{self.label(row)}, seed {name.rpartition('.seed')[2]}"
        label = self.labels.get(name, name)
        first = next((other for other in self._styles if self.labels.get(other) == label), name)
        return label if first == name or name not in self._styles else f"{label} ({name})"

    def style(self, run: str) -> str:
        """The CSS class of a method's colour: the same in every chart, whatever the model or training seed."""
        return self._styles.get(self._rows.get(run, run), "s0")

    @property
    def scored_rows(self) -> list[str]:
        return [row for row in self._styles if any(run == row for _, run, _ in self._row_scores)]

    # The answer

    reading = answer.READING

    @property
    def claims(self) -> tuple[list[Group], list[Group]]:
        """By table: those that ask which of two methods is better, then all others. Few stand together."""
        ends = [abs(end) for found in self.answer for end in found.paired.interval or (found.paired.difference,)]
        limit = max([1.0, *ends]) * 1.05
        groups: dict[str, list[Claim]] = {}
        for found in self.answer:
            see = "|".join([found.model, found.run, ",".join(found.benchmarks), found.reference])
            bar = Markup(charts.difference_bar(self._difference(found), limit))
            groups.setdefault(found.table, []).append(Claim(found, bar, see))
        tables = self.experiment.tables
        main = [name for name in groups if len(self.answer) <= CLAIMS or answer.is_main(tables[name])] or list(groups)
        made = {
            name: Group(answer.heading(name), " ".join(tables[name].caption.split()), groups[name]) for name in groups
        }
        return [made[name] for name in main], [made[name] for name in groups if name not in main]

    @property
    def claim_axis(self) -> Markup:
        """The numbers below all bars."""
        ends = [abs(end) for found in self.answer for end in found.paired.interval or (found.paired.difference,)]
        return Markup(charts.difference_axis(max([1.0, *ends]) * 1.05))

    def _difference(self, found: answer.Difference) -> charts.Dot:
        return charts.Dot(found.title, self.style(found.run), found.paired.difference, found.paired.interval)

    # From a cell to its evidence

    def see(self, model: str, row: str, benchmarks: Sequence[str]) -> str:
        """What a click on a table's cell opens; empty where nothing has been graded."""
        known = [name for name in benchmarks if f"{model}/{name}" in self.evidence.index]
        runs = self.experiment.runs(row)
        scored = any(run in self.evidence.index[f"{model}/{name}"]["runs"] for name in known for run in runs)
        return f"{model}|{row}|{','.join(known)}" if scored else ""

    @property
    def first_see(self) -> str:
        return next((f"{cell.model}|{self._rows.get(cell.run, cell.run)}|{cell.benchmark}" for cell in self.scores), "")

    @property
    def embedded(self) -> list[evidence.Chunk]:
        return self.evidence.chunks if self.evidence.is_embedded else []

    @property
    def evidence_block(self) -> Markup:
        return self._evidence(self.evidence.index)

    def evidence_of(self, chunk: evidence.Chunk) -> Markup:
        key = f"{chunk.model}/{chunk.benchmark}"
        return self._evidence({key: self.evidence.index[key]})

    def _evidence(self, index: Mapping[str, Any]) -> Markup:
        scored = {run for strip in index.values() for run in strip["runs"]}
        rows = {row: [run for run in self.experiment.runs(row) if run in scored] for row in self._styles}
        others = [run for run in sorted(scored) if run not in self._rows]
        rows = {row: runs for row, runs in rows.items() if runs} | {run: [run] for run in others}
        models = [name for name in self.experiment.models if any(key.startswith(f"{name}/") for key in index)]
        benchmarks = [name for name in self.experiment.benchmarks if any(key.endswith(f"/{name}") for key in index)]
        names = [*rows, *models, *benchmarks]
        return json_block(
            {
                "labels": {name: self.label(name) for name in names},
                "styles": {row: self.style(row) for row in rows},
                "rows": rows,
                "order": {"models": models, "benchmarks": benchmarks, "rows": list(rows)},
                "against": self._references(list(rows)),
                "index": index,
            }
        )

    def _references(self, rows: Sequence[str]) -> dict[str, str]:
        """The row that stands beside another at first: its reference in a table, for SFT the untrained model."""
        found = {found.run: found.reference for found in self.answer}
        base = next((row for row in (BASE_TUNED_RUN, BASE_RUN) if row in rows), None)
        return found | {
            row: base for row in rows if base and row not in found and row not in (BASE_RUN, BASE_TUNED_RUN)
        }

    # Overview

    @property
    def tiles(self) -> list[tuple[str, str]]:
        """Main figures: (value, what it counts)."""
        expected = len(self.tree.expected())
        completions = sum(file.samples for file in self.scores.values())
        tuned = [file for file in self.trainings if file.steps is not None]
        seconds = sum(file.seconds or 0.0 for file in tuned)
        tiles = [
            (f"{expected - len(self.missing)} of {expected}", "scores of the tables are there"),
            (f"{completions:,}", "completions graded"),
            (str(len(tuned)), f"trainings, {time(seconds).text} in all"),
        ]
        return [*tiles, *[(value, name) for name, value in self._common.items()]]

    @property
    def _common(self) -> dict[str, str]:
        """Facts of provenance as short texts; several where the scores disagree."""
        found: dict[str, list[str]] = {}
        for file in self.scores.values():
            origin = file.provenance
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
        return answer.heading(table.name)

    def legend(self, sentence: str) -> Markup:
        """*word* at the start in bold."""
        return Markup(re.sub(r"^\*(.+?)\*", r"<b>\1</b>", str(escape(sentence))))

    def hint(self, cell: Entry) -> str:
        """What a pointer over a table's cell shows."""
        if cell.score is None:
            return "not scored yet"
        error = "" if cell.score.standard_error is None else f" ± {cell.score.standard_error:.2f} (standard error)"
        counts = "" if cell.score.problems is None else f", {cell.score.problems} problems"
        empty = ", most of its completions are empty" if cell.is_empty else ""
        return f"{cell.shown}{error}{counts}{empty}"

    @property
    def figure2(self) -> str | None:
        """Figure 2 as a data address, so that nothing in its SVG can meet the page's own names."""
        text = self.tree.text("figures/figure2.svg")
        return None if text is None else "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()

    # Scores

    @property
    def dot_plots(self) -> list[tuple[str, Markup]]:
        """A chart of scores with their intervals for each model."""
        return self._plots("score and 95 % interval by benchmark, percent", self._score_dots, False)

    def _score_dots(self, model: str, benchmark: str) -> list[charts.Dot]:
        found = {row: self._row_scores.get(Cell(model, row, benchmark)) for row in self._styles}
        return [
            charts.Dot(self.label(row), self.style(row), float(score.value), score.interval)
            for row, score in found.items()
            if score is not None
        ]

    @property
    def difference_plots(self) -> list[tuple[str, Markup]]:
        """A chart of differences to the reference for each model."""
        by_benchmark = answer.by_benchmark(self.experiment, self.tree.folder.parent)

        def dots(model: str, benchmark: str) -> list[charts.Dot]:
            wanted = [found for found in by_benchmark if found.model == model and found.benchmarks == (benchmark,)]
            return [self._difference(found) for found in wanted]

        return self._plots("difference and 95 % interval by benchmark, points", dots, True)

    def _plots(self, what: str, dots: Any, around_zero: bool) -> list[tuple[str, Markup]]:
        plots = []
        for model in self.experiment.models:
            rows = [(self.label(name), found) for name in self.experiment.benchmarks if (found := dots(model, name))]
            if rows:
                title = f"{self.label(model)}: {what}"
                plots.append((self.label(model), Markup(charts.dot_plot(title, rows, around_zero))))
        return plots

    @property
    def score_grid(self) -> Grid:
        headers = (
            "Model | Run | Benchmark | Measure | Score, % # | Standard error # | Problems # | Completions # | Correct #"
            " | Truncated, % # | No answer, % # | Tokens, mean #"
        )
        rows: list[Line] = []
        for cell in self.cells:
            file = self.scores.get(cell)
            if file is None:
                rows.append([*map(self.label, cell), "missing", *[figure(None)] * 8])
                continue
            details = file.details
            rows.append(
                [
                    *map(self.label, cell),
                    file.metric,
                    figure(file.score),
                    figure(file.standard_error),
                    figure(file.problems, ",d"),
                    figure(file.samples, ",d"),
                    figure(details.get("correct"), ",d"),
                    percent(details.get("truncated")),
                    percent(details.get("no_answer")),
                    figure(details.get("mean_tokens"), ",.0f"),
                ]
            )
        return grid("All scores", headers, rows)

    SHARES = {
        "truncated": "Completions truncated at the token limit, %",
        "no_answer": "Completions without an answer, %",
        "undecided": "Completions that no grader decided within its limits (counted as wrong), %",
    }

    @property
    def share_grids(self) -> list[Grid]:
        """Shares truncated and without an answer: a row a method, a column for each benchmark where there are any."""
        return [made for key, name in self.SHARES.items() if (made := self._share_grid(key, name)).rows]

    @property
    def difference_grid(self) -> Grid:
        """Verdicts that are not math-verify's own: a row a model, method and rule, over trainings and benchmarks."""
        counts: dict[tuple[str, str, str], Counter[str]] = {}
        for cell, score in self.scores.items():
            for rule, found in (score.details.get("differences") or {}).items():
                counts.setdefault((cell.model, self._rows.get(cell.run, cell.run), rule), Counter()).update(found)
        rows: list[Line] = [
            [self.label(model), self.label(row), rule, f"{found['accepted']:,d}", f"{found['refused']:,d}"]
            for (model, row, rule), found in counts.items()
        ]
        headers = "Model | Method | Rule | Accepted, math-verify refuses # | Refused, math-verify accepts #"
        note = "Each rule is described in docs/grading.md."
        return grid("Verdicts that differ from math-verify's own", headers, rows, note)

    @property
    def no_shares(self) -> list[str]:
        """A sentence where a whole table would be zeros."""
        names = [name for key, name in self.SHARES.items() if self.scores and not self._share_grid(key, name).rows]
        return [f"{name.removesuffix(', %')}: none in any run." for name in names]

    def _share_grid(self, key: str, name: str) -> Grid:
        shares: dict[tuple[str, str], dict[str, float]] = {}
        for (model, row, benchmark), values in self._shares(key).items():
            shares.setdefault((model, row), {})[benchmark] = sum(values) / len(values)
        columns = [b for b in self.experiment.benchmarks if any(found.get(b) for found in shares.values())]
        rows: list[Line] = [
            [self.label(model), self.label(row), *(percent(found.get(b)) for b in columns)]
            for (model, row), found in shares.items()
            if any(found.get(b) for b in columns)
        ]
        headers = " | ".join(["Model", "Method", *(f"{self.label(b).replace('|', '/')} #" for b in columns)])
        note = "Benchmarks and methods without any are left out." if rows else ""
        return grid(name, headers, rows, note)

    def _shares(self, key: str) -> dict[Cell, list[float]]:
        """By model, row and benchmark, a value a training."""
        found: dict[Cell, list[float]] = {}
        for cell, file in self.scores.items():
            value = file.details.get(key)
            if isinstance(value, int | float):
                found.setdefault(cell._replace(run=self._rows.get(cell.run, cell.run)), []).append(value)
        return found

    # Training

    @property
    def curves(self) -> list[tuple[str, list[str], list[tuple[str, Markup]]]]:
        """For each model: label, the methods drawn, and its panels (title, chart)."""
        found = []
        for model in self.experiment.models:
            metrics = {
                row: [rows for run in self.experiment.runs(row) if (rows := self.tree.steps(model, run))]
                for row in self._styles
            }
            metrics = {row: trainings for row, trainings in metrics.items() if trainings}
            panels = [
                (title, Markup(charts.line_chart(title, self._lines(metrics, key)))) for key, title in PANELS.items()
            ]
            panels = [(title, chart) for title, chart in panels if chart]
            if panels:
                found.append((self.label(model), list(metrics), panels))
        return found

    def _lines(self, metrics: Mapping[str, list[list[Row]]], key: str) -> list[charts.Line]:
        """A method's mean over trainings, and each of them where there are several."""
        lines = []
        for row, trainings in metrics.items():
            by_step: dict[float, list[float]] = {}
            for number, rows in enumerate(trainings, start=1):
                kept = {float(r["step"]): float(r[key]) for r in rows if isinstance(r.get(key), int | float)}
                for step, value in kept.items():
                    by_step.setdefault(step, []).append(value)
                if kept and len(trainings) > 1:
                    label = f"{self.label(row)}, training {number}"
                    lines.append(charts.Line(label, self.style(row), list(kept), list(kept.values()), is_thin=True))
            # A mean over the trainings that have come so far would jump where one ends.
            steps = sorted(step for step, values in by_step.items() if len(values) == max(map(len, by_step.values())))
            if steps:
                means = [sum(by_step[step]) / len(by_step[step]) for step in steps]
                lines.append(charts.Line(self.label(row), self.style(row), steps, means))
        return lines

    @property
    def training_grid(self) -> Grid:
        headers = (
            "Model | Run | Objective | Examples # | Steps # | Trained tokens # | Last loss # | Last NLL, nats #"
            " | Learning rate # | Batch # | Epochs #"
        )
        rows: list[Line] = []
        for file in self.trainings:
            if file.steps is None:
                continue
            steps = self.tree.steps(file.model, file.run)
            last, recipe = steps[-1] if steps else {}, file.recipe
            rows.append(
                [
                    self.label(file.model),
                    self.label(file.run),
                    str(file.method.get("objective", MISSING)),
                    figure(file.examples, ",d"),
                    figure(file.steps, ",d"),
                    figure(file.trained_tokens, ",d"),
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
            fine = lengths.get("fine") or {}
            chart = charts.histogram(
                f"{name}: response lengths, tokens",
                fine.get("edges") or lengths.get("edges") or [],
                fine.get("subset") or lengths.get("histogram") or [],
                fine.get("source") or [],
            )
            of = summary.get("usable_rows_in_source")
            least, median, most = (lengths.get(key, MISSING) for key in ("minimum", "median", "maximum"))
            note = (
                f"{summary.get('examples', 0):,} examples"
                + (f" of {of:,} usable rows" if of else "")
                + "; responses of"
                f" {least} to {most} tokens, median {median}, {lengths.get('total', 0):,} in all"
                + (". Outline: the rows they were chosen from." if fine else "")
            )
            found.append((name, Markup(chart), note))
        return found

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
                self.label(file.model),
                self.label(file.run),
                time(file.seconds),
                figure(file.tokens_per_second, ",.0f"),
                figure(file.teraflops_a_rank, ",.3g"),
                figure(file.peak_memory_gb),
                figure(file.ranks, "d"),
                file.device or MISSING,
                figure(file.dropped_over_length, ",d"),
            ]
            for file in self.trainings
            if file.seconds is not None
        ]
        return grid("Training", headers, rows)

    def _sampling_times(self) -> Grid:
        """One engine draws all benchmarks of a run, so times are of the run."""
        headers = "Model | Run | Engine | Start # | Drawing # | Completions # | Tokens # | Tokens/s #"
        by_run: dict[tuple[str, str], list[SamplingFile]] = {}
        for cell, file in self.sampling.items():
            by_run.setdefault((cell.model, cell.run), []).append(file)
        rows: list[Line] = []
        for (model, run), parts in by_run.items():
            drawn = [part.drawn_now for part in parts if part.drawn_now]
            seconds = max((part.seconds_of_all_benchmarks for part in drawn), default=0.0)
            tokens = sum(part.tokens for part in drawn)
            rows.append(
                [
                    self.label(model),
                    self.label(run),
                    parts[0].engine or MISSING,
                    time(max((part.engine_seconds or 0.0 for part in parts), default=0.0)),
                    time(seconds),
                    figure(sum(part.completions for part in drawn), ",d"),
                    figure(tokens, ",d"),
                    figure(tokens / seconds if seconds else None, ",.0f"),
                ]
            )
        note = "What the last call of the stage sampled. A call that found everything there counts nothing."
        return grid("Sampling", headers, rows, note)

    def _job_times(self) -> Grid:
        headers = "Job | Time # | Peak memory, MB # | Mean load, % of a core #"
        rows: list[Line] = [
            [
                record["job"],
                time(_number(record.get("s"))),
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
        for cell, file in self.scores.items():
            form = str(file.protocol.get("prompt", ""))
            if file.example_prompt:
                found.setdefault((self.label(cell.benchmark), form), file.example_prompt)
        return [(f"{benchmark}, {form}" if form else benchmark, text) for (benchmark, form), text in found.items()]


def _number(text: Any) -> float | None:
    """Snakemake writes - or NA where it measured nothing."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
