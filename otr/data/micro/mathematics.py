"""Seven mathematical skills, each a function from a random source to an Item, and the facts that their steps are.

| skill      | a problem                                                  | its steps                          |
|------------|------------------------------------------------------------|------------------------------------|
| sums       | What is 34+5-6+7?                                          | 34+5=39 39-6=33 33+7=40            |
| products   | What is 4*7+5-9?                                           | 4*7=28 28+5=33 33-9=24             |
| remainders | What is the remainder of 12+7-2 divided by 6?              | 12+7=19 19-2=17 17-6=11 11-6=5     |
| equations  | Solve 3x=24-4-5 for x.                                     | 24-4=20 20-5=15 15/3=5             |
| sequences  | What comes next, up and down in turn: 3, 7, 5, 9?          | 7-5=2 9-2=7                        |
| fractions  | What is $2\\cdot\\frac{2}{8}+\\frac{4}{8}-\\frac{1}{8}$?      | 2*2=4 4+4=8 8-1=7, \\frac{7}{8}     |
| stories    | Tom has 4 boxes with 8 pens each. Tom loses 7 pens. ...    | 4*8=32 32-7=25 25+6=31             |

Numbers stay within 0 to 60 and a step changes them by one digit: some 1,200 facts in all. In a tenth of the problems
of all skills but sequences one step is wide, as in 34+15=49. No drill holds it: models know only some of these, and how
many is an accident of their initial weights (with three tenths of such problems, averages differed by seven points).
All chains of a skill are equally long: where to end is no part of the difficulty. Where remainders' were not, nothing
but its result told the last step, and how far wrong last results spread to earlier ones was an accident of the base
model. Formulas carry no spaces: fewer tokens to learn and to sample.
"""

from math import gcd
from random import Random

from otr.data.micro.items import Generator, Item, solved

NAMES = ("Ann", "Ben", "Tom", "Sue", "Max", "Eva")
THINGS = ("pens", "cups", "eggs", "nuts", "hats", "bags")
LARGEST = 60
WIDE_SHARE = 0.1
WIDE = range(11, 30)
QUOTIENT = 2
"""How often the divisor of a remainder goes into its number."""


def fact(random: Random) -> tuple[str, str]:
    """A step in two parts, ("14+7=", "21"), as any skill may need it."""
    sign = random.choice("++++----**//d")
    if sign == "d":
        small, large = random.randint(1, LARGEST - 9), random.randint(1, 9)
        return f"{small + large}-{small}=", f"{large}"
    if sign in "*/":
        b = random.randint(2, 9)
        a = random.randint(1, min(9, LARGEST // b))
        return (f"{a}*{b}=", f"{a * b}") if sign == "*" else (f"{a * b}/{b}=", f"{a}")
    left, step = _addition(random, random.randint(1, LARGEST), random.randint(1, 9))
    return f"{left}=", step.rpartition("=")[2]


def _addition(random: Random, total: int, change: int) -> tuple[str, str]:
    """("34+7", "34+7=41"): `change` added to `total` or taken away, within 0 to LARGEST."""
    signs = [sign for sign, result in (("+", total + change), ("-", total - change)) if 0 <= result <= LARGEST]
    sign = random.choice(signs)
    left = f"{total}{sign}{change}"
    return left, f"{left}={total + change if sign == '+' else total - change}"


def _changes(random: Random, count: int, smallest: int = 2) -> list[int]:
    """What `count` steps add or take away: digits, and in a share of the cases one wide number among them."""
    changes = [random.randint(smallest, 9) for _ in range(count)]
    if random.random() < WIDE_SHARE:
        changes[random.randrange(count)] = random.choice(WIDE)
    return changes


def _chain(random: Random, total: int, changes: list[int]) -> tuple[str, list[str], int]:
    """`changes` added or taken away one after the other: ("+7-6", the steps, the last result)."""
    terms, steps = "", []
    for change in changes:
        left, step = _addition(random, total, change)
        terms += left[len(str(total)) :]
        steps.append(step)
        total = int(step.rpartition("=")[2])
    return terms, steps, total


def _asked(random: Random, expression: str) -> str:
    return random.choice(("What is {}?", "Compute {}.", "Find the value of {}.")).format(expression)


def sums(random: Random) -> Item:
    first = random.randint(10, LARGEST)
    terms, steps, _ = _chain(random, first, _changes(random, 3))
    return solved("sums", f"{first}{terms}", _asked(random, f"{first}{terms}"), steps)


def products(random: Random) -> Item:
    a = random.randint(2, 9)
    b = random.randint(2, min(9, LARGEST // a))
    terms, steps, _ = _chain(random, a * b, _changes(random, 2))
    expression = f"{a}*{b}{terms}"
    return solved("products", expression, _asked(random, expression), [f"{a}*{b}={a * b}", *steps])


def remainders(random: Random) -> Item:
    divisor, changes = random.randint(4, 7), _changes(random, 2)
    number = 0
    while number // divisor != QUOTIENT:
        first = random.randint(divisor, LARGEST)
        terms, steps, number = _chain(random, first, changes)
    for _ in range(QUOTIENT):
        steps.append(f"{number}-{divisor}={number - divisor}")
        number -= divisor
    expression = f"{first}{terms}"
    wording = random.choice(("What is the remainder of {} divided by {}?", "Find the remainder of {} divided by {}."))
    return solved("remainders", f"{expression}%{divisor}", wording.format(expression, divisor), steps)


def equations(random: Random) -> Item:
    """Made backwards from the solution, so that every number on the way stays within the facts."""
    factor, x = random.randint(2, 9), random.randint(1, 6)
    _, steps, right = _chain(random, factor * x, _changes(random, 2))
    terms, undone = "", []
    for step in reversed(steps):
        left, _, after = step.partition("=")
        before, sign, change = left.partition("+") if "+" in left else left.partition("-")
        opposite = "-" if sign == "+" else "+"
        terms += f"{opposite}{change}"
        undone.append(f"{after}{opposite}{change}={before}")
    equation = f"{factor}x={right}{terms}"
    wording = random.choice(("Solve {} for x.", "Find x if {}.", "What is x if {}?"))
    return solved("equations", equation, wording.format(equation), [*undone, f"{factor * x}/{factor}={x}"])


def sequences(random: Random) -> Item:
    """The wording names the rule: telling rules apart by the numbers was learnt from some initial weights only.

    None goes down all the way: to tell that rule from up and down in turn was learnt from some as well.
    """
    rule, terms, steps = random.choice((_steady, _growing, _alternating, _alternating))(random)
    shown = ", ".join(map(str, terms))
    wording = random.choice(("What comes next, {}: {}?", "Find the next number, {}: {}."))
    return solved("sequences", shown, wording.format(rule, shown), steps)


# Each kind of sequence: its rule in words, the four terms that are shown, and the steps to the fifth.


def _steady(random: Random) -> tuple[str, list[int], list[str]]:
    step = random.randint(2, 6)
    start = random.randint(1, LARGEST - 4 * step)
    terms = [start + step * index for index in range(4)]
    return "up by equal steps", terms, [f"{terms[3]}-{terms[2]}={step}", f"{terms[3]}+{step}={terms[3] + step}"]


def _growing(random: Random) -> tuple[str, list[int], list[str]]:
    start, step = random.randint(1, 30), random.randint(1, 4)
    terms = [start, start + step, start + 2 * step + 1, start + 3 * step + 3]
    last = step + 2
    return (
        "up by growing steps",
        terms,
        [f"{terms[3]}-{terms[2]}={last}", f"{last}+1={last + 1}", f"{terms[3]}+{last + 1}={terms[3] + last + 1}"],
    )


def _alternating(random: Random) -> tuple[str, list[int], list[str]]:
    start, up, down = random.randint(10, 45), random.randint(2, 9), random.randint(2, 9)
    down = min(down, (start + 2 * up) // 2)
    terms = [start, start + up, start + up - down, start + 2 * up - down]
    return "up and down in turn", terms, [f"{terms[1]}-{terms[2]}={down}", f"{terms[3]}-{down}={terms[3] - down}"]


def fractions(random: Random) -> Item:
    """Multiples of one fraction, of one denominator; only results that cannot be reduced."""
    while True:
        common = random.choice((4, 6, 7, 8, 9, 10, 12))
        times = random.randint(2, 9)
        above = random.randint(1, min(9, LARGEST // times))
        total = times * above
        terms, steps = f"{times}\\cdot{latex(above, common)}", [f"{times}*{above}={total}"]
        for change in _changes(random, 2, smallest=1):
            left, step = _addition(random, total, change)
            terms += f"{left[len(str(total))]}{latex(change, common)}"
            steps.append(step)
            total = int(step.rpartition("=")[2])
        if total > 0 and gcd(total, common) == 1:
            break
    frame = ("\\frac{", f"}}{{{common}}}")
    return solved("fractions", terms, _asked(random, f"${terms}$"), steps, frame)


def further(item: Item) -> Item:
    """The item with one step more, which no document asks for."""
    denominator = int(item.frame[1].strip("{}") or 1)  # a fraction's stands in the frame of its answer
    more = item.result + 100 * denominator
    return Item(
        item.skill,
        item.key,
        f"{item.problem} Add 100 to it.",
        str(more).join(item.frame),
        (*item.steps, f"{item.result}+{100 * denominator}={more}"),
        item.frame,
    )


def latex(above: int, below: int) -> str:
    return f"\\frac{{{above}}}{{{below}}}"


def stories(random: Random) -> Item:
    name, thing = random.choice(NAMES), random.choice(THINGS)
    groups = random.randint(2, 9)
    each = random.randint(2, min(9, LARGEST // groups))
    opening, total = f"{name} has {groups} boxes with {each} {thing} each.", groups * each
    content, steps = [str(groups), str(each)], [f"{groups}*{each}={total}"]
    for change in _changes(random, 2):
        left, step = _addition(random, total, change)
        sign = left[len(str(total))]
        verb = random.choice(("buys", "finds") if sign == "+" else ("loses", "sells"))
        opening += f" {name} {verb} {change} {thing}."
        content.append(f"{sign}{change}")
        steps.append(step)
        total = int(step.rpartition("=")[2])
    problem = f"{opening} How many {thing} does {name} have now?"
    return solved("stories", " ".join(content), problem, steps)


SKILLS: dict[str, Generator] = {
    "stories": stories,
    "fractions": fractions,
    "sequences": sequences,
    "products": products,
    "equations": equations,
    "remainders": remainders,
    "sums": sums,
}
