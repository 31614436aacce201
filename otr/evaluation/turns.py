"""Where a completion's own turn ends.

A model that is never told to stop goes on with the other side of the conversation, and answers that too:

    "The answer is 12.\\nuser\\nAnd 3 + 4?\\nassistant\\nThe answer is 7."     first_turn: "The answer is 12."

Engines leave out special tokens, so a turn may begin with the bare name of its speaker on a line of its own.
"""

import re

_NEXT_TURN = re.compile(
    r"<\|(?:im_start|im_end|endoftext|end_of_text|eot_id|start_header_id)\|>|</s>"
    r"|\n[ \t]{0,8}(?:user|assistant)[ \t]{0,8}(?=\n)"  # what is left of <|im_start|>user
    r"|\n[ \t*#]{0,8}(?:User|USER|Human|HUMAN)[ \t*]{0,8}:"
)


_MARKS = ("<|", "</s>", "\nuser", "\nassistant", "User", "USER", "Human", "HUMAN", " user", " assistant")


def first_turn(completion: str) -> str:
    """`completion` up to where a second turn begins. A mark with nothing but white space before it is no end."""
    if not any(mark in completion for mark in _MARKS):  # ten times as fast as the expression, and nearly always so
        return completion
    for match in _NEXT_TURN.finditer(completion):
        before = completion[: match.start()]
        if before and not before.isspace():
            return before
    return completion
