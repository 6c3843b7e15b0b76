"""A function that runs while the others go on: what the kernel does for it needs no interpreter.

The keeper process imports this while the session waits: `threading` and `concurrent.futures` take long to import.
"""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Meanwhile"]


class Meanwhile:
    """Runs a function in a thread of its own.

    >>> rings = Meanwhile(lambda: create_ring(1 << 26))
    >>> rings.get()
    5
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._problem: BaseException | None = None
        self._result: object = None
        self._ended = _thread.allocate_lock()
        self._ended.acquire()
        _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as problem:  # it is raised where the result is asked for
            self._problem = problem
        finally:
            self._ended.release()

    @property
    def is_over(self) -> bool:
        """Whether the function has returned, or raised."""
        return not self._ended.locked()

    def get(self) -> Any:
        """The result, as soon as it is there. Raises what the function raised."""
        with self._ended:
            if self._problem is not None:
                raise self._problem
            return self._result
