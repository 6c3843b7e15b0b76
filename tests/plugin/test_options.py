"""Flags, ini keys, the report header, and hosts that can't run the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_ebpf import EngineUnavailable, ProbeError, features
from pytest_ebpf.testing import FakeEngine

Run = Callable[..., pytest.RunResult]


def test_header_names_engine_kernel_and_reason(run: Run) -> None:
    """One line says what records, on what, and why that was chosen."""
    result = run()
    result.stdout.fnmatch_lines(
        ["ebpf: engine libbpf (auto: the kernel has BTF), Linux 6.18.3-made-up x86_64, kernel hooks: *"]
    )


def test_header_names_the_flag_that_chose_the_engine(run: Run) -> None:
    """An engine asked for by name is said to be asked for."""
    result = run("--ebpf-engine=libbpf")
    result.stdout.fnmatch_lines(["ebpf: engine libbpf (as asked: --ebpf-engine=libbpf), Linux *"])


def test_header_says_why_there_is_no_engine(run: Run, pretend: Callable[..., None]) -> None:
    """Also a run whose tests ask for nothing says what would happen if they did."""
    pretend(release="5.9.0-5-amd64")
    result = run()
    result.stdout.fnmatch_lines(
        ["ebpf: no engine on Linux 5.9.0-5-amd64 x86_64: the kernel is 5.9.0-5-amd64 (needs Linux 5.10 or newer)"]
    )


def test_fixture_is_listed(run: Run) -> None:
    """``pytest --fixtures`` says in a sentence what it is for."""
    result = run("--fixtures")
    result.stdout.fnmatch_lines(["ebpf -- *", "    What the kernel sees of this test: *"])


def test_options_are_listed(run: Run) -> None:
    """``pytest --help`` has every flag with its choices, and every ini key."""
    result = run("--help")
    result.stdout.fnmatch_lines(
        [
            "*--ebpf-engine=auto|libbpf|bcc*",
            "*--ebpf-unavailable=fail|skip*",
            "*--ebpf-trace=failed|all|none*",
            "*ebpf_engine (string):*",
            "*ebpf_unavailable (string):*",
            "*ebpf_trace (string):*",
        ]
    )


CHOICES = [
    ("engine", "auto, libbpf, bcc"),
    ("unavailable", "fail, skip"),
    ("trace", "failed, all, none"),
]


@pytest.mark.parametrize("name, choices", CHOICES)
@pytest.mark.parametrize("value", ["nonsense", "", "ALL", "a\x1b[31mb"])
def test_flag_with_a_bad_value(run: Run, name: str, choices: str, value: str) -> None:
    """A usage error with flag, value and choices, before anything runs."""
    result = run(f"--ebpf-{name}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.lines[0] == f"ERROR: --ebpf-{name}: {value!r} is not one of {choices}"


@pytest.mark.parametrize("name, choices", CHOICES)
def test_ini_key_with_a_bad_value(pytester: pytest.Pytester, run: Run, name: str, choices: str) -> None:
    """The same from a file, which the error names."""
    ini = pytester.makeini(f"[pytest]\nebpf_{name} = nonsense")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.lines[0] == f"ERROR: {ini}: ebpf_{name}: 'nonsense' is not one of {choices}"


def test_ini_key_with_a_good_value(pytester: pytest.Pytester, run: Run) -> None:
    """What the file says holds."""
    pytester.makeini("[pytest]\nebpf_engine = libbpf")
    run().stdout.fnmatch_lines(["ebpf: engine libbpf (as asked: *"])


def test_flag_wins_over_ini_key(pytester: pytest.Pytester, run: Run) -> None:
    """A flag is closer than a file, even if what the file says is wrong."""
    pytester.makeini("[pytest]\nebpf_engine = nonsense")
    result = run("--ebpf-engine=auto")
    result.stdout.fnmatch_lines(["ebpf: engine libbpf (auto: *"])


USER = "def test_it(ebpf): pass\n\ndef test_other(): pass\n"


@pytest.fixture(params=["not Linux", "no privilege", "no BTF", "old kernel", "other machine", "bcc", "library missing"])
def unavailable(
    request: pytest.FixtureRequest,
    fake: FakeEngine,
    pretend: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> tuple[str, str, list[str]]:
    """Each way in which a host can't run the engine: its cause, what to do, and the arguments that show it."""
    kind: str = request.param
    if kind == "not Linux":
        monkeypatch.setattr(features, "sys", SimpleNamespace(platform="darwin"))
        pretend(system="Darwin", release="24.0", machine="arm64")
        return "eBPF is a part of Linux, and this is Darwin", "run these tests on Linux", []
    if kind == "no privilege":
        monkeypatch.setattr(features, "_may_load_programs", lambda: False)
        return "this user may not load eBPF programs", "run as root, or with CAP_BPF and CAP_PERFMON", []
    if kind == "no BTF":
        missing = tmp_path / "missing"
        monkeypatch.setattr(features, "BTF", missing)
        monkeypatch.setattr(features, "bcc_package", lambda: None)
        return f"the kernel has no BTF ({missing} is missing)", "use a kernel built with CONFIG_DEBUG_INFO_BTF", []
    if kind == "old kernel":
        pretend(release="5.9.16")
        return "the kernel is 5.9.16", "needs Linux 5.10 or newer", []
    if kind == "other machine":
        pretend(machine="riscv64")
        return "there are no programs for riscv64", "supported: x86_64, aarch64", []
    if kind == "bcc":
        monkeypatch.setattr(features, "bcc_package", lambda: None)
        cause = "the Python package of BCC is not in any of the distribution's folders"
        return cause, "on Debian and Ubuntu: apt-get install python3-bpfcc", ["--ebpf-engine=bcc"]
    cause, hint = "libbpf.so.1 can't be loaded: no such file", "install libbpf 1.0 or newer"
    fake.problem = EngineUnavailable("start engine libbpf", cause, hint)
    return cause, hint, []


def test_unavailable_is_an_error_by_default(
    pytester: pytest.Pytester, run: Run, unavailable: tuple[str, str, list[str]]
) -> None:
    """The test that asked fails at set-up with cause and hint; the others run."""
    cause, hint, args = unavailable
    pytester.makepyfile(USER)
    result = run(*args)
    result.assert_outcomes(errors=1, passed=1)
    text = result.stdout.str()
    assert f"EngineUnavailable: start engine {'bcc' if args else 'libbpf'}: {cause} ({hint}" in text


def test_unavailable_is_a_skip_if_asked(
    pytester: pytest.Pytester, run: Run, unavailable: tuple[str, str, list[str]]
) -> None:
    """The skip has cause and hint as its reason."""
    cause, hint, args = unavailable
    pytester.makepyfile(USER)
    result = run("--ebpf-unavailable=skip", "-rs", *args)
    result.assert_outcomes(skipped=1, passed=1)
    (line,) = [line for line in result.stdout.lines if line.startswith("SKIPPED")]
    assert f"{cause} ({hint}" in line


def test_skip_by_ini_key(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """The file may say so too."""
    fake.problem = EngineUnavailable("start engine libbpf", "no memory")
    pytester.makeini("[pytest]\nebpf_unavailable = skip")
    pytester.makepyfile(USER)
    run().assert_outcomes(skipped=1, passed=1)


@pytest.mark.parametrize("unavailable", ["fail", "skip"])
def test_refused_program_is_never_a_skip(
    pytester: pytest.Pytester, run: Run, fake: FakeEngine, unavailable: str
) -> None:
    """A program that the verifier rejects is our bug: an error, with the log's last lines."""
    fake.problem = ProbeError("load syscalls.bpf.o", "Invalid argument", "", "R1 invalid mem access 'scalar'\ndone")
    pytester.makepyfile(USER)
    result = run(f"--ebpf-unavailable={unavailable}")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.re_match_lines(
        [
            r"E +pytest_ebpf\.errors\.ProbeError: load syscalls\.bpf\.o: Invalid argument$",
            r"E? +R1 invalid mem access 'scalar'$",
            r"E? +done$",
        ]
    )


def test_set_up_error_shows_nothing_of_the_plugin(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """The user's file is all the code there is to see, if any."""
    fake.problem = EngineUnavailable("start engine libbpf", "no memory")
    pytester.makepyfile(USER)
    result = run()
    result.stdout.no_fnmatch_line("*pytest_ebpf/*.py:*")


def test_each_asking_test_gets_the_same_error(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """An engine that can't start is tried once."""
    fake.problem = EngineUnavailable("start engine libbpf", "no memory")
    pytester.makepyfile("import pytest\n@pytest.mark.parametrize('n', range(3))\ndef test_it(ebpf, n): pass")
    run().assert_outcomes(errors=3)
    assert fake.starts == 1
