"""Outputs that outlive Snakemake's removal of outputs."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from otr.command.finished import AGAIN, Finished
from otr.errors import UserError
from otr.files import read_record

NAMES = ["checkpoint", "run.json"]


def finished(folder: Path, **identity: Any) -> Finished:
    return Finished(folder, NAMES, {"beta": -0.1} | identity, rule="train")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with outputs that were kept and then deleted, as Snakemake does before a rerun."""
    (tmp_path / "checkpoint" / "part").mkdir(parents=True)
    (tmp_path / "checkpoint" / "weights").write_text("1 2 3")
    (tmp_path / "checkpoint" / "part" / "more").write_text("4")
    (tmp_path / "checkpoint" / ".snakemake_timestamp").write_text("")
    (tmp_path / "run.json").write_text("{}")
    finished(tmp_path).keep()
    delete(tmp_path)
    return tmp_path


def delete(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoint")
    (folder / "run.json").unlink()


def test_the_same_content_gets_its_outputs_back(made: Path) -> None:
    assert finished(made).adopt()
    assert (made / "checkpoint" / "weights").read_text() == "1 2 3"
    assert (made / "checkpoint" / "part" / "more").read_text() == "4"
    assert (made / "run.json").read_text() == "{}"
    assert not (made / "checkpoint" / ".snakemake_timestamp").exists()
    delete(made)
    assert finished(made).adopt()


def test_other_content_does_not(made: Path) -> None:
    assert not finished(made, beta=-0.2).adopt()
    assert not (made / "run.json").exists()


def test_it_takes_no_room(made: Path) -> None:
    assert finished(made).adopt()
    assert os.stat(made / "checkpoint" / "weights").st_nlink == 2


def test_the_first_run_survives_until_another_one_is_finished(made: Path) -> None:
    """A retraining that was started by mistake and stopped costs nothing."""
    other = finished(made, beta=-0.2)
    assert not other.adopt()
    (made / "checkpoint").mkdir()
    (made / "run.json").write_text("half")
    delete(made)
    assert finished(made).adopt()
    other.keep()
    delete(made)
    assert not finished(made).adopt()
    assert other.adopt()


@pytest.mark.parametrize("damage", ["changed", "missing", "record"])
def test_a_damaged_file_is_not_taken_over(made: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    (kept,) = (made / ".finished").iterdir()
    if damage == "changed":
        (kept / "checkpoint" / "weights").write_text("1 2 4")
    elif damage == "missing":
        (kept / "checkpoint" / "weights").unlink()
    else:
        (kept / "finished.json").write_text((kept / "finished.json").read_text().replace("weights", "weighty"))
    assert not finished(made).adopt()
    assert not kept.exists()
    assert "not taken over: " in capsys.readouterr().err
    with pytest.raises(UserError):
        read_record(kept / "finished.json")


@pytest.mark.parametrize("asked", ["train", "*", "x\n{}/run.json"])
def test_a_forced_rerun_is_a_rerun(made: Path, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AGAIN, asked.format(made))
    assert not finished(made).adopt()
    monkeypatch.setenv(AGAIN, "sample_all\nother/run.json")
    assert finished(made).adopt()


def test_a_copied_tree_is_taken_over(made: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without hard links and times."""
    copy = tmp_path_factory.mktemp("copied") / "run"
    shutil.copytree(made, copy, copy_function=shutil.copyfile)
    assert finished(copy).adopt()
    assert (copy / "checkpoint" / "weights").read_text() == "1 2 3"


def test_where_names_cannot_be_shared_files_are_copied(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert finished(made).adopt()
    assert os.stat(made / "checkpoint" / "weights").st_nlink == 1
