"""Reading the letter or the answer that a completion ends on, and BBEH's equalities."""

import time

import pytest

from otr.evaluation.general.matching import NO_ANSWER, read_answer, read_letter, same_answer
from otr.evaluation.general.matching import normal as normal_form


@pytest.mark.parametrize(
    ("completion", "letter", "how"),
    [
        ("So it is (B). The answer is (C).", "C", "anchor"),
        (r"Hence \boxed{\text{D}}.", "D", "boxed"),
        (r"\boxed{A}, or rather the answer is (B)", "B", "anchor"),
        (r"The answer is (B). No: \boxed{A}", "A", "boxed"),
        (r"The final answer is $\boxed{C}$.", "C", "boxed"),
        (r"The answer is \(\mathrm{E}\)", "E", "anchor"),
        ("Answer: **B**", "B", "anchor"),
        ("**Answer:** A", "A", "anchor"),
        ("the answer is option (B) because of friction", "B", "anchor"),
        ("the answer is D because", "D", "anchor"),
        ("<think>the answer is (A)</think>The answer is (B).", "B", "anchor"),
        ("The answer is A dog.", NO_ANSWER, "none"),  # a word
        ("The answer is (K).", NO_ANSWER, "none"),  # not one of ten options
        ("the answer is (A)</think> I am not sure.", NO_ANSWER, "none"),
        ("A", NO_ANSWER, "none"),  # nothing is guessed
        ("", NO_ANSWER, "none"),
    ],
)
def test_the_last_letter(completion: str, letter: str, how: str) -> None:
    assert read_letter(completion, options=10) == (letter, how)


def test_the_number_of_options_bounds_the_letter() -> None:
    assert read_letter("The answer is (D).", options=3).text == NO_ANSWER
    assert read_letter("The answer is (D).", options=4).text == "D"


@pytest.mark.parametrize(
    ("completion", "target"),
    [
        ("The final answer is: Yes, No.", "yes, no"),
        ("Therefore the answer is: **25**\nThat is so because", "25.0"),
        (r"The answer is \boxed{4}", "4"),
        (r"So \boxed{\text{Unanswerable}}", "unanswerable"),
        ("The answer is: (A)", "a"),
        ("The answer is b", "(B)"),
        ("The answer is [thursday]", "thursday"),
        ("The answer is Dan, Kyle", "[Dan,Kyle]"),
        ("The answer is: 'jigsaw puzzle'", "jigsaw puzzle"),
        ("The answer is proved?", "proved"),
        ("The answer is: 1. The answer is: 2", "2"),
        (r"The answer is \(\boxed{-25200}\).", "-25200"),
    ],
)
def test_answers_that_match(completion: str, target: str) -> None:
    assert same_answer(read_answer(completion).text, normal_form(target))


@pytest.mark.parametrize(
    ("completion", "target"),
    [
        ("The answer is yes, yes.", "yes, no"),
        ("The answer is: (A)", "(B)"),
        ("25", "25"),  # without "answer is" or a box there is no answer
        ("The answer is:", ""),
        ("", "no"),
        ("The answer is 25 apples", "25"),
    ],
)
def test_answers_that_do_not_match(completion: str, target: str) -> None:
    assert not same_answer(read_answer(completion).text, normal_form(target))


@pytest.mark.parametrize("piece", ["the answer is ", r"\boxed{", "answer: ( ", r"\text{", "\\boxed{A} "])
def test_long_texts_cost_little(piece: str) -> None:
    text = piece * (500_000 // len(piece))
    started = time.monotonic()
    read_letter(text, 10)
    read_answer(text)
    assert time.monotonic() - started < 20  # a quadratic search takes minutes
