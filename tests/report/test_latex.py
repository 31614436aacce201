"""Formulas in what a model wrote: drawn where that is certain, text where it is not, nothing else ever."""

import pytest

from otr.report.latex import ATTRIBUTES, TAGS, Formula, split, tree


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        (r"So $\frac12$ and $x$.", [r"\frac12", "x"]),
        (r"\(a\), \[b\] and $$c$$", ["a", "b", "c"]),
        (r"The answer is \boxed{\frac{1}{2}}.", [r"\boxed{\frac{1}{2}}"]),
        (r"The answer is $\boxed{49}$.", [r"\boxed{49}"]),
        ("Pens cost $5 and $6, books $7.", []),
        ("It is $ 5 $ then", []),
        ("open $x and nothing more", []),
        (r"\boxed{never closed", []),
        ("", []),
    ],
)
def test_formulas_are_found_and_money_is_not(text: str, formulas: list[str]) -> None:
    parts = split(text)
    assert [part.latex for part in parts if isinstance(part, Formula)] == formulas
    assert "".join(part.source if isinstance(part, Formula) else part for part in parts) == text


def test_a_fraction_is_a_tree() -> None:
    drawn = tree(r"\frac12")
    assert drawn[0] == "math" and "mfrac" in str(drawn) and "'mn', '1'" in str(drawn)


@pytest.mark.parametrize(
    "latex",
    [
        r"\text{<img src=x onerror=1>}",
        r"\text{</math><script>window.hacked = 1</script>}",
        r"\unknowncommand{a}",
        r"\frac{1",
        "{" * 100 + "}" * 100,
        "x" * 3000,
        "{",
        "&",
        r"\begin{array}",
    ],
)
def test_what_is_odd_or_hostile_stays_text_or_becomes_harmless(latex: str) -> None:
    def check(node: object) -> None:
        if isinstance(node, list):
            assert node[0] in TAGS
            for part in node[1:]:
                check(part)
        elif isinstance(node, dict):
            assert set(node) <= ATTRIBUTES
        else:
            assert isinstance(node, str)

    drawn = tree(latex)
    assert drawn is None or check(drawn) is None


def test_a_link_is_not_drawn_as_one() -> None:
    assert "javascript" not in str(tree(r"\href{javascript:alert(1)}{x}"))
    assert tree(r"\text{<img src=x onerror=1>}") is None


def test_long_texts_are_read_once() -> None:
    for text in (r"\boxed{" * 20_000, "$" * 100_001, r"\(" * 50_000, "$x " * 30_000, "{" * 100_000):
        parts = split(text)
        assert "".join(part.source if isinstance(part, Formula) else part for part in parts) == text
