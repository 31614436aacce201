r"""An answer as a SymPy expression, read to its end or not at all.

    whole(r"\frac{1}{3} E_{1}+\frac{2}{3} E_{2}")      e1/3 + 2*e2/3
    whole(r"12 \to 13")                                None

math-verify looks for mathematics in a text and takes what it finds: of these two it would keep 2/3 and 13. Here its
LaTeX parser has the whole text or nothing is read.
"""

import re
from functools import lru_cache
from typing import Any

from latex2sympy2_extended import NormalizationConfig
from latex2sympy2_extended.latex2sympy2 import latex2sympy, normalize_latex
from math_verify.grader import should_treat_as_complex

from otr.evaluation.math.numbers import spell_powers, spell_products

# Units are ours to strip: math-verify's own rule takes the m of 6m for metres.
_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
)
_PLAIN_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="all", equations=False
)
_INDEX = r"_\s?(?:\{([^{}]{1,40})\}|(\w))"
# The parser takes e, i and π for constants before it sees their index: E_0 is a name.
_CONSTANT_WITH_INDEX = re.compile(rf"(?<![A-Za-z\\])([EeIi])\s?{_INDEX}")
_LOST = re.compile(r"\\ldots|\\text\s?\{\s*(?:or|and|if|is|when)\b")  # what the parser leaves out without a word


def whole(text: str) -> Any | None:
    """The expression that a normalised text is, to its last sign; None where the parser does not know it."""
    if not text or _LOST.search(text):
        return None
    return _parse(spell_products(spell_powers(_CONSTANT_WITH_INDEX.sub(_name, text))))


def plain_reads_whole(text: str) -> bool:
    """Whether math-verify's parser, as it comes, reads the whole of a text that it is handed in a box."""
    if _LOST.search(text):
        return False
    try:
        normal = normalize_latex(text, config=_PLAIN_NORMALIZATION)
        return latex2sympy(normal, is_real=not should_treat_as_complex(normal), normalization_config=None) is not None
    except Exception:
        return False


def _name(match: re.Match[str]) -> str:
    index = re.sub(r"\W", "", match[2] or match[3])
    return rf"\text{{{match[1]}{index}}}"


@lru_cache(maxsize=4096)
def _parse(text: str) -> Any | None:
    try:
        normal = normalize_latex(text, config=_NORMALIZATION)
        return latex2sympy(
            normal, is_real=not should_treat_as_complex(normal), convert_degrees=False, normalization_config=None
        )
    except Exception:  # the parser raises whatever it stumbles over
        return None
