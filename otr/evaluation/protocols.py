"""The two protocols of the paper (section 4.2): from a problem to the very tokens that are sent.

base: a natural prompt, with worked demonstrations where the benchmark has a few-shot set, cut at the next question:

    Question: What is 2 + 3?
    Answer: 2 + 3 = 5. The answer is 5.

    Question: What is 4 + 4?
    Answer:

Code is asked by its bare prompt, which the completion continues.

tuned: the chat template that training used (otr/data/chat.py), 0-shot.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otr.config import Benchmark, Protocol
from otr.data.chat import Chat, text_ids
from otr.files import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NEXT_QUESTION = ("Question:",)
_AFTER_FUNCTION = ("\nif __name__", "\nprint(", "\nassert", "\n```")
NATURAL_STOPS: dict[str, tuple[str, ...]] = {
    "math": _NEXT_QUESTION,
    "choice": _NEXT_QUESTION,
    "bbeh": _NEXT_QUESTION,
    # A HumanEval prompt is the function's head: anything at the margin is beyond it. MBPP's answer starts there itself.
    "humaneval": ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\n@", "\n#", *_AFTER_FUNCTION),
    "mbpp": ('\n"""', *_AFTER_FUNCTION),
}
"""Where a completion of the natural protocol ends, by scorer."""


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

    def __init__(
        self, protocol: Protocol, tokenizer: "PreTrainedTokenizerBase", stop_ids: int | list[int] | None = None
    ) -> None:
        """stop_ids: the `eos_token_id` of the checkpoint's generation_config.json, which a completion also ends at."""
        self._protocol = protocol
        self._tokenizer = tokenizer
        self._chat = Chat(tokenizer)
        self._stop_ids = tuple(self._chat.stop_ids(stop_ids))

    def prompt(self, benchmark: Benchmark, problem: str, demonstrations: list[Row]) -> Prompt:
        """The prompt of one problem; the chat protocol takes no demonstrations, and neither does code."""
        instructions = filter(None, [self._protocol.instruction, benchmark.instruction])
        asked = "\n".join([problem, *instructions])
        if self._protocol.prompt == "chat":
            # A stub's last line break is for the one who continues it.
            return Prompt(*self._chat.encoded_prompt(asked.strip() if benchmark.kind == "code" else asked))
        if benchmark.kind == "code":
            return Prompt(problem, text_ids(self._tokenizer, problem, add_special_tokens=True))
        shown = [f"Question: {shot['problem']}\nAnswer: {shot['solution']}\n\n" for shot in demonstrations]
        text = f"{''.join(shown)}Question: {asked}\nAnswer:"
        return Prompt(text, text_ids(self._tokenizer, text, add_special_tokens=True))

    def decoding(self, benchmark: Benchmark) -> Decoding:
        """A completion ends at any token that may have been trained to end one; a natural one also where the next
        question, or code beyond the asked function, would begin."""
        return Decoding(
            temperature=self._protocol.temperature,
            top_p=self._protocol.top_p,
            max_tokens=benchmark.max_tokens or self._protocol.max_tokens,
            stop_ids=self._stop_ids,
            stop_texts=NATURAL_STOPS[benchmark.scorer] if self._protocol.prompt == "natural" else (),
        )
