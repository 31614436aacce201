"""Files of the results tree are checked when they are read; paths are those that the documents name."""

from pathlib import Path
from typing import Any

import pytest
from checkouts import ROOT

from otr.config import Cell, experiment_file, load
from otr.errors import UserError
from otr.files import write_record
from otr.results import Paths, RunFile, SamplingFile, ScoreFile, Tree

CELL = Cell("small", "otr", "stories")
SCORE: dict[str, Any] = {
    "experiment": "micro", **CELL._asdict(), "metric": "mean@4", "score": 29.5, "problems": 100, "samples": 400,
    "protocol": {"prompt": "chat"}, "provenance": {"seed": 0},
}  # fmt: skip


def test_the_paths_are_those_of_the_readme_of_results() -> None:
    paths = Paths("results", "micro")
    text = (ROOT / "results" / "README.md").read_text()
    for path in (paths.score(CELL), paths.samples(CELL), paths.run("small", "otr"), paths.subset("expert")):
        assert path.name in text
    assert paths.score(CELL) == Path("results/micro/eval/small/otr/stories/score.json")


def test_a_later_versions_keys_are_kept(tmp_path: Path) -> None:
    write_record(tmp_path / "score.json", SCORE | {"interval": [20.0, 40.5], "new": 1})
    found = ScoreFile.read(tmp_path / "score.json")
    assert found.cell == CELL and found.interval == (20.0, 40.5) and (found.model_extra or {})["new"] == 1


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (ScoreFile, SCORE | {"score": 129.5}, "score: found 129.5"),
        (ScoreFile, SCORE | {"score": True}, "score: found True"),
        (ScoreFile, SCORE | {"interval": [20.0]}, "interval"),
        (ScoreFile, {key: value for key, value in SCORE.items() if key != "problems"}, "problems: is missing"),
        (SamplingFile, {"drawn_now": {"tokens": -1}}, "drawn_now.tokens: found -1"),
        (RunFile, {"model": "small", "run": "otr", "seconds": "372"}, "seconds: found '372'"),
    ],
)
def test_a_bad_file_is_one_line_with_its_key(kind: Any, content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_record(path, content)
    with pytest.raises(UserError, match=message) as caught:
        kind.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    tree = Tree(tmp_path, load(experiment_file("micro")))
    assert tree.scores() == {} and tree.samplings() == {} and tree.trainings() == []
    cell = tree.expected()[0]
    write_record(tree.score(cell), SCORE | cell._asdict())
    assert list(tree.scores()) == [cell]
