"""What goes over the wall between the checker and a solution."""

import json
import math
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy
import pytest

from otr.evaluation.code.sandbox.values import Opaque, decode, encode


def sent(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        2**63,
        -(10**5000),
        1.5,
        math.inf,
        -0.0,
        "a\ud800\u2028",
        b"\x00\xff",
        1 - 2j,
        range(1, 9, 2),
    ]
    + [[], [1, [2.5, "list"]], (), (1, (2,)), {1, "a"}, frozenset([(1, 2)]), {}, {(1, 2): [3], None: {4}}]
    + [Counter("aab"), OrderedDict(a=1), defaultdict(list, {1: [2]}), deque([1, 2]), Decimal("1.50"), Fraction(1, 3)]
    + [numpy.float64(2.5), numpy.float32(0.1), numpy.int64(3), numpy.bool_(True)],
    ids=lambda value: type(value).__name__,
)
def test_values_arrive_as_they_were(value: Any) -> None:
    arrived = sent(value)
    assert type(arrived) is type(value) and arrived == value


def test_not_a_number_and_arrays_arrive() -> None:
    assert math.isnan(sent(math.nan))
    array = numpy.array([[1.5, 2], [3, 4]])
    assert numpy.array_equal(sent(array), array) and sent(array).dtype == array.dtype


def test_iterators_and_views_stay_what_they_are() -> None:
    arrived = sent(map(abs, [-1, 2]))
    assert arrived != [1, 2] and list(arrived) == [1, 2]
    assert sent({1: 2, 3: 4}.keys()) == {1, 3}


def test_a_subclass_arrives_as_its_base() -> None:
    class Liar(int):
        def __eq__(self, other: object) -> bool:
            return True

    class Colour(IntEnum):
        RED = 3

    assert sent(Liar(0)) == 0 and sent(Liar(0)) != 1
    assert sent(Colour.RED) == 3
    assert sent(namedtuple("Point", "x y")(1, 2)) == (1, 2)


@pytest.mark.parametrize("value", [object(), len, UserDict(), int])
def test_another_object_arrives_as_not_none(value: Any) -> None:
    arrived = sent(value)
    assert isinstance(arrived, Opaque) and arrived != value and arrived != Opaque()


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "[]",
        '["eval", "1"]',
        '["int", 1]',
        '["int", "x"]',
        '["dict", 1]',
        '["set", ["list"]]',
        '["numpy", "object", 1]',
    ]
    + ['["bytes", "0"]', '["object", 1]', '[["list"], 1]', '["complex", "1", "2"]', '["iterator"', "[" * 100_000],
)
def test_what_encode_never_writes_is_refused(form: str) -> None:
    with pytest.raises((ValueError, TypeError, RecursionError)):
        decode(json.loads(form))
