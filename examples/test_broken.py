"""Each example's test, run on the broken program in the folder `broken`: it must fail and say what happened."""

import shutil
from pathlib import Path

import pytest

TOLD = {
    "cache": r"""
>*no_network=True,
E * AssertionError: no_network=True (test_cache.py:9), call: assert_no_network(): *
E * connect(*, {*sin_port=htons(9), *"127.0.0.1"*}, 16) = *
""",
    "config_loader": r"""
E * AssertionError: assert_syscall('%open', path='*/app.toml', count=1): expected exactly 1 call, found 3
E * python*[[]*]  openat(AT_FDCWD, "*/app.toml", O_RDONLY|O_CLOEXEC) = *
E * python*[[]*]  openat(AT_FDCWD, "*/app.toml", O_RDONLY|O_CLOEXEC) = *
E * python*[[]*]  openat(AT_FDCWD, "*/app.toml", O_RDONLY|O_CLOEXEC) = *
""",
    "git_wrapper": r"""
E * AssertionError: assert_no_syscall('%file', path='*/home/[*]'): * calls matched
E * git[[]*]  *access*"*/home/.config/git/config", R_OK* = -1 ENOENT (No such file or directory)
E * python*[[]*] → git[[]*]: git describe --tags --dirty
E * git[[]*]  openat(AT_FDCWD, "*/home/.gitconfig", O_RDONLY*) = *
""",
    "http_client": r"""
E * AssertionError: assert_no_syscall('connect', *, address=*elsewhere, process='self'): 1 call matched
E * python*[[]*]  connect(*, {*sin_port=htons(9), *"127.0.0.2"*}, 16) = -1 ECONNREFUSED (Connection refused)
""",
    "sqlite_sync": r"""
* test_saving_is_one_transaction[[]DELETE-*
E * AssertionError: assert_syscall('fsync', 'fdatasync', count=*): expected exactly * calls, found *
E * python*[[]*]  f*sync(*) = 0
* test_saving_is_one_transaction[[]WAL-*
E * AssertionError: assert_syscall('fsync', 'fdatasync', count=1): expected exactly 1 call, found 3
E * python*[[]*]  f*sync(*) = 0
E * python*[[]*]  f*sync(*) = 0
E * python*[[]*]  f*sync(*) = 0
""",
}


@pytest.mark.parametrize("example", sorted(TOLD))
def test_failure_text(pytester, example):
    folder = Path(__file__).parent / example
    for source in (folder, folder / "broken"):
        for path in source.glob("*.py"):
            shutil.copy(path, pytester.path)

    result = pytester.runpytest_subprocess()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "passed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(TOLD[example].split("\n")[1:-1])


def test_each_example_is_here():
    """An example without a broken variant isn't one."""
    assert sorted(path.parent.name for path in Path(__file__).parent.glob("*/broken")) == sorted(TOLD)
