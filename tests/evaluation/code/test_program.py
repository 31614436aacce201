"""Which program is taken from a completion, and that no text takes long."""

from typing import Any

import pytest
from evalplus.sanitize import sanitize
from limits import not_quadratic

from otr.evaluation.code.program import Program, extract

STUB = 'def double(x):\n    """Twice x."""\n'
ROW = {"prompt": STUB, "entry_point": "double"}
WORDS = {"prompt": '"""\nWrite double.\n"""\n', "entry_point": "double"}
CODE = "def double(x):\n    return 2 * x\n"


def chat(completion: str, scorer: str = "mbpp") -> Program:
    return extract(completion, ROW if scorer == "humaneval" else WORDS, scorer, "chat", ())


@pytest.mark.parametrize("fence", ["```python\n{}```", "{}"])
def test_a_programs_own_asserts_do_not_run(fence: str) -> None:
    """A wrong one would end it before the benchmark's tests; those inside functions are the program's."""
    own = "\nassert double(1) == 3\nassert double(2) == (\n    5\n), 'no'\n"
    text = chat(fence.format("def double(x):\n    assert x > 0\n    return 2 * x\n" + own)).text
    assert "== 3" not in text and "5" not in text and "    assert x > 0" in text
    found: dict[str, Any] = {}
    exec(text, found)
    assert found["double"](2) == 4


@pytest.mark.parametrize("more", ["y = 1; assert y == 2", "text = '''\nassert\n'''", "assert double("])
def test_what_is_no_assert_of_its_own_stays(more: str) -> None:
    assert more in chat(f"```\n{CODE}{more}\n```").text


def test_a_natural_completion_goes_on_with_the_prompt() -> None:
    found = extract("    return 2 * x\n\ndef more", ROW, "humaneval", "natural", ("\ndef ", "\nclass "))
    assert found == Program(STUB + "    return 2 * x\n", "continuation")
    assert extract(CODE + '"""', WORDS, "mbpp", "natural", ('\n"""',)) == Program(CODE.rstrip("\n"), "whole")


@pytest.mark.parametrize("completion", ["", " \n\t\n", "\n```\n\n```\n", "<think>x</think>\n", "\ndef other"])
def test_nothing_is_no_program(completion: str) -> None:
    protocol = "natural" if "other" in completion else "chat"
    found = extract(completion, ROW, "humaneval", protocol, ("\ndef ",))
    assert (found == Program("", "none")) == ("```" not in completion), found


def test_the_last_closed_block_that_defines_the_function() -> None:
    wrong = CODE.replace("2", "3")
    assert chat(f"A\n```python\n{wrong}```\nno:\n```python\n{CODE}```\nend") == Program(CODE, "block")
    assert chat(f"```python\n{CODE}```\nExample:\n```python\nprint(double(2))\n```") == Program(CODE, "block")
    assert chat("```\nx = 1\n```\n```\ny = 2\n```") == Program("y = 2\n", "block")


def test_an_unclosed_block_counts_where_none_is_closed() -> None:
    assert chat(f"Sure\n```python\n{CODE}").how == "unclosed-block"
    assert chat(f"Sure\n```python\n{CODE}").text.strip() == CODE.strip()
    assert chat(f"```python\n{CODE}```\nor\n```python\ndef double(x): retu") == Program(CODE, "block")
    assert chat(CODE) == Program(CODE, "whole")


def test_blocks_before_the_end_of_thought_do_not_count() -> None:
    wrong = CODE.replace("2", "3")
    assert chat(f"<think>\n```python\n{wrong}```\n</think>\n```python\n{CODE}```") == Program(CODE, "block")
    assert chat(f"<think>\n```python\n{wrong}```\n</think>\n{CODE}") == Program(f"\n{CODE}", "whole")


def test_a_stub_is_put_before_the_rest_of_its_function_alone() -> None:
    assert chat("```python\n    return 2 * x\n```", "humaneval") == Program(f"{STUB}\n    return 2 * x\n", "block")
    assert chat(f"```python\n{CODE}```", "humaneval") == Program(CODE, "block")
    assert chat("```python\ndouble = lambda x: 2 * x\n```", "humaneval").text == "double = lambda x: 2 * x\n"
    assert chat("```python\n    return 2 * x\n```") == Program("    return 2 * x\n", "block")
    assert chat("```python\ndef double_up(x):\n    return 1\n```", "humaneval").text.startswith(STUB)


def test_fences_as_models_write_them() -> None:
    indented = "".join(f"   {line}\n" for line in ["```python", *CODE.splitlines(), "```"])
    assert chat(f"1. Do this:\n{indented}") == Program(CODE, "block")
    assert chat(f"Here: ```python\n{CODE}```") == Program(CODE, "block")
    assert chat(f"Call ```double``` like\n```py\n{CODE}```") == Program(CODE, "block")
    quoting = 'def double(x):\n    """\n    ```\n    double(1)\n    ```\n    """\n    return 2 * x\n'
    assert chat(f"````python\n{quoting}````") == Program(quoting, "block")
    assert chat(f"```python\r\n{CODE}```\r\n") == Program(CODE, "block")


@pytest.mark.parametrize(
    "text",
    ["`" * 1_000_000, "```\n" * 250_000, "```python\n" * 100_000, "x\n" * 500_000, "``` `" * 200_000]
    + ["def " * 250_000, "def" + " " * 1_000_000, "</think>" * 125_000, "\n" * 1_000_000, " " * 1_000_000]
    + ["```\n" + "double " * 140_000, "```a\n" + " ```a\n" * 160_000],
    ids=lambda text: repr(text[:6]),
)
def test_time_is_linear_in_the_length(text: str) -> None:
    with not_quadratic():
        for scorer in ("humaneval", "mbpp"):
            chat(text, scorer)


GIVEN = "from typing import List\n\n\ndef helper(x):\n    return x + 1\n\n\n"
LISTED = {"prompt": f'{GIVEN}def double(xs: List[int]) -> List[int]:\n    """Twice."""\n', "entry_point": "double"}
FUNCTION = "def double(xs: List[int]) -> List[int]:\n    return [2 * x for x in xs]\n"
WITH_HELPER = "def double(xs: List[int]) -> List[int]:\n    return [helper(x) + x - 1 for x in xs]\n"
WITH_MATH = "def double(xs):\n    return [int(math.floor(2 * x)) for x in xs]\n"
SHAPES = {
    "fence": f"```python\n{FUNCTION}```",
    "helper of the prompt": f"```python\n{WITH_HELPER}```",
    "own import": f"```python\nfrom typing import List\n{FUNCTION}```",
    "tilde": f"~~~python\n{FUNCTION}~~~\nok",
    "closing only": f"{FUNCTION}```\nThis doubles.",
    "closing only, prose before": f"Here it is:\n\n{FUNCTION}```\nThis doubles.",
    "imports in an earlier block": f"First:\n```python\nimport math\n```\nThen:\n```python\n{WITH_MATH}```\nDone",
    "earlier, parenthesised": "First:\n```python\nfrom math import (\n    floor,\n    ceil as c,\n)\n```\nThen:\n"
    "```python\ndef double(xs):\n    return [c(floor(2*x)) for x in xs]\n```",
    "helper in an earlier block": "```python\ndef twice(x):\n    return 2*x\n```\nand\n"
    "```python\ndef double(xs):\n    return [twice(x) for x in xs]\n```",
    "plain text": f"{FUNCTION}\nThis function doubles.",
    "prose both sides": f"Sure! Here you go:\n\n{FUNCTION}\nThis function doubles every number. It's easy.",
    "future": f"```python\nfrom __future__ import annotations\n{FUNCTION}```",
    "example after": f"```python\n{FUNCTION}```\n```python\nprint(double([1]))\n```",
    "missing library": f"```\npip install numpy\n```\n```python\n{FUNCTION}```",
    "decorated": "```python\nimport functools\n\n@functools.lru_cache(None)\n"
    "def f(x):\n    return 2*x\n\ndef double(xs):\n    return [f(x) for x in xs]\n```",
    "crlf": f"```python\n{FUNCTION}```".replace("\n", "\r\n"),
    "turn": f"```python\n{FUNCTION}```\nuser\nAnother\nassistant\n```python\ndef double(xs):\n    return 1\n```",
    "body only": "```python\n    return [2 * x for x in xs]\n```",
    "class wrapper, global": f"```python\nLIMIT: int = 2\n{FUNCTION.replace('2 *', 'LIMIT *')}```",
    "unclosed": f"```python\n{FUNCTION}",
    "two defs closing only": f"import math\n\ndef g(x):\n    return 2*x\n\n{FUNCTION}```\n",
    "closing tilde only": f"{FUNCTION}~~~\nThis doubles.",
    "bare pair after code": f"{FUNCTION}\nExample:\n```\ndouble([1])\n```",
}


def runs(program: str) -> bool:
    names: dict[str, Any] = {}
    try:
        exec(program, names)
        return bool(names["double"]([1, 2]) == [2, 4])
    except Exception:
        return False


@pytest.mark.parametrize("shape", SHAPES)
def test_programs_run_as_the_model_meant_them(shape: str) -> None:
    assert runs(extract(SHAPES[shape], LISTED, "humaneval", "chat", ()).text)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_program_that_evalplus_would_save_is_lost(shape: str) -> None:
    """evalplus's sanitizer, with what the prompt gave in front: what runs behind it runs here."""
    saved = f"{GIVEN}{sanitize(SHAPES[shape], 'double')}"
    assert runs(extract(SHAPES[shape], LISTED, "humaneval", "chat", ()).text) or not runs(saved)


def test_a_wrong_program_stays_wrong() -> None:
    for shape in ("fence", "closing only", "tilde", "prose both sides"):
        assert not runs(extract(SHAPES[shape].replace("2 * x", "3 * x"), LISTED, "humaneval", "chat", ()).text)
