"""Reading the letter or the answer that a completion ends on, and BBEH's equalities."""

import pytest
from limits import not_quadratic

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
def test_time_is_linear_in_the_length(piece: str) -> None:
    text = piece * (500_000 // len(piece))
    with not_quadratic():
        read_letter(text, 10)
        read_answer(text)


@pytest.mark.parametrize(
    ("completion", "letter"),
    [
        ("The answer must be (C).", "C"),
        ("The right choice is C.", "C"),
        ("Correct answer: D", "D"),
        ("Final answer: (A)", "A"),
        ("The best option is (C)", "C"),
        ("答案是C", "C"),
        ("正确答案：C。", "C"),
        (r"\boxed{\mathrm{C}}", "C"),
        (r"\boxed{(C)}", "C"),
        (r"\boxed{C. 42}", "C"),
        (r"\boxed{\text{Choice C}}", "C"),
        (r"\boxed{\textbf{C}}", "C"),
        (r"\boxed{\textbf{(C)}\ 42}", "C"),
        ("The answer is: C", "C"),
        ("The answer is option C.", "C"),
        ("<answer>(C)</answer>", "C"),
        ("<answer>The answer is C</answer>", "C"),
        ("<answer>\nC\n</answer>", "C"),
        ("The correct option would be C", "C"),
        ("Option C is correct.", "C"),
        ("Therefore, (C) is the correct answer.", "C"),
        ("The answer is C - the moon", "C"),
        ("The answer is C – The moon", "C"),
        ("The answer is **C**.", "C"),
        ("The answer is **(C)**", "C"),
        ("The answer is `C`", "C"),
        ("The correct answer is **C. 42**", "C"),
        ("The answer is C: 42", "C"),
        ("The answer is (C) 42.", "C"),
        ("The answer is C) 42", "C"),
        ("The answer is $C$", "C"),
        (r"The answer is $\text{C}$", "C"),
        ("The answer is therefore C.", "C"),
        ("The most likely option is (C).", "C"),
        ("The most appropriate choice is C.", "C"),
        ("Answer = (C)", "C"),
        ("ANSWER: C", "C"),
        ("answer: C", "C"),
        ("The answer to the question is (C).", "C"),
        ("The answer is clearly (C)", "C"),
        ("The answer is C, because it is", "C"),
        ("The answer is C as shown", "C"),
        ("The answer is [C]", "C"),
        ("The answer choice is C", "C"),
        ("The correct answer choice is (C).", "C"),
        ("I would choose (C).", "C"),
        (r"\[\boxed{C}\]", "C"),
        (r"\boxed{C) 5}", "C"),
        (r"\boxed{\text{C: 5 m}}", "C"),
        ("Answer: C. Because ...", "C"),
        (r"The answer is (B). The statement A \subset B holds.", "B"),
        (r"The answer is (D), since \boxed{B=\pi r^2}", "D"),
        (r"The answer is (D) \boxed{E = mc^2}", "D"),
        ("The answer is C\nuser\nNext\nassistant\nThe answer is D", "C"),
        ("The answer is E. coli", "E"),
        ("The correct statement is (B).", "B"),
        (r"The answer is $\boxed{\text{(B)}}$", "B"),
        (r"The answer is \(\boxed{B}\)", "B"),
        ("**Answer: B**", "B"),
        ("The answer is\n\n(B)", "B"),
        ("The answer is: **B) 42**", "B"),
        ("The answer is 'B'", "B"),
        ('The answer is "B".', "B"),
        ("The answer is definitely B!", "B"),
    ],
)
def test_phrases_that_name_a_letter(completion: str, letter: str) -> None:
    assert read_letter(completion, options=10).text == letter


@pytest.mark.parametrize(
    "completion",
    [
        "Answer (C)",
        "The answer is A good idea.",
        "The answer is (A) or (B).",
        "The answer is A or B.",
        "The answer is A and B.",
        "The answers are A, B.",
        "The answer is not (B).",
        "The answer is A = 5",
        r"\boxed{A = 5}",
        r"\boxed{A, B}",
        r"\boxed{(A, B)}",
        r"\boxed{B \subset C}",
        r"\boxed{A^2}",
        r"\boxed{A_1}",
        r"\boxed{A+B}",
        "The answer is I think unclear",
        "The answer is Apple.",
        "The answer is B2.",
        "Another option is (C).",
        "Option C is not correct.",
        "Is (C) the answer?",
        "The answer depends on A.",
        "There is no answer. A",
        "The answer is either (A) or (B)",
        "The answer is A/B",
        "The answer is (A) and (C)",
        "the answer is a",
        "The answer is a dog. A",
        "The answer is: A, B, and C",
        "The answer is (B)/(C)",
    ],
)
def test_what_names_no_letter(completion: str) -> None:
    assert read_letter(completion, options=10).text == NO_ANSWER


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("The final answer is: red, blue.\nI hope this answer is what you want!", "red,blue"),
        ("The answer is 5.\nNote that the answer is unique.", "5"),
        ("So the answer is 5", "5"),  # small letters count where the publisher's sentence is not
        ("The answer is 6.\nThe answer is seven.", "seven"),
        ("The answer is:\n(B)", "(b)"),
        ("<answer>Yes</answer>", "yes"),
        ("The answer is 7\nuser\nAnd?\nassistant\nThe answer is 8", "7"),
    ],
)
def test_later_sentences_are_read_as_the_publisher_reads_them(completion: str, answer: str) -> None:
    assert read_answer(completion).text == answer
