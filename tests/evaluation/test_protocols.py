"""Prompts: the very text and tokens that are sent."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from otr import config
from otr.data.chat import Chat
from otr.evaluation.prompt import main as show_prompts
from otr.evaluation.protocols import Asker

NATURAL = config.Protocol(prompt="natural", temperature=0.0, top_p=1.0, max_tokens=32)
CHAT = config.Protocol(prompt="chat", temperature=0.7, top_p=0.8, max_tokens=32)
BENCHMARK = config.load(config.experiment_file("micro")).benchmarks["sums"]


def test_natural_prompt_with_demonstrations(tiny_checkpoint: Path) -> None:
    asker = Asker(NATURAL, AutoTokenizer.from_pretrained(tiny_checkpoint))
    shots = [{"problem": "What is 1+1?", "solution": "1+1=2. The answer is 2."}]
    assert asker.prompt(BENCHMARK, "What is 2+2?", shots).text == (
        "Question: What is 1+1?\nAnswer: 1+1=2. The answer is 2.\n\nQuestion: What is 2+2?\nAnswer:"
    )
    assert asker.prompt(BENCHMARK, "What is 2+2?", []).text == "Question: What is 2+2?\nAnswer:"


def test_chat_prompt_is_what_training_puts_before_the_response(tiny_checkpoint: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    prompt = Asker(CHAT, tokenizer).prompt(BENCHMARK, "What is 2+2?", [{"problem": "ignored", "solution": "ignored"}])
    assert prompt.text == "<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n"
    example = Chat(tokenizer).example("What is 2+2?", "4")
    assert example.ids[: example.prompt] == prompt.ids


def test_the_instruction_follows_the_problem(tiny_checkpoint: Path) -> None:
    told = CHAT.model_copy(update={"instruction": "Put the answer in a box."})
    prompt = Asker(told, AutoTokenizer.from_pretrained(tiny_checkpoint)).prompt(BENCHMARK, "What is 2+2?", [])
    assert "What is 2+2?\nPut the answer in a box.<|im_end|>" in prompt.text


def test_decoding_stops_at_every_trained_end(tiny_checkpoint: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    ends = sorted(tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]))
    natural = Asker(NATURAL, tokenizer, ends).decoding(BENCHMARK)
    assert (natural.stop_ids, natural.stop_texts) == (tuple(ends), ("Question:",))
    chat = Asker(CHAT, tokenizer, ends).decoding(BENCHMARK)
    assert (chat.stop_ids, chat.stop_texts) == (tuple(ends), ())
    assert (chat.temperature, chat.top_p, chat.max_tokens) == (0.7, 0.8, 32)


def test_a_benchmark_may_set_its_own_length(tiny_checkpoint: Path) -> None:
    asker = Asker(CHAT, AutoTokenizer.from_pretrained(tiny_checkpoint))
    assert asker.decoding(BENCHMARK.model_copy(update={"max_tokens": 7})).max_tokens == 7


def test_prompts_are_printed_on_request(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--experiment",
        str(config.experiment_file("micro")),
        "--checkpoint",
        str(tiny_checkpoint),
        "--problem",
        "What is 7?",
    ]
    show_prompts(arguments)
    said = capsys.readouterr().out
    assert "Question: What is 7?" in said and "Answer:|" in said
    assert "<|im_start|>user\nWhat is 7?" in said and said.rstrip().endswith("RESPONSE<|im_end|>")
    with pytest.raises(SystemExit):
        show_prompts([*arguments, "--benchmark", "none"])
