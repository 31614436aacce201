"""What a row's columns may hold; everything else is refused with the column's name."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otr.data import rows
from otr.errors import UserError
from otr.files import Row


@pytest.mark.parametrize("value", ["5", 5, 2.5, " é 𝔸 "])
def test_texts_and_numbers_are_texts(value: Any) -> None:
    assert rows.text({"a": value}, "a") == str(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["one", "two"], "column 'a' holds a list of 2, a text is needed; 'a.0' names its first part"),
        ({"b": "x"}, "column 'a' holds an object \\(b\\), a text is needed; 'a.b' names a part of it"),
        (True, "holds true or false, a text is needed"),
        (b"x", "holds a value of type bytes"),
        (None, "column 'a' is empty"),
        (float("nan"), "column 'a' is empty"),
        ("", "column 'a' is empty"),
        (" \n", "column 'a' is empty"),
        ("a\ud83d", "half a character \\(.ud83d, a lone surrogate\\) at position 1"),
    ],
)
def test_other_values_are_refused(value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        rows.text({"a": value}, "a")


def test_a_path_that_leads_nowhere_says_how_far_it_goes() -> None:
    row = {"messages": [{"content": "Hi"}]}
    assert rows.text(row, "messages.0.content") == "Hi"
    with pytest.raises(UserError, match="has no column 'message'; found: messages"):
        rows.text(row, "message")
    with pytest.raises(UserError, match="column 'messages.1.content': no '1'; found: a list of 1"):
        rows.text(row, "messages.1.content")


@pytest.mark.parametrize(
    "value",
    [
        ["red", "blue"],
        {"text": ["red", "blue"], "label": ["A", "B"]},
        [{"label": "A", "text": "red"}, {"text": " blue", "label": "B"}],
        {"A": "red", "B": "blue"},
        {"A": "red", "B": "blue", "C": None},
    ],
)
def test_public_schemas_of_options(value: Any) -> None:
    assert rows.options({"a": value}, "a") == {"A": "red", "B": "blue"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("['red', 'blue']", "holds a text; a list of texts"),
        ({"red": 1, "blue": 2}, "holds an object \\(red, blue\\)"),
        ([["red"], ["blue"]], "option A holds a list of 1"),
        ([{"name": "red"}, {"name": "blue"}], "option A holds an object"),
        (["red"], "holds 1 options"),
        (["red", ""], "option B is empty"),
        ({"text": ["red", "blue"], "label": ["A", "A"]}, "one label"),
        ({"text": ["red", "blue"], "label": ["A"]}, "holds an object"),
        ([str(number) for number in range(27)], "a list of 27"),
    ],
)
def test_other_options_are_refused(value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        rows.options({"a": value}, "a")


def test_the_right_option_by_label_or_by_number() -> None:
    assert rows.letter({"a": "B"}, "a", ["A", "B"]) == "B"
    assert rows.letter({"a": 1}, "a", ["A", "B"]) == "B"
    assert rows.letter({"a": "2"}, "a", ["1", "2"]) == "B"
    assert rows.letter({"a": 2}, "a", ["1", "2"]) == "B"  # a label first: labels are what the row shows
    for wrong in ("C", "red", 2, -1, True, None):
        with pytest.raises(UserError, match="column 'a'"):
            rows.letter({"a": wrong}, "a", ["A", "B"])


def test_a_flag_is_true_or_false() -> None:
    assert rows.boolean({"a": False}, "a") is False
    for wrong in ("false", 0, None):
        with pytest.raises(UserError, match="true or false is needed"):
            rows.boolean({"a": wrong}, "a")


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=4) | st.dates() | st.decimals()
    | st.text(max_size=6) | st.sampled_from(["A", "B", "text", "\ud800", "\x00", " ", "0", "-1", "a\nb"])
)  # fmt: skip
KEYS = (
    st.sampled_from(["A", "B", "C", "text", "label", "0", "1", "a\nb", "\ud800", "x" * 1000])
    | st.text(max_size=2)
    | st.integers()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
READERS: list[Callable[[Row, str], Any]] = [
    rows.text,
    rows.boolean,
    rows.options,
    lambda row, path: rows.letter(row, path, ["A", "B", "C"]),
]


@pytest.mark.parametrize("read", READERS)
@settings(max_examples=300)
@given(
    value=VALUES,
    path=st.sampled_from(["x", "x.0", "x.text", "x.-1", "x.0.label", "", ".", "y", "x.\u0663", "x.²", "x.99999999999"]),
)
def test_any_value_is_what_is_needed_or_one_line(read: Callable[[Row, str], Any], value: Any, path: str) -> None:
    """Whatever parquet or JSON may hold, in any depth: a text is whole and not empty, or the line names the column."""
    try:
        found = read({"x": value}, path)
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 600
        assert f"column '{path}'" in str(error)
        return
    texts = list(found) + list(found.values()) if isinstance(found, dict) else [found]
    for text in texts:
        assert isinstance(text, bool) or (isinstance(text, str) and text.strip() and text.encode())
