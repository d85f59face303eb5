"""From the lines of a stream to tokens and times; times are ours, so that nothing waits."""

import json

import pytest

from harness.core.errors import MeasurementError
from harness.engine.served.answers import LIMIT, PIECES, USAGE, read_answer
from harness.engine.served.dialects import CHAT, COMPLETION, GENERATE
from harness.engine.served.wire import RefusedError, Stream


def line(text="", ended=None, usage=None, name="x"):
    """One event of a completion."""
    choice = {"index": 0, "text": text, "finish_reason": ended}
    body = {"id": name, "choices": [choice], **({"usage": usage} if usage else {})}
    return b"data: " + json.dumps(body).encode()


def read(*stamped, asked, dialect=COMPLETION):
    """The answer of lines with their times, asked at 100 ns."""
    last = max(ns for ns, _ in stamped)
    return read_answer(Stream(100, tuple(stamped), last), dialect, asked, "it")


END = (160, line(ended="length"))
DONE = (161, b"data: [DONE]")


def test_a_token_a_piece_is_timed_piece_by_piece():
    """Asked at 100: first token after 20 ns, then steps of 15 and 25."""
    found = read((120, line("a")), (135, line("b")), (160, line("c")), END, DONE, asked=3)
    assert (found.first_ns, found.steps_ns, found.end_ns) == (20, (15, 25), 60)
    assert (found.tokens, found.counted_by, found.text) == (3, PIECES, "abc")


def test_pieces_that_come_together_share_their_time():
    """Two pieces in one read 20 ns after the one before are steps of 10 each."""
    pieces = [(120, line("a")), (140, line("b")), (140, line("c")), (150, line("d"))]
    assert read(*pieces, END, DONE, asked=4).steps_ns == (10, 10, 10)


def test_pieces_of_several_tokens_are_steps_of_one_length():
    """Five tokens in three pieces from 120 to 160: four steps of 10."""
    usage = {"completion_tokens": 5, "prompt_tokens": 7}
    pieces = [(120, line("a")), (130, line("bb")), (160, line("cc"))]
    found = read(*pieces, (160, line(ended="length", usage=usage)), DONE, asked=5)
    assert found.steps_ns == (10, 10, 10, 10)
    assert (found.counted_by, found.pieces, found.prompt_tokens) == (USAGE, 3, 7)


def test_a_last_token_without_text_ends_with_the_answer():
    """Three tokens, two with text; the end says so at 180: two steps of 30."""
    pieces = [
        (120, line("a")),
        (140, line("b")),
        (180, line(ended="length")),
        (181, b"data: [DONE]"),
    ]
    found = read(*pieces, asked=3)
    assert (found.steps_ns, found.end_ns, found.counted_by) == ((30, 30), 80, LIMIT)


def test_a_single_token_without_text_is_there_when_the_answer_ends():
    """Half a letter is no text: of one token that was asked for, the end tells the time."""
    found = read((150, line(ended="length")), DONE, asked=1)
    assert (found.first_ns, found.steps_ns, found.tokens) == (50, (), 1)


def test_roles_comments_and_empty_pieces_are_no_tokens():
    delta = {"choices": [{"delta": {"role": "assistant", "content": None}}]}
    said = {"choices": [{"delta": {"content": "hi"}, "finish_reason": "length"}]}
    beside = [(101, b": ping"), (102, b"event: message"), (103, b"id: 7")]
    lines = [(ns, b"data: " + json.dumps(one).encode()) for ns, one in ((110, delta), (120, said))]
    found = read(*beside, *lines, (121, b"data: [DONE]"), asked=1, dialect=CHAT)
    assert (found.first_ns, found.tokens, found.steps_ns) == (20, 1, ())


@pytest.mark.parametrize("word", ["reasoning_content", "reasoning"])
def test_thinking_is_text_too(word):
    """As llama-server calls it, and as newer servers do."""
    said = {"choices": [{"delta": {word: "hm", "content": ""}, "finish_reason": "length"}]}
    found = read((120, b"data: " + json.dumps(said).encode()), asked=1, dialect=CHAT)
    assert found.text == "hm"


def test_the_space_behind_a_colon_is_left_to_the_sender():
    rows = [(120, line("a")), (130, line("b", ended="length")), (131, b"data: [DONE]")]
    found = read(*((ns, one.replace(b"data: ", b"data:")) for ns, one in rows), asked=2)
    assert (found.text, found.steps_ns) == ("ab", (10,))


@pytest.mark.parametrize(
    "rows",
    [
        [b"event: error", b'data: {"message": "boom"}'],
        [b"event: error", b": beside", b"id: 7", b'data: {"detail": "boom"}'],
        [b'data: {"object": "error", "message": "boom", "code": 400}'],
        [b'error: {"message": "boom"}'],
        [b"{", b'  "error": {"message": "boom"}', b"}"],
    ],
    ids=["named", "named, with lines between", "an object", "a field", "written over lines"],
)
@pytest.mark.parametrize("pieces", [0, 2])
def test_an_error_in_a_stream_is_told_in_its_words(rows, pieces):
    if pieces and rows[0] == b"{":
        rows = [b"".join(rows)]
    told = [(120, line("a")), (130, line("b"))][:pieces]
    with pytest.raises(RefusedError, match="reports an error in its answer: boom"):
        read(*told, *((140, row) for row in rows), asked=8)


def test_an_event_after_that_of_another_name_is_no_error():
    rows = [(119, b"event: message"), (120, line("a")), (130, line("b", ended="length")), DONE]
    assert read(*rows, asked=2).text == "ab"


def test_an_answer_written_over_lines_is_no_stream():
    body = json.dumps({"choices": [{"message": {"content": "a"}}]}, indent=2).encode()
    with pytest.raises(MeasurementError, match="in one piece, although a stream was asked for"):
        read(*((120, row) for row in body.split(b"\n")), asked=4)


def test_what_a_server_says_of_its_error_cannot_write_on_a_terminal():
    rows = [b'data: {"error": {"message": "bad \\u001b[31m red \\ud800"}}']
    with pytest.raises(RefusedError, match=r"bad \?\[31m red \?\n"):
        read((120, rows[0]), asked=2)


def test_ollama_counts_at_its_end():
    rows = [
        (120, b'{"response": "a", "done": false}'),
        (140, b'{"response": "b", "done": false}'),
        (141, b'{"response": "", "done": true, "eval_count": 2, "prompt_eval_count": 9}'),
    ]
    found = read(*rows, asked=2, dialect=GENERATE)
    assert (found.steps_ns, found.prompt_tokens, found.counted_by) == ((20,), 9, USAGE)


@pytest.mark.parametrize("where", ["usage", "timings"])
def test_what_was_cached_is_read_wherever_it_is_told(where):
    usage = {"completion_tokens": 1, "prompt_tokens": 9}
    body = {"choices": [{"text": "a", "finish_reason": "length"}], "usage": usage}
    if where == "usage":
        usage["prompt_tokens_details"] = {"cached_tokens": 4}
    else:
        body["timings"] = {"cache_n": 4}
    assert read((120, b"data: " + json.dumps(body).encode()), asked=1).cached_tokens == 4


@pytest.mark.parametrize(
    ("body", "dialect"),
    [
        ({"choices": 3, "usage": [], "timings": "x"}, COMPLETION),
        ({"choices": [None], "usage": {"completion_tokens": True}}, COMPLETION),
        ({"choices": [{"delta": [], "text": 7}], "id": None}, CHAT),
        ({"response": 3, "done": "yes", "eval_count": -1}, GENERATE),
    ],
)
def test_nonsense_in_an_event_is_no_text(body, dialect):
    with pytest.raises(MeasurementError, match="ended its answer after 0 of 2 tokens"):
        read((120, b"data: " + json.dumps(body).encode()), asked=2, dialect=dialect)


def test_a_word_to_stop_beside_a_full_count_is_believed_less():
    """Two pieces, `stop`, and a usage of all eight tokens: it stopped early and counts wrongly."""
    usage = {"completion_tokens": 8}
    rows = [(120, line("a")), (130, line("b")), (131, line(ended="stop", usage=usage)), DONE]
    with pytest.raises(MeasurementError, match=r"stopped early \(stop\): 2 of 8 tokens"):
        read(*rows, asked=8)


def test_most_of_an_answer_at_once_times_nothing():
    rows = [(120, line("a")), (120, line("b")), (120, line("c")), (160, line("d"))]
    with pytest.raises(MeasurementError, match="in one piece: 4 tokens came at once"):
        read(*rows, END, DONE, asked=4)


def test_an_end_that_is_told_twice_is_one_end():
    """With its counts a server may say again why it ended."""
    usage = {"completion_tokens": 2}
    rows = [(120, line("a")), (130, line("b", ended="length")), (131, line(ended="length"))]
    found = read(*rows, (132, line(ended="length", usage=usage)), DONE, asked=2)
    assert (found.end_ns, found.counted_by) == (30, USAGE)


def test_answers_that_take_turns_are_mixed_by_their_numbers_too():
    """Of names that are new in every piece: the numbers 0, 1, 0 are of two answers."""
    rows = [
        (120 + at, line("a", name=f"x{at}").replace(b'"index": 0', b'"index": %d' % (at % 2)))
        for at in range(4)
    ]
    with pytest.raises(MeasurementError, match="mixes several answers"):
        read(*rows, DONE, asked=4)
