"""Prompt and response to token ids: the one place that knows the chat template, for training and for evaluation.

    chat = Chat(tokenizer)
    chat.prompt("What is 2 + 3?")          # "<|im_start|>user\\nWhat is 2 + 3?<|im_end|>\\n<|im_start|>assistant\\n"
    chat.example("What is 2 + 3?", "5")    # Tokens(ids=[...prompt, 20, end of turn], prompt=11)

Trained are the response and the token that ends the turn, never the prompt and nothing after the end of the turn.
Prompt and response are tokenized apart, so the ids of the prompt are the very ids that evaluation sends. What a
template puts between the two when it shows a finished conversation (Qwen3's empty <think> block) is left out for the
same reason: evaluation does not send it.
"""

import datetime
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import TemplateError

from otr.errors import UserError
from otr.loss.objective import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_USUAL_ENDS = {"<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "<|eot_id|>", "</s>"}
_PROBLEM = "otr-probe-problem"
_RESPONSE = "otr-probe-response"
_THINK = "<think>"
_DATE = datetime.datetime(2024, 1, 1)
"""The day that templates are told (Llama 3.2's puts it into the system prompt): prompts are the same on every day."""
_SECONDS = 10.0
"""A template that takes longer loops; the slowest of the usual ones takes a millisecond."""


@dataclass(frozen=True)
class Tokens:
    """A training sequence: all token ids, of which the first `prompt` are the prompt's."""

    ids: list[int]
    prompt: int

    @property
    def labels(self) -> list[int]:
        """The id to be predicted at each position; -100 where nothing is trained. Same length as `ids`."""
        return [IGNORED] * (self.prompt - 1) + self.ids[self.prompt :] + [IGNORED]


def load_tokenizer(folder: Path | str) -> "PreTrainedTokenizerBase":
    """A checkpoint's tokenizer. The folder's own code is never run."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def text_ids(tokenizer: "PreTrainedTokenizerBase", text: str, add_special_tokens: bool = False) -> list[int]:
    """Token ids of a text from a data set. What looks like a special token in it is text: an "<|im_end|>" in a row must
    not end a turn. add_special_tokens: whether the tokenizer may put its begin-of-text in front."""
    found = tokenizer(text, add_special_tokens=add_special_tokens, split_special_tokens=True)
    return list(found["input_ids"])


class Chat:
    """A tokenizer's chat template. UserError when it has none, or one that this project cannot train on: it must keep
    the problem and the response, end open for the response, and come to an end."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        if not tokenizer.chat_template:
            raise UserError(f"{tokenizer.name_or_path}: the tokenizer has no chat template; use a model that has one")
        self._tokenizer = tokenizer
        self._specials = [
            str(token)
            for id, token in tokenizer.added_tokens_decoder.items()
            if token.special or id in tokenizer.all_special_ids
        ]
        self.end_of_turn = self._end_of_turn()
        self._end_text = str(tokenizer.convert_ids_to_tokens(self.end_of_turn))
        prompt = self.prompt(_PROBLEM)
        self._opens_think = prompt.rstrip().endswith(_THINK)
        self._check(prompt)

    def prompt(self, problem: str) -> str:
        """The text in front of the response."""
        return self._rendered([{"role": "user", "content": problem}], add_generation_prompt=True)

    def encoded_prompt(self, problem: str) -> tuple[str, list[int]]:
        """The text in front of the response and its token ids. Special tokens of the template are special tokens, those
        that stand in the problem are text."""
        text = self.prompt(problem)
        if not any(token in problem for token in self._specials):
            return text, self.encode(text)
        shown = next((form for form in (problem, problem.strip()) if form in text), None)
        if shown is None:
            raise UserError(f"the chat template changes a problem with a special token in it: {problem[:60]!r}")
        before, _, after = text.rpartition(shown)
        return text, [*self.encode(before), *text_ids(self._tokenizer, shown), *self.encode(after)]

    def example(self, problem: str, response: str) -> Tokens:
        """UserError when the response brings along what training adds."""
        if self._opens_think and response.lstrip().startswith(_THINK):
            raise UserError(f"the chat template opens {_THINK} already: drop it from the beginning of the response")
        if response.rstrip().endswith(self._end_text):
            raise UserError(f"the response ends with {self._end_text}, which training adds: drop it from the rows")
        _, prompt = self.encoded_prompt(problem)
        return Tokens([*prompt, *text_ids(self._tokenizer, response), self.end_of_turn], len(prompt))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text that already holds its special tokens."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def stop_ids(self, generation_eos: int | list[int] | None) -> list[int]:
        """Every token that may have been trained to end a completion: the template's end of turn, the tokenizer's end
        of text, those of the checkpoint's generation_config and the usual ones, where they are added tokens of this
        tokenizer (which of them a base model learned is its secret)."""
        listed = generation_eos if isinstance(generation_eos, list) else [generation_eos]
        usual = [id for id, token in self._tokenizer.added_tokens_decoder.items() if str(token) in _USUAL_ENDS]
        return sorted({self.end_of_turn, self._tokenizer.eos_token_id, *listed, *usual} - {None})

    def _rendered(self, messages: list[dict[str, str]], **options: Any) -> str:
        def strftime_now(form: str) -> str:
            return _DATE.strftime(form)

        try:
            with _limited(_SECONDS):
                text = self._tokenizer.apply_chat_template(
                    messages, tokenize=False, strftime_now=strftime_now, **options
                )
        except TimeoutError:
            self._fail(f"takes more than {_SECONDS:.0f} s")
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, MemoryError) as error:
            self._fail(f"fails ({error})")
        return str(text)

    def _fail(self, problem: str) -> NoReturn:
        raise UserError(f"{self._tokenizer.name_or_path}: the chat template {problem}")

    def _check(self, prompt: str) -> None:
        if _PROBLEM not in prompt:
            self._fail("drops the problem")
        if not prompt.rpartition(self._end_text)[2].strip() and self._end_text in prompt:
            self._fail(
                f"does not open the response: with add_generation_prompt the prompt still ends in {prompt[-40:]!r}"
            )

    def _end_of_turn(self) -> int:
        """The first special token that the template puts after a response; without one, the tokenizer's end of text
        (a newline or a word cannot end a turn: responses hold them too)."""
        rendered = self._rendered([{"role": "user", "content": _PROBLEM}, {"role": "assistant", "content": _RESPONSE}])
        if _RESPONSE not in rendered:
            self._fail("drops the response of a finished conversation")
        special = {self._tokenizer.eos_token_id, *self._tokenizer.all_special_ids} | {
            id for id, token in self._tokenizer.added_tokens_decoder.items() if token.special
        }
        after = [token for token in self.encode(rendered.rpartition(_RESPONSE)[2]) if token in special]
        if after:
            return after[0]
        if self._tokenizer.eos_token_id is None:
            raise UserError(
                f"{self._tokenizer.name_or_path}: neither chat template nor tokenizer ends a turn; set eos_token in "
                "tokenizer_config.json"
            )
        return int(self._tokenizer.eos_token_id)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """TimeoutError in the block after so many seconds. It works in the main thread alone, where every stage renders."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
