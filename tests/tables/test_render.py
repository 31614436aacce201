"""The texts of a table, and the command that writes them."""

import csv
import dataclasses
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from otr.config import load
from otr.files import write_record
from otr.tables import paper
from otr.tables.marks import Entry
from otr.tables.render import comma_separated, latex, markdown, render, write
from otr.tables.table import Block, Column, Row, Table


def test_markdown_of_a_small_table(example: Any) -> None:
    assert markdown(example.table()) == (
        "Table 1: Sums and products\n"
        "\n"
        "| Model | Method |           Sums |        products |         Average |\n"
        "| :---- | :----- | -------------: | --------------: | --------------: |\n"
        "| Small | Base   |   40.00   ±3.0 |   20.00    ±4.0 |   30.00    ±2.5 |\n"
        "|       | SFT    | **40.00** ±3.0 |   25.00    ±4.0 |   32.50    ±2.5 |\n"
        "|       | OTR    |   39.99†  ±3.0 | **30.00**  ±4.0 | **35.00**  ±2.5 |\n"
        "| Large | Base   |   60.00   ±3.0 |   50.00    ±4.0 |   55.00    ±2.5 |\n"
        "|       | SFT    | **62.50** ±3.0 | **45.00**† ±4.0 | **53.75**† ±2.5 |\n"
        "|       | OTR    | **62.50** ±3.0 |   44.00†   ±4.0 |   53.25†   ±2.5 |\n"
        "\n"
        "**Bold**: best of SFT and OTR for each model (ties: all). †: below Base. "
        "±: one standard error, over problems.\n"
    )


def test_none_right_has_an_interval_instead_of_an_error(example: Any) -> None:
    example.write("small", "otr", "sums", score=0.0, standard_error=0.0)
    example.write("small", "sft", "sums", score=100.0, standard_error=0.0)
    table = example.table()
    # Wilson's interval of 0 of 50 problems: up to 7.1 percent.
    assert "0.00†  0.0–7.1" in markdown(table) and "**100.00** 92.9–100.0" in markdown(table)
    assert "{\\tiny 0.0--7.1}" in latex(table) and "±0.0" not in markdown(table)
    assert "where none or all are right, the 95 % interval" in markdown(table)


def test_mostly_empty_completions_are_marked_and_explained(example: Any) -> None:
    example.write("small", "otr", "sums", score=39.99, empty=101)  # of 200
    example.write("small", "sft", "sums", score=39.996, empty=100)
    table = example.table()
    text = markdown(table)
    assert "|       | SFT    | **40.00** ±3.0 |" in text
    assert "|       | OTR    |   39.99†∅ ±3.0 | **30.00**  ±4.0 | **35.00**∅ ±2.5 |" in text
    assert "∅: more than half of the completions are empty;" in text
    assert "39.99$^{\\dagger\\emptyset}$" in latex(table) and "$^{\\emptyset}$: more than half" in latex(table)
    lines = csv.DictReader(io.StringIO(comma_separated(table)))
    marked = {(line["run"], line["benchmark"]) for line in lines if line["mostly_empty"] == "1"}
    assert marked == {("otr", "sums"), ("otr", "Average")}


def test_the_answer_opens_the_table(example: Any) -> None:
    table = dataclasses.replace(example.table(), answer=("OTR < SFT.", "How to read."))
    assert markdown(table).startswith("- OTR \\< SFT.\n\nHow to read.\n\nTable 1: ")
    assert "\n% OTR < SFT.\n" in latex(table)


def test_two_groups_have_a_line_of_their_own() -> None:
    lines = markdown(paper.table(2)).splitlines()
    assert [text.strip() for text in lines[2].split("|")[3:-1]] == ["Code", "", "", "General Reasoning", "", "", ""]
    assert [text.strip() for text in lines[4].split("|")[3:6]] == ["HumanEval+", "MBPP+", "Avg"]


def test_columns_line_up() -> None:
    for number in paper.NUMBERS:
        rows = [line for line in markdown(paper.table(number)).splitlines() if line.startswith("|")]
        assert len({tuple(match.start() for match in re.finditer(r"\|", row)) for row in rows}) == 1


def test_missing_cells(example: Any) -> None:
    example.path("small", "otr", "products").unlink()
    table = example.table()
    assert "|       | OTR    |   39.99†  ±3.0 |       —         |       —         |" in markdown(table).splitlines()
    assert " & OTR & 39.99$^{\\dagger}$ {\\tiny $\\pm$3.0} & --- & --- \\\\" in latex(table)
    lines = csv.DictReader(io.StringIO(comma_separated(table)))
    found = {(line["run"], line["benchmark"]): line for line in lines if line["model"] == "small"}
    assert set(found["otr", "products"].values()) == {"table1", "small", "otr", "Mathematics", "products", ""}


def test_csv_holds_what_the_table_shows_and_the_unrounded_score(example: Any) -> None:
    lines = list(csv.DictReader(io.StringIO(comma_separated(example.table()))))
    assert len(lines) == 2 * 3 * 3
    assert lines[3] == {
        "table": "table1",
        "model": "small",
        "run": "sft",
        "group": "Mathematics",
        "benchmark": "sums",
        "value": "40.00",
        "score": "39.996000",
        "standard_error": "3.0000",
        "dagger": "0",
        "bold": "1",
        "problems": "50",
        "samples": "200",
        "double_dagger": "0",
        "seeds": "1",
        "seed_deviation": "",
        "error": "3.0000",
        "low": "34.1160",
        "high": "45.8760",
        "mostly_empty": "0",
    }


def test_latex_has_as_many_cells_in_each_row_as_columns() -> None:
    for number in paper.NUMBERS:
        table = paper.table(number)
        text = latex(table)
        assert f"\\begin{{tabular}}{{ll{'c' * len(table.columns)}}}" in text
        for block in table.blocks:
            assert f"\\multirow{{{len(block.rows)}}}{{*}}{{{block.label}}}" in text
        body = text.split("\\midrule", 1)[1].split("\\bottomrule")[0]
        rows = [line for line in body.splitlines() if line.endswith("\\\\")]
        assert len(rows) == sum(len(block.rows) for block in table.blocks)
        assert {line.count("&") for line in rows} == {len(table.columns) + 1}


def test_hostile_labels_break_no_format() -> None:
    row = Row("otr", "a|b & 50% *x* $y$", (Entry(None),))
    table = Table("mine", "100 % of # {it}", (Column("G", "s", "s_1", ("s",)),), (Block("m", "m\\n", (row,)),), ())
    body = [line for line in markdown(table).splitlines() if line.startswith("|")][-1]
    assert len(re.findall(r"(?<!\\)\|", body)) == 4 and "\\*x\\*" in body
    text = latex(table)
    assert "a|b \\& 50\\% *x* \\$y\\$" in text and "s\\_1" in text and "100 \\% of \\# \\{it\\}" in text
    assert "m\\textbackslash{}n" in text
    line = next(csv.DictReader(io.StringIO(comma_separated(table))))
    assert line["value"] == "" and line["benchmark"] == "s"


def test_same_scores_same_bytes(example: Any, tmp_path: Path) -> None:
    first, second = write(example.table(), tmp_path / "a"), write(example.table(), tmp_path / "b")
    assert [path.name for path in first] == ["table1.md", "table1.csv", "table1.tex"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].read_text(encoding="utf-8") == render(example.table())["md"]


MICRO = Path(__file__).parents[2] / "workflow" / "experiments" / "micro.yaml"


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "otr.tables", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_draws_what_is_scored_so_far(tmp_path: Path) -> None:
    """The shipped experiment's table with a single score: real layout, real labels."""
    layout = load(MICRO).tables["table1"]
    place = {"model": layout.models[0], "run": layout.rows[1], "benchmark": layout.columns[0].benchmarks[0]}
    numbers = {"metric": "mean@4", "score": 62.5, "standard_error": 2.0, "problems": 64, "samples": 256}
    whole = {"experiment": "micro", **place, **numbers, "protocol": {}, "provenance": {"commit": "95a5834"}}
    write_record(tmp_path.joinpath("results", "micro", "eval", *place.values(), "score.json"), whole)
    options = ("--experiment", MICRO, "--table", "table1", "--results", tmp_path / "results", "--out", tmp_path / "out")
    done = run(*options)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "table1.md").read_text(encoding="utf-8")
    assert text.count("62.50") == 1 and "- Commit: 95a5834" in text and str(tmp_path) not in text
    cells = len(layout.models) * len(layout.rows) * (len(layout.columns[0].benchmarks) + 1)
    assert len(list(csv.DictReader((tmp_path / "out" / "table1.csv").open()))) == cells
    assert (tmp_path / "out" / "table1.tex").read_text(encoding="utf-8").count(" --- ") == cells - 1


def test_the_commands_beside_the_paper(tmp_path: Path) -> None:
    done = run("comparison", "--experiment", MICRO, "--results", tmp_path / "results", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "comparison.md").read_text(encoding="utf-8").startswith("# micro beside the published tables")
    assert (tmp_path / "comparison.csv").read_text(encoding="utf-8").startswith("table,model,method,")
    done = run("audit", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "paper_audit.md").read_text(encoding="utf-8").startswith("# Audit of the published tables")


def test_an_unknown_table_is_one_line(tmp_path: Path) -> None:
    done = run("--experiment", MICRO, "--table", "table99", "--out", tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "'table99'" in line and "allowed: table1" in line
