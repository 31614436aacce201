"""Base models from folders and packages: what is checked before any work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from otr import config
from otr.config import Gguf
from otr.errors import UserError
from otr.models.__main__ import link
from otr.models.origin import check_folder, gguf_file

SMOLLM2 = config.load(config.experiment_file("smollm2")).models["smollm2"].gguf


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


def test_an_absent_package_is_named() -> None:
    with pytest.raises(UserError, match="gguf.package: 'no_such_package' is not installed; run envs/install.sh"):
        gguf_file(Gguf(package="no_such_package", file="x.gguf", sha256="0" * 64))


def test_the_package_holds_the_very_weights() -> None:
    assert SMOLLM2 is not None
    assert gguf_file(SMOLLM2, verify=True).name == SMOLLM2.file
    with pytest.raises(UserError, match="gguf.sha256: .* has b179c9"):
        gguf_file(SMOLLM2.model_copy(update={"sha256": "0" * 64}), verify=True)


@pytest.mark.slow
def test_gguf_becomes_a_plain_checkpoint(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from otr.models.gguf import convert

    assert SMOLLM2 is not None
    convert(gguf_file(SMOLLM2), tmp_path / "checkpoint")
    check_folder(tmp_path / "checkpoint")
    weights = load_file(tmp_path / "checkpoint" / "model.safetensors")
    assert sum(weight.numel() for weight in weights.values()) == 134_515_008
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint")
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    answer = tokenizer.decode(model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids["input_ids"].shape[1] :])
    assert "Paris" in answer


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
