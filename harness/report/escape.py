"""Text from files and results, made safe for the format it is drawn in. Pure.

Names come from folders, configurations and other people's results: they may hold line feeds, bars,
terminal codes, markup or formulas, and none of them may change anything but its own cell.
"""

import re
import unicodedata

# Control, format (zero width, right-to-left overrides), surrogate, line and paragraph separators.
UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
MARKDOWN_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
MARKDOWN_MARKS = frozenset("\\`*_[]|~")
INNER_UNDERSCORE = re.compile(r"(?<=\w)\\_(?=\w)")
# What a spreadsheet takes for the start of a formula.
FORMULA_STARTS = ("=", "+", "-", "@")


def one_line(text: str) -> str:
    """The text with every character that is not drawn written as its visible escape."""
    return "".join(_visible(character) for character in text)


def markdown(text: str) -> str:
    """One line that Markdown draws as it stands, also inside a table; HTML is text."""
    return "".join(
        MARKDOWN_ENTITIES.get(character)
        or (f"\\{character}" if character in MARKDOWN_MARKS else character)
        for character in one_line(text)
    )


def prose(text: str, style: str) -> str:
    """One line of words between tables: `md` gets marks escaped, any other format control codes."""
    if style != "md":
        return one_line(text)
    return INNER_UNDERSCORE.sub("_", markdown(text))  # which Markdown draws as it stands


def two_lines(problem: str, fix: str) -> str:
    """Problem and way out; no name in them begins a line, which a build service would obey."""
    return f"{one_line(problem)}\n  try: {one_line(fix)}"


def spreadsheet(text: str) -> str:
    """One line that no spreadsheet runs as a formula; numbers stay numbers."""
    line = one_line(text)
    return f"'{line}" if line.startswith(FORMULA_STARTS) and not is_number(line) else line


def is_number(text: str) -> bool:
    """Whether the whole text is one number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _visible(character: str) -> str:
    """The character, or its escape where it would not be drawn."""
    if unicodedata.category(character) not in UNSAFE_CATEGORIES:
        return character
    return character.encode("unicode_escape").decode("ascii")
