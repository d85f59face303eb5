"""Colours of a terminal: verdicts, grades and failures. `NO_COLOR` and pipes have none."""

import re

from harness.core.environment import PLAIN, read_variable

# What a terminal takes for a colour, and for its end: green, yellow, red.
GOOD, DOUBTFUL, BAD, END = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
WORDS = {
    **dict.fromkeys(("FASTER", "SMALLER", "BETTER", "PASS"), GOOD),
    "INCONCLUSIVE": DOUBTFUL,
    **dict.fromkeys(("SLOWER", "LARGER", "WORSE", "FAIL", "INVALID"), BAD),
    **dict.fromkeys(("failed", "crashed", "timeout", "out_of_memory"), BAD),
}
GRADES = {"A": GOOD, "B": GOOD, "C": DOUBTFUL}
_WORD = re.compile(rf"\b({'|'.join(WORDS)})\b")
_GRADE = re.compile(rf"(?<=  )({'|'.join(GRADES)})(?=[ ]*$)", re.MULTILINE)


def painted(text: str) -> str:
    """Drawn text with its verdicts, grades and failures in colours; plain where none are wanted.

    Where stdout is no terminal, who prints it leaves them out.
    """
    if read_variable(PLAIN):
        return text
    coloured = _WORD.sub(lambda found: f"{WORDS[found[0]]}{found[0]}{END}", text)
    return _GRADE.sub(lambda found: f"{GRADES[found[0]]}{found[0]}{END}", coloured)
