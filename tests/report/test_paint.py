"""Colours: verdicts, grades and failures, and none where they are not wanted."""

import pytest

from harness.report.paint import painted

RED, GREEN, YELLOW, END = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"


@pytest.mark.parametrize(
    ("text", "coloured"),
    [
        ("x  SLOWER  3%", f"x  {RED}SLOWER{END}  3%"),
        ("2 FASTER, 1 SAME", f"2 {GREEN}FASTER{END}, 1 SAME"),
        ("INCONCLUSIVE", f"{YELLOW}INCONCLUSIVE{END}"),
        ("int4  705  C\nfp32  1  A ", f"int4  705  {YELLOW}C{END}\nfp32  1  {GREEN}A{END} "),
        ("tg32 @ d0: failed: it died", f"tg32 @ d0: {RED}failed{END}: it died"),
        ("BYPASSED, a C or an A in words", "BYPASSED, a C or an A in words"),
    ],
)
def test_words_that_judge_have_colours(text, coloured, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert painted(text) == coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted(text) == text
