"""Kinds of answers by example: what is right stays right, and what only looks like it stays wrong."""

import pytest
from evaluation.math.kinds import KINDS, Case

from otr.evaluation.math.gold import Gold, read_gold
from otr.evaluation.math.verdicts import RULES, Verdict, grade


def _gold(answer: str, columns: dict[str, object]) -> Gold:
    row = {"a": [answer], "is_multiple_answer": columns.get("multiple", False), "unit": columns.get("unit")}
    return read_gold(row, {"answer": "a"}, "list") if columns else read_gold({"a": answer}, {"answer": "a"}, "plain")


@pytest.fixture(scope="module")
def verdicts() -> dict[str, list[Verdict]]:
    """The verdicts of every kind, from one pool: starting processes would take longer than grading."""
    cases = [case for of_kind in KINDS.values() for case in of_kind]
    found = iter(grade([(_gold(gold, columns), text, False) for gold, text, _, columns in cases], workers=2))
    return {kind: [next(found) for _ in of_kind] for kind, of_kind in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_kind(kind: str, verdicts: dict[str, list[Verdict]]) -> None:
    cases: list[Case] = KINDS[kind]
    mistaken = [
        (case[:3], verdict.answer, verdict.rule)
        for case, verdict in zip(cases, verdicts[kind], strict=True)
        if verdict.correct != case[2]
    ]
    assert mistaken == []


def test_what_differs_from_math_verify_has_a_named_rule(verdicts: dict[str, list[Verdict]]) -> None:
    """An answer that math-verify accepts is refused by a rule alone, and the reverse: never in silence."""
    asked = [verdict for of_kind in verdicts.values() for verdict in of_kind if verdict.math_verify is not None]
    assert len(asked) > 300
    assert all((verdict.rule in RULES) == (verdict.correct != verdict.math_verify) for verdict in asked)
