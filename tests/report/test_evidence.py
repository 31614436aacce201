"""From a cell to what was written: no completion is lost, and each stands with its own verdict."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from otr.config import Cell
from otr.files import read_jsonl, write_jsonl
from otr.report import evidence
from otr.results import Tree as Results

from .conftest import HOSTILE, PROBLEMS, Tree


def collected(tree: Tree) -> evidence.Evidence:
    results = Results(tree.results, tree.experiment)
    return evidence.collect(
        results, [Cell(tree.model, run, name) for run in ("base", "sft") for name in tree.benchmarks]
    )


def content(chunk: evidence.Chunk) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(chunk.data)))


def text(parts: list[Any], chunk: Any) -> str:
    return "".join(part if isinstance(part, str) else chunk["math"][part][0] for part in parts)


def test_every_completion_is_there_with_its_verdict(tree: Tree) -> None:
    found = collected(tree)
    assert len(found.chunks) == 2
    for chunk in found.chunks:
        data = content(chunk)
        assert (chunk.first, chunk.end, len(data["problems"])) == (0, PROBLEMS, PROBLEMS)
        for number, problem in enumerate(data["problems"]):
            assert problem["gold"] == "7 or seven"
            for run, right in (("base", 2), ("sft", 3)):
                (row,) = problem["runs"][run]
                assert row["ok"] == (number < right) and row.get("answer") == ("7" if number < right else None)
                whole = HOSTILE if number == 0 else f"The answer of {run} is {number}."
                assert text(row["t"], data) == whole
                assert data["prompts"][row["p"]].startswith(f"Question: {run} {chunk.benchmark} {number} ")


def test_the_strip_has_a_mark_for_each_verdict(tree: Tree) -> None:
    strip = collected(tree).index[f"{tree.model}/{tree.benchmarks[0]}"]
    assert strip["problems"] == ["0", "1", "2", "3", "4"]
    assert strip["runs"] == {"base": ["11nnn"], "sft": ["111nn"]}
    assert strip["chunks"] == [{"from": 0, "to": 5, "at": "c0", "file": f"{tree.model}/{tree.benchmarks[0]}-1.html"}]


@pytest.mark.parametrize(
    ("verdict", "finish", "expected"),
    [
        ({"correct": True, "answer": "1"}, "stop", "1"),
        ({"correct": False, "answer": "1", "how": "boxed"}, "stop", "0"),
        ({"correct": False, "answer": "1", "how": "boxed"}, "length", "t"),
        ({"correct": False, "answer": "", "how": "none"}, "stop", "n"),
        ({"correct": False, "answer": "1", "how": "boxed", "undecided": True}, "stop", "u"),
        ({"correct": True, "answer": "1", "plain": True}, "stop", "1"),
        ({"correct": True, "answer": "1", "plain": None}, "stop", "1"),
        ({"correct": True, "answer": "1", "plain": False}, "stop", "A"),
        ({"correct": False, "answer": "1", "plain": True}, "stop", "B"),
    ],
)
def test_marks(verdict: dict[str, Any], finish: str, expected: str) -> None:
    assert evidence.mark({"finish": finish}, verdict) == expected


def test_formulas_are_kept_once_and_money_stays_text(tree: Tree) -> None:
    tree.write_cell("sft", tree.benchmarks[0], 60.0)
    folder = tree.folder / "eval" / tree.model / "sft" / tree.benchmarks[0]
    rows = list(read_jsonl(folder / "samples.jsonl.gz"))
    rows[1]["completion"] = rows[2]["completion"] = r"For $5, $\frac12$ and $\frac12$."
    write_jsonl(folder / "samples.jsonl.gz", rows)
    data = content(collected(tree).chunks[0])
    assert [source for source, _ in data["math"]] == [r"$\frac12$"]
    assert data["problems"][1]["runs"]["sft"][0]["t"] == ["For $5, ", 0, " and ", 0, "."]


def test_runs_with_other_problems_do_not_shift_each_other(tree: Tree) -> None:
    """A run of an earlier limit has fewer problems; marks stay below their problem."""
    folder = tree.folder / "eval" / tree.model / "base" / tree.benchmarks[0]
    for name in ("samples.jsonl.gz", "verdicts.jsonl.gz"):
        write_jsonl(folder / name, list(read_jsonl(folder / name))[1:4])
    strip = collected(tree).index[f"{tree.model}/{tree.benchmarks[0]}"]
    places = {problem: number for number, problem in enumerate(strip["problems"])}
    assert sorted(places) == ["0", "1", "2", "3", "4"]
    marks = {run: {name: texts[0][place] for name, place in places.items()} for run, texts in strip["runs"].items()}
    assert marks == {
        "base": {"0": "-", "1": "1", "2": "n", "3": "n", "4": "-"},
        "sft": {"0": "1", "1": "1", "2": "1", "3": "n", "4": "n"},
    }


def test_many_completions_go_into_several_chunks(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "CHUNK", 300)
    found = collected(tree)
    of_first = [chunk for chunk in found.chunks if chunk.benchmark == tree.benchmarks[0]]
    assert len(of_first) > 1 and of_first[0].first == 0 and of_first[-1].end == PROBLEMS
    assert [b.first for b in of_first[1:]] == [a.end for a in of_first[:-1]]
    assert [chunk.number for chunk in of_first] == list(range(1, len(of_first) + 1))


def test_few_stand_in_the_page_and_many_beside_it(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(tree)
    assert found.is_embedded
    monkeypatch.setattr(evidence, "EMBEDDED", 10)
    assert not found.is_embedded


def test_a_long_text_loses_its_middle() -> None:
    whole = "".join(f"{number:06d}" for number in range(2000))
    short = evidence._shortened(whole, 300)
    assert short.startswith(whole[:200]) and short.endswith(whole[-100:])
    assert "11700 characters left out" in short
    assert evidence._shortened(whole, 12000) == whole


def test_what_is_not_graded_is_left_out(tree: Tree, tmp_path: Path) -> None:
    (tree.folder / "eval" / tree.model / "sft" / tree.benchmarks[0] / "verdicts.jsonl.gz").unlink()
    strip = collected(tree).index[f"{tree.model}/{tree.benchmarks[0]}"]
    assert list(strip["runs"]) == ["base"]
