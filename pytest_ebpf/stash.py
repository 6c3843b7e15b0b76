"""The keys under which pytest's own objects hold ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .fixtures import SessionSource
    from .recording import Recording

__all__ = ["LATE", "RECORDING", "SOURCE"]

SOURCE: pytest.StashKey[SessionSource] = pytest.StashKey()
"""Of a config."""
RECORDING: pytest.StashKey[Recording] = pytest.StashKey()
"""Of an item: its call phase, from its setup on."""
LATE: pytest.StashKey[list[Mapping[str, Any]]] = pytest.StashKey()
"""Of a config: for each test with late events its name, the text that shows them, and whether a rule is broken."""
