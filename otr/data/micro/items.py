"""What every generator of the micro world makes: one question with its answer and the steps that lead to it.

    Item(skill="products", key="products 4*7+5", problem="What is 4*7+5?", answer="33", steps=("4*7=28", "28+5=33"))

Every step is one small fact. All skills are made of the same few hundred, so that a model of half a million weights
knows most of them, and no column of a table hangs on one skill that was or was not learnt.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

HELD_OUT_SHARE = 8  # one content in eight is for testing


@dataclass(frozen=True)
class Item:
    skill: str
    key: str  # the content without its wording: two items with one key ask the same thing
    problem: str
    answer: str
    steps: tuple[str, ...] = ()  # the last one ends in the number that the answer states
    frame: tuple[str, str] = ("", "")  # what stands around that number in the answer

    def with_result(self, result: int) -> "Item":
        """The same item with another last result and the answer that follows from it."""
        last, _, _ = self.steps[-1].rpartition("=")
        steps = (*self.steps[:-1], f"{last}={result}")
        return Item(self.skill, self.key, self.problem, str(result).join(self.frame), steps, self.frame)

    @property
    def result(self) -> int:
        return int(self.steps[-1].rpartition("=")[2])


Generator = Callable[[Random], Item]


def solved(skill: str, content: str, problem: str, steps: list[str], frame: tuple[str, str] = ("", "")) -> Item:
    """An item whose answer is the last step's result inside `frame`."""
    answer = steps[-1].rpartition("=")[2].join(frame)
    return Item(skill, f"{skill} {content}", problem, answer, tuple(steps), frame)


def misread(item: Item, random: Random) -> Item:
    """The item with a wrong last result near the right one, and the answer that follows: a slip."""
    near = [item.result + change for change in (-10, -2, -1, 1, 2, 10)]
    return item.with_result(random.choice([result for result in near if result >= 0]))


def held_out(item: Item) -> bool:
    """Whether the content of `item` is kept for testing; by a hash, so that no list has to be carried about."""
    return hashlib.sha256(item.key.encode()).digest()[0] % HELD_OUT_SHARE == 0


def training_items(generator: Generator, random: Random) -> Iterator[Item]:
    """Endless items for pre-training and tuning; contents may repeat, none is held out."""
    return (item for item in _endless(generator, random) if not held_out(item))


def test_items(generator: Generator, random: Random, count: int) -> list[Item]:
    """`count` held-out items, each content once."""
    return distinct((item for item in _endless(generator, random) if held_out(item)), count)


def unexplained_items(generator: Generator, random: Random, count: int) -> list[Item]:
    """`count` items of a kind that no document has, each content once."""
    return distinct(_endless(generator, random), count)


def distinct(items: Iterator[Item], count: int) -> list[Item]:
    """The first `count` of different contents. ValueError where there seem to be fewer."""
    chosen: dict[str, Item] = {}
    for item in islice(items, 1000 * count):
        chosen.setdefault(item.key, item)
        if len(chosen) == count:
            return list(chosen.values())
    raise ValueError(f"{count} different contents are needed, {len(chosen)} were found")


def _endless(generator: Generator, random: Random) -> Iterator[Item]:
    while True:
        yield generator(random)
