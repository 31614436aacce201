r"""How often our grader agrees with verdicts that somebody else stored beside a model's outputs.

    python tests/benchmarks/agreement.py outputs.jsonl --completion code --verdict score \
        --gold answer --gold-style plain --show 20

Each line of the file is a JSON object; the options name its fields, `a.b` the field b inside the field a. Completion
and verdict may be lists of one length: several samples of one problem. Printed: the agreement, the disagreements by
kind, and with `--show N` the texts of N of them, drawn with a seed where there are more.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otr.evaluation.math.gold import STYLES, Gold, read_gold
from otr.evaluation.math.verdicts import Verdict, grade

_TAIL = 600  # characters of a completion that are shown: where its answer stands


@dataclass(frozen=True)
class Sample:
    line: int
    gold: Gold
    completion: str
    theirs: bool


def main() -> None:
    options = _options()
    samples = [sample for path in options.files for sample in _samples(path, options)]
    if not samples:
        raise SystemExit("no outputs in these files")
    verdicts = grade([(sample.gold, sample.completion, False) for sample in samples], workers=options.workers)
    judged = list(zip(samples, verdicts, strict=True))
    differing = [(sample, ours) for sample, ours in judged if ours.correct != sample.theirs]
    agreeing = len(judged) - len(differing)
    print(f"{agreeing} of {len(judged)} verdicts agree: {agreeing / len(judged):.2%}")
    print(f"right: {sum(ours.correct for ours in verdicts)} by us, {sum(sample.theirs for sample in samples)} by them")
    kinds = Counter((_side(ours), ours.how, ours.reason) for _, ours in differing)
    for (side, how, reason), count in kinds.most_common():
        print(f"{count:>6}  {side}, answer found: {how}, our reason: {reason}")
    shown = differing
    if len(differing) > options.show:
        shown = sorted(random.Random(0).sample(differing, options.show), key=lambda pair: pair[0].line)
    for sample, ours in shown:
        print(f"\n--- line {sample.line}: {_side(ours)} ({ours.how}, {ours.reason})")
        print(f"gold:   {sample.gold.raw}\nanswer: {ours.answer}\ntext:   ...{sample.completion[-_TAIL:]}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSONL")
    parser.add_argument("--completion", required=True, help="field of the model's output")
    parser.add_argument("--gold", required=True, help="field of the gold answer")
    parser.add_argument("--gold-style", required=True, choices=STYLES, help="how the gold answer stands there")
    parser.add_argument("--verdict", required=True, help="field of the stored verdict, true or false")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N disagreements")
    parser.add_argument("--workers", type=int, default=1, help="grading processes")
    return parser.parse_args()


def _samples(path: Path, options: argparse.Namespace) -> Iterator[Sample]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            row = json.loads(line)
            gold = read_gold({**row, "answer": _field(row, options.gold)}, {"answer": "answer"}, options.gold_style)
            completions, verdicts = _field(row, options.completion), _field(row, options.verdict)
            if not isinstance(completions, list):
                completions, verdicts = [completions], [verdicts]
            for completion, theirs in zip(completions, verdicts, strict=True):
                if not isinstance(theirs, bool):
                    raise SystemExit(f"{path}, line {number}: {options.verdict} is {theirs!r}, true or false is needed")
                yield Sample(number, gold, completion, theirs)


def _field(row: dict[str, Any], name: str) -> Any:
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            raise SystemExit(f"no field {name}; the fields are {', '.join(row)}")
        value = value[part]
    return value


def _side(ours: Verdict) -> str:
    return "right by us, wrong by them" if ours.correct else "wrong by us, right by them"


if __name__ == "__main__":
    main()
