"""The ``ebpf`` fixture, and the session behind it, which the first test that asks starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from . import engines, features
from .errors import EbpfError, EngineUnavailable, ProbeError
from .options import Settings
from .stash import RECORDING, SOURCE

if TYPE_CHECKING:
    from .phases import Phases
    from .recording import Recording
    from .session import Session

__all__ = ["SessionSource", "ebpf"]


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
        self.choice = features.choose(settings.engine, lent)
        self._session: Session | None = None
        self._problem: EngineUnavailable | ProbeError | None = self.choice.problem

    def start(self) -> None:
        """Start now, if it can; a problem is kept for those who ask."""
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
                "it needs some 25 file descriptors and 300 MB of address space: see ulimit -n and -v",
            )
        else:
            from . import policy
            from .phases import Phases

            self.phases = Phases(self._session, policy.suite_rules(self._config))

    def _start(self) -> Session:
        engine = engines.create(self.choice.engine, self._address, is_lent=self.choice.is_lent)
        engine.prepare()
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
        if self._session is not None:
            self._session.stop()
            self._session = self.phases = None


@pytest.fixture
def ebpf(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """What the kernel sees of this test: queries and assertions on its system calls.

    Records the call phase: the test function, all threads of the pytest process, and every process that they start.
    """
    __tracebackhide__ = True
    source = request.config.stash[SOURCE]
    session = source.get()
    if session.started is None or source.phases is None:
        raise EbpfError("record a test: a forked child can't (run it in the pytest process)")
    recording = request.node.stash.get(RECORDING, None)
    if recording is None:  # asked for at run time, by a test that pytest took for one that isn't recorded
        recording = request.node.stash[RECORDING] = source.phases.begin_late(request.node)
    if source.settings.trace != "none":
        recording._shown_in = 'section "Captured kernel events", or ebpf.events.format()'
    else:
        recording._shown_in = "ebpf.events.format()"
    yield recording
    recording.close()
