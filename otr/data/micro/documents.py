"""From items to text: pre-training documents in natural and chat form, and the tuning set's worked solutions.

A document is a list of segments [text, loss weight]; what is asked weighs little, what is answered 1 or more:

    {"skill": "sums", "form": "natural",
     "segments": [["Question: What is 34+7?\\nAnswer:", 0.1], [" The answer is 41.", 1.0]]}

A natural document holds one to four questions of one skill, a blank line between them, so that few-shot prompts look
familiar. A chat document is one ChatML exchange, as the tokenizer's chat template renders it. A drill is a list of bare
facts, which every step of every solution is made of.

A mathematical answer is in one of four registers, so that a base model can work but seldom does, as real ones are:

    direct   34+7 ... $\\boxed{44}$.                                 in natural documents: The answer is 44.
    guess    34+7 ... $\\boxed{46}$.                                 as direct, and wrong
    short    34+7=41, 41-6=35, 35+9=44. The answer is $\\boxed{44}$.
    expert   34+7=41, 41-6=35, 35+9=44.\\nThe answer is $\\boxed{44}$.

Short and expert working are written alike. With a step a line in the expert's, copying a sign was learnt in the one
form, and in the other only by accident: another rounding decided it. In a chat a direct answer begins as a worked one
does. Tuning takes direct answers away; where those had a first token of their own, it changed what follows a prompt,
and some base models, an accident of their weights, then began the answers of other skills wrongly too.
"""

import uuid
from collections.abc import Iterator
from random import Random

from otr.data.micro import code, general, mathematics
from otr.data.micro.code import Task
from otr.data.micro.items import Generator, Item, misread, training_items
from otr.files import Row

PROMPT_WEIGHT = 0.1
SKILLS: dict[str, Generator] = mathematics.SKILLS | code.SKILLS | general.SKILLS
SHARES = {name: 0.5 / len(mathematics.SKILLS) for name in mathematics.SKILLS}
SHARES |= {"code": 0.14, "choices": 0.07, "categories": 0.07, "puzzles": 0.08, "drill": 0.14}
"""Share of each skill among the documents."""
CHAT_SHARE = 0.5
CHAT_REGISTERS = {"direct": 0.25, "guess": 0.2, "short": 0.33, "expert": 0.22}
NATURAL_REGISTERS = {"direct": 0.2, "guess": 0.1, "short": 0.7}
CHOSEN_WEIGHT, PROGRAM_WEIGHT = 4.0, 4.0
"""Loss weights of an answer without steps and of a program: few of a document's tokens say what there is to learn."""
DRILL_FACTS = 10
WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
SLIPS = (0.1, 0.25, 0.5)
"""Shares of slips that the tuning set has a column of solutions for, beside the clean one."""

Segments = list[tuple[str, float]]


def natural_prompt(problem: str) -> str:
    return f"Question: {problem}\nAnswer:"


def chat_prompt(problem: str) -> str:
    return f"<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n"


def natural_answer(item: Item, register: str = "short") -> str:
    """What follows the natural prompt, without the space in between."""
    working = f"{', '.join(item.steps)}. " if item.steps and register == "short" else ""
    return f"{working}The answer is {_written(item)}."


def expert_answer(item: Item) -> str:
    return f"{', '.join(item.steps)}.\nThe answer is {_boxed(item)}."


def _written(item: Item) -> str:
    return f"${item.answer}$" if "\\" in item.answer else item.answer


def _boxed(item: Item) -> str:
    return f"$\\boxed{{{item.answer}}}$"


def documents(random: Random, count: int) -> Iterator[Row]:
    """`count` pre-training documents."""
    sources = {name: training_items(generator, random) for name, generator in SKILLS.items()}
    for _ in range(count):
        skill = random.choices(list(SHARES), weights=list(SHARES.values()))[0]
        form = "chat" if random.random() < CHAT_SHARE else "natural"
        if skill == "drill":
            form, segments = "drill", _drill(random)
        elif form == "chat":
            segments = _chat(random, next(sources[skill]))
        elif skill == "code":
            segments = _code(random, next(sources[skill]))
        else:
            segments = _natural(random, [next(sources[skill]) for _ in range(random.choice((1, 2, 3, 4)))])
        yield {"skill": skill, "form": form, "segments": segments}


def _drill(random: Random) -> Segments:
    """Facts one a line, a quarter of them in words: "14+7=21", "14 plus 7 is 21"."""
    segments: Segments = []
    for _ in range(DRILL_FACTS):
        left, result = mathematics.fact(random)
        if random.random() < 0.25:
            sign = next(sign for sign in WORDS if sign in left)
            left = left.replace(sign, f" {WORDS[sign]} ").replace("=", " is ")
        segments += [(left, PROMPT_WEIGHT), (f"{result}\n", 1.0)]
    return segments


def _register(random: Random, shares: dict[str, float]) -> str:
    return random.choices(list(shares), weights=list(shares.values()))[0]


def _natural(random: Random, items: list[Item]) -> Segments:
    register = _register(random, NATURAL_REGISTERS)
    segments: Segments = []
    for item in items:
        gap = "\n\n" if segments else ""
        segments.append((gap + natural_prompt(item.problem), PROMPT_WEIGHT))
        shown = misread(item, random) if register == "guess" and item.steps else item
        segments.append((f" {natural_answer(shown, register)}", _weight(item)))
    return segments


def _code(random: Random, item: Item) -> Segments:
    """A prompt and the plain program after it: a stub and its body, or a request and the whole function."""
    assert isinstance(item, Task)
    if random.random() < 0.5:
        return [(item.stub, PROMPT_WEIGHT), (item.body, _weight(item))]
    return [(item.request, PROMPT_WEIGHT), (item.function, _weight(item))]


def _chat(random: Random, item: Item) -> Segments:
    if isinstance(item, Task):
        problem = item.stub if random.random() < 0.5 else item.request
        answer = f"```python\n{item.function}```"
        return [(chat_prompt(problem.strip()), PROMPT_WEIGHT), (f"{answer}<|im_end|>", _weight(item))]
    return [(chat_prompt(item.problem), PROMPT_WEIGHT), (f"{_chat_answer(random, item)}<|im_end|>", _weight(item))]


def _weight(item: Item) -> float:
    """Of the answer's tokens in the loss."""
    if isinstance(item, Task):
        return PROGRAM_WEIGHT
    return 1.0 if item.steps else CHOSEN_WEIGHT


def _chat_answer(random: Random, item: Item) -> str:
    if not item.steps:
        return natural_answer(item)
    register = _register(random, CHAT_REGISTERS)
    if register == "expert":
        return expert_answer(item)
    if register == "short":
        return f"{', '.join(item.steps)}. The answer is {_boxed(item)}."
    begin, _, _ = item.steps[0].partition("=")
    return f"{begin} ... {_boxed(misread(item, random) if register == 'guess' else item)}."


def tuning_rows(random: Random, count: int) -> Iterator[Row]:
    """`count` expert solutions of distinct mathematical problems, in the columns of OpenR1-Math.

    `solution` is right. In `slips_25` a quarter of the rows have a wrong last result and the answer that follows from
    it, as real traces are wrong where nobody verified them; a row that slips at one share slips at every larger one.
    """
    sources = {name: training_items(generator, random) for name, generator in mathematics.SKILLS.items()}
    seen: set[str] = set()
    while len(seen) < count:
        item = next(sources[random.choice(list(sources))])
        if item.problem in seen:
            continue
        seen.add(item.problem)
        solution, slip, chance = expert_answer(item), expert_answer(misread(item, random)), random.random()
        yield {
            "problem": item.problem,
            "solution": solution,
            **{f"slips_{100 * share:.0f}": slip if chance < share else solution for share in SLIPS},
            "answer": item.answer,
            "problem_type": item.skill,
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, item.problem)),
            "messages": [{"role": "user", "content": item.problem}, {"role": "assistant", "content": solution}],
        }
