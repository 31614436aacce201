r"""LaTeX in what a model wrote, as MathML that a browser draws without a script or a font of its own.

    split(r"So $\frac12$.")    →  ["So ", Formula(r"$\frac12$", r"\frac12"), "."]
    tree(r"\frac12")           →  ["mrow", ["mfrac", ["mrow", ["mn", "1"]], ["mrow", ["mn", "2"]]]]

The conversion is latex2mathml's. It does not escape what stands in \text{...} and passes on \href, so its output is
read as XML and only the elements and attributes below are kept; whatever is not well-formed, not known or too long is
None, and the page shows the source instead.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

LONGEST = 2000
"""Characters of a formula that is converted: the time grows with its nesting."""
DEEPEST = 40
"""Open braces of a formula."""
TAGS = frozenset(
    [
        *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup"),
        *("munder", "mover", "munderover", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom", "menclose"),
    ]
)
ATTRIBUTES = frozenset(
    [
        *("display", "displaystyle", "scriptlevel", "stretchy", "fence", "form", "mathvariant", "notation", "accent"),
        *("linethickness", "columnalign"),
    ]
)

# In this order: $$...$$ before $...$. Of one dollar, as Pandoc reads it: no space inside its ends, no digit behind it,
# so that "$5 and $6" is money. Each alternative ends at its first closing mark, so a text is read once.
_FORMULA = re.compile(
    r"\$\$(?P<display>[^$]{1,2000})\$\$|\\\[(?P<bracket>.{1,2000}?)\\\]|\\\((?P<paren>.{1,2000}?)\\\)"
    r"|\$(?P<dollar>(?![\s$])[^$\n]{1,500}?(?<!\s))\$(?!\d)|(?P<boxed>\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})",
    re.DOTALL,
)


@dataclass(frozen=True)
class Formula:
    source: str
    """With its delimiters, as the model wrote it."""
    latex: str


def split(text: str) -> list[str | Formula]:
    """The text's parts in order; joined, with the formulas' sources, they are the text."""
    parts: list[str | Formula] = []
    end = 0
    for match in _FORMULA.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        parts.append(Formula(match[0], next(value for value in match.groups() if value is not None)))
        end = match.end()
    return [*parts, text[end:]] if end < len(text) else parts


@lru_cache(maxsize=100_000)
def tree(latex: str) -> Any:
    """Nested lists [tag, {attributes}?, children and texts ...]; None where there is no faithful picture of it."""
    from latex2mathml.converter import convert

    if len(latex) > LONGEST or latex.count("{") > DEEPEST:
        return None
    try:
        root = ElementTree.fromstring(convert(latex))
    # The converter ends in many ways on what is no LaTeX: its own errors, IndexError, KeyError, RecursionError.
    except Exception:
        return None
    return _node(root)


def _node(element: ElementTree.Element) -> Any:
    tag = element.tag.rpartition("}")[2]
    if tag not in TAGS:
        return None
    kept = {name: value for name, value in element.attrib.items() if name in ATTRIBUTES}
    children = [_node(child) for child in element]
    text = (element.text or "").strip("\n")
    # A command that the converter does not know stays as \name; a table's or fraction's text between elements is lost.
    if None in children or text.startswith("\\") or any((child.tail or "").strip() for child in element):
        return None
    return [tag, *([kept] if kept else []), *([text] if text else []), *children]
