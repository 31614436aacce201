import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import not_quadratic

from otr.evaluation.math.answers import Found, extract


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (r"so $x = \boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"first $\boxed{1}$ then $\boxed{3}$.", "3"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{3} and again \boxed{", "3"),
        (r"\boxed{\text{if } x \in \{1, 2\}}", r"\text{if } x \in \{1, 2\}"),
        (r"I put it in \boxed{}. It is \boxed{7}, so \boxed{ }", "7"),
        (r"\framebox{204} minutes", "204"),
        (r"$x=\boxed{2}$ or $x=\boxed{3}$", "2; 3"),
        (r"\boxed{2} and \boxed{3}", "2; 3"),
        (r"$\boxed{1}$, $\boxed{2}$, and $\boxed{3}$.", "1; 2; 3"),
        ("- $\\boxed{2}$\n- $\\boxed{3}$", "2; 3"),
        ("1. The sum is $\\boxed{2}$\n2. The product is $\\boxed{3}$", "3"),
        (r"\boxed{004}, \boxed{004}", "004"),
        (r"hence $x = \boxed5$", "5"),
        (r"hence $x = -\boxed{5}$", "-5"),
        (r"hence $x = -\boxed{a+b}$", "-(a+b)"),
        (r"hence $x = 7 - \boxed{5}$", "5"),
        ("- \\boxed{5}", "5"),
        (r"$\boxed{4.5} \times 10^{33}$ ergs", r"4.5 \times 10^{33}"),
        (r"It is 7. So $\boxed{8}$ is \boxed{\text{your answer}}", "8"),
        ("\\boxed{4}\nuser\nAnd then?\nassistant\n\\boxed{5}", "4"),
        (r"\boxed{2}. The answer is 5.", "2"),
        (r"<think>\boxed{5}</think> hence \boxed{6}", "6"),
    ],
)
def test_boxed(completion: str, answer: str) -> None:
    found = extract(completion)
    assert (found.text, found.how) == (answer, "boxed")


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("The answer is 18 eggs a day.", "18"),
        ("The answer is 1,080.", "1,080"),
        ("The answer is -5. I hope it helps.", "-5"),
        ("The answer is 12. Then 3 more lines", "12"),
        ("#### 1,234", "1,234"),
        ("#### 18\nAnd 3 more", "18"),
        ("The answer is 12. #### 13", "13"),
        ("Answer: 42", "42"),
        ("**Answer:** (C)", "(C)"),
        ("**Final Answer**\n\n$\\frac{1}{2}$", r"\frac{1}{2}"),
        ("answer:\n\n17", "17"),
        ("The final answer is: Evelyn", "Evelyn"),
        ("The answer to the question is $x=2$ or $x=3$.", "x=2; x=3"),
        ("The answer is \\[\n\\frac{3}{4}\n\\]", r"\frac{3}{4}"),
        (r"The answer is 3 \sqrt{5}.", r"3 \sqrt{5}"),
        (r"The answer is (3, \pi/2).", r"(3, \pi/2)"),
        ("The answer is 2 and 3.", "2 and 3"),
        ("The answer is 2x+1.", "2x+1"),
        ("The answer is 35%.", "35%"),
        ("The answer is 0.75 hours.", "0.75 hours"),
        (r"The answer is 4.5\times10^{33} ergs", r"4.5\times10^{33} ergs"),
        ("The answer is 4.5 x 10^33.", "4.5 x 10^33"),
        (r"The answer is $\$64$ for all.", r"\$64"),
        (r"The answer is \$64 or, without tax, $60$.", r"\$64"),
        ("The answer is 7 200 seconds.", "7 200 seconds"),
        ("The answer is 7 boxes of 200.", "7"),
    ],
)
def test_anchor(completion: str, answer: str) -> None:
    found = extract(completion)
    assert (found.text, found.how) == (answer, "anchor")


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("She pays 12 + 6 = 18 for both.", "18"),
        ("that makes 1,018.50 in all", "1,018.50"),
        (r"thus \frac{3}{4}", r"\frac{3}{4}"),
        ("which is 86 400 in all", "86 400"),
        (r"so $n = 86{,}400$.", "86{,}400"),
        (r"so $n = 1\,086\,400$.", r"1\,086\,400"),
        ("In 2024 300 of them", "300"),
        ("x=−7", "−7"),
        ("about 3e8 metres", "3e8"),
        ("Let me check whether the answer is correct. So 12+6 is 18", "18"),
        ("<think>the answer is 5</think> so 7", "7"),
    ],
)
def test_last_number(completion: str, answer: str) -> None:
    assert extract(completion) == Found(answer, "last-number")


@pytest.mark.parametrize("completion", ["", "I give up.", r"\boxed{", "The answer is not clear.", "9</think>"])
def test_nothing_found(completion: str) -> None:
    assert extract(completion) == Found("", "none")


@given(st.text(alphabet="{}\\$ 19,.\nabnswer:is#xd", max_size=200))
def test_no_text_is_refused(completion: str) -> None:
    found = extract(completion + r" \boxed{1}" + "}")
    assert (found.text, found.how) == ("1", "boxed") or found.text.endswith("; 1")


@pytest.mark.parametrize(
    "unit",
    [r"\boxed{", "{", "answer ", "answer is $", "####", r"\[ x + ", "9", "1,", r"\boxed{1} and ", "\n", "**", "-", "½"],
)
def test_time_is_linear_in_the_length(unit: str) -> None:
    completion = unit * (1_000_000 // len(unit))
    with not_quadratic():
        extract(completion)


def test_closed_nest_of_boxes() -> None:
    with not_quadratic():
        assert extract(r"\boxed{" * 400_000 + "1" + "}" * 400_000).text == "1"
