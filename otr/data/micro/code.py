'''Small Python functions to write, described in words: choose or change elements, combine them, adjust the result.

prompt    def total(xs):
              """Return the sum of -x for x in xs if x > 0, doubled."""
body          return sum(-x for x in xs if x > 0) * 2

All functions are of one list of integers. No number has to be copied from the description, and elements stand there as
Python writes them: all parts are of closed sets. Copying one digit was learnt from some initial weights and not others,
as were words for operators, several conditions, twice or thrice, and a few dozen functions of strings beside these.
'''

from dataclasses import dataclass
from random import Random

from otr.data.micro.items import Generator, Item


@dataclass(frozen=True)
class Task(Item):
    name: str = ""
    text: str = ""  # what the function returns, in words
    body: str = ""  # its lines, indented
    inputs: tuple[tuple[object, ...], ...] = ()  # argument lists to test it on

    @property
    def function(self) -> str:
        return f"def {self.name}(xs):\n{self.body}"

    @property
    def stub(self) -> str:
        return f'def {self.name}(xs):\n    """Return {self.text}."""\n'

    @property
    def request(self) -> str:
        """The task in words with one assertion, as MBPP puts it."""
        example = f"{self.name}({', '.join(map(repr, self.inputs[0]))})"
        result = run(self.function, self.name, self.inputs[0])
        return f'"""\nWrite a function {self.name} that returns {self.text}.\nassert {example} == {result!r}\n"""\n'


def run(function: str, name: str, arguments: tuple[object, ...]) -> object:
    """The value of a function of this generator (our own text, never a model's) for `arguments`."""
    scope: dict[str, object] = {}
    exec(function, scope)
    defined = scope[name]
    assert callable(defined)
    value: object = defined(*arguments)
    return value


_CONDITIONS = ("", " if x > 0")
_SOURCES = ("xs", "xs[1:]", "set(xs)")
_CHANGES = ("x", "x * x", "-x")
_ADJUSTMENTS = (
    ("", ""),
    (", doubled", " * 2"),
    (", squared", " ** 2"),
    (", and one more", " + 1"),
    (", and one less", " - 1"),
    (", and two more", " + 2"),
    (", and two less", " - 2"),
    (", negated", " * -1"),
)


def tasks(random: Random) -> Task:
    return _task(
        random,
        ("total", "the sum", "sum({elements})"),
        ("largest", "the largest", "max(({elements}), default=0)"),
        ("smallest", "the smallest", "min(({elements}), default=0)"),
        ("count", "the number", "len([{elements}])"),
        ("collect", "the list", "[{elements}]"),
    )


def unexplained(random: Random) -> Task:
    """Functions that no document has: a model cannot know them."""
    return _task(
        random,
        ("spread", "the spread", "(max(({elements}), default=0) - min(({elements}), default=0))"),
        ("parity", "the parity", "(sum({elements}) % 2)"),
    )


def _task(random: Random, *kinds: tuple[str, str, str]) -> Task:
    expression, source, condition = map(random.choice, (_CHANGES, _SOURCES, _CONDITIONS))
    then, operation = random.choice(_ADJUSTMENTS)
    elements = f"{expression} for x in {source}{condition}"
    name, noun, call = random.choice(kinds)
    call = call.format(elements=elements)
    if name == "collect":  # a list takes no plus or minus; it is sorted instead
        then, operation = random.choice((("", ""), (", sorted", "sorted")))
        call, operation = (f"sorted({elements})", "") if operation else (call, "")
    text = f"{noun} of {elements}{then}"
    inputs = [([random.randint(-9, 30) for _ in range(length)],) for length in (4, 0, 1, 3, 5, 8, 12, 20)]
    return Task(
        skill="code",
        key=f"code {text}",
        problem="",
        answer="",
        name=name,
        text=text,
        body=f"    return {call}{operation}\n",
        inputs=tuple(inputs),
    )


SKILLS: dict[str, Generator] = {"code": tasks}
