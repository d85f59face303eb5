"""When a commit was made: from git, of the repository that one is in, and nothing else of it."""

import os
import shutil
import subprocess

import pytest

from harness.history.commits import named_commit

MADE = "2026-03-01T10:00:00+00:00"
SIGNED = b"""tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
author A <a@example.org> 1772359200 +0000
committer A <a@example.org> 1772359200 +0000
gpgsig -----BEGIN PGP SIGNATURE-----
 
 aGVsbG8=
 -----END PGP SIGNATURE-----

one
"""


@pytest.fixture
def git(tmp_path, monkeypatch):
    """Run git in an empty repository that is the working folder."""
    if shutil.which("git") is None:
        pytest.skip("no git here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def run(*words, content=None):
        done = subprocess.run(["git", *words], input=content, capture_output=True, check=True)
        return done.stdout.decode().strip()

    run("init", "-q")
    return run


def test_a_commit_has_the_date_that_its_repository_says(git):
    name = git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", content=SIGNED)
    assert named_commit(name).made_utc == MADE
    assert named_commit("f" * 40).made_utc == ""


@pytest.mark.skipif(os.name != "posix", reason="a script of a shell")
def test_no_program_of_a_repository_is_run(git, tmp_path):
    """One that would check signatures: git itself runs it for such a commit."""
    name = git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", content=SIGNED)
    program, ran = tmp_path / "check", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    git("config", "log.showSignature", "true")
    git("config", "gpg.program", str(program))
    assert named_commit(name).made_utc == MADE
    assert not ran.exists()
    git("show", "-s", name)
    assert ran.exists()  # else this test could not fail
