"""Feeds the decoder with what atheris makes up: ``tox run -e fuzz -- -max_total_time=600``."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent / "unit"))

with atheris.instrument_imports(include=["pytest_ebpf"]):
    import test_fuzz


def main() -> None:
    """Run until something breaks or the time is over."""
    atheris.Setup(sys.argv, test_fuzz.test_a_call.hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
