"""The page says what the tree holds, and nothing that a model wrote can leave its place."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from otr.errors import UserError
from otr.files import read_json, write_record, write_text
from otr.report import evidence
from otr.report.__main__ import main
from otr.report.page import render

from .conftest import HOSTILE, PROBLEMS, SCORES, Tree


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(tree: Tree, results: Path | None = None) -> str:
    return render(tree.experiment, results or tree.results)[0]


def evidence_data(page: str) -> Any:
    block = re.search(r'<script type="application/json" id="evidence-data">(.*?)</script>', page, re.DOTALL)
    assert block
    return json.loads(block[1])


def test_an_empty_tree_is_a_page_of_missing_results(tmp_path: Path, tree: Tree) -> None:
    page = page_of(tree, tmp_path / "nothing")
    expected = len({name for table in tree.experiment.tables for name in tree.experiment.cells(table)})
    assert f"0 of {expected}" in page
    assert f"{expected} scores are missing" in page
    assert "No score has been written yet." in page
    assert evidence_data(page)["index"] == {} and 'id="answer"' not in page


def test_tables_carry_values_and_marks(tree: Tree) -> None:
    page = page_of(tree)
    table = page[page.index('id="table1"') :].split("</table>")[0]
    otr = next(row for row in table.split("<tr") if ">OTR<" in row)
    sft = next(row for row in table.split("<tr") if ">SFT<" in row)
    assert re.findall(r">(\d+\.\d\d)<sup>(.)", otr) == [("20.00", "†")] * 2
    assert sft.count("<b>60.00</b><sup></sup>") == 2
    assert sft.count("<small>±4.2</small>") == 2, "the error is on the page, not in a tooltip alone"
    see = [f'data-see="{tree.model}|sft|{name}"' for name in tree.benchmarks]
    assert all(one in sft for one in see)
    # Every other benchmark, and so the average, is not there yet.
    assert otr.count(">—<") == len(tree.experiment.tables["table1"].benchmarks) - 2 + 1


def test_a_cell_of_mostly_empty_completions_says_so(tree: Tree) -> None:
    benchmark = tree.benchmarks[0]
    tree.write_cell("otr", benchmark, SCORES["otr"], empty=PROBLEMS // 2 + 1)
    page = page_of(tree)
    table = page[page.index('id="table1"') :].split("</table>")[0]
    otr = next(row for row in table.split("<tr") if ">OTR<" in row)
    assert otr.count("∅</sup>") == 1 and otr.count("most of its completions are empty") == 1
    assert "∅: more than half of the completions are empty" in page


def test_the_first_screen_is_the_answer(tree: Tree) -> None:
    for benchmark in tree.experiment.tables["table1"].benchmarks:
        for run, score in SCORES.items():
            tree.write_cell(run, benchmark, score)
    page = page_of(tree)
    answer = page[page.index('id="answer"') : page.index("</section>", page.index('id="answer"'))]
    assert page.index('id="answer"') < page.index('class="tiles"') < page.index('id="tables"')
    claims = re.findall(r'<p class="claim"><i></i>(.*?)</p>', answer)
    assert len(claims) >= 1 and re.match(r"OTR scores 40\.0 ± \d+\.\d points lower than SFT on ", claims[0])
    names = ",".join(tree.experiment.tables["table1"].benchmarks)
    assert f'data-see="{tree.model}|otr|{names}|sft|lost"' in answer


def test_nothing_of_a_model_leaves_its_place(tree: Tree) -> None:
    page = page_of(tree)
    assert "<script>window" not in page
    assert "<img" not in page
    assert "window.hacked" not in page.split('class="prompt"')[0]
    scripts = [attributes for tag, attributes in Elements(page).found if tag == "script"]
    chunks = [{"type": "text/plain", "id": f"c{number}"} for number in range(2)]
    assert scripts == [{"type": "application/json", "id": "evidence-data"}, *chunks, {}]


def test_many_completions_stand_on_pages_of_their_own(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "EMBEDDED", 10)
    text, made = render(tree.experiment, tree.results)
    pages = dict(made)
    assert sorted(pages) == sorted(f"{tree.model}/{name}-1.html" for name in tree.benchmarks)
    assert not re.search(r'<script type="text/plain"', text)
    hashes = {re.search(r"script-src 'sha256-([^']+)'", page) for page in (text, *pages.values())}
    assert len({match[1] for match in hashes if match}) == 1
    for page in pages.values():
        assert len(re.findall(r'<script type="text/plain"', page)) == 1 and "<img" not in page


def test_pages_of_an_earlier_report_are_removed(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--experiment", "workflow/experiments/micro.yaml", "--results", str(tree.results)]
    out = tmp_path / "report.html"
    with monkeypatch.context() as patched:
        patched.setattr(evidence, "EMBEDDED", 10)
        main([*arguments, "--out", str(out)])
    assert len(list((tmp_path / "report").glob("*/*.html"))) == 2
    main([*arguments, "--out", str(out)])
    assert not (tmp_path / "report").exists()


def test_a_file_of_markdown_is_escaped_too(tree: Tree) -> None:
    write_text(
        tree.folder / "tables" / "comparison.md", f"# title\n\n## Part\n\n| a | b |\n| - | - |\n| {HOSTILE} | **2** |\n"
    )
    page = page_of(tree)
    assert "<h4>Part</h4>" in page and "<strong>2</strong>" in page
    assert "<script>window" not in page and "<img" not in page


def test_the_page_names_nothing_outside_itself(tree: Tree) -> None:
    write_text(tree.folder / "figures" / "figure2.svg", '<svg xmlns="http://www.w3.org/2000/svg"></svg>')
    for tag, attributes in Elements(page_of(tree)).found:
        for name in ("src", "href", "action", "srcset", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, attributes)


def test_same_tree_same_bytes(tree: Tree) -> None:
    assert page_of(tree) == page_of(tree)


def test_optional_keys_may_be_missing(tree: Tree) -> None:
    path = tree.folder / "eval" / tree.model / "otr" / tree.benchmarks[0] / "score.json"
    score = read_json(path)
    kept = ("experiment", "model", "run", "benchmark", "score", "problems", "samples", "protocol", "provenance")
    write_record(path, {key: score[key] for key in kept} | {"standard_error": None})
    assert "OTR, " in page_of(tree)


def test_verdicts_that_math_verify_would_not_give_are_counted_by_rule(tree: Tree) -> None:
    assert "differ from math-verify" not in page_of(tree)
    details = {"differences": {"unit": {"accepted": 3, "refused": 1}}}
    tree.write_cell("otr", tree.benchmarks[0], 20.0, details=details)
    table = page_of(tree).split('id="differences-table"')[1].split("</table>")[0]
    assert re.findall(r">([^<>]+)</td>", table)[-3:] == ["unit", "3", "1"]


def test_a_damaged_file_is_named(tree: Tree) -> None:
    path = tree.folder / "train" / tree.model / "otr" / "run.json"
    write_text(path, "{")
    with pytest.raises(UserError, match="otr/run.json: .*not JSON"):
        page_of(tree)


def test_runs_that_share_a_label_are_told_apart(tree: Tree) -> None:
    names: dict[str, list[str]] = {}
    for name, method in tree.experiment.methods.items():
        names.setdefault(method.label, []).append(name)
    first, second, *_ = next(found for found in names.values() if len(found) > 1)
    tree.write_cell(second, tree.benchmarks[0], 40.0)
    page = page_of(tree)
    assert f"({second})" in page and f"({first})" not in page


def test_the_command_writes_the_page(tree: Tree, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    main(["--experiment", "workflow/experiments/micro.yaml", "--results", str(tree.results), "--out", str(out)])
    assert out.read_text().startswith("<!doctype html>")
