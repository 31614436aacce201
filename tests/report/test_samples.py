"""Which completions a page shows."""

from otr.report import samples
from otr.results import Cell
from otr.results import Tree as Results

from .conftest import Tree


def chosen(tree: Tree, **options: int) -> list[dict[str, object]]:
    results = Results(tree.results, tree.experiment)
    cells = [Cell(tree.model, run, name) for run in ("base", "sft") for name in tree.benchmarks]
    rows: list[dict[str, object]] = samples.choose(results, cells, 0, **options)["rows"]
    return rows


def test_right_and_wrong_alternate_while_both_last(tree: Tree) -> None:
    rows = [row for row in chosen(tree) if row["run"] == "base" and row["benchmark"] == tree.benchmarks[0]]
    assert [row["correct"] for row in rows] == [True, False, True, False, False]
    assert sorted(str(row["problem"]) for row in rows) == ["0", "1", "2", "3", "4"]


def test_a_verdict_stands_beside_its_own_completion(tree: Tree) -> None:
    for row in chosen(tree):
        right = 2 if row["run"] == "base" else 3
        assert row["correct"] == (int(str(row["problem"])) < right)
        assert row["gold"] == "7 or seven"
        assert row["answer"] == ("7" if row["correct"] else "")


def test_the_budget_bounds_every_cell_alike_and_leaves_one(tree: Tree) -> None:
    assert len(chosen(tree)) == 20
    assert len(chosen(tree, budget=1)) == 4
    some = chosen(tree, budget=3000)
    assert 4 < len(some) < 20 and len(some) % 4 == 0


def test_a_long_text_loses_its_middle() -> None:
    text = "".join(f"{number:06d}" for number in range(2000))
    short = samples._shortened(text, 300)
    assert short.startswith(text[:200]) and short.endswith(text[-100:])
    assert "11700 characters left out" in short
    assert samples._shortened(text, 12000) == text
