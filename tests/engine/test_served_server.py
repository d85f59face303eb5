"""Real HTTP on loopback: every fault of a server is one sentence, and a right answer is timed."""

from dataclasses import replace

import pytest

from harness.core.errors import DeviceError, HarnessError, MeasurementError
from harness.engine.served.answers import PIECES, USAGE
from harness.engine.served.listing import ask_server
from harness.engine.served.measuring import ServedMeasuring, begin_asking
from harness.engine.served.wire import Wire
from harness.engine.workload import Workload
from harness.machine.meters.listener import Listener, find_listener
from harness.models.served import Listed, ServedGeometry
from harness.results.enums import Kind
from tests.engine.served_stub import Stub, serving

PREFILL, DECODE = Workload(Kind.PREFILL, 64, 0), Workload(Kind.DECODE, 0, 8)
DEEP, REQUEST = Workload(Kind.DECODE, 0, 8, 64), Workload(Kind.REQUEST, 64, 8)


def asked(stub: Stub, silent_s: float = 5.0) -> ServedMeasuring:
    """What measures a stub's model."""
    kind, base = ("ollama", "") if stub.ollama else ("llama-cpp-python", "/v1")
    geometry = ServedGeometry("http", "127.0.0.1", stub.port, base, kind, None, "tiny")
    return ServedMeasuring(begin_asking(Wire(stub.address, silent_s=silent_s), geometry))


@pytest.mark.parametrize("ollama", [False, True], ids=["openai", "ollama"])
def test_every_test_of_a_server_is_timed(ollama):
    """The stub sleeps before each token but the first, and every prompt has its length."""
    with serving(Stub(ollama=ollama)) as stub:
        measuring = asked(stub)
        passes = {test.name: measuring.one_pass(test) for test in (PREFILL, DECODE, DEEP, REQUEST)}
        prompts = [body["prompt"] for body in stub.asked[3:]]  # behind those that only ask
    assert passes["pp64 @ d0"].prefill_ns > 0
    assert [len(passes[name].itl_ns) for name in ("tg8 @ d0", "tg8 @ d64", "pg64+8 @ d0")] == [
        8,
        8,
        7,
    ]
    request = passes["pg64+8 @ d0"]
    assert request.ttft_ns + sum(request.itl_ns) == request.e2e_ns
    assert [len(prompt.split()) for prompt in prompts] == [63, 1, 63, 63]
    assert len({prompt[:20] for prompt in prompts}) == 4


def test_greedy_to_the_end_and_no_cache_is_asked_for():
    with serving(Stub()) as stub:
        asked(stub).one_pass(REQUEST)
    wanted = {"temperature": 0, "max_tokens": 8, "ignore_eos": True, "cache_prompt": False}
    assert wanted.items() <= stub.asked[-1].items()


def test_more_context_is_asked_of_ollama_where_its_own_is_too_short():
    with serving(Stub(ollama=True)) as stub:
        measuring = asked(stub)
        measuring.one_pass(PREFILL)
        measuring.one_pass(replace(PREFILL, prompt_tokens=3000))
    first, second = (body["options"] for body in stub.asked[-2:])
    assert "num_ctx" not in first
    assert second["num_ctx"] == 3072


@pytest.mark.parametrize(
    ("fault", "dialect", "way"),
    [
        ("", "completions", "everything"),
        ("strict", "completions", "standard"),
        ("only-chat", "chat completions", "everything"),
        ("new-word", "chat completions", "max_completion_tokens"),
        ("deaf", "chat completions", "max_completion_tokens"),
    ],
)
def test_a_server_is_asked_in_the_words_that_it_takes(fault, dialect, way):
    with serving(Stub(fault)) as stub:
        measuring = asked(stub)
        assert len(measuring.one_pass(replace(REQUEST, gen_tokens=5)).itl_ns) == 4
    asking = measuring.asking
    assert (asking.dialect.name, asking.way.name) == (dialect, way)
    assert {name: stub.asked[-1].get(name) for name in asking.way.limits} == dict.fromkeys(
        asking.way.limits, 5
    )


@pytest.mark.parametrize("fault", ["foundry", "lively"])
def test_what_real_servers_write_beside_a_token_is_no_fault(fault):
    """Pieces numbered one by one, a role first, thoughts, comments, CRLF, letters cut in two."""
    with serving(Stub(fault)) as stub:
        measuring = asked(stub)
        assert len(measuring.one_pass(replace(REQUEST, gen_tokens=5)).itl_ns) == 4
    assert measuring.asking.counted_by == (USAGE if fault == "lively" else PIECES)


def test_without_usage_tokens_are_counted_by_pieces():
    with serving(Stub("no-usage")) as stub:
        measuring = asked(stub)
        assert len(measuring.one_pass(REQUEST).itl_ns) == 7
    assert (measuring.asking.counted_by, measuring.asking.counts_prompts) == (PIECES, False)


FAULTS = {
    "html": "answers with a web page",
    "html-as-json": "sends in its answer what is no JSON|answers with a web page",
    "no-http": "answers with no HTTP",
    "redirect": r"sends /\S+ elsewhere \(HTTP 302\), which is not followed",
    "silent": "said nothing for 0.2 s",
    "empty": "without saying that it is done",
    "key": r"asks for a key \(HTTP 401\)",
    "loading": "refuses .* with HTTP 503: Loading model",
    "broken": "refuses .* with HTTP 500: cannot open x.gguf",
    "more": "counts wrongly",
    "cumulative": "repeats its whole text in every piece",
    "none": "sent no text: 0 of 4 tokens",
    "burst": "gave its answer in one piece",
    "close": "closed the connection in the middle of its answer",
    "close-plain": r"ended its answer after \d of 4 tokens",
    "endless": "goes on without an end",
    "error-event": "reports an error in its answer: (out of blocks|llama runner process)",
    "mute": r"refuses .* with HTTP 400: context length exceeded",
    "cut": "read a prompt of 50 tokens where 64 were meant",
}
FAULTS_OF_OPENAI = {
    "count": "counts wrongly: its usage says 1 tokens, 4 pieces of text came",
    "cached": "took 63 tokens of the prompt from its cache",
    "whole": "gives its answer in one piece",
    "early": r"stopped early \(stop\): 2 of 4 tokens",
    "twice": "goes on after it said that its answer had ended: it repeats itself",
    "not-json": "sends in its answer what is no JSON: '{{{'",
    "mixed": "mixes several answers in one stream",
}


@pytest.mark.parametrize(
    ("fault", "ollama", "words"),
    [(fault, ollama, words) for fault, words in FAULTS.items() for ollama in (False, True)]
    + [(fault, False, words) for fault, words in FAULTS_OF_OPENAI.items()],
)
def test_a_fault_of_the_server_is_one_sentence(fault, ollama, words):
    """Which names neither the host nor a folder, and says what to try."""
    with serving(Stub(fault, ollama=ollama)) as stub, pytest.raises(HarnessError, match=words) as e:
        asked(stub, silent_s=0.2).one_pass(PREFILL)
    assert "127.0.0.1" not in str(e.value)
    assert "jane" not in str(e.value)
    assert e.value.fix
    assert e.value.exit_code == 3
    assert getattr(e.value, "status", "failed") == ("timeout" if fault == "silent" else "failed")


@pytest.mark.parametrize("fault", ["drop by drop", "headers without end"])
def test_a_list_that_never_ends_is_left(monkeypatch, fault):
    """Each byte comes in time, and there is always one more."""
    monkeypatch.setattr("harness.engine.served.listing.WHOLE_LIST_S", 0.1)
    with serving(Stub(fault)) as stub, pytest.raises(DeviceError, match=r"an end .* in 0\.1 s"):
        ask_server(stub.address)


def test_a_server_that_is_away_is_no_device():
    with serving(Stub()) as stub:
        pass
    with pytest.raises(DeviceError, match="cannot be reached"):
        asked(stub)
    with pytest.raises(DeviceError, match="cannot be reached"):
        ask_server(stub.address)


@pytest.mark.parametrize("fault", ["html", "no-http", "redirect", "empty", "key"])
def test_what_lists_no_models_is_no_server(fault):
    with serving(Stub(fault)) as stub, pytest.raises(DeviceError):
        ask_server(stub.address)


@pytest.mark.parametrize(
    ("stub", "label", "listed"),
    [
        (Stub(), "llama-cpp-python@loopback", Listed("tiny")),
        (Stub(owner="nobody"), "openai@loopback", Listed("tiny")),
        (Stub(owner="Microsoft"), "foundry-local@loopback", Listed("tiny")),
        (Stub(owner="OVMS", base="/v3"), "openvino-model-server@loopback", Listed("tiny")),
        (
            Stub(owner="llamacpp", meta={"n_params": 9, "size": 5}, names=("/m/a-Q4_K_M.gguf",)),
            "llama-server@loopback",
            Listed("/m/a-Q4_K_M.gguf", 9, "q4_k_m", 5),
        ),
        (Stub(ollama=True), "ollama@loopback", Listed("tiny", None, "q4_0", 1000)),
    ],
    ids=["llama-cpp-python", "unknown", "foundry", "openvino", "llama-server", "ollama"],
)
def test_a_server_says_what_it_is(stub, label, listed):
    with serving(stub):
        found = ask_server(stub.address)
    assert (found.label, found.models) == (label, (listed,))


@pytest.mark.parametrize("ollama", [False, True], ids=["openai", "ollama"])
def test_names_that_a_terminal_does_not_show_are_no_models(ollama):
    names = ("a\x1b[31m", "b\nc", "\ud800", "x" * 300, "", "tiny")
    with serving(Stub(ollama=ollama, names=names)) as stub:
        assert [listed.name for listed in ask_server(stub.address).models] == ["tiny"]


def test_sizes_beyond_all_models_are_not_told():
    meta = {"n_params": 10**30, "size": -5}
    with serving(Stub(owner="llamacpp", meta=meta)) as stub:
        assert ask_server(stub.address).models == (Listed("tiny"),)


def test_the_key_goes_to_the_named_server_alone(monkeypatch):
    monkeypatch.setenv("BENCH_API_KEY", "sk-1")
    with serving(Stub("key")) as stub:
        asked(stub).one_pass(PREFILL)
        assert stub.headers["Authorization"] == "Bearer sk-1"


def test_a_key_that_is_none_is_not_sent(monkeypatch):
    monkeypatch.setenv("BENCH_API_KEY", "sk-1\nHost: elsewhere")
    with serving(Stub()) as stub, pytest.raises(DeviceError, match="signs that no key has"):
        asked(stub)
    assert stub.headers == {}


def test_no_key_is_sent_to_another_machine_in_the_clear(monkeypatch):
    """A name that means this machine, and is not known to: the connection is there."""
    monkeypatch.setenv("BENCH_API_KEY", "sk-1")
    monkeypatch.setattr("harness.core.addresses.is_loopback", lambda host: False)
    with serving(Stub()) as stub, pytest.raises(DeviceError, match="not sent to another machine"):
        asked(stub)
    assert stub.headers == {}


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(Stub()) as stub:
        assert ask_server(stub.address).models


def test_a_prompt_shorter_than_what_the_server_adds_is_refused():
    with (
        serving(Stub("only-chat")) as stub,
        pytest.raises(MeasurementError, match="cannot be made"),
    ):
        asked(stub).one_pass(replace(PREFILL, prompt_tokens=8))


def test_the_process_that_listens_is_found():
    """The stub is a thread of this process."""
    with serving(Stub()) as stub:
        found = find_listener(stub.port)
        assert isinstance(found, Listener)
        mark = found.memory()
        assert mark is None or mark.peak_bytes >= mark.rss_bytes > 0
        assert found.cpu_ns() > 0
    assert isinstance(find_listener(stub.port), str)
