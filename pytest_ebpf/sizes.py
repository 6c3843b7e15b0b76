"""Numbers of bytes, as users write them."""

from __future__ import annotations

import re

__all__ = ["parse"]

UNITS = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}


def parse(text: str) -> int:
    """Bytes. Raises ValueError for a text that is no size.

    >>> parse("1.5 MiB")
    1572864
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", text.strip())
    if match is None or match[2] not in UNITS:
        units = ", ".join(unit for unit in UNITS if unit)
        raise ValueError(f"{text!r} is no size: write as in '1MiB' (units: {units})")
    return int(float(match[1]) * UNITS[match[2]])
