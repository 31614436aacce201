"""Prompt and response to token ids: the one place that knows the chat template, for training and for evaluation.

    chat = Chat(tokenizer)
    chat.prompt("What is 2 + 3?")          # "<|im_start|>user\\nWhat is 2 + 3?<|im_end|>\\n<|im_start|>assistant\\n"
    chat.example("What is 2 + 3?", "5")    # Tokens(ids=[...prompt, 20, end of turn], prompt=11)

Trained are the response and the token that ends the turn, never the prompt and nothing after the end of the turn.
Prompt and response are tokenized apart, so the ids of the prompt are the very ids that evaluation sends. What a
template puts between the two when it shows a finished conversation (Qwen3's empty <think> block) is left out for the
same reason: evaluation does not send it.
"""

from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from otr.errors import UserError

_USUAL_ENDS = {"<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "<|eot_id|>", "</s>"}
_PROBE = "otr-probe-response"


@dataclass(frozen=True)
class Tokens:
    """A training sequence: all token ids, of which the first `prompt` are the prompt's."""

    ids: list[int]
    prompt: int

    @property
    def labels(self) -> list[int]:
        """The id to be predicted at each position; -100 where nothing is trained. Same length as `ids`."""
        return [-100] * (self.prompt - 1) + self.ids[self.prompt :] + [-100]


class Chat:
    """A tokenizer's chat template. UserError when it has none, or one that this project cannot train on."""

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise UserError(f"{tokenizer.name_or_path}: the tokenizer has no chat template; use a model that has one")
        self._tokenizer = tokenizer
        self.end_of_turn = self._end_of_turn()

    def prompt(self, problem: str) -> str:
        """The text in front of the response."""
        messages = [{"role": "user", "content": problem}]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def example(self, problem: str, response: str) -> Tokens:
        prompt = self.encode(self.prompt(problem))
        return Tokens([*prompt, *self.encode(response), self.end_of_turn], len(prompt))

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

    def _end_of_turn(self) -> int:
        """The first special token that the template puts after a response; without one, the tokenizer's end of text
        (a newline or a word cannot end a turn: responses hold them too)."""
        messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": _PROBE}]
        try:
            rendered = str(self._tokenizer.apply_chat_template(messages, tokenize=False))
        except TemplateError as error:
            raise UserError(f"{self._tokenizer.name_or_path}: the chat template fails ({error})") from None
        special = {self._tokenizer.eos_token_id, *self._tokenizer.all_special_ids} | {
            id for id, token in self._tokenizer.added_tokens_decoder.items() if token.special
        }
        after = [token for token in self.encode(rendered.rpartition(_PROBE)[2]) if token in special]
        if after:
            return after[0]
        if self._tokenizer.eos_token_id is None:
            raise UserError(
                f"{self._tokenizer.name_or_path}: neither chat template nor tokenizer ends a turn; set eos_token in "
                "tokenizer_config.json"
            )
        return int(self._tokenizer.eos_token_id)
