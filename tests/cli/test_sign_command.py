"""`bench sign`, and what `bench verify` says of signatures."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_DEVICE, EXIT_GATE, EXIT_OK, EXIT_STORAGE, EXIT_USAGE
from harness.results.checksum import checksum_of
from harness.results.document import encode_document
from tests.results.results_samples import document, record
from tests.ssh_keys import allowed_line, make_key, needs_keygen

ANN, BOB = "ann@example.org", "bob@example.org"
CONTENT = encode_document(document(record()))

pytestmark = needs_keygen


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {who: make_key(folder, who.partition("@")[0]) for who in (ANN, BOB)}


@pytest.fixture
def signed(tmp_path, keys, capsys):
    """A document that Ann has signed."""
    file = tmp_path / "run-a.json"
    file.write_bytes(CONTENT)
    assert main(["sign", str(file), "--key", str(keys[ANN])]) == EXIT_OK
    capsys.readouterr()
    return file


@pytest.fixture
def allowed(tmp_path, keys):
    """Ann may sign, and nobody else."""
    file = tmp_path / "allowed_signers"
    file.write_text(allowed_line(ANN, keys[ANN]), encoding="utf-8")
    return file


def told(file, capsys, *words):
    """The exit code, and the only row."""
    code = main(["verify", str(file), *words, "--format", "json"])
    (row,) = json.loads(capsys.readouterr().out)
    return code, row


def changed(content):
    """A document with another number, whose checksum was made again."""
    table = json.loads(content)
    table["records"][0]["metrics"]["decode_tok_s"]["value"] = 500.0
    table["checksum"] = checksum_of(json.dumps(table))
    return json.dumps(table).encode()


def test_a_document_is_signed_beside_and_stays_as_it_is(tmp_path, keys, capsys):
    for name in ("run-a.json", "run-b.json"):
        (tmp_path / name).write_bytes(CONTENT)
    (tmp_path / "run-c.journal.jsonl").write_bytes(b"")
    assert main(["sign", str(tmp_path), "--key", str(keys[ANN]), "--wide"]) == EXIT_OK
    shown = capsys.readouterr().out
    assert "2 signed, signer not checked" in shown
    assert "ED25519 SHA256:" in shown
    signatures = sorted(path.name for path in tmp_path.glob("*.sig"))
    assert signatures == ["run-a.json.sig", "run-b.json.sig"]
    assert (tmp_path / "run-a.json").read_bytes() == CONTENT


def test_an_allowed_signer_is_named(signed, allowed, capsys):
    code, row = told(signed, capsys, "--allowed-signers", str(allowed))
    assert (code, row["signature"], row["signer"]) == (EXIT_OK, "signed", ANN)


def test_without_allowed_signers_the_key_is_shown(signed, capsys):
    code, row = told(signed, capsys)
    assert (code, row["signature"]) == (EXIT_OK, "signed, signer not checked")
    assert row["signer"].startswith("ED25519 SHA256:")


def test_a_document_that_lies_otherwise_is_signed_as_before(signed, allowed, capsys):
    """Indented, sorted, with line ends and in an encoding of another system: it says the same."""
    text = json.dumps(json.loads(CONTENT), indent=2, sort_keys=True).replace("\n", "\r\n")
    signed.write_bytes(text.encode("utf-16"))
    code, row = told(signed, capsys, "--allowed-signers", str(allowed))
    assert (code, row["state"], row["signer"]) == (EXIT_OK, "ok", ANN)


def test_a_document_that_was_changed_after_signing_is_refused(signed, allowed, capsys):
    """With a checksum that was made again too: the checksum is what was signed."""
    signed.write_bytes(changed(CONTENT))
    code, row = told(signed, capsys, "--allowed-signers", str(allowed))
    assert (code, row["state"]) == (EXIT_STORAGE, "ok")
    assert (row["signature"], row["signer"]) == ("changed after signing", None)
    signed.write_bytes(CONTENT.replace(b"50.0", b"51.0"))
    code, row = told(signed, capsys)
    assert (code, row["state"]) == (EXIT_STORAGE, "damaged")
    assert row["signature"] == "changed after signing"
    signed.write_bytes(CONTENT[:-9])
    assert told(signed, capsys)[1]["signature"] == "changed after signing"


def test_a_key_that_stands_twice_is_no_signed_document(signed, capsys):
    """Readers of JSON take the first or the last: what was signed would be what nobody knows."""
    signed.write_bytes(CONTENT.replace(b'"records":', b'"records":[],"records":'))
    code, row = told(signed, capsys)
    assert (code, row["signature"]) == (EXIT_STORAGE, "changed after signing")
    assert "twice" in row["detail"]


@pytest.mark.parametrize(
    ("harm", "detail"),
    [
        (lambda text: b"", "incomplete message"),
        (lambda text: text.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"), ""),
        (lambda text: text[:150] + b"\n" + text[200:], ""),
        (lambda text: b"\0" * 70_000, "larger than any signature"),
    ],
)
def test_a_damaged_signature_is_told_from_a_changed_document(signed, capsys, harm, detail):
    file = signed.with_name("run-a.json.sig")
    file.write_bytes(harm(file.read_bytes()))
    code, row = told(signed, capsys)
    assert (code, row["state"], row["signature"]) == (EXIT_STORAGE, "ok", "bad signature")
    assert detail in row["detail"]


def test_a_signature_of_something_else_is_bad(signed, keys, capsys):
    """Of these very bytes, but for another purpose."""
    text = signed.with_name("text")
    text.write_text(f"{checksum_of(CONTENT)}\n", encoding="ascii")
    words = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(keys[ANN]), "-n", "file", str(text)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    text.with_name("text.sig").replace(signed.with_name("run-a.json.sig"))
    code, row = told(signed, capsys)
    assert (code, row["signature"]) == (EXIT_STORAGE, "bad signature")


def test_what_ssh_keygen_itself_signed_is_taken(tmp_path, signed, keys, allowed, capsys):
    """And what was signed here is checked by it, as the page says."""
    text = f"{checksum_of(CONTENT)}\n"
    beside = signed.with_name("run-a.json.sig")
    words = ["-f", str(allowed), "-I", ANN, "-n", "ondevice-bench", "-s", str(beside)]
    done = subprocess.run(
        ["ssh-keygen", "-Y", "verify", *words], input=text, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    file = tmp_path / "text"
    file.write_text(text, encoding="ascii", newline="\n")
    beside.unlink()
    words = ["-q", "-Y", "sign", "-f", str(keys[ANN]), "-n", "ondevice-bench", str(file)]
    subprocess.run(["ssh-keygen", *words], check=True, stdin=subprocess.DEVNULL)
    (tmp_path / "text.sig").replace(beside)
    assert told(signed, capsys, "--allowed-signers", str(allowed))[1]["signer"] == ANN


def test_who_is_not_allowed_fails_the_gate(signed, keys, allowed, capsys):
    allowed.write_text(allowed_line(BOB, keys[BOB]), encoding="utf-8")
    code, row = told(signed, capsys, "--allowed-signers", str(allowed))
    assert (code, row["signature"]) == (EXIT_GATE, "signer not allowed")
    assert row["signer"].startswith("ED25519 SHA256:")


def test_who_was_allowed_when_it_was_measured_still_is(signed, keys, allowed, capsys):
    """As git does with the time of a commit: a key that was retired since signed well."""
    for options, code in (
        ('valid-before="20261201"', EXIT_OK),
        ('valid-before="20261101"', EXIT_GATE),
        ('valid-after="20261201"', EXIT_GATE),
        ('namespaces="ondevice-bench"', EXIT_OK),
        ('namespaces="git"', EXIT_GATE),
    ):
        allowed.write_text(allowed_line(ANN, keys[ANN], options), encoding="utf-8")
        found, row = told(signed, capsys, "--allowed-signers", str(allowed))
        assert found == code, options
        assert ("allowed signers: " in (row["detail"] or "")) == (code == EXIT_GATE)


def test_an_unsigned_document_fails_only_who_asks_for_signers(signed, allowed, capsys):
    signed.with_name("run-a.json.sig").unlink()
    code, row = told(signed, capsys)
    assert (code, row["signature"]) == (EXIT_OK, None)
    code, row = told(signed, capsys, "--allowed-signers", str(allowed))
    assert (code, row["signature"]) == (EXIT_GATE, "unsigned")


def test_a_damaged_document_is_not_signed(tmp_path, keys, capsys):
    """Nor is the other one that was named with it."""
    good, bad, pairs = (tmp_path / name for name in ("run-a.json", "run-b.json", "ab-c.jsonl"))
    good.write_bytes(CONTENT)
    bad.write_bytes(CONTENT.replace(b"50.0", b"51.0"))
    pairs.write_bytes(b"")
    for wrong in (bad, pairs):
        assert main(["sign", str(good), str(wrong), "--key", str(keys[ANN])]) == EXIT_STORAGE
        assert capsys.readouterr().err.count("\n") == 2
    assert list(tmp_path.glob("*.sig")) == []


def test_a_key_with_a_passphrase_needs_a_terminal_or_an_agent(tmp_path, monkeypatch, capsys):
    for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "run-a.json"
    file.write_bytes(CONTENT)
    key = make_key(tmp_path, "locked", "five words")
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["sign", str(file), "--key", str(key)]) == EXIT_USAGE
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert f"--key {key} cannot sign" in said
    assert "passphrase" in said
    assert "ssh-add" in said


def test_a_key_that_is_none_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    file, key = tmp_path / "run-a.json", tmp_path / "key"
    file.write_bytes(CONTENT)
    for content in (None, "no key\n"):
        if content:
            key.write_text(content)
            key.chmod(0o600)
        assert main(["sign", str(file), "--key", str(key)]) == EXIT_USAGE
        said = capsys.readouterr().err
        assert (said.count("\n"), str(key) in said) == (2, True)


def test_a_line_of_allowed_signers_that_is_none_is_named(signed, keys, allowed, capsys):
    """It may be that of the signer; where another line has the key, nothing is amiss."""
    broken = "# a comment\nann@example.org ssh-ed25519 AAAA\n"
    allowed.write_text(broken, encoding="utf-8")
    code, row = told(signed, capsys, "--allowed-signers", str(allowed))
    assert (code, row["signature"]) == (EXIT_GATE, "signer not allowed")
    assert "allowed signers: line 2: " in row["detail"]
    allowed.write_text(broken + allowed_line(ANN, keys[ANN]), encoding="utf-8")
    assert told(signed, capsys, "--allowed-signers", str(allowed))[0] == EXIT_OK


def test_a_missing_file_of_allowed_signers_is_named(signed, tmp_path, capsys):
    words = ["verify", str(signed), "--allowed-signers", str(tmp_path / "none")]
    assert main(words) == EXIT_USAGE
    assert "--allowed-signers" in capsys.readouterr().err


def old_keygen(folder, said):
    """A folder whose ssh-keygen knows nothing of what it is asked."""
    folder.mkdir()
    file = folder / "ssh-keygen"
    file.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    file.chmod(0o755)
    return str(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="a stand-in that is a shell script")
@pytest.mark.parametrize(
    ("said", "names"),
    [
        (None, "openssh-client"),
        ("unknown option -- Y", "too old"),
        ('Unsupported operation for -Y: "find-principals"', "too old"),
    ],
)
def test_an_ssh_keygen_that_cannot_sign_is_named(
    signed, keys, allowed, tmp_path, monkeypatch, capsys, said, names
):
    """And without one a document is verified all the same, its signature unchecked."""
    path = str(tmp_path / "empty") if said is None else old_keygen(tmp_path / "old", said)
    monkeypatch.setenv("PATH", path)
    for words in (["sign", "--key", str(keys[ANN])], ["verify", "--allowed-signers", str(allowed)]):
        assert main([*words, str(signed)]) == EXIT_DEVICE
        shown = capsys.readouterr().err
        assert shown.count("\n") == 2
        assert names in shown
    code, row = told(signed, capsys)
    assert (code, row["signature"]) == (EXIT_OK, "signature not checked")


def test_a_signer_is_asked_with_the_agent_and_no_other_secret(tmp_path, keys, monkeypatch, capsys):
    """What signs may ask the agent; what checks needs nothing."""
    if os.name == "nt":
        pytest.skip("a stand-in that is a shell script")
    folder = tmp_path / "tools"
    folder.mkdir()
    stand_in = folder / "ssh-keygen"
    stand_in.write_text(f'#!/bin/sh\n/usr/bin/env >> "{tmp_path}/variables"\nexit 1\n')
    stand_in.chmod(0o755)
    file = tmp_path / "run-a.json"
    file.write_bytes(CONTENT)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("HF_TOKEN", "hf_1")
    assert main(["sign", str(file), "--key", str(keys[ANN])]) == EXIT_USAGE
    capsys.readouterr()
    seen = (tmp_path / "variables").read_text()
    assert ("SSH_AUTH_SOCK=" in seen, "HF_TOKEN" in seen) == (True, False)
    (tmp_path / "variables").unlink()
    file.with_name("run-a.json.sig").write_text("none")
    told(file, capsys)
    seen = (tmp_path / "variables").read_text()
    assert ("SSH_AUTH_SOCK" in seen, "HF_TOKEN" in seen) == (False, False)


@pytest.mark.skipif(shutil.which("script") is None, reason="no `script`, which makes a terminal")
def test_in_a_terminal_ssh_keygen_asks_for_the_passphrase_once(tmp_path, monkeypatch):
    """Two documents, one question; what is typed is never seen here."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    files = [tmp_path / name for name in ("run-a.json", "run-b.json")]
    for file in files:
        file.write_bytes(CONTENT)
    key = make_key(tmp_path, "locked", "five words")
    words = [sys.executable, "-m", "harness", "sign", str(tmp_path), "--key", str(key)]
    terminal = subprocess.Popen(
        ["script", "-qec", shlex.join(words), "/dev/null"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with terminal:
        seen = b""
        while b"passphrase" not in seen and (more := terminal.stdout.read(1)):
            seen += more
        terminal.stdin.write(b"five words\n")
        terminal.stdin.flush()
        seen += terminal.stdout.read()
    assert terminal.returncode == 0, seen
    assert seen.count(b"passphrase") == 1
    assert all(file.with_name(f"{file.name}.sig").exists() for file in files)
