"""What every generator of the micro world makes: one question with its answer and two worked solutions.

    Item(skill="products", key="products 27*34", problem="What is 34*27?", answer="918",
         short="34*20=680\\n34*7=238\\n680+238=918", expert="4*7=28\\n30*7=210\\n28+210=238\\n...")

`short` is how the natural form answers, `expert` how the tuning set does; neither states the answer sentence.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

HELD_OUT_SHARE = 16  # one content in sixteen is for testing


@dataclass(frozen=True)
class Item:
    skill: str
    key: str  # the content without its wording: two items with one key ask the same thing
    problem: str
    answer: str
    short: str = ""
    expert: str = ""


Generator = Callable[[Random], Item]


def held_out(item: Item) -> bool:
    """Whether the content of `item` is kept for testing; by a hash, so that no list has to be carried about."""
    return hashlib.sha256(item.key.encode()).digest()[0] % HELD_OUT_SHARE == 0


def training_items(generator: Generator, random: Random) -> Iterator[Item]:
    """Endless items for pre-training and tuning; contents may repeat, none is held out."""
    while True:
        item = generator(random)
        if not held_out(item):
            yield item


def test_items(generator: Generator, random: Random, count: int) -> list[Item]:
    """`count` held-out items, each content once."""
    chosen: dict[str, Item] = {}
    while len(chosen) < count:
        item = generator(random)
        if held_out(item):
            chosen.setdefault(item.key, item)
    return list(chosen.values())
