"""A source's worked solution to the text that is trained on or shown as a demonstration.

worked_solution("He has 3*2=<<3*2=6>>6 eggs.\n#### 6", "gsm8k")
# "He has 3*2=6 eggs.\nThe answer is \\boxed{6}."
"""

import re


def worked_solution(text: str, style: str) -> str:
    """The solution without its source's marks. `plain` leaves it as it is; `gsm8k` drops the <<calculator>> marks
    and says the answer after '####' in words and a box, the form in which answers are asked for here."""
    text = text.strip()
    if style == "plain":
        return text
    text = re.sub(r"<<[^<>]*>>", "", text)
    return re.sub(r"\n?#{4}\s*(\S.*)$", lambda found: f"\nThe answer is \\boxed{{{found[1].replace(',', '')}}}.", text)
