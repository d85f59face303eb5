"""The view on a terminal, as a person sees it: sizes, encodings, Ctrl-C, and what it leaves."""

import pytest

pytest.importorskip("pty", reason="pseudo-terminals")

from tests.cli.terminal import CTRL_C, Terminal

CHILD = ("-m", "tests.cli.viewing_child")
SHOWN, HIDDEN = b"\x1b[?25h", b"\x1b[?25l"
TABLE = "the table"


def is_left_as_it_was(terminal):
    """The cursor is to be seen: the last word about it says so, if there was any."""
    return terminal.output.rfind(SHOWN) >= terminal.output.rfind(HIDDEN)


def test_a_view_is_drawn_over_itself_and_is_gone_at_the_end():
    with Terminal(CHILD) as terminal:
        terminal.read_until("40.0 of 80.0 MiB")
        assert "building m int4" in terminal.text
        assert is_left_as_it_was(terminal)  # whoever kills it now loses no cursor
        terminal.type(b"\n")
        terminal.read_until("8 of 24 · about 90 s left, until ")
        assert "building" not in terminal.text
        assert "int4 tg32" in terminal.text
        terminal.type(b"\n")
        terminal.read_until("round 3")
        lines = terminal.text.splitlines()
        assert "measured: m/int4 tg32: 132 tok/s ± 19%" in lines
        assert len([line for line in lines if "tg32 @ d0" in line]) == 2
        assert [line for line in lines if line.startswith("> fp32 tg32") and "20% > 13%" in line]
        terminal.type(b"\n")
        assert terminal.read_to_its_end() == 0
        left = [line for line in terminal.text.splitlines() if line]
        assert left == ["measured: m/int4 tg32: 132 tok/s ± 19%", TABLE]
        assert is_left_as_it_was(terminal)


@pytest.mark.parametrize(("columns", "lines"), [(40, 24), (20, 5), (200, 60)])
def test_a_view_fits_the_terminal(columns, lines):
    with Terminal(CHILD, columns, lines) as terminal:
        terminal.type(b"\n\n\n")
        assert terminal.read_to_its_end() == 0
        assert terminal.text.splitlines()[-1] == TABLE
        assert "round" not in terminal.text


def test_a_terminal_may_be_resized_meanwhile():
    """Wider, then as narrow as a phone: later frames fit, and nothing is left below them."""
    with Terminal(CHILD, 60, 20) as terminal:
        terminal.read_until("MiB")
        terminal.resize(120, 30)
        terminal.type(b"\n")
        terminal.read_until("int4 tg32")
        terminal.resize(40, 20)
        terminal.type(b"\n")
        terminal.read_until("round 3")
        shown = terminal.text.split("round 3")[-1]
        assert max(map(len, shown.splitlines())) <= 40
        terminal.type(b"\n")
        assert terminal.read_to_its_end() == 0
        assert terminal.text.splitlines()[-1] == TABLE


def test_ctrl_c_leaves_the_terminal_as_it_was():
    with Terminal(CHILD, echo=True) as terminal:
        terminal.read_until("MiB")
        terminal.type(CTRL_C)
        assert terminal.read_to_its_end() == 130
        assert terminal.text.splitlines()[-1] == "bench: interrupted"
        assert "MiB" not in terminal.text
        assert is_left_as_it_was(terminal)
        assert terminal.output.endswith(b"\r\n")


def test_a_dumb_terminal_gets_lines_and_no_codes():
    with Terminal(CHILD, variables={"TERM": "dumb"}) as terminal:
        terminal.type(b"\n\n\n")
        assert terminal.read_to_its_end() == 0
        assert b"\x1b" not in terminal.output
        assert "measured: m/int4 tg32: 132 tok/s" in terminal.text


def test_without_colours_there_are_none():
    with Terminal(CHILD, variables={"NO_COLOR": "1"}) as terminal:
        terminal.type(b"\n\n\n")
        assert terminal.read_to_its_end() == 0
        assert b"\x1b[3" not in terminal.output


def test_a_terminal_that_has_no_blocks_gets_plain_signs():
    with Terminal(CHILD, variables={"PYTHONIOENCODING": "ascii", "LANG": "C"}) as terminal:
        terminal.read_until("MiB")
        assert "|############" in terminal.text
        assert terminal.output.isascii()
        terminal.type(b"\n\n\n")
        assert terminal.read_to_its_end() == 0
