"""What `--on` takes, and what it refuses because a program could read it as something else."""

import pytest

from harness.core.errors import UsageError
from harness.fleet.remote.target import Target, parse_target


@pytest.mark.parametrize(
    ("text", "found", "scp"),
    [
        ("ssh:pi", Target("ssh", "pi"), "pi"),
        ("ssh:me@pi.local", Target("ssh", "me@pi.local"), "me@pi.local"),
        ("ssh:me@fe80::1%eth0", Target("ssh", "me@fe80::1%eth0"), "me@[fe80::1%eth0]"),
        ("adb:emulator-5554", Target("adb", "emulator-5554"), "emulator-5554"),
        ("adb:192.168.1.5:5555", Target("adb", "192.168.1.5:5555"), "[192.168.1.5:5555]"),
    ],
)
def test_machines_by_name(text, found, scp):
    assert parse_target(text) == found
    assert found.scp_name == scp
    assert found.word == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "ssh", "ssh:", "pi", "http:pi", "adb:"),
        *("ssh:-oProxyCommand=touch x", "ssh:-v", "ssh:me@-oX", "ssh:-me@pi", "adb:-s"),
        *("ssh:pi;id", "ssh:$(id)", "ssh:a b", "ssh:a'b", 'ssh:a"b', "ssh:pi\n", "ssh:a/b"),
        *("ssh://pi", "ssh:@pi", "ssh:me@", "ssh:a@b@pi;", "adb:a b", "adb:$(id)", "adb:x;y"),
    ],
)
def test_what_could_be_an_option_or_code_is_refused(text):
    with pytest.raises(UsageError):
        parse_target(text)


def test_a_port_is_said_to_belong_to_the_config():
    with pytest.raises(UsageError, match="a port is none of it") as refused:
        parse_target("ssh:pi:2222")
    assert "~/.ssh/config" in refused.value.fix
