"""The ``ebpf`` fixture, and the session behind it, which the first test that asks starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from . import engines, features
from .errors import EngineUnavailable, ProbeError
from .options import Settings

if TYPE_CHECKING:
    from .recording import Recording
    from .session import Session

__all__ = ["RECORDING", "SOURCE", "SessionSource", "ebpf"]


class SessionSource:
    """Starts the session of this pytest run when it is first needed, and stops it at the end."""

    def __init__(self, settings: Settings, plugins: pytest.PytestPluginManager) -> None:
        self.settings = settings
        self._plugins = plugins
        self.choice = features.choose(settings.engine)
        self._session: Session | None = None
        self._problem: EngineUnavailable | ProbeError | None = self.choice.problem

    def start(self) -> None:
        """Start now, if it can; a problem is kept for those who ask."""
        if self._session is not None or self._problem is not None:
            return
        from .amendments import Amendments
        from .session import Session

        session = Session(engines.create(self.choice.engine))
        session.amendments = Amendments.of(self._plugins)
        try:
            session.start()
        except (EngineUnavailable, ProbeError) as problem:
            problem.__cause__ = problem.__context__ = None  # where in the plugin it was raised helps nobody
            self._problem = problem
        else:
            self._session = session

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
            self._session = None


SOURCE = pytest.StashKey[SessionSource]()
RECORDING = pytest.StashKey["Recording"]()


@pytest.fixture
def ebpf(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """What the kernel sees of this test: queries and assertions on its system calls.

    Records the call phase: the test function, all threads of the pytest process, and every process that they start.
    """
    __tracebackhide__ = True
    session = request.config.stash[SOURCE].get()
    from .recording import Recording

    session.begin_test(f"{request.node.nodeid} (call)")
    recording = Recording(session)
    request.node.stash[RECORDING] = recording
    yield recording
    recording.close()
