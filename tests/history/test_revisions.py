"""Commits of a repository as versions: a range of a branch, or a list."""

import subprocess
from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.history.revisions import read_commits


@pytest.fixture
def repository(tmp_path) -> tuple[Path, list[str]]:
    """Four commits of a package, the oldest first."""
    folder = tmp_path / "my package"
    folder.mkdir()

    def git(*words: str) -> str:
        author = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(folder), *author, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    commits = []
    for number in range(4):
        git("commit", "-q", "--allow-empty", "-m", f"number {number}")
        commits.append(git("rev-parse", "HEAD"))
    git("tag", "v1", commits[1])
    return folder, commits


def test_a_range_is_its_beginning_and_what_follows(repository):
    folder, commits = repository
    targets = read_commits("mine", folder, "v1..HEAD")
    assert [one.version for one in targets] == [one[:12] for one in commits[1:]]
    assert targets[0].requirement == f"mine @ git+{folder.as_uri()}@{commits[1]}"


def test_a_list_is_taken_in_its_order(repository):
    folder, commits = repository
    targets = read_commits("mine", folder, f"{commits[3]},{commits[0][:8]}")
    assert [one.version for one in targets] == [commits[3][:12], commits[0][:12]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("v1", "is 1 commit of"),
        ("v1..v1", "is 1 commit of"),
        ("", "is 0 commits of"),
        ("v1..nowhere", "nowhere"),
        ("nowhere,v1", "no commit 'nowhere'|nothing there is called"),
        ("--output=x,v1", "names no commits"),
    ],
)
def test_what_names_no_commits_is_refused(repository, text, problem):
    with pytest.raises(UsageError, match=problem):
        read_commits("mine", repository[0], text)


def test_a_folder_without_a_repository_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a git repository"):
        read_commits("mine", tmp_path, "a..b")
    with pytest.raises(UsageError, match="is no folder"):
        read_commits("mine", tmp_path / "absent", "a..b")
