"""`git` runs in a child process, and stays out of the user's home folder."""

import os
import subprocess

import pytest
from revision import describe


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home folder of a user who has configured git."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / ".gitconfig").write_text("[user]\n\tname = Tester\n\temail = tester@example.org\n")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    # In a git hook, these lead git to the repository of the hook.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def repository(tmp_path, home):
    folder = tmp_path / "repository"
    folder.mkdir()
    for command in ("init --quiet", "commit --quiet --allow-empty --message=first", "tag v1"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    return folder


def test_home_is_left_alone(ebpf, home, repository):
    assert describe(repository) == "v1"

    ebpf.assert_syscall("execve", path="*/git", process="children", ok=True)
    ebpf.assert_no_syscall("%file", path=f"{home}/*")
