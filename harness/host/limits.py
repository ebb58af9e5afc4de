"""How much disk harness may keep: by its variables, else a share of what the disk has for it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from harness.errors import CauseCode, HarnessError

CACHE_VARIABLE = "HARNESS_CACHE_LIMIT"
NODE_VARIABLE = "HARNESS_NODE_LIMIT"
SHARE = 0.25  # of what is free and what harness holds
LEAST_BYTES = 4 * 10**9  # below, each test would make again what the last one made
MOST_BYTES = 30 * 10**9
_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|[kmgt]i?)b?", re.IGNORECASE)


def limit(variable: str, place: Path, held_bytes: int) -> int:
    """The bytes that may be held, as `variable` says, else as the disk of `place` suggests, which others fill too.

    `held_bytes`: what harness holds there now. Raises HarnessError(USAGE) for a variable that is no size.
    """
    if asked := os.environ.get(variable, "").strip():
        return parse_size(variable, asked)
    there = next(each for each in (place, *place.parents) if each.exists())
    return suggested(shutil.disk_usage(there).free, held_bytes)


def suggested(free_bytes: int, held_bytes: int) -> int:
    """A quarter of what is free or held, from 4 to 30 GB."""
    return int(min(MOST_BYTES, max(LEAST_BYTES, SHARE * (free_bytes + held_bytes))))


def check() -> None:
    """Raises HarnessError(USAGE) for a variable that is no size, before any work."""
    for variable in (CACHE_VARIABLE, NODE_VARIABLE):
        if asked := os.environ.get(variable, "").strip():
            parse_size(variable, asked)


def parse_size(name: str, text: str) -> int:
    """Bytes of "6GB", "500 MB", "2.5GiB" or "1000000". Raises HarnessError(USAGE), which names `name`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise HarnessError(
            CauseCode.USAGE, f"{name}={text!r} is no size such as 6GB", hint=f"export {name}=6GB"
        )
    return int(float(found[1]) * _UNITS[found[2].lower()])
