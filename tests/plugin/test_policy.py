"""Rules by marker, hook, configuration and flag: whose counts, what is refused, and what a violation says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_ebpf import EngineUnavailable, InconclusiveRecording
from pytest_ebpf.assertions import Assertions
from pytest_ebpf.recording import Recording
from pytest_ebpf.testing import FakeEngine

Run = Callable[..., pytest.RunResult]

READS = """
import pytest

def test_it(fake):
    fake.call("openat", path="/etc/hosts", ret=-13)
"""


def test_marker_needs_neither_fixture_nor_flag(pytester: pytest.Pytester, run: Run) -> None:
    """The test fails for what the kernel saw, at the line of the marker."""
    pytester.makepyfile(
        test_m="""
        import pytest

        @pytest.mark.ebpf(
            no_syscall=["openat", {"path": "/etc/*"}],
        )
        def test_it(fake):
            try:
                fake.call("openat", path="/etc/hosts", ret=-13)
            except OSError:
                pass

        def test_other(fake):
            fake.call("openat", path="/etc/hosts", ret=-13)
        """
    )
    result = run()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            '>*no_syscall=[[]"openat", {"path": "/etc/[*]"}],',
            "E *AssertionError: no_syscall=[[]'openat', {'path': '/etc/[*]'}] (test_m.py:4), call: assert_no_*",
            'E *openat(AT_FDCWD, "/etc/hosts"*',
            "test_m.py:4: AssertionError",
            "FAILED test_m.py::test_it - AssertionError: no_syscall=*",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_ebpf/*.py:*")
    result.stdout.no_fnmatch_line("*import pytest*")
    result.stdout.no_fnmatch_line("*^^^*")


@pytest.mark.parametrize(
    "form", ["def test_it(fake):", "async def test_it(fake):", "class TestIt:\n    def test_it(self, fake):"]
)
def test_positive_rule(pytester: pytest.Pytester, run: Run, form: str) -> None:
    """What should have been and wasn't fails as well."""
    if form.startswith("async"):
        pytester.makeconftest(
            "import asyncio, pytest\n"
            "@pytest.hookimpl(tryfirst=True)\n"
            "def pytest_pyfunc_call(pyfuncitem):\n"
            "    asyncio.run(pyfuncitem.obj(fake=pyfuncitem.funcargs['fake']))\n"
            "    return True\n"
        )
    indent = " " * (8 if form.startswith("class") else 4)
    marker = "@pytest.mark.ebpf(syscall='fsync')\n"
    pytester.makepyfile("import pytest\n" + marker + form + f"\n{indent}fake.call('getpid')\n")
    result = run("-p", "no:asyncio")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *syscall='fsync' (*:2), call: assert_syscall('fsync'): no call matched"])


def test_unittest_methods_have_rules(pytester: pytest.Pytester, run: Run) -> None:
    """Of the class and of the method; a skip hides nothing."""
    pytester.makepyfile(
        """
        import pytest, unittest

        @pytest.mark.ebpf(no_syscall="unlink")
        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def engine(self, fake):
                self.fake = fake

            def test_good(self):
                self.fake.call("openat", path="/x", ret=3)

            def test_bad(self):
                self.fake.call("unlink", path="/x")

            @pytest.mark.ebpf(no_syscall=None)
            def test_allowed(self):
                self.fake.call("unlink", path="/x")

            def test_hidden(self):
                self.fake.call("unlink", path="/x")
                self.skipTest("why not")
        """
    )
    result = run()
    result.assert_outcomes(failed=2, passed=2)


def test_unittest_method_that_runs_again(pytester: pytest.Pytester, run: Run) -> None:
    """What one round breaks, no later one mends; nor is it held against the next run of the test."""
    pytester.makepyfile(
        """
        import pytest, unittest

        @pytest.mark.ebpf(no_syscall="unlink")
        class TestIt(unittest.TestCase):
            rounds = 0

            @pytest.fixture(autouse=True)
            def engine(self, fake):
                self.fake = fake

            def run(self, result):
                for _ in range(3):
                    super().run(result)

            def test_it(self):
                TestIt.rounds += 1
                if TestIt.rounds == 2:
                    self.fake.call("unlink", path="/x")
        """
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *no_syscall='unlink'*: 1 call matched"])


def test_what_another_plugin_says_first(pytester: pytest.Pytester, run: Run) -> None:
    """A test that it skips, or lets fail, in place of running it, is held to no rule; one that it leaves out is."""
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_call(item):
            if "skipped" in item.name:
                pytest.skip("by a plugin")
            if "failed" in item.name:
                raise ValueError("by a plugin")
            return (yield)

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            return True if "left_out" in pyfuncitem.name else None
        """
    )
    pytester.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.ebpf(no_exec=True)

        def test_skipped(): pass
        def test_failed(): pass
        def test_left_out(): pass
        """
    )
    result = run("-rsf")
    result.assert_outcomes(skipped=1, failed=2)
    result.stdout.fnmatch_lines(["E *ValueError: by a plugin", "E *it begins with the test function*"])
    result.stdout.fnmatch_lines(["SKIPPED * by a plugin", "FAILED *::test_failed - ValueError: by a*"])


def test_skip_hides_nothing(pytester: pytest.Pytester, run: Run) -> None:
    """What was done before it counts; a test that fails anyway shows its own error."""
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.ebpf(no_syscall="unlink")

        def test_hidden(fake):
            fake.call("unlink", path="/x")
            pytest.skip("why not")

        def test_skipped(fake):
            pytest.skip("why not")

        def test_fails(fake):
            fake.call("unlink", path="/x")
            assert 1 == 2

        def test_expected(fake):
            fake.call("unlink", path="/x")
            pytest.xfail("known")
        """
    )
    result = run()
    result.assert_outcomes(failed=3, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "E *no_syscall='unlink' (*:3), call: *",
            "*_ test_fails _*",
            "E *assert 1 == 2",
            "*Captured ebpf rules call*",
            "no_syscall='unlink' (*:3), call: *",
        ]
    )


def test_closest_wins_keyword_by_keyword(pytester: pytest.Pytester, run: Run) -> None:
    """Test over class over module over hook over suite; None takes a rule away."""
    pytester.makeini("[pytest]\nebpf_policy =\n    no_syscall = 'getpid'\n    syscall = 'getuid'")
    pytester.makeconftest("def pytest_ebpf_policy(item):\n    return {'no_syscall': 'getppid', 'syscall': None}\n")
    pytester.makepyfile(
        test_suite="""
        def test_suite(fake): fake.call("getpid")
        def test_hook(fake): fake.call("getppid")
        """,
        test_module="""
        import pytest
        pytestmark = pytest.mark.ebpf(no_syscall="gettid")
        def test_hook(fake): fake.call("getppid")
        def test_module(fake): fake.call("gettid")

        @pytest.mark.ebpf(no_syscall="getgid")
        class TestClass:
            def test_module(self, fake): fake.call("gettid")
            def test_class(self, fake): fake.call("getgid")

            @pytest.mark.ebpf(no_syscall="getegid")
            def test_own(self, fake): fake.call("getegid")

            @pytest.mark.ebpf(no_syscall="getegid")
            def test_class_replaced(self, fake): fake.call("getgid")

            @pytest.mark.ebpf(no_syscall=None)
            def test_none(self, fake): fake.call("getgid")

            @pytest.mark.parametrize("name", [pytest.param("getsid", marks=pytest.mark.ebpf(no_syscall="getsid"))])
            @pytest.mark.ebpf(no_syscall="getegid")
            def test_param(self, fake, name): fake.call(name)

            @pytest.mark.ebpf(syscall="getpgrp")
            def test_other_keyword(self, fake): fake.call("getgid")
        """,
    )
    result = run("-rA")
    passed = [line.split("::")[-1] for line in result.stdout.lines if line.startswith("PASSED")]
    failed = {line.split()[1].partition("::")[2] for line in result.stdout.lines if line.startswith("FAILED")}
    assert passed == ["test_hook", "test_module", "test_class_replaced", "test_none", "test_suite"]
    assert failed == {
        "test_module",
        "TestClass::test_class",
        "TestClass::test_own",
        "TestClass::test_param[getsid]",
        "TestClass::test_other_keyword",
        "test_hook",
    }


def test_suite_policy_in_ini(pytester: pytest.Pytester, run: Run) -> None:
    """The rule's own line is named, and shown."""
    pytester.makeini("[pytest]\naddopts = -q\nebpf_policy =\n    no_syscall = 'openat'\n")
    pytester.makepyfile(READS)
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*no_syscall = 'openat'",
            "E *AssertionError: no_syscall='openat' (tox.ini:4: ebpf_policy), call: assert_no_syscall('openat'): *",
            "tox.ini:4: AssertionError",
        ]
    )


@pytest.mark.parametrize(
    "text, line",
    [
        ("[tool.pytest-ebpf]\nno_syscall = ['openat']\n", 2),
        ("[tool.pytest-ebpf.no_syscall]\npath = '/etc/*'\n", 1),
        ("[tool.other]\nno_syscall = 1\n[tool.'pytest-ebpf']\n\n\nno_syscall={path='/etc/hosts'} # why\n[tool.b]\n", 6),
    ],
)
def test_suite_policy_in_pyproject(pytester: pytest.Pytester, run: Run, text: str, line: int) -> None:
    """A table with the same keywords, whatever else configures pytest."""
    pytester.makepyprojecttoml(text)
    pytester.makepyfile(READS)
    result = run("--rootdir=.")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *(pyproject.toml:{line}: tool.pytest-ebpf.no_syscall), call: *"])


def test_two_suite_policies(pytester: pytest.Pytester, run: Run) -> None:
    """Nobody could tell which one counts."""
    pytester.makepyprojecttoml("[tool.pytest-ebpf]\nno_exec = true\n[tool.pytest.ini_options]\nebpf_policy='x=1'\n")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("name", ["pytest_ebpf", "ebpf", "Pytest-eBPF"])
def test_misspelt_table(pytester: pytest.Pytester, run: Run, name: str) -> None:
    """A policy that nobody reads is an error."""
    pytester.makepyprojecttoml(f"[tool.{name}]\nno_exec = true\n")
    result = run("--rootdir=.")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *pyproject.toml: [[]tool.{name}] holds for nobody (did you mean *"])


BAD = [
    (
        "ebpf_policy = no_exec",
        "tox.ini:2: ebpf_policy: no TOML: * (one rule a line, as in no_exec = true; not 'no_exec')",
    ),
    ("ebpf_policy =", "tox.ini:2: ebpf_policy: the policy is empty (write a rule: no_exec = true)"),
    (
        "ebpf_policy =\n  no_syscal = 'x'",
        "tox.ini:3: ebpf_policy: no_syscal: unknown keyword 'no_syscal' (did you mean *",
    ),
    (
        "ebpf_policy =\n  zzz = 'x'",
        "tox.ini:3: ebpf_policy: zzz: unknown keyword 'zzz' (valid are connected, durable, *",
    ),
    ("ebpf_policy =\n  no_syscall = []", "tox.ini:3: ebpf_policy: no_syscall=[[]]: it is empty: it can't fail (*"),
    ("ebpf_policy =\n  no_syscall = false", "tox.ini:3: ebpf_policy: no_syscall=False: False says nothing (*"),
    ("ebpf_policy =\n  no_syscall = 'opnat'", "tox.ini:3: *: no_syscall='opnat': *did you mean*openat*"),
    ("ebpf_policy =\n  no_syscall = {paht = '/x'}", "tox.ini:3: *: no_syscall=*: *paht*"),
    ("ebpf_policy =\n  syscall = {min = 3, max = 2}", "tox.ini:3: *: syscall=*min: 3 is more than max, 2*"),
    ("ebpf_policy =\n  no_syscall = {address = '10.0.0.300'}", "tox.ini:3: *: no_syscall=*'10.0.0.300'*"),
    (
        "ebpf_policy =\n  no_syscall = ['{other}']",
        "tox.ini:3: *: {other} is no path known here (known are basetemp, home, *",
    ),
    (
        "ebpf_policy =\n  no_syscall = 'fork'\n  phases = ['cal']",
        "tox.ini:4: *phases: 'cal' is not one of import, *, exit",
    ),
    ("ebpf_policy =\n  no_syscall = 'fork'\n  phases = []", "tox.ini:4: *phases: it is empty: no rule can fail (*"),
    ("ebpf_policy =\n  phases = ['call']", "tox.ini:2: *it holds no rule (give one, as in no_exec=True)"),
    ("ebpf_policy =\n  syscall = 'fork'\n  no_syscall = 'fork'", "tox.ini:3: *syscall: it contradicts no_syscall: *"),
    (
        "ebpf_policy =\n  only_writes_under = ['/']",
        "tox.ini:3: *only_writes_under=*it allows everything: it can't fail (*",
    ),
    (
        "ebpf_policy =\n  no_network = {allow = ['0.0.0.0/0', '::/0']}",
        "tox.ini:3: *no_network=*it allows everything: *",
    ),
    ("ebpf_policy =\n  no_exec = {allow = ['*']}", "tox.ini:3: *no_exec=*it allows everything: it can't fail (*"),
    ("ebpf_policy =\n  no_syscall = [['fork'], []]", "tox.ini:3: *: no_syscall=[[]]: it is empty: it can't fail (*"),
    (
        "ebpf_policy =\n  no_syscall = [['fork'], ['opnat']]",
        "tox.ini:3: *: no_syscall=[[]'opnat'[]]: *did you mean*openat*",
    ),
    (
        "ebpf_policy =\n  no_file_access = ['/a', '/b']",
        "tox.ini:3: *no_file_access=*: op: files() have no '/b': * (one after the other: [[][[]'/a'], [[]'/b']])",
    ),
    (
        "ebpf_policy =\n  syscall = [['read'], ['fork']]\n  no_syscall = 'fork'",
        "tox.ini:3: *syscall: it contradicts no_syscall: *",
    ),
    ("ebpf_policy =\n  max = {}", "tox.ini:3: *max={}: it is empty: it can't fail (*"),
    ("ebpf_policy =\n  no_syscall = 2024-01-01", "tox.ini:3: *no_syscall=*expected True, None, an argument, *not date"),
    ("ebpf_summary = maybe", "*tox.ini: ebpf_summary: 'maybe' is not one of true, false"),
    ("ebpf_no_network = 2", "*tox.ini: ebpf_no_network: '2' is not one of true, false"),
    (
        "ebpf_allow = loopback",
        "*tox.ini: ebpf_allow: there is no rule to except loopback from (give --ebpf-no-network too)",
    ),
    ("ebpf_allow = ,", "*tox.ini: ebpf_allow: ',' has an empty destination (*"),
]


@pytest.mark.parametrize("ini, error", BAD)
def test_bad_suite_policy(pytester: pytest.Pytester, run: Run, ini: str, error: str) -> None:
    """A usage error before anything runs, which names file, line and key."""
    pytester.makeini(f"[pytest]\n{ini}")
    pytester.makepyfile("def test_it(): pass")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {error}"])
    assert len([line for line in result.stderr.lines if line.strip()]) == 1


BAD_MARKERS = [
    ("no_syscal=['openat']", "test_bad.py:4: no_syscal: unknown keyword 'no_syscal' (did you mean no_syscall*"),
    ("no_syscall=[]", "test_bad.py:4: no_syscall=[[]]: it is empty: it can't fail (*"),
    ("no_syscall='opnat'", "test_bad.py:4: no_syscall='opnat': *"),
    ("phases=['call']", "test_bad.py:4: it holds no rule (*"),
    ("no_syscall='fork', phases='import'", "test_bad.py:4: phases: 'import' is not one of setup, call, teardown"),
    ("no_syscall='fork', phases=3", "test_bad.py:4: phases: expected a list of names, not 3"),
    ("no_syscall='fork', phases=['call', []]", "test_bad.py:4: phases: expected a list of names, not [[]'call', [[]]]"),
    ("'no_exec'", "test_bad.py:4: @pytest.mark.ebpf: it takes keywords only, not 'no_exec' (such as no_exec=True)"),
    ("", "test_bad.py:4: it holds no rule (give one, as in no_exec=True)"),
    ("no_syscall={'path': '{nothing}'}", "test_bad.py:4: *{nothing} is no path known here (known are *, tmp_path*)"),
    ("no_syscall=object", "test_bad.py:4: no_syscall=*expected True, None, an argument, a list or a dict, not type"),
]


@pytest.mark.parametrize("arguments, error", BAD_MARKERS)
@pytest.mark.parametrize("thing", ["def test_it(): pass", "class TestIt:\n    def test_it(self): pass"])
def test_bad_marker(pytester: pytest.Pytester, run: Run, arguments: str, error: str, thing: str) -> None:
    """A usage error when all are collected, which names file, line and keyword; nothing runs."""
    pytester.makepyfile(
        test_bad=f"import pytest\n\ndef test_good(): open('ran', 'w')\n@pytest.mark.ebpf({arguments})\n{thing}"
    )
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {error}"])
    assert not (pytester.path / "ran").exists()


def test_all_bad_markers_are_told(pytester: pytest.Pytester, run: Run) -> None:
    """One by one, each once, however many tests have it."""
    pytester.makepyfile(
        test_bad="""
        import pytest
        pytestmark = [
            pytest.mark.ebpf(no_syscall=[]),
            pytest.mark.ebpf(syscall="nope"),
        ]
        def test_a(): pass
        def test_b(): pass
        """
    )
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.stderr.lines if line.strip()]
    assert len(lines) == 2
    result.stderr.fnmatch_lines(["ERROR: test_bad.py:3: no_syscall=*", "*test_bad.py:4: syscall='nope'*"])


def test_bad_hook_answers(pytester: pytest.Pytester, run: Run) -> None:
    """The hook is named with its file and line."""
    pytester.makeconftest("def pytest_ebpf_policy(item):\n    return ['no_exec']\n")
    pytester.makepyfile("def test_it(): pass")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *conftest.py:1: pytest_ebpf_policy: it returned list (valid are a dict of *"])


def test_placeholders(pytester: pytest.Pytester, run: Run) -> None:
    """A test's temporary directory, whether it asks for it or not, and any path that a fixture gave it."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def database(tmp_path):
            return tmp_path / "data[1].db"

        @pytest.fixture
        def answer():
            return 42

        @pytest.mark.ebpf(no_syscall={"path": "{database}"})
        def test_bad(fake, database):
            fake.call("openat", path=str(database), ret=3)

        @pytest.mark.ebpf(no_syscall={"path": "{database}"})
        def test_good(fake, database):
            fake.call("openat", path=str(database) + "1", ret=3)

        @pytest.mark.ebpf(no_syscall={"path": "{database}*"})
        def test_glob(fake, database):
            fake.call("openat", path=str(database) + "-wal", ret=3)

        @pytest.mark.ebpf(syscall={"path": "{tmp_path}/out"})
        def test_own(fake, request):
            fake.call("openat", path=str(request.getfixturevalue("tmp_path") / "out"), ret=3)

        @pytest.mark.ebpf(syscall={"path": "{rootdir}/*"})
        def test_root(fake, request):
            fake.call("openat", path=str(request.config.rootpath / "x"), ret=3)

        @pytest.mark.ebpf(no_syscall={"path": "{answer}"})
        def test_no_path(fake, answer):
            pass
        """
    )
    result = run("-rA")
    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines(["E *TypeError: {answer}: the fixture's value is no path but int (use one that is)"])
    result.stdout.fnmatch_lines_random(["PASSED *::test_good", "PASSED *::test_own", "PASSED *::test_root"])


@pytest.mark.parametrize(
    "args, allowed",
    [
        (["--ebpf-no-network"], ()),
        (["-o", "ebpf_no_network=yes"], ()),
        (
            ["--ebpf-no-network", "--ebpf-allow=127.0.0.1,localhost", "--ebpf-allow", "10.0.0.0/8"],
            ["127.0.0.1", "localhost", "10.0.0.0/8"],
        ),
        (["--ebpf-allow=::1", "-o", "ebpf_policy=no_network={allow=['127.0.0.1']}"], ["127.0.0.1", "::1"]),
        (["--ebpf-allow=::1", "-o", "ebpf_policy=no_network=true"], ["::1"]),
        (["--ebpf-allow=::1", "-o", "ebpf_policy=no_network=[[{allow=['10.0.0.1']}], ['::2']]"], ["::2", "::1"]),
        (["--ebpf-no-network", "-o", "ebpf_policy=no_network={allow=['127.0.0.1']}"], ()),
    ],
)
def test_flags_are_suite_policy(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, args: list[str], allowed: object
) -> None:
    """`--ebpf-no-network` and `--ebpf-allow` stand for the rule no_network."""
    seen = []

    def assert_no_network(self: Assertions, allow: object = ()) -> None:
        seen.append(allow)

    monkeypatch.setattr(Assertions, "assert_no_network", assert_no_network, raising=False)
    pytester.makepyfile("def test_it(fake): pass")
    run(*args).assert_outcomes(passed=1)
    assert seen[-1] == allowed


@pytest.mark.parametrize("phase", ["setup", "call"])
def test_exception_keeps_the_phases(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    """`--ebpf-allow` changes nothing but what is allowed."""
    monkeypatch.setattr(Assertions, "assert_no_network", lambda self, allow=(): None, raising=False)
    pytester.makeini(f"[pytest]\nebpf_policy =\n  no_network = true\n  phases = ['{phase}']")
    pytester.makepyfile(
        f"""
        from pytest_ebpf.policy import rules_of

        def test_it(request):
            rules = rules_of(request.node)
            assert rules.phases == {{"{phase}"}}
            assert [rule.value for rule in rules] == [{{"allow": ["::1"]}}]
        """
    )
    run("--ebpf-allow=::1").assert_outcomes(passed=1)


def test_check_of_an_assertion_that_nothing_decides(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first test there is no recording, which is no mistake of the rule."""

    def assert_durable(self: Assertions, path: str) -> None:
        if not isinstance(self, Recording):
            raise InconclusiveRecording("which file it is isn't known")

    monkeypatch.setattr(Assertions, "assert_durable", assert_durable, raising=False)
    pytester.makepyfile("import pytest\n@pytest.mark.ebpf(durable='{tmp_path}/x')\ndef test_it(fake): pass")
    run().assert_outcomes(passed=1)


def test_violation_of_a_flag(pytester: pytest.Pytester, run: Run) -> None:
    """There is no line that says it, so pytest points to the test."""
    pytester.makepyfile(test_f="def test_other(): pass\n\ndef test_it(fake):\n    fake.call('getpid')\n")
    result = run("-o", "ebpf_policy=no_syscall='getpid'")
    result.stdout.fnmatch_lines(
        [
            ">*def test_it(fake):",
            "E *AssertionError: no_syscall='getpid' (-o ebpf_policy), call: assert_no_syscall('getpid'): *",
            "test_f.py:3: AssertionError",
        ]
    )


def test_exception_without_a_rule(run: Run) -> None:
    """There is nothing to except from."""
    result = run("--ebpf-allow=::1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --ebpf-allow: there is no rule to except ::1 from *"])


def test_gap_leaves_a_rule_undecided(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """The third answer fails the test too, and names the rule."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.ebpf(no_syscall={"path": "/etc/*"})
        def test_it(fake):
            fake.lose("openat", 3)
        """
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *InconclusiveRecording: no_syscall=* (*:3), call: *can't be decided: *"])


def test_all_violated_rules_are_told(pytester: pytest.Pytester, run: Run) -> None:
    """In the order in which they were given; one violation is enough to fail."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.ebpf(no_syscall="openat", syscall="fsync")
        def test_it(fake):
            fake.call("openat", path="/etc/hosts", ret=3)
        """
    )
    result = run()
    result.stdout.fnmatch_lines(
        ["E *no_syscall='openat' (*:3), call: *1 call matched", "E *syscall='fsync' (*:3), call: *no call matched"]
    )


def test_strict_markers_and_warnings_as_errors(pytester: pytest.Pytester, run: Run) -> None:
    """The marker is declared, and nothing warns."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.ebpf(no_syscall="%open")
        def test_it(): pass
        """
    )
    run("--strict-markers", "-W", "error").assert_outcomes(passed=1)


def test_warning_points_to_the_rule(pytester: pytest.Pytester, run: Run) -> None:
    """A sibling of the forbidden call did the same: that is told at the rule's line."""
    pytester.makepyfile(
        test_w="""
        import pytest

        @pytest.mark.ebpf(no_syscall="open")
        def test_it(fake):
            fake.call("openat", path="/etc/hosts", ret=3)
        """
    )
    result = run("-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*test_w.py:3: SiblingCallWarning: no_syscall='open' (test_w.py:3), call: *openat (1)"]
    )


def test_help(run: Run) -> None:
    """`--markers` and `--help` explain them."""
    result = run("--markers", "--strict-markers")
    result.stdout.fnmatch_lines(["@pytest.mark.ebpf(connected=, *no_exec=*, phases=*): Record the test and hold *"])
    result.stdout.fnmatch_lines(["*{tmp_path}, {rootdir}, {home}, {basetemp} and the name of any fixture*"])
    result = run("--help")
    result.stdout.fnmatch_lines_random(
        [
            "*--ebpf-no-network*",
            "*--ebpf-allow=DEST*",
            "*--ebpf-summary*",
            "*--ebpf-export=DIR*",
            "*ebpf_policy (string)*",
        ]
    )


def test_tests_without_rules_are_not_recorded(pytester: pytest.Pytester, run: Run, fake: FakeEngine) -> None:
    """No engine is started for them."""
    pytester.makepyfile("def test_it(): pass")
    run().assert_outcomes(passed=1)
    assert fake.starts == 0


@pytest.mark.parametrize("choice, outcome", [("fail", "errors"), ("skip", "skipped")])
def test_unavailable_engine(pytester: pytest.Pytester, run: Run, fake: FakeEngine, choice: str, outcome: str) -> None:
    """A test with rules doesn't pass unseen."""
    fake.problem = EngineUnavailable("start engine libbpf", "no memory")
    pytester.makepyfile("import pytest\n@pytest.mark.ebpf(no_syscall='fork')\ndef test_it(): pass")
    run(f"--ebpf-unavailable={choice}").assert_outcomes(**{outcome: 1})


def test_phases_of_fixtures(pytester: pytest.Pytester, run: Run) -> None:
    """Setup and teardown are what the user's fixtures do, also a setup_method; pytest's own tmp_path is none."""
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.ebpf(no_syscall="unlinkat", phases=("setup", "teardown"))
        ENGINE = []

        @pytest.fixture(autouse=True)
        def engine(fake):
            ENGINE[:] = [fake]

        @pytest.fixture
        def removing(fake):
            fake.call("unlinkat", path="/a")

        @pytest.fixture
        def removed(fake):
            yield
            fake.call("unlinkat", path="/b")

        def test_plain(fake, tmp_path):
            fake.call("unlinkat", path="/c")

        def test_setup(removing): pass

        def test_teardown(removed): pass

        class TestMethod:
            def setup_method(self):
                ENGINE[0].call("unlinkat", path="/d")

            def test_it(self): pass
        """
    )
    result = run()
    result.assert_outcomes(passed=2, errors=3)
    result.stdout.fnmatch_lines(
        ["*no_syscall='unlinkat' (test_phases_of_fixtures.py:3), setup: assert_no_syscall('unlinkat'): 1 call matched"]
    )
    result.stdout.fnmatch_lines(["*, teardown: assert_no_syscall('unlinkat'): 1 call matched"])
