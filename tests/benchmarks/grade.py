"""Grades a second and core, on short and long completions with right and wrong answers.

    python tests/benchmarks/grade.py

CPU time of this process and of its grading processes, their start included.
"""

import random
import resource

from otr.evaluation.math.gold import Gold, read_gold
from otr.evaluation.math.verdicts import grade

LINE = r"We set $x=\frac{3}{7}$ and \(y_{2}=\sqrt{2}\), hence \[ x^{2}+y^{2}=5. \] By symmetry the sum is 31." "\n"


def main() -> None:
    print(f"{'completions':>12} {'characters':>11} {'grades/s a core':>16}")
    for lines in (4, 40, 320):
        items = _items(LINE * lines, 5000)
        before = _cpu_seconds()
        verdicts = grade(items)
        seconds = _cpu_seconds() - before
        print(f"{len(verdicts):>12} {len(LINE) * lines:>11} {len(verdicts) / seconds:>16.0f}")


def _items(text: str, count: int) -> list[tuple[Gold, str, bool]]:
    """Whole-number answers, half of them right, four completions a problem."""
    draw = random.Random(0)
    items = []
    for _ in range(count // 4):
        gold = read_gold({"a": str(draw.randint(1, 5000))}, {"answer": "a"}, "plain")
        for _ in range(4):
            answer = gold.answers[0] if draw.random() < 0.5 else str(draw.randint(1, 9000))
            items.append((gold, f"{text}The answer is \\boxed{{{answer}}}.", False))
    return items


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
