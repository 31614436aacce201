"""Seven mathematical skills, each a function from a random source to an Item.

| skill      | a problem                                               | what it tests                    |
|------------|---------------------------------------------------------|----------------------------------|
| sums       | What is 34+7-6+9?                                       | carries and borrows              |
| products   | What is 4*7+5*8?                                        | tables, adding two-digit numbers |
| remainders | What is the remainder of 47 divided by 6?               | finding the nearest multiple     |
| equations  | Solve 7x+15=64 for x.                                   | inverse operations               |
| sequences  | What comes next: 3, 7, 13, 21?                          | finding a rule                   |
| fractions  | What is $\\frac{3}{4}+\\frac{7}{8}$?                      | common denominators, LaTeX       |
| stories    | Tom has 6 boxes with 8 pens each. Tom loses 7 pens...  | translating words into steps     |

Formulas carry no spaces: fewer tokens to learn and to sample.
"""

from math import gcd
from random import Random

from otr.data.micro.items import Generator, Item

NAMES = ("Ann", "Ben", "Tom", "Sue", "Max", "Eva")
THINGS = ("pens", "cups", "eggs", "nuts", "hats", "bags")


def sums(random: Random) -> Item:
    total = random.randint(10, 60)
    expression, short, expert = str(total), [], []
    for _ in range(random.randint(2, 4)):
        term = random.randint(2, 9)
        sign = random.choice("+-") if total > 9 else "+"
        result = total + term if sign == "+" else total - term
        expression += f"{sign}{term}"
        short.append(f"{total}{sign}{term}={result}")
        expert.append(_over_ten(total, sign, term))
        total = result
    wording = random.choice(("What is {}?", "Compute {}.", "Find the value of {}."))
    return Item(
        "sums", f"sums {expression}", wording.format(expression), str(total), "\n".join(short), "\n".join(expert)
    )


def _over_ten(total: int, sign: str, digit: int) -> str:
    """Adding or subtracting a digit, by way of the full ten where one is crossed: "38+7=38+2+5=40+5=45"."""
    result = total + digit if sign == "+" else total - digit
    first = 10 - total % 10 if sign == "+" else total % 10
    ten = total + first if sign == "+" else total - first
    if not 0 < first < digit:
        return f"{total}{sign}{digit}={result}"
    return f"{total}{sign}{digit}={total}{sign}{first}{sign}{digit - first}={ten}{sign}{digit - first}={result}"


def products(random: Random) -> Item:
    a, b, c, d = (random.randint(2, 9) for _ in range(4))
    left, right = a * b, c * d
    sign = "-" if left >= right and random.random() < 0.5 else "+"
    result = left + right if sign == "+" else left - right
    expression = f"{a}*{b}{sign}{c}*{d}"
    parts, last = f"{a}*{b}={left}\n{c}*{d}={right}", f"{left}{sign}{right}={result}"
    tens, units = right // 10 * 10, right % 10
    expert = last
    if tens and units:
        middle = left + tens if sign == "+" else left - tens
        expert = f"{left}{sign}{tens}={middle}\n{_over_ten(middle, sign, units)}"
    wording = random.choice(("What is {}?", "Compute {}.", "Find the value of {}."))
    return Item(
        "products",
        f"products {expression}",
        wording.format(expression),
        str(result),
        f"{parts}\n{last}",
        f"{parts}\n{expert}",
    )


def remainders(random: Random) -> Item:
    divisor = random.randint(3, 9)
    quotient, rest = random.randint(2, 20), random.randrange(divisor)
    number, below, above = quotient * divisor + rest, quotient * divisor, (quotient + 1) * divisor
    wording = random.choice(("What is the remainder of {} divided by {}?", "Find the remainder of {} divided by {}."))
    return Item(
        "remainders",
        f"remainders {number}%{divisor}",
        wording.format(number, divisor),
        str(rest),
        f"{number}={quotient}*{divisor}+{rest}",
        f"{quotient}*{divisor}={below} {quotient + 1}*{divisor}={above}\n{number}-{below}={rest}",
    )


def equations(random: Random) -> Item:
    x, a = random.randint(1, 12), random.randint(2, 9)
    b = random.choice((-1, 1)) * random.randint(1, 20)
    c = random.randint(1, a - 1) if random.random() < 0.25 else 0
    right = (a - c) * x + b
    equation = f"{a}x{b:+d}={_times_x(c)}{right:+d}" if c else f"{a}x{b:+d}={right}"
    rest, inverse = _times_x(a - c), "-" if b > 0 else "+"
    short = f"{rest}={right - b}"
    expert = []
    if c:
        expert.append(f"{a}x-{_times_x(c)}={rest}")
        expert.append(f"{rest}{b:+d}={right}")
    expert.append(f"{rest}={right}{inverse}{abs(b)}={right - b}")
    if a - c > 1:
        expert.append(f"x={right - b}/{a - c}={x}")
    wording = random.choice(("Solve {} for x.", "Find x if {}.", "What is x if {}?"))
    return Item("equations", f"equations {equation}", wording.format(equation), str(x), short, "\n".join(expert))


def _times_x(factor: int) -> str:
    return "x" if factor == 1 else f"{factor}x"


def sequences(random: Random) -> Item:
    kind = random.choice((_steady, _steady, _growing, _growing, _ratio, _pairs))
    terms, rule, final = kind(random)
    shown = ", ".join(map(str, terms[:4]))
    steps = " ".join(f"{right}-{left}={right - left}" for left, right in zip(terms[:3], terms[1:4], strict=True))
    wording = random.choice(("What comes next: {}?", "Find the next number: {}."))
    expert = f"{steps}\n{rule}\n{final}"
    return Item("sequences", f"sequences {shown}", wording.format(shown), str(terms[4]), rule, expert)


# Each kind of sequence: five terms, its rule in words, and the last step.


def _steady(random: Random) -> tuple[list[int], str, str]:
    step = random.choice((-1, 1)) * random.randint(2, 9)
    start = random.randint(1, 60) + (5 * abs(step) if step < 0 else 0)
    terms = [start + step * index for index in range(5)]
    return terms, f"Add {step} each time.", f"{terms[3]}{step:+d}={terms[4]}"


def _growing(random: Random) -> tuple[list[int], str, str]:
    start, step, growth = random.randint(1, 30), random.randint(1, 8), random.randint(1, 3)
    terms = [start + step * index + growth * index * (index - 1) // 2 for index in range(5)]
    last = step + 3 * growth
    return terms, f"The steps grow by {growth}.", f"{last - growth}+{growth}={last}\n{terms[3]}+{last}={terms[4]}"


def _ratio(random: Random) -> tuple[list[int], str, str]:
    ratio, shift = 2, random.randint(0, 5)
    terms = [random.randint(1, 9)]
    for _ in range(4):
        terms.append(terms[-1] * ratio + shift)
    product = terms[3] * ratio
    return terms, f"Times {ratio}, then add {shift}.", f"{terms[3]}*{ratio}={product}\n{product}+{shift}={terms[4]}"


def _pairs(random: Random) -> tuple[list[int], str, str]:
    terms = [random.randint(1, 15), random.randint(1, 15)]
    for _ in range(3):
        terms.append(terms[-1] + terms[-2])
    return terms, "Add the last two.", f"{terms[2]}+{terms[3]}={terms[4]}"


def fractions(random: Random) -> Item:
    while True:
        (a, b), (c, d) = ((random.randint(1, 9), random.choice((2, 3, 4, 5, 6, 8, 9, 10, 12))) for _ in range(2))
        common = max(b, d)
        if common % min(b, d) == 0:
            break
    left, right = a * common // b, c * common // d
    sign = "+" if left <= right or random.random() < 0.6 else "-"
    top = left + right if sign == "+" else left - right
    shared = gcd(top, common)
    expression = f"{latex(a, b)}{sign}{latex(c, d)}"
    expert = [
        f"{above}*{common // below}={above * common // below} {below}*{common // below}={common}"
        for above, below in ((a, b), (c, d))
        if below != common
    ]
    expert.append(f"{left}{sign}{right}={top}")
    if shared > 1:
        expert.append(f"{top}/{shared}={top // shared} {common}/{shared}={common // shared}")
    wording = random.choice(("What is ${}$?", "Compute ${}$.", "Find the value of ${}$."))
    return Item(
        "fractions",
        f"fractions {expression}",
        wording.format(expression),
        latex(top // shared, common // shared),
        latex(top, common),
        "\n".join(expert),
    )


def latex(above: int, below: int) -> str:
    return str(above) if below == 1 else f"\\frac{{{above}}}{{{below}}}"


def stories(random: Random) -> Item:
    name, thing = random.choice(NAMES), random.choice(THINGS)
    groups, each = random.randint(2, 9), random.randint(2, 9)
    opening, total = f"{name} has {groups} boxes with {each} {thing} each.", groups * each
    key = [str(groups), str(each)]
    short, expert = [f"{groups}*{each}={total}"], [f"{name} has {groups}*{each}={total} {thing}."]
    for _ in range(random.choice((1, 2))):
        sentence, formula, total, change = _event(random, name, thing, total)
        opening += f" {sentence}"
        short.append(formula)
        expert.append(f"{sentence[:-1]}: {formula}.")
        key.append(change)
    problem = f"{opening} How many {thing} does {name} have now?"
    return Item("stories", f"stories {' '.join(key)}", problem, str(total), "\n".join(short), "\n".join(expert))


def _event(random: Random, name: str, thing: str, total: int) -> tuple[str, str, int, str]:
    """One change of the count: (sentence, formula, new count, its content without the wording)."""
    kinds = ["buys", "finds", "doubles"] + ["gives", "loses"] * (total > 3) + ["halves"] * (total % 2 == 0)
    kind, amount = random.choice(kinds), random.randint(2, max(2, min(9, total - 1)))
    if kind == "doubles":
        return f"{name} then doubles the {thing}.", f"{total}*2={total * 2}", total * 2, "*2"
    if kind == "halves":
        return f"{name} then sells half of the {thing}.", f"{total}/2={total // 2}", total // 2, "/2"
    if kind in ("buys", "finds"):
        return (
            f"{name} {kind} {amount} more {thing}.",
            f"{total}+{amount}={total + amount}",
            total + amount,
            f"+{amount}",
        )
    other = random.choice([person for person in NAMES if person != name])
    sentence = f"{name} gives {amount} {thing} to {other}." if kind == "gives" else f"{name} loses {amount} {thing}."
    return sentence, f"{total}-{amount}={total - amount}", total - amount, f"-{amount}"


SKILLS: dict[str, Generator] = {
    "stories": stories,
    "fractions": fractions,
    "sequences": sequences,
    "products": products,
    "equations": equations,
    "remainders": remainders,
    "sums": sums,
}
