"""Ways round a rule, and rules that would hit the innocent: each is a suite that somebody could have."""

from __future__ import annotations

import pytest

HEAD = """
import os, unittest
import pytest

ALL = ("setup", "call", "teardown")
rule = pytest.mark.ebpf(no_file_access="/etc/hostname", phases=ALL)

def forbidden():
    os.stat("/etc/hostname")
"""


def outcomes(pytester: pytest.Pytester, body: str, *args: str) -> pytest.RunResult:
    """The run of a module that begins with HEAD."""
    pytester.makepyfile(test_l=HEAD + body)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *args)


@pytest.mark.parametrize(
    "method, phase",
    [
        ("def setUp(self): forbidden()\n    def test_it(self): pass", "setup"),
        ("def tearDown(self): forbidden()\n    def test_it(self): pass", "teardown"),
        ("def test_it(self): self.addCleanup(forbidden)", "teardown"),
        ("def test_it(self): forbidden()", "call"),
    ],
)
def test_around_methods_of_unittest(pytester: pytest.Pytester, method: str, phase: str) -> None:
    """What setUp does is setup, what tearDown and cleanups do is teardown; none of it is the call."""
    result = outcomes(pytester, f"\n@rule\nclass TestIt(unittest.TestCase):\n    {method}\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *AssertionError: no_file_access=* (test_l.py*), {phase}: *"])
    result.stdout.no_fnmatch_line("problem = *")


def test_methods_of_unittest_without_a_call(pytester: pytest.Pytester) -> None:
    """A skipped method, or one whose setUp failed, shows that and not that it wasn't recorded."""
    body = """
@rule
class TestIt(unittest.TestCase):
    @unittest.skip("later")
    def test_skipped(self): forbidden()

@rule
class TestSetUp(unittest.TestCase):
    def setUp(self): raise ValueError("its own")
    def test_failed(self): pass

@rule
class TestSkip(unittest.TestCase):
    def setUp(self): self.skipTest("not here")
    def test_not_here(self): pass
"""
    result = outcomes(pytester, body)
    result.assert_outcomes(skipped=2, failed=1)
    result.stdout.fnmatch_lines(["E *ValueError: its own"])


def test_coroutine_methods_of_unittest(pytester: pytest.Pytester) -> None:
    """Unittest finds them by name."""
    body = """
@rule
class TestIt(unittest.IsolatedAsyncioTestCase):
    async def test_good(self): pass
    async def test_bad(self): forbidden()
"""
    outcomes(pytester, body).assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize(
    "way",
    [
        "def test_it(later): later(forbidden)",
        "def test_it(request): request.addfinalizer(forbidden)",
        "def test_it(request): request.node.addfinalizer(forbidden)",
    ],
)
def test_finalizers_that_a_test_adds(pytester: pytest.Pytester, way: str) -> None:
    """They run between the functions of fixtures."""
    body = "\n@pytest.fixture\ndef later(request): return request.addfinalizer\n\n@rule\n" + way
    result = outcomes(pytester, body)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E *AssertionError: no_file_access=* teardown: *"])


@pytest.mark.parametrize(
    "fixture, way",
    [
        ("monkeypatch", "monkeypatch.setattr(Module, 'client', Client())"),
        ("monkeypatch", "monkeypatch.setattr(Settings(), 'level', 1)"),
        ("recwarn", "import warnings; warnings.showwarning = Client()"),
        ("caplog", "caplog.set_level('INFO', 'loud')"),
    ],
)
def test_what_is_put_back(pytester: pytest.Pytester, fixture: str, way: str) -> None:
    """It runs code of the user's while one of pytest's own fixtures ends."""
    body = f"""
import logging
ENDING = []

class Client:
    def __del__(self): forbidden()

class Settings:
    def __init__(self): self.level = 0
    def __setattr__(self, name, value):
        if ENDING: forbidden()
        object.__setattr__(self, name, value)

class Module:
    client = None

class Loud(logging.Logger):
    def setLevel(self, level):
        if ENDING: forbidden()

logging.setLoggerClass(Loud)
logging.getLogger("loud")
logging.setLoggerClass(logging.Logger)

@rule
def test_it({fixture}):
    {way}
    ENDING.append(True)

def test_free(monkeypatch, recwarn, caplog): pass
"""
    result = outcomes(pytester, body)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E *AssertionError: no_file_access=* teardown: *"])


def test_skip_in_setup(pytester: pytest.Pytester) -> None:
    """It doesn't undo what the fixture did before; one that did nothing skips, whatever the rule names."""
    body = """
@pytest.fixture
def bad():
    forbidden()
    pytest.skip("after it")

@rule
def test_bad(bad): pass

@pytest.mark.skip
@pytest.mark.ebpf(only_writes_under=["{tmp_path}"], phases=ALL)
def test_good(): pass
"""
    outcomes(pytester, body).assert_outcomes(errors=1, skipped=1)


def test_marker_that_comes_too_late(pytester: pytest.Pytester) -> None:
    """It isn't ignored: the test fails. One from the collection's last hook holds."""
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name == "test_in_time":
                    item.add_marker(pytest.mark.ebpf(no_file_access="/etc/hostname"))
        """
    )
    body = """
def test_late(request):
    request.applymarker(rule)
    forbidden()

def test_in_time(): forbidden()
def test_free(): forbidden()
"""
    for args in ((), ("-k", "not in_time")):  # with and without a recorder
        result = outcomes(pytester, body, *args)
        result.assert_outcomes(failed=2 if not args else 1, passed=1, deselected=len(args) // 2)
        result.stdout.fnmatch_lines(["E *EbpfError: hold @pytest.mark.ebpf: *after the collection*"])


def test_import_is_no_collection(pytester: pytest.Pytester) -> None:
    """A rule for one of both doesn't hit the other."""
    for phase, failed in (("collection", 0), ("import", 1)):
        policy = f'ebpf_policy=no_file_access=["/etc/hostname"]\nphases=["{phase}"]'
        result = outcomes(pytester, "forbidden()\ndef test_it(): pass\n", "-o", policy)
        result.assert_outcomes(errors=failed, passed=1 - failed)


def test_function_of_a_rule_that_fails_at_the_end(pytester: pytest.Pytester) -> None:
    """The run fails, and shows what it would have shown."""
    body = """
import threading, time
go, threads = [], []

def work():
    while not go:
        time.sleep(0.01)
    forbidden()

@pytest.mark.ebpf(no_syscall=["%file", {"where": lambda call: 1 / 0}])
def test_starts():
    threads.append(threading.Thread(target=work))
    threads[0].start()

def test_ends():
    go.append(1)
    threads[0].join()
"""
    result = outcomes(pytester, body)
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*can't be held to late events: ZeroDivisionError: division by zero"])
