"""Lets each example import its program, as pytest's default import mode does; a copy of an example needs nothing."""

import sys
from pathlib import Path

sys.path[:0] = sorted({str(test.parent) for test in Path(__file__).parent.glob("*/test_*.py")})
