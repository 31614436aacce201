"""From a completion to the program that is graded.

natural     the completion goes on where the prompt ends, so a HumanEval program is prompt + completion and an MBPP
            program the completion, each up to the first stop text
chat        the last complete ``` block after the last </think>:

    "Sure.\\n```python\\ndef double(x):\\n    return 2 * x\\n```\\nIt doubles x."
    Program("def double(x):\\n    return 2 * x\\n", "block")

Of several blocks, the last that defines the asked function (example calls often follow it); a block never closed
counts where none is closed, the whole text where there is no block at all. A fence without a partner closes the code
before it. Imports and helpers of earlier blocks go in front of a program that uses and lacks them.

A HumanEval prompt is put in front of a program that does not define the function: it may be the rest of it. A program
that does define it keeps the imports and helpers of the prompt, which the model was given. evalplus's own sanitizer
takes the longest run of lines that parses, then what the function needs, at a cost of the square of its lines. Each
line is looked at once here: no text takes long. What a program says of itself (`assert double(2) == 4` behind the
function) is dropped as there: the benchmark's tests decide, and a wrong assert would end the program before them.
"""

import ast
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from otr.evaluation.turns import first_turn
from otr.files import Row

How = Literal["continuation", "block", "unclosed-block", "whole", "none"]


@dataclass(frozen=True)
class Program:
    text: str
    how: How
    """none: there is nothing but white space."""


def extract(
    completion: str, row: Row, scorer: str, protocol: Literal["natural", "chat"], stop_texts: Sequence[str]
) -> Program:
    """The program of a completion; row: evalplus's, with prompt and entry_point. scorer: humaneval or mbpp."""
    for stop in stop_texts:
        completion = completion.partition(stop)[0]
    if not completion.strip():
        return Program("", "none")
    stub = row["prompt"] if scorer == "humaneval" else ""
    if protocol == "natural":
        return Program(stub + completion, "continuation" if stub else "whole")
    text, how = _answer(first_turn(completion), row["entry_point"])
    if not text.strip():
        return Program("", "none")
    if stub and not _defines(text, row["entry_point"]):
        text = f"{stub}\n{text}"
    elif stub:
        given = [chunk for chunk in _chunks(stub) if chunk.names and row["entry_point"] not in chunk.names]
        text = _with_missing(text, given, is_given=True)
    return Program(_without_asserts(text), how)


def _answer(completion: str, name: str) -> tuple[str, How]:
    text = completion[completion.rfind("</think>") + len("</think>") :] if "</think>" in completion else completion
    closed, unclosed = _blocks(text, name)
    outside = re.split(r"\n(?:```|~~~)", text, maxsplit=1)[0]
    defining = [place for place, block in enumerate(closed) if _defines(block, name)]
    if closed and not defining and _defines(outside, name):
        return _code_alone(outside, name), "whole"  # the blocks are examples
    if closed:
        place = defining[-1] if defining else len(closed) - 1
        chunks = [chunk for block in closed[:place] for chunk in _chunks(block)]
        before = [chunk for chunk in chunks if chunk.names and name not in chunk.names]
        return _with_missing(closed[place], before, is_given=False), "block"
    if unclosed:
        return unclosed, "unclosed-block"
    return _code_alone(text, name), "whole"


_LONGEST_PARSED = 50_000  # characters


def _without_asserts(program: str) -> str:
    """`program` without the asserts that stand on lines of their own outside all functions. As it is if it does not
    parse, is longer than programs are, or has line ends that Python counts and `split` does not."""
    if "assert" not in program or "\r" in program or "\f" in program or len(program) > _LONGEST_PARSED:
        return program
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in the model's strings
            body = ast.parse(program).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return program
    dropped = {line for node in body if isinstance(node, ast.Assert) for line in _lines(node)}
    kept = {line for node in body if not isinstance(node, ast.Assert) for line in _lines(node)}
    if dropped & kept or not kept:
        return program
    return "\n".join(line for number, line in enumerate(program.split("\n"), 1) if number not in dropped)


def _lines(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


# --- the pieces of a program


@dataclass(frozen=True)
class _Chunk:
    """Lines of a program from one that is not indented to before the next, and the names that they define."""

    text: str
    names: frozenset[str]


_IMPORT = re.compile(r"(?:from[ \t]+[\w.]+[ \t]+import|import)[ \t]+(?P<names>.*)", re.DOTALL)
_DEFINITION = re.compile(
    r"(?:async[ \t]+)?(?:def|class)[ \t]+(?P<name>\w+)|(?P<variable>\w+)[ \t]*(?::[^=\n]{0,80})?=(?!=)"
)
_CODE_LINE = re.compile(
    r"(?:import|from|def|class|async[ \t]+def|if|for|while|try|with|return)[ \t]+\S"
    r"|@\w|#|\w+[ \t]*(?::[^=]{0,80})?=|try:"
)
_WORDS = re.compile(r"\w+")


def _chunks(program: str) -> list[_Chunk]:
    """`program` piece by piece: a decorator goes with what follows it, a bracket and `else` with what precedes them."""
    pieces: list[list[str]] = []
    decorated = False
    for line in program.split("\n"):
        begins = (
            line[:1].strip() and line[0] not in ")]}#" and not line.startswith(("else", "elif", "except", "finally"))
        )
        if begins and not decorated or not pieces:
            pieces.append([])
        pieces[-1].append(line)
        decorated = line.startswith("@") if begins else decorated
    return [_Chunk("\n".join(lines).rstrip(), _names(lines)) for lines in pieces]


def _names(lines: list[str]) -> frozenset[str]:
    first = next((line for line in lines if line.strip() and not line.startswith("@")), "")
    if first.startswith(("import ", "from ")) and (match := _IMPORT.match(" ".join(lines))):
        listed = match["names"].split("#")[0].strip(" ()").split(",")
        return frozenset(part.split(" as ")[-1].strip().split(".")[0] for part in listed if part.strip())
    found = _DEFINITION.match(first)
    return frozenset([found["name"] or found["variable"]]) if found else frozenset()


def _with_missing(program: str, chunks: Sequence[_Chunk], is_given: bool) -> str:
    """`program` behind those of `chunks` that it lacks and uses; what the prompt gave (`is_given`) whether it is used
    or not, since a helper may use it."""
    own = _chunks(program)
    defined = frozenset(name for chunk in own for name in chunk.names)
    used = set(_WORDS.findall(program))
    wanted: list[str] = []
    for chunk in reversed(chunks):
        lacks = not chunk.names <= defined
        if lacks and (is_given or chunk.names & used or "*" in chunk.names):
            wanted.append(chunk.text)
            used.update(_WORDS.findall(chunk.text))
    if not wanted:
        return program
    future = [chunk.text for chunk in own if chunk.text.startswith("from __future__")]  # has to come first
    rest = "\n".join(chunk.text for chunk in own if chunk.text not in future) + "\n" if future else program
    return "\n".join([*future, *dict.fromkeys(reversed(wanted)), rest])


def _code_alone(text: str, name: str) -> str:
    """A text without a block, from its first line of code to before the first sentence behind the function."""
    if not _defines(text, name):
        return text
    kept: list[str] = []
    has_function = False
    for chunk in _chunks(text):
        is_code = not chunk.text.strip() or bool(_CODE_LINE.match(chunk.text.lstrip("\n"))) or chunk.text[0] in "\"'"
        if has_function and not is_code:
            break
        if is_code:
            kept.append(chunk.text)
        has_function = has_function or name in chunk.names
    return "\n".join(kept) + "\n" if has_function else text


def _defines(program: str, name: str) -> bool:
    name = re.escape(name)
    return re.search(rf"^(?:(?:async[ \t]+)?def[ \t]+{name}\b|{name}[ \t]*[:=])", program, re.MULTILINE) is not None


_FENCE = re.compile(r"`{3,}|~{3,}")


def _blocks(text: str, name: str) -> tuple[list[str], str]:
    """The closed blocks that are not blank, in order, and the last one if it is never closed.

    As in CommonMark, a block of ``` or ~~~ ends at a line of at least as many of the signs that it began with, and its
    lines lose the indentation of its first; beyond it, a block may begin behind other text if a language is named
    ("Here: ```python"), and a bare fence without a partner closes the function before it.
    """
    closed: list[str] = []
    lines: list[str] = []
    fence = ""
    indentation = 0
    all_lines = text.split("\n")
    first = next((place for place, line in enumerate(all_lines) if _opening(line)), len(all_lines))
    if _is_unpaired(all_lines, first) and _defines(before := "\n".join(all_lines[:first]), name):
        closed.append(_code_alone(before, name))
        all_lines = all_lines[first + 1 :]
    for line in all_lines:
        if not fence:
            opening = _opening(line)
            if opening:
                fence, indentation = opening
                lines = []
            continue
        bare = line.strip()
        if len(bare) >= len(fence) and not bare.strip(fence[0]):
            if any(kept.strip() for kept in lines):
                closed.append("".join(f"{kept}\n" for kept in lines))
            fence = ""
            continue
        margin = len(line) - len(line.lstrip(" "))
        lines.append(line[min(margin, indentation) :])
    return closed, "".join(f"{kept}\n" for kept in lines) if fence else ""


def _is_unpaired(lines: Sequence[str], first: int) -> bool:
    """Whether the fence at line `first` is bare and the last of an odd number: it closes what nothing opened."""
    fences = [line.strip() for line in lines[first:] if _FENCE.match(line.strip())]
    return bool(fences) and not fences[0].strip("`~") and len(fences) % 2 == 1


def _opening(line: str) -> tuple[str, int] | None:
    """(fence, indentation) of a line that opens a block."""
    match = _FENCE.search(line)
    if match is None:
        return None
    behind = line[match.end() :]
    before = line[: match.start()]
    if match[0][0] in behind or (before.strip() and match[0][0] == "~"):
        return None
    if before.strip() and not re.fullmatch(r"[A-Za-z0-9_+.-]+", behind.strip()):
        return None
    return match[0], len(before) - len(before.lstrip(" "))
