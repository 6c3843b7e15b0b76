"""The ``ebpf`` fixture, and the session behind it, which the first test that asks starts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from . import engines, features, runtest
from .errors import EbpfError, EngineUnavailable, ProbeError
from .options import Settings
from .stash import RECORDING

if TYPE_CHECKING:
    from .engines.base import Engine
    from .phases import Phases
    from .recording import Recording
    from .session import Session

__all__ = ["Fixtures", "SessionSource"]


class SessionSource:
    """Starts the session of this pytest run when it is first needed, and stops it at the end."""

    def __init__(
        self,
        settings: Settings,
        config: pytest.Config,
        harness: frozenset[int],
        address: str | None = None,
        lent: str | None = None,
    ) -> None:
        self.settings = settings
        self._config = config
        self._harness = harness
        self._address = address
        self.phases: Phases | None = None
        """While a session runs."""
        self.item: pytest.Item | None = None
        """The test that was begun last."""
        self.follows_tests = False
        """Whether the hooks around tests are registered."""
        self.choice = features.choose(settings.engine, lent)
        self._engine: Engine | None = None
        """Prepared, and not started."""
        self._session: Session | None = None
        self._problem: EngineUnavailable | ProbeError | None = self.choice.problem

    def prepare(self) -> None:
        """Let the engine begin to start, while the tests are still being collected: it will be needed."""
        if self._engine is not None or self._session is not None or self._problem is not None:
            return
        choice, memory = self.choice, self.settings.memory
        self._engine = engines.create(choice.engine, self._address, is_lent=choice.is_lent, memory=memory)
        with contextlib.suppress(OSError):  # the start meets it again, and tells
            self._engine.prepare()

    def drop(self) -> None:
        """End what was prepared, if it wasn't needed."""
        if self._engine is not None:
            self._engine.stop()
            self._engine = None

    def follow_tests(self) -> None:
        """Register the hooks around tests, which record them or say why they can't."""
        if not self.follows_tests:
            self.follows_tests = True
            self._config.pluginmanager.register(runtest, "ebpf tests")

    def start(self) -> None:
        """Start now, if it can; a problem is kept for those who ask."""
        self.follow_tests()
        if self._session is not None or self._problem is not None:
            return
        try:
            self._session = self._start()
        except (EngineUnavailable, ProbeError) as problem:
            problem.__cause__ = problem.__context__ = None  # where in the plugin it was raised helps nobody
            self._problem = problem
        except OSError as error:
            self._problem = EngineUnavailable(
                f"start engine {self.choice.engine}",
                error.strerror or str(error),
                f"it needs some 25 file descriptors and {300 + (self.settings.memory >> 19):,} MB of address space: "
                "see ulimit -n and -v, and the option ebpf_memory",
            )
        else:
            from . import policy
            from .phases import Phases

            self.phases = Phases(self._session, policy.suite_rules(self._config))

    def _start(self) -> Session:
        self.prepare()
        assert self._engine is not None
        engine, self._engine = self._engine, None
        from .amendments import Amendments
        from .session import Session
        from .snippets import shipped

        session = Session(engine, self._harness)
        session.amendments = Amendments.of(self._config.pluginmanager)
        session.snippets = lambda: shipped(self._config.hook.pytest_ebpf_snippets())
        session.start()
        if engine.records_real_calls:
            from . import canary

            try:
                canary.prove(session)
            except EngineUnavailable:
                session.stop()
                raise
        return session

    def get(self) -> Session:
        """The running session. Raises the problem that prevents it, or skips, as the user chose."""
        __tracebackhide__ = True
        self.start()
        if self._session is not None:
            return self._session
        assert self._problem is not None
        if self.settings.unavailable == "skip" and isinstance(self._problem, EngineUnavailable):
            pytest.skip(str(self._problem))
        raise self._problem.with_traceback(None)

    @property
    def is_missing(self) -> bool:
        """Whether the engine can't run here and the user said that this is no failure."""
        self.start()
        return self.settings.unavailable == "skip" and isinstance(self._problem, EngineUnavailable)

    def stop(self) -> None:
        """End the session, if there is one."""
        self.drop()
        if self._session is not None:
            self._session.stop()
            self._session = self.phases = None


class Fixtures:
    """The ``ebpf`` fixture of one pytest run.

    It asks for no ``request``: pytest makes one anew for each fixture that does, which would be half of what it costs.
    """

    def __init__(self, source: SessionSource) -> None:
        self._source = source

    @pytest.fixture
    def ebpf(self) -> Iterator[Recording]:
        """What the kernel sees of this test: queries and assertions on its system calls.

        Records the call phase: the test function, all threads of the pytest process, and every process that they start.
        """
        __tracebackhide__ = True
        source = self._source
        session = source.get()
        if session.started is None or source.phases is None:
            raise EbpfError("record a test: a forked child can't (run it in the pytest process)")
        assert source.item is not None
        recording = source.item.stash.get(RECORDING, None)
        if recording is None:  # asked for at run time, by a test that pytest took for one that isn't recorded
            recording = source.item.stash[RECORDING] = source.phases.begin_late(source.item)
        if source.settings.trace != "none":
            recording._shown_in = 'section "Captured kernel events", or ebpf.events.format()'
        else:
            recording._shown_in = "ebpf.events.format()"
        yield recording
        recording.close()
