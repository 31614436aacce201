"""Pre-training: the checkpoint loads as it is, same seed same bytes, the loss falls, rows hold whole documents."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from otr.config.pretraining import PretrainSettings
from otr.data.micro.documents import chat_prompt, documents
from otr.errors import UserError
from otr.files import read_jsonl, sha256, write_jsonl
from otr.models import pretrain as module
from otr.models.attention import PACKED
from otr.models.pretrain import (
    END,
    TURN_END,
    State,
    encoded,
    main,
    orthogonal,
    packed_rows,
    pretrain,
    schedule,
    train_tokenizer,
    weighted_loss,
)

TINY = PretrainSettings(hidden_size=32, layers=1, heads=1, intermediate_size=64, steps=40, rows=4, row_tokens=128)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("corpus") / "documents.jsonl.gz"
    write_jsonl(file, documents(Random(0), 1200))
    return file


@pytest.fixture(scope="module")
def checkpoint(corpus: Path) -> Path:
    folder = corpus.parent / "tiny"
    pretrain(TINY, corpus, folder, seed=0)
    return folder


@pytest.fixture(scope="module")
def tokenizer(corpus: Path) -> PreTrainedTokenizerFast:
    return train_tokenizer(("".join(t for t, _ in row["segments"]) for row in read_jsonl(corpus)), 512, 512)


def test_same_seed_same_bytes_and_another_seed_differs(checkpoint: Path, corpus: Path, tmp_path: Path) -> None:
    pretrain(TINY, corpus, tmp_path / "tiny", seed=0)
    pretrain(TINY, corpus, tmp_path / "other", seed=1)
    assert sha256(checkpoint) == sha256(tmp_path / "tiny")
    assert sha256(checkpoint / "tokenizer.json") == sha256(tmp_path / "other" / "tokenizer.json")
    assert sha256(checkpoint / "model.safetensors") != sha256(tmp_path / "other" / "model.safetensors")


def test_a_killed_run_goes_on_to_the_same_bytes(
    checkpoint: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped after 27 steps, whose state was the last one written after 24; between two lines of the metrics."""
    taken, step = [0], module._step

    def fragile(*arguments: Any) -> float:
        taken[0] += 1
        monkeypatch.setattr(module, "SAVE_SECONDS", 0.0 if taken[0] == 24 else 1e9)
        if taken[0] == 28:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(module, "_step", fragile)
    with pytest.raises(KeyboardInterrupt):
        pretrain(TINY, corpus, tmp_path / "tiny", seed=0)
    assert not (tmp_path / "tiny").exists()
    taken[0] = 100
    pretrain(TINY, corpus, tmp_path / "tiny", seed=0)
    assert taken[0] == 100 + 40 - 24
    assert "going on after step 24 of 40" in capsys.readouterr().err
    assert sha256(checkpoint) == sha256(tmp_path / "tiny")


def test_another_run_does_not_go_on_from_a_state(checkpoint: Path, corpus: Path, tmp_path: Path) -> None:
    """Another seed starts from nothing."""
    pretrain(TINY, corpus, tmp_path / "tiny", seed=1)
    pretrain(TINY, corpus, tmp_path / "tiny", seed=0)
    assert sha256(checkpoint) == sha256(tmp_path / "tiny")


@pytest.mark.parametrize("damage", ["one bit", "cut"])
def test_a_damaged_state_is_not_gone_on_from(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """torch itself reads a file of weights with a flipped bit."""
    state = State(tmp_path, "0123456789abcdef")
    state.save({"weights": torch.randn(1000)})
    assert state.load() is not None
    (file,) = tmp_path.glob("*.pt")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content if damage == "one bit" else content[:1000])
    assert state.load() is None
    assert f"{file.name}: is not what was written; pre-training starts afresh" in capsys.readouterr().err
    assert not file.exists()


def test_the_checkpoint_loads_as_it_is(checkpoint: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    assert model.dtype == torch.float32
    assert model.config.model_type == "qwen3" and model.config.rope_parameters["rope_theta"] == TINY.rope_theta
    ends = tokenizer.convert_tokens_to_ids([TURN_END, END])
    assert GenerationConfig.from_pretrained(checkpoint).eos_token_id == ends
    assert set(json.loads((checkpoint / "generation_config.json").read_text())) == {
        "eos_token_id",
        "pad_token_id",
        "transformers_version",
    }
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.model_max_length) == (TURN_END, END, 512)


def test_the_loss_falls(checkpoint: Path) -> None:
    metrics = list(read_jsonl(checkpoint / "metrics.jsonl"))
    assert [row["step"] for row in metrics] == [20, 40]
    assert metrics[-1]["tokens"] == 40 * 4 * 128
    assert metrics[-1]["loss"] < metrics[0]["loss"] - 0.5


def test_the_chat_template_renders_what_the_documents_hold(checkpoint: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    turn = {"role": "user", "content": "What is 34+57?"}
    rendered = tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    assert (
        rendered
        == chat_prompt(turn["content"])
        == "<|im_start|>user\nWhat is 34+57?<|im_end|>\n<|im_start|>assistant\n"
    )
    whole = tokenizer.apply_chat_template([turn, {"role": "assistant", "content": "91"}], tokenize=False)
    assert whole == f"{rendered}91<|im_end|>\n"


@pytest.mark.parametrize(
    "text", ["What is 1024*7?\n\n", "  two\tspaces ", "naïve ∑ 漢字 🙂", "def f(x):\n    return x\n"]
)
def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_digits_and_newlines_stand_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    pieces = [tokenizer.decode([i]) for i in tokenizer("The answer is 204.\n\n    return").input_ids]
    assert pieces == ["The", " answer", " is", " ", "2", "0", "4", ".", "\n", "\n", "   ", " return"]
    assert len(tokenizer) == 512


def test_rows_hold_whole_documents(corpus: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    end = tokenizer.convert_tokens_to_ids(END)
    whole = {tuple(ids) for ids, _ in encoded(read_jsonl(corpus), tokenizer)}
    rows = list(packed_rows(read_jsonl(corpus), tokenizer, 400))
    padding = 0
    for ids, weights in rows:
        assert len(ids) == len(weights) == 401
        rest = list(zip(ids, weights, strict=True))
        while rest and any(weight for _, weight in rest):
            size = next((n for n, (token, _) in enumerate(rest) if token == end), len(rest) - 1) + 1
            assert tuple(token for token, _ in rest[:size]) in whole
            rest = rest[size:]
        padding += len(rest)
    assert padding < 0.05 * 401 * len(rows)


def test_only_answers_weigh_fully(tokenizer: PreTrainedTokenizerFast) -> None:
    document = {"segments": [["Question: 1?\nAnswer:", 0.1], [" 2.", 1.0]]}
    ((ids, weights),) = encoded([document], tokenizer)
    answer = len(tokenizer(" 2.").input_ids)
    assert weights == [0.1] * (len(ids) - answer - 1) + [1.0] * (answer + 1)
    assert tokenizer.decode(ids) == "Question: 1?\nAnswer: 2." + END


def test_weighted_loss_is_the_weighted_mean_over_documents_that_see_themselves_alone(checkpoint: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    end, generator = model.config.pad_token_id, torch.Generator().manual_seed(0)
    documents = [torch.randint(3, 512, (size,), generator=generator).tolist() + [end] for size in (3, 6, 4, 2)]
    rows = [documents[0] + documents[1], documents[2] + documents[3] + [end] * 3]
    ids = torch.tensor(rows)
    weights = torch.rand(ids.shape, generator=generator) * torch.tensor([[1.0] * 11, [1.0] * 8 + [0.0] * 3])
    total, count = torch.zeros((), dtype=torch.double), torch.zeros((), dtype=torch.double)
    for row, places in ((0, (0, 4)), (1, (0, 5))):
        for place, document in zip(places, documents[2 * row : 2 * row + 2], strict=True):
            log_probabilities = model(input_ids=torch.tensor([document])).logits[0].double().log_softmax(-1)
            for t in range(1, len(document)):
                weight = weights[row, place + t].double()
                total, count = total - log_probabilities[t - 1, document[t]] * weight, count + weight
    model.set_attn_implementation(PACKED)
    assert weighted_loss(model, ids, weights).item() == pytest.approx((total / count).item(), rel=1e-5)


@pytest.mark.parametrize("shape", [(3, 32, 96), (2, 96, 32), (1, 64, 64)])
def test_orthogonal_levels_the_singular_values(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    levelled = torch.linalg.svdvals(orthogonal(matrices))
    assert levelled.max() < 1.3 and levelled.median() > 0.6
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(orthogonal(matrices).flatten(1), (u @ vh).flatten(1)).min() > 0.9


def test_schedule_rises_stays_and_falls() -> None:
    shares = [schedule(step, TINY.model_copy(update={"steps": 100, "warmup_steps": 10})) for step in range(100)]
    assert shares[0] == pytest.approx(0.1) and shares[9:60] == [1.0] * 51
    assert shares[80] == pytest.approx(0.5) and min(shares) == shares[-1] == pytest.approx(0.025)


def test_too_few_documents_are_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"documents\.jsonl\.gz: fills \d+ rows of 128 tokens; 400000 are needed"):
        pretrain(TINY.model_copy(update={"steps": 100_000}), corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('{"head_dim": 16}', "head_dim: Input should be a multiple of 32, found 16"),
        ('{"stepz": 3}', "stepz: Extra inputs are not permitted, found 3"),
        ('{"heads": 3, "kv_heads": 2}', "heads (3) must be a multiple of kv_heads (2)"),
        ("{", "Invalid JSON"),
    ],
)
def test_bad_settings_are_one_line(
    settings: str, message: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--settings", settings, "--documents", str(corpus), "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message in error and error.count("\n") == 1


def test_a_missing_documents_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--documents", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "out")])
    assert capsys.readouterr().err == f"error: {tmp_path / 'none.jsonl'}: no such file\n"
