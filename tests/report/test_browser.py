"""The page in a real browser: quiet, self-contained, sortable, searchable, by keyboard and on a phone."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otr.files import read_jsonl, write_jsonl, write_text
from otr.report import evidence
from otr.report.page import render

from .browser import Browser, find_chromium
from .conftest import HOSTILE, PROBLEMS, SCORES, Tree

pytestmark = pytest.mark.slow

PROGRAM = find_chromium()


@pytest.fixture
def page(tree: Tree) -> Path:
    """All of Table 1 for base, SFT and OTR, and whatever else a finished run has."""
    for benchmark in tree.experiment.tables["table1"].benchmarks:
        for run, score in SCORES.items():
            tree.write_cell(run, benchmark, score)
    write_text(tree.folder / "tables" / "comparison.md", "# micro\n\n| a | b |\n| - | - |\n| 1 | 2 |\n")
    write_text(
        tree.folder / "figures" / "figure2.svg", '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    )
    out = tree.folder / "report.html"
    write_text(out, render(tree.experiment, tree.results)[0])
    return out


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with Browser(PROGRAM, tmp_path / "profile") as started:
        yield started


def column(browser: Browser, table: str, index: int) -> list[str]:
    """The visible cells of a column from top to bottom."""
    rows = f"[...document.querySelectorAll('#{table} tbody tr')].filter((row) => row.offsetParent !== null)"
    texts: list[str] = browser.run(f"{rows}.map((row) => row.cells[{index}].textContent.trim())")
    return texts


def click(browser: Browser, selector: str) -> None:
    browser.run(f"document.querySelector({selector!r}).click()")


def set_value(browser: Browser, selector: str, value: str) -> None:
    browser.run(
        f"(() => {{ const field = document.querySelector({selector!r}); field.value = {value!r};"
        " field.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )


def numbers(texts: list[str]) -> list[float]:
    return [float(text) for text in texts if text != "—"]


def test_the_page_is_quiet_and_asks_for_nothing(browser: Browser, page: Path) -> None:
    for width, dark in ((1280, False), (1280, True), (390, False)):
        browser.open(page, width=width, dark=dark)
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("window.hacked === undefined && document.images.length === 1")
    background = "getComputedStyle(document.body).backgroundColor"
    browser.open(page, dark=True)
    in_the_dark = browser.run(background)
    browser.open(page)
    assert browser.run(background) != in_the_dark
    assert browser.complaints == []
    assert {address for address in browser.requests if not address.startswith("data:")} == {page.resolve().as_uri()}


def test_a_script_that_is_not_the_pages_would_not_run(browser: Browser, page: Path) -> None:
    """The last wall behind escaping: the content security policy."""
    write_text(page, page.read_text().replace("</main>", "<script>window.hacked = 1</script></main>"))
    browser.open(page)
    assert browser.run("window.hacked === undefined")
    assert any("Content Security Policy" in text for text in browser.complaints)


def test_a_header_sorts_down_up_and_back(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = column(browser, "all-scores-table", 4)
    header = "#all-scores-table thead th:nth-child(5)"
    click(browser, f"{header} button")
    down = column(browser, "all-scores-table", 4)
    assert numbers(down) == sorted(numbers(before), reverse=True)
    assert set(down[len(numbers(down)) :]) == {"—"}
    assert browser.run(f"document.querySelector({header!r}).ariaSort") == "descending"
    click(browser, f"{header} button")
    up = column(browser, "all-scores-table", 4)
    assert numbers(up) == sorted(numbers(before)) and up[-1] == "—"
    click(browser, f"{header} button")
    assert column(browser, "all-scores-table", 4) == before
    assert browser.run(f"document.querySelector({header!r}).ariaSort") is None


def test_a_table_of_the_paper_sorts_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('#table1 thead tr:last-child th:nth-child(3) button').focus()")
    browser.press("Enter", 13, "\r")
    values = [re.split("[†‡±]", text)[0] for text in column(browser, "table1", 2)]
    assert numbers(values) == sorted(SCORES.values(), reverse=True)
    models = column(browser, "table1", 0)
    assert all(models), "every row names its model once rows have left their block"


def test_a_search_hides_rows_and_says_how_many_are_left(browser: Browser, page: Path, tree: Tree) -> None:
    browser.open(page)
    every = len(column(browser, "all-scores-table", 0))
    label = tree.experiment.benchmarks[tree.benchmarks[0]].label
    set_value(browser, "[data-table=all-scores-table]", f"{label.upper()} mean@1")
    assert column(browser, "all-scores-table", 2) == [label] * len(SCORES)
    count = browser.run("document.querySelector('[data-table=all-scores-table]').closest('header').innerText")
    assert f"{len(SCORES)} of {every} rows" in count
    set_value(browser, "[data-table=all-scores-table]", "")
    assert len(column(browser, "all-scores-table", 0)) == every


# What a person does: reads the answer, clicks a cell, reads a completion, compares, prints.


def until(browser: Browser, condition: str) -> None:
    """Waits for what a click started: chunks are unpacked in the background."""
    end = time.monotonic() + 20
    while not browser.holds(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


def text(browser: Browser, selector: str) -> str:
    found: str = browser.run(f"document.querySelector({selector!r}).innerText")
    return found


def click_cell(browser: Browser, run: str, benchmark: str) -> None:
    click(browser, f'#table1 [data-see$="|{run}|{benchmark}"]')
    until(browser, "document.querySelector('.case:not([hidden]) .side') !== null")


def in_view(browser: Browser, selector: str) -> bool:
    found: bool = browser.run(
        f"(() => {{ const box = document.querySelector({selector!r}).getBoundingClientRect();"
        " return box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth; })()"
    )
    return found


LOOKS = [
    pytest.param(width, dark, id=f"{width}-{'dark' if dark else 'light'}") for width in (1280, 390) for dark in (0, 1)
]


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_a_person_finds_the_answer_and_its_evidence(
    browser: Browser, page: Path, tree: Tree, width: int, dark: bool
) -> None:
    benchmark = tree.benchmarks[0]
    browser.open(page, width=width, dark=dark)
    assert in_view(browser, "#answer .claim"), "the answer is on the first screen"
    assert re.match(r"OTR scores 40\.0 ± \d+\.\d points lower than SFT on ", text(browser, "#answer .claim"))

    click_cell(browser, "otr", benchmark)
    squares = "document.querySelectorAll('.strip .square').length"
    assert browser.run(squares) == 2 * PROBLEMS, "a square for each completion of OTR and of SFT"
    sides = browser.run("[...document.querySelectorAll('.side h4')].map((title) => title.innerText)")
    assert sides == ["SFT", "OTR"]
    assert f"Question: otr {benchmark} 0 <b>&amp;</b>" in browser.run("document.querySelector('.prompts').textContent")
    assert browser.run("document.querySelectorAll('.side pre')[1].textContent") == HOSTILE

    click(browser, '.strip [data-run="otr"][data-place="1"]')
    until(browser, "document.querySelector('.case h3').innerText.endsWith('problem 1')")
    assert "7 or seven" in text(browser, ".gold")
    facts = [text(browser, f".side:nth-child({number}) .facts") for number in (1, 2)]
    assert "answer read\n7" in facts[0] and "answer read\nnone" in facts[1] and "no answer" in facts[1]
    badges = browser.run("[...document.querySelectorAll('.side .badge')].map((badge) => badge.innerText)")
    assert badges == ["right", "wrong"]
    assert browser.run("document.documentElement.scrollWidth <= innerWidth && window.hacked === undefined")
    assert browser.run("document.querySelector('dialog.evidence').scrollWidth <= innerWidth")

    click(browser, ".close")
    assert not browser.run("document.querySelector('dialog').open")
    assert browser.complaints == []


def test_the_flips_of_the_answer_are_listed(browser: Browser, page: Path, tree: Tree) -> None:
    browser.open(page)
    count = len(tree.experiment.tables["table1"].benchmarks)
    lost = "#answer [data-see$='|lost']"
    # SFT has three of five right, OTR one: problems 1 and 2 of each benchmark.
    assert text(browser, lost) == f"{2 * count} became wrong"
    click(browser, lost)
    until(browser, f"document.querySelector('#evidence .count').innerText.startsWith('{2 * count} of ')")
    titles = browser.run("[...document.querySelectorAll('.overview h4')].map((title) => title.innerText)")
    assert len(titles) == count


def test_completions_are_filtered_searched_and_walked_by_keyboard(browser: Browser, page: Path, tree: Tree) -> None:
    browser.open(page)
    click_cell(browser, "sft", tree.benchmarks[0])
    set_value(browser, "#evidence [name=show]", "none")
    until(browser, f"document.querySelector('#evidence .count').innerText === '2 of {PROBLEMS} problems'")
    until(browser, "document.querySelector('.case h3').innerText.endsWith('problem 3')")
    browser.run("document.querySelector('.next').focus()")
    browser.press("ArrowRight", 39)
    until(browser, "document.querySelector('.case h3').innerText.endsWith('problem 4')")
    browser.press("ArrowRight", 39)
    assert text(browser, ".case h3").endswith("problem 4"), "the last one stays"
    set_value(browser, "#evidence [name=show]", "")
    set_value(browser, "#evidence [name=text]", "WINDOW.hacked")
    until(browser, f"document.querySelector('#evidence .count').innerText === '1 of {PROBLEMS} problems'")
    set_value(browser, "#evidence [name=against]", "")
    until(browser, "document.querySelectorAll('.side').length === 1")
    assert browser.complaints == []


def test_a_formula_is_drawn_and_its_source_can_be_read(browser: Browser, page: Path, tree: Tree) -> None:
    folder = tree.folder / "eval" / tree.model / "otr" / tree.benchmarks[0]
    rows = [row | {"completion": r"So \(\frac{1}{2}\) for $5."} for row in read_jsonl(folder / "samples.jsonl.gz")]
    write_jsonl(folder / "samples.jsonl.gz", rows)
    write_text(page, render(tree.experiment, tree.results)[0])
    browser.open(page)
    click_cell(browser, "otr", tree.benchmarks[0])
    shape = "document.querySelector('.side:nth-child(2) pre mfrac').getBoundingClientRect()"
    assert browser.run(f"{shape}.height > {shape}.width")
    assert browser.run("document.querySelector('.side:nth-child(2) pre').textContent") == "So 12 for $5."
    click(browser, "#evidence [name=source]")
    until(browser, r"document.querySelector('.side:nth-child(2) pre').textContent === 'So \\(\\frac{1}{2}\\) for $5.'")
    assert browser.complaints == []


def test_an_address_leads_back_to_a_completion(browser: Browser, page: Path, tree: Tree) -> None:
    browser.open(page)
    click_cell(browser, "otr", tree.benchmarks[0])
    click(browser, ".next")
    until(browser, "document.querySelector('.case h3').innerText.endsWith('problem 1')")
    address = browser.run("location.hash")
    browser.open(page, at=address)
    until(browser, "document.querySelector('.case:not([hidden]) h3')?.innerText.endsWith('problem 1')")
    for broken in ("#see/%ZZ", "#see/a/b", "#see/__proto__/toString/x/y/z"):
        browser.open(page, at=broken)
        assert not browser.run("document.querySelector('dialog').open")
    assert browser.complaints == []


def test_many_completions_open_on_pages_beside(
    browser: Browser, page: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "EMBEDDED", 10)
    text_of, pages = render(tree.experiment, tree.results)
    write_text(page, text_of)
    for name, content in pages:
        write_text(page.with_suffix("") / name, content)
    browser.open(page)
    click(browser, f'#table1 [data-see$="|otr|{tree.benchmarks[0]}"]')
    until(browser, "document.querySelectorAll('.strip .square').length > 0")
    click(browser, '.strip [data-run="otr"][data-place="2"]')
    until(browser, f"location.pathname.endsWith('report/{tree.model}/{tree.benchmarks[0]}-1.html')")
    until(browser, "document.querySelector('.case:not([hidden]) h3')?.innerText.endsWith('problem 2') ?? false")
    assert browser.run("[...document.querySelectorAll('.side h4')].map((title) => title.innerText)") == ["SFT", "OTR"]
    assert browser.complaints == []


def test_on_a_phone_model_and_method_stay(browser: Browser, page: Path) -> None:
    browser.open(page, width=390)
    cells = "[...document.querySelector('#table1 tbody tr').children].slice(0, 3)"
    left = f"{cells}.map((cell) => cell.getBoundingClientRect().left)"
    before = browser.run(left)
    browser.run("document.querySelector('#table1').closest('.scroll').scrollLeft = 200")
    after = browser.run(left)
    assert after[:2] == before[:2] and after[2] < before[2]


def test_on_paper_are_tables_with_errors_and_no_controls(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.call("Emulation.setEmulatedMedia", media="print")
    hidden = "getComputedStyle(document.querySelector({!r})).display === 'none'"
    assert all(browser.run(hidden.format(selector)) for selector in ("nav", ".search", "dialog"))
    assert browser.run("document.querySelector('#table1 small').getBoundingClientRect().height > 0")
    pdf = base64.b64decode(browser.call("Page.printToPDF", landscape=True)["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000
