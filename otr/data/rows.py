"""What a row of a data set holds at a column: a text, a list of options, an id. Anything else is refused.

    text({"problem": "What is 2 + 3?"}, "problem")                          "What is 2 + 3?"
    text({"messages": [{"content": "Hi"}]}, "messages.0.content")           "Hi"
    text({"solution": ["one", "two"]}, "solution")                          UserError, not "['one', 'two']"
    options({"choices": {"text": ["red", "blue"], "label": ["A", "B"]}}, "choices")     {"A": "red", "B": "blue"}

The callers add where the row stands.
"""

import math
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from otr.errors import UserError
from otr.files import Row


def column(row: Row, path: str) -> Any:
    """The value at a dotted path of a row: column(row, 'messages.0.content'). UserError when it is not there."""
    value: Any = row
    for place, key in enumerate(path.split(".")):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes) and _is_place(key, len(value)):
            value = value[int(key)]
        else:
            found = ", ".join(map(str, row))[:400] if place == 0 else _kind(value)
            inside = f"has no column '{path}'" if place == 0 else f"column '{path}': no '{key}'"
            raise _error(f"{inside}; found: {found}")
    return value


def _is_place(key: str, count: int) -> bool:
    return key.isascii() and key.isdigit() and len(key) < 10 and int(key) < count


def text(row: Row, path: str) -> str:
    """A text, or a number as text. UserError for anything else, an empty text too."""
    return as_text(column(row, path), f"column '{path}'")


def as_text(value: object, where: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise _error(f"{where} is empty")
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    if not isinstance(value, str):
        raise _error(f"{where} holds {_kind(value)}, a text is needed{_hint(value, where)}")
    if not value.strip():
        raise _error(f"{where} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _error(
            f"{where} holds half a character (\\u{ord(value[error.start]):04x}, a lone surrogate) at position "
            f"{error.start}; correct or drop the row"
        ) from None
    return value


def boolean(row: Row, path: str) -> bool:
    """True or false. UserError for anything else: the text "false" is not false."""
    value = column(row, path)
    if not isinstance(value, bool):
        raise _error(f"column '{path}' holds {_kind(value)}, true or false is needed")
    return value


def options(row: Row, path: str) -> dict[str, str]:
    """The options of a multiple-choice row by their label, in order. Understood are the public schemas

    ["red", "blue"]                                             MMLU, MMLU-Pro: labels are A, B, ...
    {"text": ["red", "blue"], "label": ["A", "B"]}              ARC, CommonsenseQA, OpenBookQA
    [{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}]
    {"A": "red", "B": "blue"}                                   MedQA

    UserError for anything else, for fewer than two options, and for a label given twice.
    """
    value, where = column(row, path), f"column '{path}'"
    pairs = _labelled(value)
    if pairs is None:
        raise _error(
            f"{where} holds {_kind(value)}; a list of texts, {{text, label}} lists, or texts by their letter are needed"
        )
    labels = [as_text(label, f"{where}, a label").strip() for label, _ in pairs]
    if len(pairs) < 2:
        raise _error(f"{where} holds {len(pairs)} options; at least 2 are needed")
    if len(pairs) > len(ascii_uppercase):
        raise _error(f"{where} holds {len(pairs)} options; at most {len(ascii_uppercase)} are allowed")
    if len(set(labels)) < len(labels):
        raise _error(f"{where} has two options with one label ({', '.join(labels)[:80]})")
    texts = [
        as_text(option, f"{where}, option {label[:80]}").strip()
        for label, (_, option) in zip(labels, pairs, strict=True)
    ]
    return dict(zip(labels, texts, strict=True))


def _labelled(value: Any) -> list[tuple[Any, Any]] | None:
    """(label, option) pairs of the schemas known."""
    if isinstance(value, Mapping):
        labels: Any = value.get("label")
        texts: Any = value.get("text")
        if _is_list(labels) and _is_list(texts) and len(labels) == len(texts):
            return list(zip(labels, texts, strict=True))
        # Parquet gives a row every key that any row has; those without a value are not this row's.
        given = {key: option for key, option in value.items() if option is not None}
        return list(given.items()) if set(given) == set(ascii_uppercase[: len(given)]) else None
    if not _is_list(value):
        return None
    if value and all(isinstance(item, Mapping) and {"label", "text"} <= set(item) for item in value):
        return [(item["label"], item["text"]) for item in value]
    return list(zip(ascii_uppercase, value, strict=False)) if len(value) <= len(ascii_uppercase) else None


def letter(row: Row, path: str, labels: Sequence[str]) -> str:
    """The letter A, B, ... of the right option: from its label, or from its number counted from 0 (an integer).

    UserError when it is none of them.
    """
    value = column(row, path)
    if isinstance(value, int) and not isinstance(value, bool) and str(value) not in labels:
        if 0 <= value < len(labels):
            return ascii_uppercase[value]
        raise _error(f"column '{path}': option {value} of {len(labels)}, counted from 0, is needed to exist")
    label = as_text(value, f"column '{path}'").strip()
    if label not in labels:
        raise _error(f"column '{path}': one of the labels {', '.join(labels)} is needed, found {label[:40]!r}")
    return ascii_uppercase[list(labels).index(label)]


def unseen(own: str, number: int, seen: dict[str, int]) -> str:
    """The id itself, noted in `seen`. UserError when an earlier row has it."""
    if own in seen:
        raise _error(f"the id {own[:60]!r} is also that of row {seen[own]}; ids must differ")
    seen[own] = number
    return own


def _error(message: str) -> UserError:
    """One line that any terminal shows, whatever the row's keys are made of."""
    return UserError("".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in message))


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, Mapping):
        return f"an object ({', '.join(map(str, value))[:80]})"
    if _is_list(value):
        return f"a list of {len(value)}"
    return "a text" if isinstance(value, str) else f"a value of type {type(value).__name__}"


def _hint(value: Any, where: str) -> str:
    """How to name a part of it."""
    path = where.removeprefix("column '").removesuffix("'")
    if _is_list(value) and value:
        return f"; '{path}.0' names its first part"
    if isinstance(value, Mapping) and value:
        return f"; '{path}.{str(next(iter(value)))[:80]}' names a part of it"
    return ""
