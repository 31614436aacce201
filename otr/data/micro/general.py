"""General skills: multiple choice over numbers and over kinds of words, and small puzzles with free answers.

choices     Which number is the largest?  A. 34  B. 12  C. 77  D. 5            (C)
categories  Which word is an animal?      A. red  B. fox  C. tea  D. cup       (B)
puzzles     Write in reverse order: fox 7 red.                                  red 7 fox
"""

from dataclasses import dataclass
from random import Random

from otr.data.micro.items import Generator, Item

LETTERS = "ABCDEFGHIJ"
KINDS = {
    "an animal": ("cat", "dog", "cow", "hen", "fox"),
    "a colour": ("red", "blue", "pink", "gold", "grey"),
    "a food": ("rice", "soup", "cake", "jam", "fish"),
    "a tool": ("saw", "axe", "file", "rake", "nail"),
}
WORDS = tuple(word for kind in KINDS.values() for word in kind)


@dataclass(frozen=True)
class Choice(Item):
    question: str = ""
    options: tuple[str, ...] = ()
    index: int = 0
    category: str = ""


def _choice(skill: str, question: str, options: list[str], right: str, category: str) -> Choice:
    index = options.index(right)
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    return Choice(
        skill=skill,
        key=f"{skill} {question} {sorted(options)}",
        problem=f"{question}\nOptions:\n{listed}",
        answer=f"({LETTERS[index]})",
        short=right,
        question=question,
        options=tuple(options),
        index=index,
        category=category,
    )


def choices(random: Random) -> Choice:
    """Which of several numbers ...? Exactly one option is right."""
    size, kind = 4, random.choice(("largest", "smallest", "multiple", "sum"))
    if kind in ("largest", "smallest"):
        options = random.sample(range(10, 100), size)
        right = max(options) if kind == "largest" else min(options)
        return _choice("choices", f"Which number is the {kind}?", [*map(str, options)], str(right), "order")
    if kind == "multiple":
        divisor = random.choice((3, 4, 6, 7, 8, 9))
        right = divisor * random.randint(2, 20)
        question = f"Which number is divisible by {divisor}?"
        wrong = [n for n in range(max(2, right - 40), right + 40) if n % divisor]
    else:
        a, b = random.randint(10, 99), random.randint(10, 99)
        question, right = f"Which number is {a}+{b}?", a + b
        wrong = [n for n in range(right - 20, right + 21) if n > 0 and n != right]
    options = [right, *random.sample(wrong, size - 1)]
    random.shuffle(options)
    return _choice("choices", question, [*map(str, options)], str(right), "arithmetic")


def categories(random: Random) -> Choice:
    """Which word is of a kind, or the only one that is not?"""
    size, kind = 4, random.choice(list(KINDS))
    inside, outside = KINDS[kind], [word for word in WORDS if word not in KINDS[kind]]
    if random.random() < 0.5:
        question, right, wrong = f"Which word is {kind}?", random.choice(inside), random.sample(outside, size - 1)
    else:
        question, right, wrong = f"Which word is not {kind}?", random.choice(outside), random.sample(inside, size - 1)
    options = [right, *wrong]
    random.shuffle(options)
    return _choice("categories", question, options, right, kind.split()[-1])


def puzzles(random: Random) -> Item:
    return random.choice((_reverse, _order, _swaps))(random)


def _reverse(random: Random) -> Item:
    words = [random.choice((random.choice(WORDS), str(random.randint(1, 99)))) for _ in range(random.randint(2, 5))]
    return _puzzle("reverse", f"Write in reverse order: {' '.join(words)}.", " ".join(reversed(words)))


def _order(random: Random) -> Item:
    numbers = random.sample(range(1, 100), random.randint(3, 5))
    return _puzzle(
        "order", f"Sort from small to large: {' '.join(map(str, numbers))}.", " ".join(map(str, sorted(numbers)))
    )


def _swaps(random: Random) -> Item:
    people, things = random.sample(("Ann", "Ben", "Tom", "Sue", "Max", "Eva"), 3), random.sample(WORDS, 3)
    holds = dict(zip(people, things, strict=True))
    text = " ".join(f"{person} holds {thing}." for person, thing in holds.items())
    for _ in range(random.randint(1, 3)):
        one, other = random.sample(people, 2)
        holds[one], holds[other] = holds[other], holds[one]
        text += f" {one} and {other} swap."
    asked = random.choice(people)
    return _puzzle("swaps", f"{text} What does {asked} hold?", holds[asked])


def _puzzle(task: str, problem: str, answer: str) -> Item:
    return Item(skill="puzzles", key=f"puzzles {task} {problem}", problem=problem, answer=answer)


SKILLS: dict[str, Generator] = {"choices": choices, "categories": categories, "puzzles": puzzles}
