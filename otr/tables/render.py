"""A Table as text: Markdown for reading, CSV for computing, LaTeX (booktabs, multirow) for a paper.

In: a Table (otr/tables/table.py). Out: the three texts; the same table always gives the same bytes. Markdown of a
row, padded so that the file reads well without a viewer:

    | Qwen3-4B   | Base   |   86.90   |   54.10   |
    |            | SFT    |   74.13†  |   63.95   |
    |            | OTR    | **91.98** | **75.30** |
"""

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

from otr.files import write_text
from otr.tables.answer import heading
from otr.tables.marks import Entry
from otr.tables.scores import two_decimals
from otr.tables.table import Block, Column, Row, Table

CSV_COLUMNS = (
    "table", "model", "run", "group", "benchmark", "value", "score", "standard_error", "dagger", "bold",
    "problems", "samples", "double_dagger", "seeds", "seed_deviation", "error", "low", "high", "mostly_empty",
)  # fmt: skip


def render(table: Table) -> dict[str, str]:
    """The table's texts by file suffix: md, csv, tex."""
    return {"md": markdown(table), "csv": comma_separated(table), "tex": latex(table)}


def write(table: Table, folder: Path | str) -> list[Path]:
    """Write `<folder>/<table name>.{md,csv,tex}` and return the paths."""
    paths = []
    for suffix, text in render(table).items():
        paths.append(Path(folder) / f"{table.name}.{suffix}")
        write_text(paths[-1], text)
    return paths


def groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Group titles with the number of columns under each."""
    return [(title, len(list(members))) for title, members in itertools.groupby(columns, lambda column: column.group)]


# Markdown


def markdown(table: Table) -> str:
    header = ["Model", "Method", *(_markdown_text(column.label) for column in table.columns)]
    lines = _markdown_header(table.columns, header)
    spreads = [[""] * len(header) for _ in lines]
    for block in table.blocks:
        for position, row in enumerate(block.rows):
            names = [_markdown_text(block.label) if position == 0 else "", _markdown_text(row.label)]
            lines.append(names + [_markdown_cell(cell) for cell in row.cells])
            spreads.append(["", "", *(cell.spread for cell in row.cells)])
    lines = _with_spreads(_without_common_tail(lines), spreads)
    parts = [f"{heading(table.name)}: {_markdown_text(table.caption)}", aligned(lines)]
    if table.answer:
        *sentences, reading = map(_markdown_text, table.answer)
        parts = ["\n".join(f"- {sentence}" for sentence in sentences), reading, *parts]
    if table.legend:
        parts.append(" ".join(_emphasised(sentence, "**{}**") for sentence in table.legend))
    if table.provenance:
        parts.append("Provenance\n\n" + "\n".join(f"- {_markdown_text(line)}" for line in table.provenance))
    return "\n\n".join(parts) + "\n"


def _markdown_header(columns: Sequence[Column], header: list[str]) -> list[list[str]]:
    """One line of titles; with several groups a line of group titles above, since Markdown cannot span columns."""
    spans = groups(columns)
    if len(spans) == 1:
        return [header]
    above = [cell for title, width in spans for cell in [_markdown_text(title), *[""] * (width - 1)]]
    return [["Model", "Method", *above], ["", "", *header[2:]]]


def _markdown_cell(cell: Entry) -> str:
    """Digits stand under digits in the source: two places for ** on either side, one for each mark."""
    if cell.score is None:
        return "—     "
    marks = cell.marks.ljust(3)
    return f"**{cell.shown}**{marks}" if cell.bold else f"{cell.shown}{marks}  "


def _without_common_tail(lines: list[list[str]]) -> list[list[str]]:
    """Drop the places for marks that no cell of a column uses."""
    columns = []
    for column in zip(*lines, strict=True):
        tail = min((len(text) - len(text.rstrip()) for text in column if text.endswith(" ")), default=0)
        full = any(text[-1:] in ("*", "†", "‡", "∅") for text in column)
        columns.append([text if full or not text.endswith(" ") else text[: len(text) - tail] for text in column])
    return [list(line) for line in zip(*columns, strict=True)]


def _with_spreads(lines: list[list[str]], spreads: list[list[str]]) -> list[list[str]]:
    """±2.1 behind each value of a column that has some, padded so that values stay below each other."""
    widths = [max(map(len, column)) for column in zip(*spreads, strict=True)]
    return [
        [
            f"{text} {spread.ljust(width)}" if width and text.strip() and text[0] in "*0123456789—" else text
            for text, spread, width in zip(line, row, widths, strict=True)
        ]
        for line, row in zip(lines, spreads, strict=True)
    ]


def aligned(lines: list[list[str]], names: int = 2) -> str:
    """A Markdown table whose columns line up in the source. The first line is the header; the first `names` columns
    stand at the left, the others, numbers, at the right."""
    widths = [max(3, *(len(line[position]) for line in lines)) for position in range(len(lines[0]))]
    rule = [f":{'-' * (w - 1)}" if position < names else f"{'-' * (w - 1)}:" for position, w in enumerate(widths)]
    padded = [
        [
            text.ljust(w) if position < names else text.rjust(w)
            for position, (text, w) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [padded[0], rule, *padded[1:]])


def _markdown_text(text: str) -> str:
    """Characters that would end a cell or start a format, escaped."""
    return "".join(f"\\{character}" if character in "\\|*`<" else character for character in " ".join(text.split()))


def _emphasised(sentence: str, bold: str) -> str:
    """*word* at the start of a legend's sentence in bold."""
    if not sentence.startswith("*"):
        return sentence
    word, rest = sentence[1:].split("*", 1)
    return bold.format(word) + rest


# CSV


def comma_separated(table: Table) -> str:
    """Long form, one line a cell. `value` is what the table shows, `score` the unrounded percentage, both empty where
    there is no score; dagger and bold are 0 or 1."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for block in table.blocks:
        for row in block.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                writer.writerow(_record(table, block, row, column, cell))
    return target.getvalue()


def _record(table: Table, block: Block, row: Row, column: Column, cell: Entry) -> list[str | int]:
    place: list[str | int] = [table.name, block.model, row.run, column.group, column.name]
    if cell.score is None:
        return [*place, *[""] * (len(CSV_COLUMNS) - len(place))]
    score = cell.score
    error = "" if score.standard_error is None else f"{score.standard_error:.4f}"
    counts: list[str | int] = ["" if count is None else count for count in (score.problems, score.samples)]
    deviation = "" if score.seed_deviation is None else f"{score.seed_deviation:.4f}"
    seeds: list[str | int] = [int(cell.double_dagger), max(1, len(score.by_seed)), deviation]
    value = two_decimals(score.value)
    ends = ["" if end is None else f"{end:.4f}" for end in (score.error, *(score.interval or (None, None)))]
    marks = int(cell.dagger), int(cell.bold)
    return [*place, value, f"{score.value:.6f}", error, *marks, *counts, *seeds, *ends, int(cell.is_empty)]


# LaTeX


_TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
    | {"—": "---", "–": "--", "−": "$-$", "†": r"$^{\dagger}$", "β": r"$\beta$", "κ": r"$\kappa$", "…": r"\ldots{}"}
    | {"‡": r"$^{\ddagger}$", "±": r"$\pm$", "∅": r"$^{\emptyset}$"}
)  # fmt: skip


def latex(table: Table) -> str:
    """A table environment; the preamble needs \\usepackage{booktabs,multirow}. Provenance follows as comments."""
    legend = " ".join(_emphasised(sentence.translate(_TEX), "\\textbf{{{}}}") for sentence in table.legend)
    body = "\n    \\midrule\n".join(_latex_block(block) for block in table.blocks)
    lines = [
        "% \\usepackage{booktabs,multirow}",
        "\\begin{table}[t]",
        "  \\centering",
        f"  \\caption{{{' '.join(part for part in (_sentence(table.caption.translate(_TEX)), legend) if part)}}}",
        f"  \\label{{tab:{table.name}}}",
        "  \\small",
        f"  \\begin{{tabular}}{{ll{'c' * len(table.columns)}}}",
        "    \\toprule",
        *_latex_header(table.columns),
        "    \\midrule",
        body,
        "    \\bottomrule",
        "  \\end{tabular}",
        "\\end{table}",
        *(f"% {line}" for line in (*table.answer, *table.provenance)),
    ]
    return "\n".join(lines) + "\n"


def _latex_header(columns: Sequence[Column]) -> list[str]:
    titles = " & ".join(column.label.translate(_TEX) for column in columns)
    spans = groups(columns)
    if len(spans) == 1:
        return [f"    Model & Method & {titles} \\\\"]
    spanned = " & ".join(f"\\multicolumn{{{width}}}{{c}}{{{title.translate(_TEX)}}}" for title, width in spans)
    ends = list(itertools.accumulate((width for _, width in spans), initial=2))
    rules = " ".join(f"\\cmidrule(lr){{{start + 1}-{end}}}" for start, end in itertools.pairwise(ends))
    return [
        f"    \\multirow{{2}}{{*}}{{Model}} & \\multirow{{2}}{{*}}{{Method}} & {spanned} \\\\",
        f"    {rules}",
        f"    & & {titles} \\\\",
    ]


def _latex_block(block: Block) -> str:
    lines = []
    for position, row in enumerate(block.rows):
        model = f"\\multirow{{{len(block.rows)}}}{{*}}{{{block.label.translate(_TEX)}}}" if position == 0 else ""
        cells = " & ".join([model, row.label.translate(_TEX), *(_latex_cell(cell) for cell in row.cells)])
        lines.append(f"    {cells.lstrip()} \\\\")
    return "\n".join(lines)


def _latex_cell(cell: Entry) -> str:
    if cell.score is None:
        return "---"
    names = {"†": "\\dagger", "‡": "\\ddagger", "∅": "\\emptyset"}
    marks = f"$^{{{''.join(names[mark] for mark in cell.marks)}}}$" if cell.marks else ""
    spread = f" {{\\tiny {cell.spread.translate(_TEX)}}}" if cell.spread else ""
    return (f"\\textbf{{{cell.shown}}}" if cell.bold else cell.shown) + marks + spread


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
