'''Small Python functions to write, described in words: choose elements, change each, combine them, adjust the result.

prompt    def total(xs):
              """Return the sum of the elements of xs above 5, each times 3, plus 4."""
body          return sum(x * 3 for x in xs if x > 5) + 4
'''

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from otr.data.micro.items import Generator, Item


@dataclass(frozen=True)
class Task(Item):
    name: str = ""
    argument: str = ""
    text: str = ""  # what the function returns, in words
    body: str = ""  # its lines, indented
    inputs: tuple[tuple[object, ...], ...] = ()  # argument lists to test it on

    @property
    def function(self) -> str:
        return f"def {self.name}({self.argument}):\n{self.body}"

    @property
    def stub(self) -> str:
        return f'def {self.name}({self.argument}):\n    """Return {self.text}."""\n'

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


_CHOICES = (
    ("", ""),
    (" above {c}", " if x > {c}"),
    (" below {c}", " if x < {c}"),
    (" divisible by {c}", " if x % {c} == 0"),
    (" other than {c}", " if x != {c}"),
)
_CHANGES = (
    ("", "x"),
    (", each times {c}", "x * {c}"),
    (", each plus {c}", "x + {c}"),
    (", each minus {c}", "x - {c}"),
    (", each squared", "x * x"),
)


def _chosen(random: Random) -> tuple[str, str]:
    """(words, condition) that choose elements of xs; empty for all of them."""
    return _with_number(random, _CHOICES)


def _changed(random: Random) -> tuple[str, str]:
    """(words, expression) for what becomes of each chosen element."""
    return _with_number(random, _CHANGES)


def _with_number(random: Random, phrases: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """One of the phrases and its code, with a number from 2 to 9 in both."""
    c = random.randint(2, 9)
    words, code = random.choice(phrases)
    return words.format(c=c), code.format(c=c)


def _adjusted(random: Random) -> tuple[str, str]:
    """(words, operation) applied to the result."""
    c = random.randint(2, 9)
    return random.choice(
        (("", ""), (f", plus {c}", f" + {c}"), (f", minus {c}", f" - {c}"), (f", times {c}", f" * {c}"))
    )


def numbers(random: Random) -> Task:
    """Functions of a list of integers."""
    which, condition = _chosen(random)
    how, expression = _changed(random)
    then, operation = _adjusted(random)
    if condition:  # chosen or changed, not both
        how, expression = "", "x"
    elements = f"{expression} for x in xs{condition}"
    name, noun, call = random.choice(
        (
            ("total", "the sum", f"sum({elements})"),
            ("largest", "the largest", f"max(({elements}), default=0)"),
            ("smallest", "the smallest", f"min(({elements}), default=0)"),
            ("count", "the number", f"len([{elements}])"),
            ("collect", "the list", f"[{elements}]"),
        )
    )
    if name == "collect":  # a list takes no plus or minus; it is sorted instead
        then, operation = random.choice((("", ""), (", sorted", "sorted")))
        call, operation = (f"sorted({elements})", "") if operation else (call, "")
    text = f"{noun} of the elements of xs{which}{how}{then}"
    inputs = [([random.randint(-9, 30) for _ in range(length)],) for length in (4, 0, 1, 3, 5, 8, 12, 20)]
    return _task(name, "xs", text, f"    return {call}{operation}\n", inputs)


def words(random: Random) -> Task:
    """Functions of a string."""
    c, times = random.randint(2, 9), random.randint(2, 4)
    part, cut = random.choice(
        (
            ("s", "s"),
            (f"the first {c} letters of s", f"s[:{c}]"),
            (f"the last {c} letters of s", f"s[-{c}:]"),
            (f"s without its first {c} letters", f"s[{c}:]"),
        )
    )
    change, method = random.choice(
        (("", ""), (" in capitals", ".upper()"), (" in small letters", ".lower()"), (" backwards", "[::-1]"))
    )
    name, end, operation = random.choice(
        (
            ("change", "", ""),
            ("repeat", f", {times} times", f" * {times}"),
            ("join", ", then a dash and s", ' + "-" + s'),
        )
    )
    letters = "abcdefghijkXYZ"
    inputs = [("".join(random.choice(letters) for _ in range(length)),) for length in (5, 0, 1, 3, 9, 14)]
    return _task(name, "s", f"{part}{change}{end}", f"    return {cut}{method}{operation}\n", inputs)


def _task(name: str, argument: str, text: str, body: str, inputs: Sequence[tuple[object, ...]]) -> Task:
    return Task(
        skill="code",
        key=f"code {text}",
        problem="",
        answer="",
        name=name,
        argument=argument,
        text=text,
        body=body,
        inputs=tuple(inputs),
    )


def tasks(random: Random) -> Task:
    return numbers(random) if random.random() < 0.7 else words(random)


SKILLS: dict[str, Generator] = {"code": tasks}
