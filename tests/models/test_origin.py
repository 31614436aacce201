"""Base models from folders and files: what is checked before any work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from otr.config import Model
from otr.errors import UserError
from otr.models.__main__ import link
from otr.models.origin import check_folder, check_origin, local_weights


def test_a_whole_checkpoint_passes(tiny_checkpoint: Path) -> None:
    check_folder(tiny_checkpoint)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer_config.json", "model.safetensors"])
def test_a_missing_file_is_named(missing: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    for file in tiny_checkpoint.iterdir():
        if file.name != missing:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(UserError, match=missing):
        check_folder(tmp_path)


def test_every_shard_of_an_index_is_needed(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).symlink_to(tiny_checkpoint / name)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "part-1.safetensors"}}))
    with pytest.raises(UserError, match="part-1.safetensors is missing"):
        check_folder(tmp_path)


def test_a_folder_is_linked_not_copied(tiny_checkpoint: Path, tmp_path: Path) -> None:
    link(tiny_checkpoint, tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint").is_symlink()
    check_folder(tmp_path / "checkpoint")


def copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def edited(file: Path, **keys: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_a_folder_that_brings_code_along_is_refused(name: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy(tiny_checkpoint, tmp_path / "mine")
    edited(folder / name, auto_map={"AutoConfig": "mine.Config", "AutoTokenizer": ["mine.Tokenizer", None]})
    with pytest.raises(UserError, match=f"{name}' has an auto_map, which loads Python code of the folder"):
        check_folder(folder)


def test_code_of_a_folder_is_never_run(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Not even where someone answers the question that transformers asks by default."""
    folder, ran = copy(tiny_checkpoint, tmp_path / "mine"), tmp_path / "ran"
    (folder / "mine.py").write_text(f"open({str(ran)!r}, 'w')\n")
    edited(
        folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["mine.Tokenizer", None]}, tokenizer_class="Mine"
    )
    edited(folder / "config.json", auto_map={"AutoConfig": "mine.Config"}, model_type="mine")
    for program in (
        "from otr.data.chat import load_tokenizer; load_tokenizer(sys.argv[1])",
        "from otr.evaluation.engine import TransformersEngine as E; E('', Path(sys.argv[1]), 'float32', 1)",
    ):
        command = [sys.executable, "-c", f"import sys; from pathlib import Path; {program}", str(folder)]
        run = subprocess.run(command, input="y\n" * 9, capture_output=True, text=True, timeout=120)
        assert run.returncode != 0
        assert not ran.exists(), run.stderr


def test_cut_weights_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy(tiny_checkpoint, tmp_path / "mine")
    weights = (folder / "model.safetensors").read_bytes()
    for damaged in (weights[:-1], weights[:100], weights[:4], b"\xff" * 8 + weights[8:], weights + b"x"):
        (folder / "model.safetensors").write_bytes(damaged)
        with pytest.raises(UserError, match="model.safetensors' is cut or damaged; copy the checkpoint again"):
            check_folder(folder)


def test_an_index_may_not_name_other_folders(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy(tiny_checkpoint, tmp_path / "mine")
    for name in ("../other/model.safetensors", "pytorch_model.bin"):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(UserError, match="safetensors beside the index are needed"):
            check_folder(folder)


def test_a_model_that_cannot_be_trained_here_is_refused_before_any_work(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy(tiny_checkpoint, tmp_path / "mine")
    with pytest.raises(UserError, match="has 1024 positions, fewer than the context of 4096; lower context"):
        check_folder(folder, context=4096)
    edited(folder / "config.json", vocab_size=500)
    with pytest.raises(UserError, match="its tokenizer has a token 511, its embedding 500 rows"):
        check_folder(folder)
    folder = copy(tiny_checkpoint, tmp_path / "plain")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="its tokenizer has no chat template"):
        check_folder(folder)
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="config.json' is damaged; copy the checkpoint again"):
        check_folder(folder)


def test_a_local_copy_stands_for_a_hub_model(tiny_checkpoint: Path) -> None:
    model = Model(label="Mine", hub="org/mine")
    assert local_weights(model, Path("models"), {}) is None
    assert local_weights(model, Path("models"), {"org/other": "/x"}) is None
    assert local_weights(model, Path("models"), {"org/mine": str(tiny_checkpoint)}) == tiny_checkpoint
    check_origin(model, Path("models"), {"org/mine": str(tiny_checkpoint)})


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    model = Model(label="Mine", path="mine.gguf")
    with pytest.raises(UserError, match="no file '.*mine.gguf'; set the folder with --config models=DIR"):
        check_origin(model, tmp_path, {})
    (tmp_path / "mine.gguf").write_bytes(b"version https://git-lfs")
    with pytest.raises(UserError, match="mine.gguf' is no GGUF file; fetch it again"):
        check_origin(model, tmp_path, {})
