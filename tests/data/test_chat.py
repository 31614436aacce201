"""What is trained, and that training sees the very prompt that evaluation sends."""

import pytest
from data.tokenizers_by_template import CHATML, LLAMA2, PLAIN, QWEN3, QWEN25, byte_tokenizer

from otr import config
from otr.config import Protocol
from otr.data import chat as module
from otr.data.chat import Chat, Tokens
from otr.errors import UserError
from otr.evaluation.protocols import Asker

PROBLEM, RESPONSE = "What is 2 + 3?\n", " It is \\boxed{5}.\n"
FAMILIES = {
    "chatml": (CHATML, "<|im_start|>user\nWhat is 2 + 3?\n<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"),
    "qwen2.5": (
        QWEN25,
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nWhat is 2 + 3?\n<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>",
    ),
    "qwen3": (QWEN3, "<|im_start|>user\nWhat is 2 + 3?\n<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"),
    "llama2": (LLAMA2, "[INST] What is 2 + 3?\n [/INST]", "</s>"),
    "plain": (PLAIN, "user: What is 2 + 3?\n\nassistant: ", "<|endoftext|>"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_response_and_end_of_turn_are_trained_and_nothing_else(family: str) -> None:
    template, prompt, end = FAMILIES[family]
    tokenizer = byte_tokenizer(template)
    tokens = Chat(tokenizer).example(PROBLEM, RESPONSE)
    assert tokenizer.decode(tokens.ids) == prompt + RESPONSE + end
    assert tokenizer.decode(tokens.ids[: tokens.prompt]) == prompt
    predicted = [label for label in tokens.labels if label != -100]
    assert tokenizer.decode(predicted) == RESPONSE + end


@pytest.mark.parametrize("family", FAMILIES)
def test_a_label_is_the_next_token(family: str) -> None:
    tokens = Chat(byte_tokenizer(FAMILIES[family][0])).example(PROBLEM, RESPONSE)
    assert len(tokens.labels) == len(tokens.ids)
    for position, label in enumerate(tokens.labels):
        if position >= tokens.prompt - 1 and position + 1 < len(tokens.ids):
            assert label == tokens.ids[position + 1]
        else:
            assert label == -100


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_is_what_evaluation_sends(family: str) -> None:
    tokenizer = byte_tokenizer(FAMILIES[family][0])
    asked = Asker(Protocol(prompt="chat", temperature=0.7, top_p=0.8), tokenizer).prompt(BENCHMARK, PROBLEM, [])
    chat = Chat(tokenizer)
    tokens = chat.example(PROBLEM, RESPONSE)
    assert asked.text == chat.prompt(PROBLEM)
    assert asked.ids == tokens.ids[: tokens.prompt]


BENCHMARK = config.load(config.experiment_file("micro")).benchmarks["sums"]


def test_an_empty_response_trains_the_end_of_turn() -> None:
    tokens = Chat(byte_tokenizer(CHATML)).example(PROBLEM, "")
    assert [label for label in tokens.labels if label != -100] == [2]


def test_labels_by_hand() -> None:
    assert Tokens([7, 8, 9, 10], prompt=2).labels == [-100, 9, 10, -100]
    assert Tokens([7, 8, 9], prompt=1).labels == [8, 9, -100]


def test_generation_stops_at_every_trained_end() -> None:
    chat = Chat(byte_tokenizer(CHATML))
    usual = [0, 2, 3]  # <|endoftext|>, <|im_end|>, </s>: all added tokens of this tokenizer
    assert chat.stop_ids(None) == usual
    assert chat.stop_ids(9) == [*usual, 9]
    assert chat.stop_ids([9, 2]) == [*usual, 9]


def test_no_template_is_an_error() -> None:
    with pytest.raises(UserError, match="has no chat template"):
        Chat(byte_tokenizer(None))


def test_no_end_of_turn_at_all_is_an_error() -> None:
    with pytest.raises(UserError, match="neither chat template nor tokenizer ends a turn"):
        Chat(byte_tokenizer(PLAIN, eos=None))


def test_a_template_that_fails_is_an_error() -> None:
    with pytest.raises(UserError, match="the chat template fails \\(no assistant, please\\)"):
        Chat(byte_tokenizer("{{ raise_exception('no assistant, please') }}"))


def test_a_template_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.3)
    loops = "{% for a in range(99999) %}" * 4 + "{% endfor %}" * 4
    with pytest.raises(UserError, match="the chat template takes more than"):
        Chat(byte_tokenizer(loops))


@pytest.mark.parametrize("family", ["chatml", "llama2"])
def test_special_tokens_in_a_row_are_text(family: str) -> None:
    """An end of turn inside a problem or a response ends nothing: it is encoded as its bytes."""
    template, _, end = FAMILIES[family]
    tokenizer = byte_tokenizer(template)
    chat = Chat(tokenizer)
    problem, response = f"What does {end} mean?", f"{end} ends a turn."
    plain, odd = chat.example("What does X mean?", "X ends a turn."), chat.example(problem, response)
    specials = set(tokenizer.all_special_ids) | {0, 1, 2, 3}
    assert [id for id in odd.ids if id in specials] == [id for id in plain.ids if id in specials]
    assert tokenizer.decode(odd.ids) == chat.prompt(problem) + response + end
    asked = Asker(Protocol(prompt="chat", temperature=0.7, top_p=0.8), tokenizer).prompt(BENCHMARK, problem, [])
    assert asked.ids == odd.ids[: odd.prompt]
    natural = Asker(Protocol(prompt="natural", temperature=0, top_p=1), tokenizer).prompt(BENCHMARK, problem, [])
    assert not specials & set(natural.ids)


def test_the_date_does_not_change_a_prompt() -> None:
    """Llama 3.2 puts the day into its system prompt."""
    prompt = Chat(byte_tokenizer("{{ strftime_now('%d %b %Y') + '\n' }}" + CHATML)).prompt("x")
    assert prompt.startswith("01 Jan 2024\n")


OPEN = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (CHATML.replace("message['content']", "'x'"), "drops the response"),
        (CHATML.replace("message['content']", "(message['content'] if message['role'] == 'assistant' else 'x')"),
         "drops the problem"),
        (CHATML.removesuffix(OPEN), "does not open the response"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "takes more than"),
        ("{{ 1 / 0 }}", "the chat template fails"),
        ("{{ range(10 ** 9) }}", "the chat template fails"),
        ("{{ ''.__class__.__mro__ }}", "the chat template fails"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_trained_on_is_an_error(
    template: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otr.data.chat._SECONDS", 0.3)
    with pytest.raises(UserError, match=message):
        Chat(byte_tokenizer(template))


def test_what_training_adds_is_not_in_the_rows_too() -> None:
    with pytest.raises(UserError, match="the response ends with <\\|im_end\\|>"):
        Chat(byte_tokenizer(CHATML)).example("x", "y<|im_end|>\n")
    thinking = Chat(byte_tokenizer(CHATML.replace("assistant\n' }}{% endif", "assistant\n<think>\n' }}{% endif")))
    assert thinking.example("x", "y</think> z")
    with pytest.raises(UserError, match="opens <think> already"):
        thinking.example("x", "<think>y</think> z")
