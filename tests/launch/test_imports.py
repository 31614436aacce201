"""Code that decides a result is among the files whose change redoes it; code that decides nothing is not."""

from pathlib import Path

import pytest

from otr.launch import imports


def names(*modules: str) -> set[str]:
    return {file.relative_to(imports.ROOT / "otr").as_posix() for file in imports.files(*modules)}


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("otr.evaluation.math", "evaluation/math/gold.py"),  # reads the right answers
        ("otr.evaluation.math", "evaluation/math/pool.py"),  # holds the limits of time and memory
        ("otr.evaluation.code", "evaluation/code/sandbox/worker.py"),  # another process, named in a string alone
        ("otr.evaluation.general", "evaluation/general/choice.yaml"),
        ("otr.tables.comparison", "resources/paper_tables.csv"),
        ("otr.report", "report/page.html"),
        ("otr.train", "loss/kernel.py"),  # imported in a function, relatively
        ("otr.evaluation.problems", "data/response.py"),
    ],
)
def test_what_decides_a_result_counts(module: str, file: str) -> None:
    assert file in names(module)


def test_what_decides_nothing_does_not_count() -> None:
    found = names("otr.evaluation.math", "otr.evaluation.code", "otr.evaluation.general")
    rooms = {name.split("/")[0] for name in found}
    assert rooms == {"evaluation"}, found
    assert "resources/model_shapes.json" not in names("otr.tables.comparison")
    assert not any(name.startswith(("train/", "loss/", "evaluation/")) for name in names("otr.report"))


def test_imports_for_type_checking_and_names_in_docstrings_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "otr").mkdir()
    for name in ("typed", "told", "started", "relative", "inside", "deeper"):
        (tmp_path / "otr" / f"{name}.py").write_text("")
    (tmp_path / "otr" / "inside.py").write_text("import otr.deeper\n")
    (tmp_path / "otr" / "stage.py").write_text(
        '''"""otr.told is told of."""
from typing import TYPE_CHECKING
from . import relative
if TYPE_CHECKING:
    from otr import typed
def work():
    """As otr.told does."""
    from otr.inside import something
    return ["-m", "otr.started"]
'''
    )
    monkeypatch.setattr(imports, "ROOT", tmp_path)
    imports._imports.cache_clear()
    found = {file.stem for file in imports.files("otr.stage")}
    imports._imports.cache_clear()
    assert found == {"stage", "relative", "inside", "deeper", "started"}
