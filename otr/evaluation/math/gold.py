r"""The gold answer of a benchmark row.

In:  one row as its publisher ships it, the column that holds the answer, and the style in which it stands there.
Out: a `Gold`: the separate right answers (all are needed, in any order), tolerances and units where the row has them.

    {"final_answer": ["$(0,2),(0,-2)$"], "is_multiple_answer": true, "unit": null, "error": null, ...}   style "list"
    Gold(answers=("(0,2)", "(0,-2)"), tolerances=(), units=("", ""))

Styles:
    plain          the answer itself: LaTeX (MATH-500), digits with leading zeros (AIME), a float (AMC)
    after-hashes   behind the last #### of a worked solution (GSM8K)
    boxed          in the last \boxed{} of a worked solution (Minerva)
    list           a list of strings in LaTeX, several answers joined by commas (OlympiadBench), with the columns
                   `error` (greatest distance from the gold value, one for all or one an answer) and `unit` where the
                   row has them
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from otr.config import GoldStyle
from otr.errors import UserError
from otr.evaluation.math.answers import last_box
from otr.evaluation.math.notation import normalise, split_answers
from otr.evaluation.math.numbers import read_number
from otr.evaluation.math.units import split_unit

STYLES: tuple[GoldStyle, ...] = get_args(GoldStyle)


@dataclass(frozen=True)
class Gold:
    """The right answers of a problem, in normalised LaTeX (otr.evaluation.math.notation)."""

    answers: tuple[str, ...]
    tolerances: tuple[float, ...] = ()  # a number no further than this from its gold number is right; one an answer
    units: tuple[str, ...] = ()  # what each number is in, as the row has it; "" where none is named
    raw: str = ""  # as the row has it: what a grader without our reading of numbers would be handed

    def tolerance(self, number: int) -> float | None:
        """The tolerance of the answer `number`."""
        return self.tolerances[number] if self.tolerances else None

    def unit(self, number: int) -> str:
        """The unit of the answer `number`, "" where none is named."""
        return self.units[number] if self.units else ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: lists for tuples."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Gold":
        return cls(tuple(fields["answers"]), tuple(fields["tolerances"]), tuple(fields["units"]), str(fields["raw"]))


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
    asked = _unit(row) if style == "list" else ""
    units = tuple(unit.name or asked for body, unit in split if body)
    return Gold(
        answers,
        tolerances=_tolerances(row, len(answers)) if style == "list" else (),
        units=units if any(units) else (),
        raw=raw,
    )


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


def _tolerances(row: Mapping[str, Any], count: int) -> tuple[float, ...]:
    """The distances of column `error`, one an answer: a number, a text of one or several, or a list of them."""
    error: Any = row.get("error")
    error = error.tolist() if hasattr(error, "tolist") else error
    if error is None or error in ("", []):
        return ()
    listed = error if isinstance(error, list | tuple) else str(error).strip("[]").split(",")
    try:
        found = tuple(float(str(item).strip(" $")) for item in listed)
    except ValueError:
        found = (math.nan,)
    if not all(0 <= tolerance < math.inf for tolerance in found):
        raise UserError(f"column 'error': a distance of 0 or more is needed, found {_shown(error)}")
    if len(found) not in (1, count):
        raise UserError(
            f"column 'error': one distance or {count} are needed, as many as answers, found {_shown(error)}"
        )
    return found if len(found) == count else found * count


def _unit(row: Mapping[str, Any]) -> str:
    unit = row.get("unit")
    if unit is not None and not isinstance(unit, str):
        raise UserError(f"column 'unit': text is needed, found {_shown(unit)}")
    return normalise(unit or "")


def _shown(value: Any) -> str:
    """A value in one line that fits a terminal."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:40]} ... {text[-36:]}"
