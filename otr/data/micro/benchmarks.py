"""Held-out items in the column layout of one real benchmark each, under names of their own.

| benchmark                | laid out as  | columns                                                     |
|--------------------------|--------------|-------------------------------------------------------------|
| stories                  | GSM8K        | question, answer ("...\\n#### 42")                           |
| fractions                | MATH-500     | problem, solution, answer (LaTeX), subject, level, unique_id |
| sequences                | OlympiadBench| id, question, solution, final_answer (list), ...            |
| products                 | Minerva      | problem, solution (gold in \\boxed{}), type, idx             |
| equations                | AMC23        | id, problem, answer (float), url                            |
| remainders               | AIME24       | id, problem, solution, answer ("025"), url                  |
| sums                     | AIME25       | question, answer                                            |
| completions, functions   | HumanEval+, MBPP+ | task_id, prompt, entry_point, canonical_solution, inputs |
| choices                  | MMLU-Pro     | question_id, question, options, answer, answer_index, ...   |
| categories               | SuperGPQA    | uuid, question, options, answer, answer_letter, ...         |
| puzzles                  | BBEH         | input, target, task                                         |
"""

import uuid
from collections.abc import Callable
from random import Random

from otr.data.micro import code, general, mathematics
from otr.data.micro.code import Task
from otr.data.micro.documents import SKILLS, expert_answer, natural_answer
from otr.data.micro.general import LETTERS, Choice
from otr.data.micro.items import Generator, Item, test_items, training_items, unexplained_items
from otr.files import Row

DEMONSTRATIONS = 5
UNEXPLAINED: dict[str, Generator] = general.UNEXPLAINED | {"code": code.unexplained}
UNEXPLAINED_SHARE, FURTHER_SHARE = 0.2, 0.1
"""A fifth of code and general reasoning, and a tenth of mathematics, asks for what no document explains, as real
benchmarks ask models for what they cannot know. So a column stays below 90 without hanging on a half-learnt skill."""
ANSWERS_ALONE = ("remainders", "equations")
"""Benchmarks whose demonstrations show no working: a base model follows its demonstrations, and with working in all of
them it would solve nearly as much as after fine-tuning."""


def _as_gsm8k(number: int, item: Item) -> Row:
    return {"question": item.problem, "answer": "\n".join([*item.steps, f"#### {item.answer}"])}


def _as_math500(number: int, item: Item) -> Row:
    return {
        "problem": item.problem,
        "solution": expert_answer(item),
        "answer": item.answer,
        "subject": item.skill,
        "level": len(item.steps),
        "unique_id": f"test/{item.skill}/{number}.json",
    }


def _as_olympiadbench(number: int, item: Item) -> Row:
    return {
        "id": number,
        "subfield": item.skill,
        "context": None,
        "question": item.problem,
        "solution": [expert_answer(item)],
        "final_answer": [item.answer],
        "is_multiple_answer": False,
        "unit": None,
        "answer_type": "Numerical",
        "error": None,
    }


def _as_minerva(number: int, item: Item) -> Row:
    return {"problem": item.problem, "solution": expert_answer(item), "type": item.skill, "idx": number}


def _as_amc(number: int, item: Item) -> Row:
    return {"id": number, "problem": item.problem, "answer": float(item.answer), "url": ""}


def _as_aime24(number: int, item: Item) -> Row:
    answer = f"{int(item.answer):03d}"
    return {"id": number, "problem": item.problem, "solution": expert_answer(item), "answer": answer, "url": ""}


def _as_aime25(number: int, item: Item) -> Row:
    return {"question": item.problem, "answer": item.answer}


def _as_mmlu_pro(number: int, item: Item) -> Row:
    assert isinstance(item, Choice)
    return {
        "question_id": number,
        "question": item.question,
        "options": list(item.options),
        "answer": LETTERS[item.index],
        "answer_index": item.index,
        "category": item.category,
        "src": "generated",
    }


def _as_supergpqa(number: int, item: Item) -> Row:
    assert isinstance(item, Choice)
    return {
        "uuid": uuid.uuid5(uuid.NAMESPACE_URL, item.key).hex,
        "question": item.question,
        "options": list(item.options),
        "answer": item.options[item.index],
        "answer_letter": LETTERS[item.index],
        "discipline": "Words",
        "field": item.category,
        "subfield": item.category,
        "difficulty": "easy",
        "is_calculation": False,
    }


def _as_bbeh(number: int, item: Item) -> Row:
    return {"input": item.problem, "target": item.answer, "task": item.key.split()[1]}


def _as_humaneval(number: int, item: Item) -> Row:
    assert isinstance(item, Task)
    # Numbers that evalplus knows nothing of: it treats some of the real tasks' inputs and answers specially.
    return {"task_id": f"HumanEval/{1000 + number}", "prompt": item.stub, **_program(item, item.body)}


def _as_mbpp(number: int, item: Item) -> Row:
    assert isinstance(item, Task)
    return {"task_id": f"Mbpp/{1000 + number}", "prompt": item.request, **_program(item, item.function)}


def _program(task: Task, solution: str) -> Row:
    check = '    assert type(xs) == list, "invalid inputs" # $_CONTRACT_$\n'
    base, plus = task.inputs[:3], task.inputs[3:]
    return {
        "entry_point": task.name,
        "canonical_solution": solution,
        "contract": check,
        "base_input": [list(arguments) for arguments in base],
        "plus_input": [list(arguments) for arguments in plus],
        "atol": 0,
    }


Layout = Callable[[int, Item], Row]
MATHEMATICS: dict[str, tuple[Layout, int]] = {
    "stories": (_as_gsm8k, 240),
    "fractions": (_as_math500, 240),
    "sequences": (_as_olympiadbench, 160),
    "products": (_as_minerva, 240),
    "equations": (_as_amc, 240),
    "remainders": (_as_aime24, 240),
    "sums": (_as_aime25, 240),
}
"""Benchmark (and skill): its layout and its number of problems, fewer where a skill has few contents to hold out, and
below, where both methods answer nearly all problems alike, or grading takes long."""
GENERAL: dict[str, tuple[Layout, int]] = {
    "choices": (_as_mmlu_pro, 160),
    "categories": (_as_supergpqa, 160),
    "puzzles": (_as_bbeh, 160),
}
CODE: dict[str, tuple[Layout, int]] = {"completions": (_as_humaneval, 40), "functions": (_as_mbpp, 40)}


def benchmarks(random: Random) -> dict[str, list[Row]]:
    """The rows of every benchmark."""
    rows = {}
    for name, (layout, count) in (MATHEMATICS | GENERAL).items():
        items = _asked(name, random, count)
        rows[name] = [layout(number, item) for number, item in enumerate(items)]
    tasks = _asked("code", random, sum(count for _, count in CODE.values()))
    for name, (layout, count) in CODE.items():
        rows[name] = [layout(number, tasks.pop()) for number in range(count)]
    return rows


def _asked(skill: str, random: Random, count: int) -> list[Item]:
    """`count` held-out items: outside mathematics a share of another, unexplained kind, in mathematics every tenth
    with a step more."""
    if skill in UNEXPLAINED:
        strange = round(count * UNEXPLAINED_SHARE)
        items = test_items(SKILLS[skill], random, count - strange)
        items += unexplained_items(UNEXPLAINED[skill], random, strange)
        random.shuffle(items)
        return items
    items = test_items(SKILLS[skill], random, count)
    every = round(1 / FURTHER_SHARE)
    return [item if number % every else mathematics.further(item) for number, item in enumerate(items)]


def few_shot(random: Random) -> dict[str, list[Row]]:
    """Demonstrations in natural form for every benchmark that asks questions, mostly worked; none is a test item."""
    shots = {}
    for name, generator in (mathematics.SKILLS | general.SKILLS).items():
        items = training_items(generator, random)
        chosen = [next(items) for _ in range(DEMONSTRATIONS)]
        register = "direct" if name in ANSWERS_ALONE else "short"
        shots[name] = [{"problem": item.problem, "solution": natural_answer(item, register)} for item in chosen]
    return shots
