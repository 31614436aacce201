"""Python values as JSON and back, safe to decode whoever wrote them.

    (1, [2.5, "a"], {3: {4}})   ->   ["tuple", 1, ["list", 2.5, "a"], ["dict", 3, ["set", 4]]]

None, bool, str, float (inf and nan as Python's json writes them) and small int stand for themselves, everything else is
an array that begins with its type. A subclass goes as its base type, so an object that lies about equality arrives as a
plain value. An object of any other type arrives as an `Opaque`, which equals nothing: evalplus accepts "anything but
None" for a few tasks.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, KeysView
from functools import partial
from importlib import import_module
from typing import Any

_SMALL = 1 << 63  # larger integers go as hexadecimal: Python refuses decimal texts of more than 4,300 digits

# A type stands in front of its base types.
_SEQUENCES: dict[str, tuple[Any, Callable[[Iterable[Any]], Any]]] = {
    "list": (list, list),
    "tuple": (tuple, tuple),
    "set": (set, set),
    "frozenset": (frozenset, frozenset),
    "deque": (deque, deque),
    "keys": (KeysView, lambda items: dict.fromkeys(items).keys()),
    "iterator": (Iterator, iter),
}
_MAPPINGS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "Counter": (Counter, lambda pairs: Counter(dict(pairs))),
    "OrderedDict": (OrderedDict, OrderedDict),
    "defaultdict": (defaultdict, partial(defaultdict, None)),
    "dict": (dict, dict),
}
_SCALARS: dict[str, Callable[..., Any]] = {
    "int": partial(int, base=16),
    "complex": complex,
    "bytes": bytes.fromhex,
    "range": range,
    "Decimal": lambda text: import_module("decimal").Decimal(text),
    "Fraction": lambda above, below: import_module("fractions").Fraction(above, below),
}
_NUMPY = {"bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64"}


class Opaque:
    """What is known of an object of another type: it is not None."""


def encode(value: Any) -> Any:
    """The JSON-able form of a value. RecursionError for what contains itself."""
    kind = type(value)
    if value is None or kind in (bool, str, float):
        return value
    if kind.__module__ == "numpy" and getattr(getattr(value, "dtype", None), "name", None) in _NUMPY:
        return ["numpy", value.dtype.name, encode(value.tolist())]
    if isinstance(value, int):
        number = int.__int__(value)
        return number if -_SMALL <= number < _SMALL else ["int", hex(number)]
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    return _encode_container(value)


def _encode_container(value: Any) -> Any:
    for name, (base, _) in _MAPPINGS.items():
        if isinstance(value, base):
            return [name, *(encode(part) for pair in dict.items(value) for part in pair)]
    for name, (base, _) in _SEQUENCES.items():
        if isinstance(value, base):
            return [name, *map(encode, value)]
    match value:
        case complex():
            return ["complex", value.real, value.imag]
        case bytes() | bytearray():
            return ["bytes", value.hex()]
        case range():
            return ["range", *map(encode, (value.start, value.stop, value.step))]
    # By name, and imported below: these modules and numpy would take a third of a worker's time to start.
    match type(value).__module__, type(value).__name__:
        case "decimal", "Decimal":
            return ["Decimal", str(value)]
        case "fractions", "Fraction":
            return ["Fraction", encode(value.numerator), encode(value.denominator)]
    return ["object"]


def decode(form: Any) -> Any:
    """The value of a form. ValueError, TypeError or RecursionError for what `encode` never writes."""
    if not isinstance(form, list):
        if isinstance(form, dict):
            raise ValueError("an object is no form of a value")
        return form
    name, *parts = form
    if name == "numpy":
        return _decode_numpy(*parts)
    items = map(decode, parts)
    if name in _SEQUENCES:
        return _SEQUENCES[name][1](list(items))
    if name in _MAPPINGS:
        return _MAPPINGS[name][1](list(zip(items, items, strict=True)))
    if name in _SCALARS:
        return _SCALARS[name](*items)
    if name == "object" and not parts:
        return Opaque()
    raise ValueError(f"unknown type {str(name)[:40]!r}")


def _decode_numpy(kind: str, form: Any) -> Any:
    import numpy

    if kind not in _NUMPY:
        raise ValueError(f"unknown numpy type {str(kind)[:40]!r}")
    value = decode(form)
    return numpy.array(value, kind) if isinstance(value, list) else numpy.dtype(kind).type(value)
