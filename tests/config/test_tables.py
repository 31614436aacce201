"""What an experiment file may say about a table, and what it may not."""

import json

import pytest
from pydantic import ValidationError

from otr.config.tables import TableLayout

COLUMNS = {"group": "Mathematics", "benchmarks": ["sums", "products"], "average": "Average"}
TABLE = {
    "caption": "Sums",
    "models": ["small", "large"],
    "rows": ["base", "sft", "otr"],
    "columns": [COLUMNS],
    "regression": "base",
    "best_of": ["sft", "otr"],
}


def read(**changes: object) -> TableLayout:
    """As otr/config/reading.py reads it: plain YAML values by way of JSON."""
    return TableLayout.model_validate_json(json.dumps(TABLE | changes))


def test_a_whole_block_is_read() -> None:
    layout = read()
    assert layout.columns[0].benchmarks == ("sums", "products")
    assert (layout.regression, layout.best_of) == ("base", ("sft", "otr"))


def test_marks_can_be_left_out() -> None:
    layout = read(regression=None, best_of=None)
    assert layout.regression is None and layout.best_of is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "Extra inputs"),
        ({"caption": 3}, "valid string"),
        ({"caption": "  "}, "at least 1 character"),
        ({"models": []}, "at least 1 item"),
        ({"rows": ["base", "base"]}, "rows: 'base' stands twice"),
        ({"regression": "dft"}, "regression: 'dft' is not a row; allowed: base, sft, otr"),
        ({"best_of": ["sft", "dft"]}, "best_of: 'dft' is not a row; allowed: base, sft, otr"),
        ({"best_of": ["sft"]}, "at least 2 items"),
        ({"columns": []}, "at least 1 item"),
        ({"columns": [{"group": "A", "benchmarks": ["sums"]}]}, "Field required"),
        ({"columns": [COLUMNS, COLUMNS | {"group": "B"}]}, "columns: 'sums' stands twice"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read(**changes)


def test_a_layout_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read().caption = "Products"
