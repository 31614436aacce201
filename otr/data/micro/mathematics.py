"""Seven mathematical skills, each a function from a random source to an Item.

| skill      | a problem                                               | what it tests                    |
|------------|---------------------------------------------------------|----------------------------------|
| sums       | What is 34+57-12?                                       | carries and borrows              |
| products   | What is 34*7+58?                                        | partial products                 |
| remainders | What is the remainder of 347 divided by 6?              | long division                    |
| equations  | Solve 7x+15=64 for x.                                   | inverse operations               |
| sequences  | What comes next: 3, 7, 13, 21?                          | finding a rule                   |
| fractions  | What is $\\frac{3}{4}+\\frac{1}{6}$?                      | common denominators, LaTeX       |
| stories    | Tom has 12 boxes with 8 pens each. Tom loses 17 pens... | translating words into steps     |

Formulas carry no spaces: fewer tokens to learn and to sample.
"""

from math import gcd
from random import Random

from otr.data.micro.items import Generator, Item

NAMES = ("Ann", "Ben", "Tom", "Sue", "Max", "Eva")
MOST_COMMON = 24  # largest common denominator
THINGS = ("pens", "cups", "eggs", "nuts", "hats", "bags")


def sums(random: Random) -> Item:
    terms = [random.randint(10, 99) for _ in range(random.choice((2, 3)))]
    expression, total, short, expert = str(terms[0]), terms[0], [], []
    for term in terms[1:]:
        sign = "+" if term > total or random.random() < 0.5 else "-"
        result = total + term if sign == "+" else total - term
        expression += f"{sign}{term}"
        short.append(f"{total}{sign}{term}={result}")
        expert += [_columns(total, sign, term), short[-1]]
        total = result
    wording = random.choice(("What is {}?", "Compute {}.", "Find the value of {}."))
    # A single sum has nothing shorter than its answer to show.
    return Item(
        "sums",
        f"sums {expression}",
        wording.format(expression),
        str(total),
        "\n".join(short) if len(short) > 1 else "",
        "\n".join(expert),
    )


def _columns(left: int, sign: str, right: int) -> str:
    """Column by column from the units: 34+57 gives "4+7=11 3+5+1=9"."""
    steps, carry = [], 0
    for position in range(max(len(str(left)), len(str(right)))):
        a, b = left // 10**position % 10, right // 10**position % 10
        kept = f"{sign}{carry}" if carry else ""
        if sign == "+":
            steps.append(f"{a}+{b}{kept}={a + b + carry}")
            carry = int(a + b + carry > 9)
        else:
            borrow = int(a - b - carry < 0)
            steps.append(f"{a + 10 * borrow}-{b}{kept}={a + 10 * borrow - b - carry}")
            carry = borrow
    return " ".join(steps)


def products(random: Random) -> Item:
    a, b, c = random.randint(11, 99), random.randint(3, 9), random.randint(2, 99)
    sign = "+" if c > a * b or random.random() < 0.5 else "-"
    tens, units = a // 10 * 10, a % 10
    result = a * b + c if sign == "+" else a * b - c
    last = f"{a * b}{sign}{c}={result}"
    expert = [f"{tens}*{b}={tens * b}"]
    if units:
        expert = [f"{tens}*{b}={tens * b} {units}*{b}={units * b}", f"{tens * b}+{units * b}={a * b}"]
    expression = f"{a}*{b}{sign}{c}"
    wording = random.choice(("What is {}?", "Compute {}.", "Find the value of {}."))
    return Item(
        "products",
        f"products {expression}",
        wording.format(expression),
        str(result),
        f"{a}*{b}={a * b}\n{last}",
        "\n".join([*expert, last]),
    )


def remainders(random: Random) -> Item:
    number, divisor = random.randint(30, 999), random.randint(3, 9)
    rest, expert = 0, []
    for digit in str(number):
        rest = rest * 10 + int(digit)
        expert.append(f"{rest}={rest // divisor}*{divisor}+{rest % divisor}")
        rest %= divisor
    short = f"{number}={number // divisor}*{divisor}+{rest}"
    wording = random.choice(("What is the remainder of {} divided by {}?", "Find the remainder of {} divided by {}."))
    return Item(
        "remainders",
        f"remainders {number}%{divisor}",
        wording.format(number, divisor),
        str(rest),
        short,
        "\n".join(expert),
    )


def equations(random: Random) -> Item:
    x, a = random.randint(1, 20), random.randint(2, 9)
    b = random.choice((-1, 1)) * random.randint(1, 50)
    c = random.randint(1, a - 1) if random.random() < 0.3 else 0
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
    kind = random.choice((_steady, _growing, _ratio, _pairs))
    terms, rule, final = kind(random)
    shown = ", ".join(map(str, terms[:4]))
    steps = " ".join(f"{right}-{left}={right - left}" for left, right in zip(terms[:3], terms[1:4], strict=True))
    wording = random.choice(("What comes next: {}?", "Find the next number: {}."))
    expert = f"{steps}\n{rule}\n{final}"
    return Item("sequences", f"sequences {shown}", wording.format(shown), str(terms[4]), rule, expert)


# Each kind of sequence: five terms, its rule in words, and the last step.


def _steady(random: Random) -> tuple[list[int], str, str]:
    step = random.choice((-1, 1)) * random.randint(2, 20)
    start = random.randint(1, 60) + (5 * abs(step) if step < 0 else 0)
    terms = [start + step * index for index in range(5)]
    return terms, f"Add {step} each time.", f"{terms[3]}{step:+d}={terms[4]}"


def _growing(random: Random) -> tuple[list[int], str, str]:
    start, step, growth = random.randint(1, 40), random.randint(1, 10), random.randint(1, 5)
    terms = [start + step * index + growth * index * (index - 1) // 2 for index in range(5)]
    last = step + 3 * growth
    return terms, f"The steps grow by {growth}.", f"{last - growth}+{growth}={last}\n{terms[3]}+{last}={terms[4]}"


def _ratio(random: Random) -> tuple[list[int], str, str]:
    ratio, shift = random.choice((2, 3)), random.randint(0, 9)
    terms = [random.randint(1, 12)]
    for _ in range(4):
        terms.append(terms[-1] * ratio + shift)
    product = terms[3] * ratio
    return terms, f"Times {ratio}, then add {shift}.", f"{terms[3]}*{ratio}={product}\n{product}+{shift}={terms[4]}"


def _pairs(random: Random) -> tuple[list[int], str, str]:
    terms = [random.randint(1, 30), random.randint(1, 30)]
    for _ in range(3):
        terms.append(terms[-1] + terms[-2])
    return terms, "Add the last two.", f"{terms[2]}+{terms[3]}={terms[4]}"


def fractions(random: Random) -> Item:
    common = MOST_COMMON + 1
    while common > MOST_COMMON:
        (a, b), (c, d) = (_fraction(random) for _ in range(2))
        common = b * d // gcd(b, d)
    left, right = a * common // b, c * common // d
    sign = "+" if left <= right or random.random() < 0.6 else "-"
    top = left + right if sign == "+" else left - right
    shared = gcd(top, common)
    answer = latex(top // shared, common // shared)
    expression = f"{latex(a, b)}{sign}{latex(c, d)}"
    short = [f"{latex(left, common)}{sign}{latex(right, common)}={latex(top, common)}"]
    expert = [f"Use {common}."] if b == d else [f"{b}*{common // b}={common} {d}*{common // d}={common}"]
    if b != d:
        expert.append(f"{a}*{common // b}={left} {c}*{common // d}={right}")
    expert.append(f"{left}{sign}{right}={top}")
    if shared > 1:
        expert.append(f"{top}/{shared}={top // shared} {common}/{shared}={common // shared}")
    wording = random.choice(("What is ${}$?", "Compute ${}$.", "Find the value of ${}$."))
    key = f"fractions {expression}"
    return Item("fractions", key, wording.format(expression), answer, "\n".join(short), "\n".join(expert))


def _fraction(random: Random) -> tuple[int, int]:
    """A reduced fraction below two; denominators 2 to 12."""
    while True:
        below = random.choice((2, 3, 4, 5, 6, 8, 9, 10, 12))
        above = random.randint(1, 2 * below - 1)
        if gcd(above, below) == 1:
            return above, below


def latex(above: int, below: int) -> str:
    return str(above) if below == 1 else f"\\frac{{{above}}}{{{below}}}"


def stories(random: Random) -> Item:
    name, thing = random.choice(NAMES), random.choice(THINGS)
    groups, each = random.randint(2, 9), random.randint(2, 12)
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
    kind, amount = random.choice(kinds), random.randint(2, max(2, min(30, total - 1)))
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
