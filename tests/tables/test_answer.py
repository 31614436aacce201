"""The sentences that open a table, end a run and fill the report's first screen."""

import json
import re
from pathlib import Path

import pytest
import yaml
from checkouts import MICRO, ROOT

from otr.config import Experiment, load
from otr.files import write_jsonl
from otr.tables.answer import READING, Difference, answer, by_benchmark, lines, pairs, signed

PROBLEMS = 40


class Tree:
    """Verdicts of the default experiment's runs, by shares of right problems."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / "results"
        content = yaml.safe_load((ROOT / MICRO).read_text())
        content["training_seeds"] = 1
        (folder / "micro.yaml").write_text(yaml.safe_dump(content))
        self.experiment = load(folder / "micro.yaml")
        layout = self.experiment.tables["table1"]
        self.model, self.benchmarks = layout.models[0], layout.benchmarks

    def write(self, run: str, right: int, first: int = 0) -> None:
        """`right` problems are right, from number `first` on."""
        for benchmark in self.benchmarks:
            rows = [
                {"problem": str(number), "sample": 0, "correct": first <= number < first + right}
                for number in range(PROBLEMS)
            ]
            folder = self.results / "micro" / "eval" / self.model / run / benchmark
            write_jsonl(folder / "verdicts.jsonl.gz", rows)

    def answer(self) -> Difference:
        found = [one for one in answer(self.experiment, self.results, ["table1"]) if one.run == "otr"]
        assert len(found) == 1
        return found[0]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_clear_difference_is_one_sentence(tree: Tree) -> None:
    tree.write("sft", 10)
    tree.write("otr", 30)
    found = tree.answer()
    assert re.match(r"OTR scores 50\.0 ± \d\.\d points higher than SFT on ", found.sentence)
    count = PROBLEMS * len(tree.benchmarks)
    assert (
        f"75.00 against 25.00; of {count} problems {count // 2} became right and 0 wrong; one training"
        in found.sentence
    )
    tree.write("otr", 0)
    assert "points lower than SFT" in tree.answer().claim


def test_noise_is_called_so(tree: Tree) -> None:
    tree.write("sft", 20)
    tree.write("otr", 20, first=1)
    assert tree.answer().claim.startswith("OTR and SFT are not told apart on ")
    assert ": 0.0 ± " in tree.answer().claim


def test_below_the_untrained_model_more_is_kept_not_gained(tree: Tree) -> None:
    layout = tree.experiment.tables["table1"]
    assert layout.like_for_like is not None
    for run, right in ((layout.like_for_like, 38), ("sft", 10), ("otr", 30)):
        tree.write(run, right)
    assert re.match(r"OTR keeps 50\.0 ± \d\.\d points more of \w+ than SFT", tree.answer().claim)
    tree.write(layout.like_for_like, 20)
    assert "points higher" in tree.answer().claim


def test_what_is_missing_is_left_out(tree: Tree) -> None:
    tree.write("otr", 30)
    assert answer(tree.experiment, tree.results) == [] and lines([]) == []
    tree.write("sft", 10)
    found = answer(tree.experiment, tree.results)
    assert [(one.run, one.reference) for one in found] == [("otr", "sft")], "a pair of two tables stands once"
    assert lines(found)[-1] == READING


def test_each_benchmark_by_itself(tree: Tree) -> None:
    tree.write("sft", 10)
    tree.write("otr", 30)
    assert [one.benchmarks for one in by_benchmark(tree.experiment, tree.results)] == [(b,) for b in tree.benchmarks]


def with_rows(experiment: Experiment, rows: list[str], **methods: object) -> list[tuple[str, str]]:
    content = experiment.model_dump(mode="json", exclude_unset=True)
    content["methods"] = yaml.safe_load((ROOT / MICRO).read_text())["methods"] | methods
    layout = content["tables"]["table1"] | {"rows": rows, "best_of": None, "regression": None, "like_for_like": None}
    changed = Experiment.model_validate_json(json.dumps(content | {"tables": {"table1": layout}}))
    return pairs(changed, changed.tables["table1"])


def test_the_reference_is_sft_of_the_same_recipe(tree: Tree) -> None:
    slow = {"training": {"learning_rate": 1e-5}}
    sft, otr = ({"label": name, "objective": name} | slow for name in ("sft", "otr"))
    found = with_rows(tree.experiment, ["sft", "otr", "sft-slow", "otr-slow"], **{"sft-slow": sft, "otr-slow": otr})
    assert found == [("otr", "sft"), ("otr-slow", "sft-slow")]
    assert with_rows(tree.experiment, ["base", "otr"]) == []


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    assert [signed(value) for value in (0.04, -0.04, -1.25, 2.0)] == ["0.0", "0.0", "−1.2", "+2.0"]
