"""Addresses of servers: what is taken, what is refused, and what results may keep of them."""

import pytest

from harness.core.addresses import Address, is_address, parse_address, without_hosts
from harness.core.errors import UsageError


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("http://localhost:8080", ("http", "localhost", 8080, "", "")),
        ("HTTP://localhost", ("http", "localhost", 80, "", "")),
        ("https://example.org/v1/", ("https", "example.org", 443, "/v1", "")),
        ("http:localhost:11434#qwen2.5:0.5b", ("http", "localhost", 11434, "", "qwen2.5:0.5b")),
        ("http:http://127.0.0.1:1/v1", ("http", "127.0.0.1", 1, "/v1", "")),
        ("http://[::1]:8080#hf.co/a/b", ("http", "::1", 8080, "", "hf.co/a/b")),
    ],
)
def test_an_address_is_taken_apart(word, parts):
    assert is_address(word)
    assert parse_address(word) == Address(*parts)


@pytest.mark.parametrize(
    "word",
    [
        "http://",
        "http:",
        "http://:80",
        "http://a b",
        "http://host:99999",
        "http://host:0",
        "http://[x",
    ],
)
def test_what_is_no_address_is_refused(word):
    with pytest.raises(UsageError, match="is no address of a server"):
        parse_address(word)


def test_credentials_and_queries_are_refused_without_being_told():
    with pytest.raises(UsageError) as caught:
        parse_address("http://jane:secret@host:8080")
    assert "secret" not in str(caught.value)
    assert "BENCH_API_KEY" in caught.value.fix
    with pytest.raises(UsageError, match="query"):
        parse_address("http://host/v1?key=secret")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "0.0.0.0"])
def test_this_machine_is_known(host):
    assert parse_address(f"http://{host}:1").where == "loopback"


@pytest.mark.parametrize("host", ["example.org", "192.168.1.5", "10.0.0.1", "localhost.evil.org"])
def test_others_are_remote(host):
    found = parse_address(f"http://{host}:1")
    assert found.where == "remote"
    assert host not in found.told


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("--runtime ort,http://localhost:8080#tiny", "--runtime ort,http://localhost:8080#tiny"),
        ("--runtime https://jane.example.org:8443/v1#m -q", "--runtime https://...#m -q"),
        (
            "--runtime=http:box:80,http://127.0.0.1:1/v1",
            "--runtime=http://...,http://127.0.0.1:1/v1",
        ),
        ("http://jane:pw@localhost:1", "http://..."),
        ("http://localhost:1/home/jane", "http://..."),
        ("http:http://box", "http://..."),
    ],
)
def test_words_that_are_kept_name_no_other_machine(words, kept):
    assert without_hosts(words) == kept
