"""From items to text: pre-training documents in natural and chat form, and the tuning set's worked solutions.

A document is a list of segments [text, loss weight]; what is asked weighs little, what is answered weighs 1:

    {"skill": "sums", "form": "natural",
     "segments": [["Question: What is 34+57?\\nAnswer:", 0.1], [" The answer is 91.", 1.0]]}

A natural document holds one to three questions of one skill, a blank line between them, so that few-shot prompts look
familiar. A chat document is one ChatML exchange, as the tokenizer's chat template renders it.
"""

import uuid
from collections.abc import Iterator
from random import Random

from otr.data.micro import code, general, mathematics
from otr.data.micro.code import Task
from otr.data.micro.items import Generator, Item, training_items
from otr.files import Row

PROMPT_WEIGHT = 0.1
SKILLS: dict[str, Generator] = mathematics.SKILLS | code.SKILLS | general.SKILLS
SHARES = {name: 0.72 / len(mathematics.SKILLS) for name in mathematics.SKILLS}
SHARES |= {"code": 0.12, "choices": 0.06, "categories": 0.04, "puzzles": 0.06}
"""Share of each skill among the documents."""
CHAT_SHARE = 0.45
WORKED_SHARE = 0.85  # of the mathematical answers in either form; the rest states the answer alone
EXPERT_SHARE = 0.5  # of the worked chat answers; the rest is worked in short

Segments = list[tuple[str, float]]


def natural_prompt(problem: str) -> str:
    return f"Question: {problem}\nAnswer:"


def chat_prompt(problem: str) -> str:
    return f"<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n"


def natural_answer(item: Item, worked: bool = True) -> str:
    """What follows the natural prompt, without the space in between."""
    working = f"{item.short}\n" if worked and item.short else ""
    return f"{working}The answer is {_written(item)}."


def expert_answer(item: Item) -> str:
    return f"{item.expert}\nThe answer is {_boxed(item)}."


def _written(item: Item) -> str:
    return f"${item.answer}$" if "\\" in item.answer else item.answer


def _boxed(item: Item) -> str:
    return f"$\\boxed{{{item.answer}}}$"


def documents(random: Random, count: int) -> Iterator[Row]:
    """`count` pre-training documents."""
    sources = {name: training_items(generator, random) for name, generator in SKILLS.items()}
    for _ in range(count):
        skill = random.choices(list(SHARES), weights=list(SHARES.values()))[0]
        chat = random.random() < CHAT_SHARE
        if chat:
            segments = _chat(random, next(sources[skill]))
        elif skill == "code":
            segments = _code(random, next(sources[skill]))
        else:
            segments = _natural(random, [next(sources[skill]) for _ in range(random.choice((1, 1, 2, 3)))])
        yield {"skill": skill, "form": "chat" if chat else "natural", "segments": segments}


def _natural(random: Random, items: list[Item]) -> Segments:
    worked = random.random() < WORKED_SHARE
    segments: Segments = []
    for item in items:
        gap = "\n\n" if segments else ""
        segments.append((gap + natural_prompt(item.problem), PROMPT_WEIGHT))
        segments.append((f" {natural_answer(item, worked)}", 1.0))
    return segments


def _code(random: Random, item: Item) -> Segments:
    """A prompt and the plain program after it: a stub and its body, or a request and the whole function."""
    assert isinstance(item, Task)
    if random.random() < 0.5:
        return [(item.stub, PROMPT_WEIGHT), (item.body, 1.0)]
    return [(item.request, PROMPT_WEIGHT), (item.function, 1.0)]


def _chat(random: Random, item: Item) -> Segments:
    if isinstance(item, Task):
        problem = item.stub if random.random() < 0.5 else item.request
        answer = f"```python\n{item.function}```"
        return [(chat_prompt(problem.strip()), PROMPT_WEIGHT), (f"{answer}<|im_end|>", 1.0)]
    return [(chat_prompt(item.problem), PROMPT_WEIGHT), (f"{_chat_answer(random, item)}<|im_end|>", 1.0)]


def _chat_answer(random: Random, item: Item) -> str:
    worked = random.random() < WORKED_SHARE
    if item.skill in general.SKILLS:
        return natural_answer(item, worked)
    if not worked:
        return f"The answer is {_boxed(item)}."
    if random.random() < EXPERT_SHARE:
        return expert_answer(item)
    return f"{item.short}\nThe answer is {_boxed(item)}.".lstrip()


def tuning_rows(random: Random, count: int) -> Iterator[Row]:
    """`count` expert solutions of distinct mathematical problems, in the columns of OpenR1-Math."""
    sources = {name: training_items(generator, random) for name, generator in mathematics.SKILLS.items()}
    seen: set[str] = set()
    while len(seen) < count:
        item = next(sources[random.choice(list(sources))])
        if item.problem in seen:
            continue
        seen.add(item.problem)
        solution = expert_answer(item)
        yield {
            "problem": item.problem,
            "solution": solution,
            "answer": item.answer,
            "problem_type": item.skill,
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, item.problem)),
            "messages": [{"role": "user", "content": item.problem}, {"role": "assistant", "content": solution}],
        }
