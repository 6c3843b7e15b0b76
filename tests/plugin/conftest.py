"""Inner test runs whose engine is a fake and whose host can do everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from pytest_ebpf import features
from pytest_ebpf.testing import FakeEngine

Run = Callable[..., pytest.RunResult]


def handle(engine: FakeEngine) -> ModuleType:
    """A plugin that gives the tests of an inner run the engine under them."""

    @pytest.fixture(scope="session")
    def fake() -> FakeEngine:
        """Makes up the system calls."""
        return engine

    plugin = ModuleType("handle")
    vars(plugin)["fake"] = fake
    return plugin


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host that can run the engine, whatever this one can do."""
    btf = tmp_path / "vmlinux"
    btf.touch()
    monkeypatch.setattr(features, "BTF", btf)
    monkeypatch.setattr(features, "sys", SimpleNamespace(platform="linux"))
    monkeypatch.setattr(features, "_may_load_programs", lambda: True)
    monkeypatch.setattr(features, "_has_libbpf", lambda: True)
    pretend(monkeypatch)


def pretend(
    monkeypatch: pytest.MonkeyPatch, system: str = "Linux", release: str = "6.18.3-made-up", machine: str = "x86_64"
) -> None:
    """Let the host be such a one."""
    names = SimpleNamespace(system=lambda: system, release=lambda: release, machine=lambda: machine)
    monkeypatch.setattr(features, "platform", names)


@pytest.fixture
def engines(host: None, monkeypatch: pytest.MonkeyPatch) -> list[FakeEngine]:
    """The engines that were created, in order; the first is made in advance."""
    created = [FakeEngine()]
    waiting = [*created]

    def create(name: str, address: str | None, *, is_lent: bool, memory: int) -> FakeEngine:
        if not waiting:
            created.append(FakeEngine())
            waiting.append(created[-1])
        waiting[0].memory = memory
        return waiting.pop()

    monkeypatch.setattr("pytest_ebpf.engines.create", create)
    return created


@pytest.fixture
def fake(engines: list[FakeEngine]) -> FakeEngine:
    """The engine of the inner run, which its tests get by the same name."""
    return engines[0]


@pytest.fixture
def run(pytester: pytest.Pytester, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs pytest in this process on the files that the test made."""
    for name in ("CI", "BUILD_NUMBER"):  # with these pytest doesn't cut its short summary
        monkeypatch.delenv(name, raising=False)

    def run_pytest(*args: str, no_reraise_ctrlc: bool = False) -> pytest.RunResult:
        # Every inner run would import them anew.
        others = ("hypothesispytest", "anyio", "asyncio", "repeat", "rerunfailures", "timeout", "trio")
        args = (*(word for name in others for word in ("-p", f"no:{name}")), *args)
        return pytester.runpytest_inprocess(*args, plugins=[handle(fake)], no_reraise_ctrlc=no_reraise_ctrlc)

    return run_pytest


@pytest.fixture(name="pretend")
def _pretend(host: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return lambda **facts: pretend(monkeypatch, **facts)
