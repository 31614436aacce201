"""GGUF files become plain checkpoints: weights, tokenizer, and whether embedding and head are one matrix."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from otr.errors import UserError
from otr.models.gguf import convert
from otr.models.origin import check_folder

WIDTH, LAYERS, HEADS, KV_HEADS, INNER = 64, 2, 2, 1, 128


def write(file: Path, checkpoint: Path, head: str) -> np.ndarray:
    """A Qwen2 model with random weights in GGUF, its embedding in Q5_0; head: "absent", "same" (the embedding in Q8_0)
    or "own". Returns the embedding before it was quantized, [vocabulary, WIDTH]."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = json.loads((checkpoint / "tokenizer.json").read_text())["model"]
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    writer = gguf.GGUFWriter(file, "qwen2")
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e4)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    special = set(tokenizer.all_special_tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    random = np.random.default_rng(0)

    def add(name: str, *shape: int, kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32) -> np.ndarray:
        values = random.normal(0, 0.05, shape).astype(np.float32)
        stored(name, values, kind)
        return values

    def stored(name: str, values: np.ndarray, kind: gguf.GGMLQuantizationType) -> None:
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    embedding = add("token_embd.weight", len(tokens), WIDTH, kind=gguf.GGMLQuantizationType.Q5_0)
    if head == "same":
        stored("output.weight", embedding, gguf.GGMLQuantizationType.Q8_0)
    if head == "own":
        add("output.weight", len(tokens), WIDTH, kind=gguf.GGMLQuantizationType.Q8_0)
    stored("output_norm.weight", np.ones(WIDTH, np.float32), gguf.GGMLQuantizationType.F32)
    kv = WIDTH // HEADS * KV_HEADS
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            stored(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32), gguf.GGMLQuantizationType.F32)
        for name, rows in (("attn_q", WIDTH), ("attn_k", kv), ("attn_v", kv)):
            add(f"blk.{layer}.{name}.weight", rows, WIDTH, kind=gguf.GGMLQuantizationType.Q8_0)
            add(f"blk.{layer}.{name}.bias", rows)
        add(f"blk.{layer}.attn_output.weight", WIDTH, WIDTH)
        for name, rows, columns in (("gate", INNER, WIDTH), ("up", INNER, WIDTH), ("down", WIDTH, INNER)):
            add(f"blk.{layer}.ffn_{name}.weight", rows, columns)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return embedding


@pytest.mark.parametrize(("head", "tied"), [("absent", True), ("same", True), ("own", False)])
def test_a_head_that_is_the_embedding_is_tied_again(
    head: str, tied: bool, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    embedding = write(tmp_path / "model.gguf", tiny_checkpoint, head)
    found = convert(tmp_path / "model.gguf", tmp_path / "checkpoint")
    check_folder(tmp_path / "checkpoint")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint")
    weights = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert found["tied"] is model.config.tie_word_embeddings is tied
    assert (weights[0] is weights[1]) is tied
    error = float((weights[0] - torch.tensor(embedding)).norm() / torch.tensor(embedding).norm())
    if head == "absent":
        assert found["head_difference"] is None
    elif head == "same":  # rounding of Q5_0 against Q8_0; the finer copy is kept
        assert 0.01 < found["head_difference"] < 0.1
        assert error < 0.01
    else:
        assert found["head_difference"] > 1
        assert found["bits"]["Q5_0"] == 1


def test_the_tokenizer_comes_along(tiny_checkpoint: Path, tmp_path: Path) -> None:
    write(tmp_path / "model.gguf", tiny_checkpoint, "absent")
    convert(tmp_path / "model.gguf", tmp_path / "checkpoint")
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (tiny_checkpoint, tmp_path / "checkpoint"))
    chat = [{"role": "user", "content": "What is 12 + 30?"}]
    assert after.apply_chat_template(chat, tokenize=False) == before.apply_chat_template(chat, tokenize=False)
    text = "Tom has 12 pens."
    assert after(text)["input_ids"] == before(text)["input_ids"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(UserError, match="model.gguf: cannot be read as GGUF"):
        convert(tmp_path / "model.gguf", tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()
