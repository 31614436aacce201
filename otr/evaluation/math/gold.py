r"""The gold answer of a benchmark row.

In:  one row as its publisher ships it, the column that holds the answer, and the style in which it stands there.
Out: a `Gold`: the separate right answers (all are needed, in any order), a tolerance and a unit where the row has them.

    {"final_answer": ["$(0,2),(0,-2)$"], "is_multiple_answer": true, "unit": null, "error": null, ...}   style "list"
    Gold(answers=("(0,2)", "(0,-2)"), tolerance=None, unit="")

Styles:
    plain          the answer itself: LaTeX (MATH-500), digits with leading zeros (AIME), a float (AMC)
    after-hashes   behind the last #### of a worked solution (GSM8K)
    boxed          in the last \boxed{} of a worked solution (Minerva)
    list           a list of strings in LaTeX, several answers joined by commas (OlympiadBench), with the columns
                   `error` (greatest distance from the gold value) and `unit` where the row has them
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from otr.errors import UserError
from otr.evaluation.math.answers import last_box
from otr.evaluation.math.notation import normalise, read_number, split_answers, split_unit, unit_name

STYLES = ("plain", "after-hashes", "boxed", "list")


@dataclass(frozen=True)
class Gold:
    """The right answers of a problem, in normalised LaTeX (otr.evaluation.math.notation)."""

    answers: tuple[str, ...]
    tolerance: float | None = None  # a number no further than this from the gold number is right
    unit: str = ""  # the unit a number is in, "" where none is named
    raw: str = ""  # as the row has it: what a grader without our reading of numbers would be handed

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "answers": list(self.answers)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Gold":
        return cls(**{**fields, "answers": tuple(fields["answers"])})


def read_gold(row: Mapping[str, Any], fields: Mapping[str, str], style: str) -> Gold:
    """The gold answer in column fields["answer"] of `row`, standing there in `style` (see the top of this file).

    UserError names the column and what was found there.
    """
    if style not in STYLES:
        raise UserError(f"answer style: found '{style}', allowed are {', '.join(STYLES)}")
    column = fields["answer"]
    if row.get(column) is None:
        raise UserError(f"column '{column}': no answer in this row, its columns are {', '.join(row)}")
    readers = {"plain": _plain, "after-hashes": _after_hashes, "boxed": _boxed, "list": _listed}
    raw = readers[style](row[column], column).strip()
    # OlympiadBench says itself whether 100,200 are two answers; elsewhere it is the number 100200.
    thousands = not row.get("is_multiple_answer", False) and ", " not in raw.replace(r",\!", "")
    split = [split_unit(answer, loose=False) for answer in split_answers(normalise(raw), thousands)]
    answers = tuple(_canonical(body) for body, _ in split if body)
    if not answers:
        raise UserError(f"column '{column}': an answer is needed, found {_shown(row[column])}")
    extras = (_tolerance(row), _unit(row) or split[0][1]) if style == "list" else (None, split[0][1])
    return Gold(answers, *extras, raw=raw)


def _canonical(answer: str) -> str:
    """Whole numbers without thousands separators and leading zeros; anything else as it stands."""
    number = read_number(answer)
    if number is None or number.decimal or number.value.denominator != 1 or "/" in answer or "^" in answer:
        return answer
    return str(number.value)


def _plain(value: Any, column: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"column '{column}': text or a number is needed, found {_shown(value)}")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UserError(f"column '{column}': a finite number is needed, found {value}")
        return str(int(value)) if value.is_integer() else str(value)
    return str(value)


def _after_hashes(value: Any, column: str) -> str:
    solution, hashes, answer = _text(value, column).rpartition("####")
    if not hashes:
        raise UserError(f"column '{column}': a solution that ends with '#### answer' is needed, found {_shown(value)}")
    return answer


def _boxed(value: Any, column: str) -> str:
    answer = last_box(_text(value, column))
    if answer is None:
        raise UserError(rf"column '{column}': a solution with a \boxed{{}} is needed, found {_shown(value)}")
    return answer


def _listed(value: Any, column: str) -> str:
    values = value.tolist() if hasattr(value, "tolist") else value  # parquet gives arrays
    if not isinstance(values, list | tuple) or not values or not all(isinstance(item, str) for item in values):
        raise UserError(f"column '{column}': a list of strings is needed, found {_shown(value)}")
    return ",".join(item.strip().rstrip(".") for item in values)


def _text(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"column '{column}': text is needed, found {_shown(value)}")
    return value


def _tolerance(row: Mapping[str, Any]) -> float | None:
    error = row.get("error")
    if error in (None, ""):
        return None
    try:
        tolerance = float(error)
    except (TypeError, ValueError):
        tolerance = math.nan
    if not 0 <= tolerance < math.inf:
        raise UserError(f"column 'error': a distance of 0 or more is needed, found {_shown(error)}")
    return tolerance


def _unit(row: Mapping[str, Any]) -> str:
    unit = row.get("unit")
    if unit is not None and not isinstance(unit, str):
        raise UserError(f"column 'unit': text is needed, found {_shown(unit)}")
    return unit_name(normalise(unit or ""))


def _shown(value: Any) -> str:
    """A value in one line that fits a terminal."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:40]} ... {text[-36:]}"
