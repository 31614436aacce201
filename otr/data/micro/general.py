"""General skills: multiple choice over times of day and over kinds of words, and small puzzles with free answers.

choices     It is Monday, 9:35. What part of the day is it?  A. night  B. morning ...   (B)
categories  What are most of these: fox, red, hen, owl?  A. animals  B. colours ...           (A)
puzzles     Sort from first to last: g b e.                                                   b e g

The options of a benchmark always stand in one order. Finding the letter in front of a text is beyond models of this
size (they stayed at chance through 2.4 million tokens); which letter goes with which time or kind is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase

from otr.data.micro.items import Generator, Item

LETTERS = "ABCDEFGHIJ"
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PARTS = ("night", "morning", "afternoon", "evening")  # six hours each, from midnight
KINDS = {
    "animals": ("cat", "dog", "cow", "hen", "fox", "pig", "bee", "owl"),
    "colours": ("red", "blue", "pink", "gold", "grey", "green", "black", "white"),
    "foods": ("rice", "soup", "cake", "jam", "ham", "egg", "corn", "bean"),
    "tools": ("saw", "axe", "file", "rake", "nail", "drill", "knife", "spade"),
}
STRANGERS = {
    "animals": ("wolf", "goat", "duck", "mole", "crab", "toad"),
    "colours": ("cyan", "teal", "navy", "lime", "rose", "plum"),
    "foods": ("kale", "leek", "stew", "pie", "tofu", "oats"),
    "tools": ("awl", "vice", "adze", "plane", "clamp", "chisel"),
}
"""Words that no document has, and the numbers up to 23 as no document writes them."""
# fmt: off
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "twenty-one",
    "twenty-two", "twenty-three",
)
# fmt: on
WORDS = tuple(word for kind in KINDS.values() for word in kind)


@dataclass(frozen=True)
class Choice(Item):
    question: str = ""
    options: tuple[str, ...] = ()
    index: int = 0
    category: str = ""


def _choice(skill: str, content: str, question: str, options: tuple[str, ...], index: int, category: str) -> Choice:
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    return Choice(
        skill=skill,
        key=f"{skill} {content}",
        problem=f"{question}\nOptions:\n{listed}",
        answer=f"({LETTERS[index]})",
        question=question,
        options=options,
        index=index,
        category=category,
    )


def choices(random: Random) -> Choice:
    """What part of the day is it? No hours are added to the time: that was learnt from some initial weights only."""
    hour = random.randrange(24)
    return _time(random, hour, f"{hour}:{random.randrange(60):02d}", "times")


def _time(random: Random, hour: int, written: str, category: str) -> Choice:
    question = f"It is {random.choice(DAYS)}, {written}. What part of the day is it?"
    return _choice("choices", question, question, PARTS, hour // 6, category)


def categories(random: Random) -> Choice:
    """Three of four words are of one kind: which? Two of four was learnt from some initial weights only."""
    return _category(random, KINDS)


def _category(random: Random, words_of: Mapping[str, Sequence[str]]) -> Choice:
    kind, other = random.sample(list(words_of), 2)
    words = [*random.sample(words_of[kind], 3), random.choice(words_of[other])]
    random.shuffle(words)
    content, question = " ".join(sorted(words)), f"What are most of these: {', '.join(words)}?"
    return _choice("categories", content, question, tuple(KINDS), list(KINDS).index(kind), kind)


def puzzles(random: Random) -> Item:
    return random.choice((_sort, _sort, _count, _last))(random)


def _sort(random: Random) -> Item:
    letters = random.sample(LETTERS[:9].lower(), random.randint(3, 4))
    return _puzzle("sort", f"Sort from first to last: {' '.join(letters)}.", " ".join(sorted(letters)))


def _count(random: Random) -> Item:
    words = random.choices(random.sample(WORDS, 2), k=random.randint(3, 5))
    asked = random.choice(words)
    return _puzzle("count", f"How often does {asked} stand here: {' '.join(words)}?", str(words.count(asked)))


def _last(random: Random) -> Item:
    letters = random.sample(ascii_lowercase, random.randint(3, 5))
    return _puzzle("last", f"Which comes last in the alphabet: {' '.join(letters)}?", max(letters))


def _puzzle(task: str, problem: str, answer: str) -> Item:
    return Item(skill="puzzles", key=f"puzzles {task} {problem}", problem=problem, answer=answer)


def choices_in_words(random: Random) -> Choice:
    """As choices, with the time in words."""
    hour = random.randrange(24)
    return _time(random, hour, f"{NUMBERS[hour]} {NUMBERS[random.randrange(10, 24)]}", "words")


def categories_of_strangers(random: Random) -> Choice:
    """As categories, of words that no document has."""
    return _category(random, STRANGERS)


def puzzles_backwards(random: Random) -> Item:
    """Sorting in the order that no document asks for."""
    letters = random.sample(LETTERS[:9].lower(), random.randint(3, 4))
    answer = " ".join(sorted(letters, reverse=True))
    return _puzzle("sort", f"Sort from last to first: {' '.join(letters)}.", answer)


UNEXPLAINED: dict[str, Generator] = {
    "choices": choices_in_words,
    "categories": categories_of_strangers,
    "puzzles": puzzles_backwards,
}
SKILLS: dict[str, Generator] = {"choices": choices, "categories": categories, "puzzles": puzzles}
