"""Base models from folders and packages: what is checked before any work."""

import json
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
