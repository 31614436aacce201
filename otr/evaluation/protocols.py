"""The two protocols of the paper (section 4.2): from a problem to the very tokens that are sent.

base: a natural prompt, with worked demonstrations where the benchmark has a few-shot set, cut at the next question:

    Question: What is 2 + 3?
    Answer: 2 + 3 = 5. The answer is 5.

    Question: What is 4 + 4?
    Answer:

tuned: the chat template that training used (otr/data/chat.py), 0-shot.
"""

from dataclasses import dataclass
from typing import Any

from otr.config import Benchmark, Protocol
from otr.data.chat import Chat
from otr.files import Row

NEXT_QUESTION = "Question:"


@dataclass(frozen=True)
class Decoding:
    """Everything that decides how a completion is drawn, given its prompt and seed. Nothing else is left to an
    engine's or a checkpoint's defaults: top-k, min-p and penalties are off."""

    temperature: float
    top_p: float
    max_tokens: int
    stop_ids: tuple[int, ...]
    stop_texts: tuple[str, ...]


@dataclass(frozen=True)
class Prompt:
    text: str
    ids: list[int]


class Asker:
    """Makes the prompts of one protocol with one tokenizer."""

    def __init__(self, protocol: Protocol, tokenizer: Any, stop_ids: int | list[int] | None = None) -> None:
        """stop_ids: the `eos_token_id` of the checkpoint's generation_config.json, which a completion also ends at."""
        self._protocol = protocol
        self._tokenizer = tokenizer
        self._chat = Chat(tokenizer)
        self._stop_ids = tuple(self._chat.stop_ids(stop_ids))

    def prompt(self, problem: str, demonstrations: list[Row]) -> Prompt:
        """The prompt of one problem; the chat protocol takes no demonstrations."""
        asked = f"{problem}\n{self._protocol.instruction}" if self._protocol.instruction else problem
        if self._protocol.prompt == "chat":
            text = self._chat.prompt(asked)
            return Prompt(text, self._chat.encode(text))
        shown = [f"Question: {shot['problem']}\nAnswer: {shot['solution']}\n\n" for shot in demonstrations]
        text = f"{''.join(shown)}Question: {asked}\nAnswer:"
        return Prompt(text, list(self._tokenizer(text)["input_ids"]))

    def decoding(self, benchmark: Benchmark) -> Decoding:
        """A completion ends at any token that may have been trained to end one; a natural one also where the next
        question would begin."""
        return Decoding(
            temperature=self._protocol.temperature,
            top_p=self._protocol.top_p,
            max_tokens=benchmark.max_tokens or self._protocol.max_tokens,
            stop_ids=self._stop_ids,
            stop_texts=(NEXT_QUESTION,) if self._protocol.prompt == "natural" else (),
        )
