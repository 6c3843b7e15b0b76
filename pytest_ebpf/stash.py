"""The keys under which pytest's own objects hold ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .fixtures import SessionSource
    from .recording import Recording

__all__ = ["RECORDING", "SOURCE"]

SOURCE: pytest.StashKey[SessionSource] = pytest.StashKey()
"""Of a config."""
RECORDING: pytest.StashKey[Recording] = pytest.StashKey()
"""Of an item: its call phase, from its setup on."""
