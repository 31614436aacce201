"""Completions to read on the page: a seeded choice from every cell, bounded in size.

In: samples.jsonl.gz and verdicts.jsonl.gz of each cell. Out: one JSON-able dict; prompts are kept once:

    {"prompts": ["<|im_start|>user\\nSue has 6 boxes ..."],
     "rows": [{"model": "small", "run": "otr", "benchmark": "stories", "problem": "0", "sample": 1, "correct": false,
               "answer": "59", "how": "boxed", "reason": "different", "gold": "49", "finish": "stop", "tokens": 43,
               "prompt": 0, "completion": "Sue has 6*9=54 bags. ..."}]}

Right and wrong completions alternate as far as there are both, so their shares here say nothing about the score.
"""

import json
import random
from typing import Any

from otr.files import Row, read_jsonl
from otr.results import Cell, Tree

PER_CELL = 12
"""At most so many completions of one benchmark of one run."""
BUDGET = 3_000_000
"""Bytes of all of them together, roughly."""
LONGEST = {"prompt": 3000, "completion": 4000}
"""Characters; the middle of a longer text is left out."""


def choose(tree: Tree, cells: list[Cell], seed: int, budget: int = BUDGET) -> dict[str, Any]:
    """As many completions of every cell, up to PER_CELL, as fit into the budget; at least one."""
    by_cell = [_candidates(tree, cell, seed) for cell in cells]
    count = PER_CELL
    while count > 1 and sum(_size(row) for rows in by_cell for row in rows[:count]) > budget:
        count -= 1
    prompts: dict[str, int] = {}
    rows = []
    for candidates in by_cell:
        for row in candidates[:count]:
            rows.append(row | {"prompt": prompts.setdefault(row["prompt"], len(prompts))})
    return {"prompts": list(prompts), "rows": rows}


def _candidates(tree: Tree, cell: Cell, seed: int) -> list[Row]:
    samples, verdicts = tree.path(cell, "samples.jsonl.gz"), tree.path(cell, "verdicts.jsonl.gz")
    if not (samples.exists() and verdicts.exists()):
        return []
    judged = list(read_jsonl(verdicts))
    chosen = _alternating([bool(verdict.get("correct")) for verdict in judged], f"{seed}/{cell.name}")
    found = {index: row for index, row in enumerate(read_jsonl(samples)) if index in set(chosen)}
    return [_row(cell, found[index], judged[index]) for index in chosen if index in found]


def _alternating(correct: list[bool], seed: str) -> list[int]:
    """Places of PER_CELL completions in seeded order, right and wrong by turns while both last."""
    source = random.Random(seed)
    groups = [[place for place, right in enumerate(correct) if right is wanted] for wanted in (True, False)]
    for group in groups:
        source.shuffle(group)
    by_turns = sorted(
        (rank, kind, place) for kind, group in enumerate(groups) for rank, place in enumerate(group[:PER_CELL])
    )
    return [place for _, _, place in by_turns[:PER_CELL]]


def _row(cell: Cell, sample: Row, verdict: Row) -> Row:
    return {
        "model": cell.model,
        "run": cell.run,
        "benchmark": cell.benchmark,
        "problem": str(sample.get("problem", "")),
        "sample": sample.get("sample", 0),
        "correct": bool(verdict.get("correct")),
        **{key: _text(verdict.get(key)) for key in ("answer", "how", "reason", "gold")},
        "finish": _text(sample.get("finish")),
        "tokens": sample.get("tokens"),
        **{key: _shortened(str(sample.get(key, "")), length) for key, length in LONGEST.items()},
    }


def _text(value: Any) -> str:
    """What a verdict says, as a short text: several golds are joined, a whole program is cut."""
    if isinstance(value, list):
        value = " or ".join(map(str, value))
    return "" if value is None else _shortened(str(value), 600)


def _shortened(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    head = length * 2 // 3
    return f"{text[:head]}\n\n[… {len(text) - length} characters left out …]\n\n{text[head - length :]}"


def _size(row: Row) -> int:
    return len(json.dumps(row, ensure_ascii=False).encode())
