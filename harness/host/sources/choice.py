"""Whether clusters and images are made from published releases or from packages."""

from __future__ import annotations

import os
from enum import StrEnum

from harness.errors import CauseCode, HarnessError

VARIABLE = "HARNESS_SOURCES"


class Sources(StrEnum):
    """What was asked for; `auto` is release where it can be had, else packages."""

    AUTO = "auto"
    RELEASE = "release"
    PACKAGES = "packages"


def asked(option: Sources | None = None) -> Sources:
    """The option, else HARNESS_SOURCES, else auto. Raises HarnessError(USAGE) for another word."""
    if option is not None:
        return option
    word = os.environ.get(VARIABLE) or Sources.AUTO
    try:
        return Sources(word)
    except ValueError:
        known = ", ".join(Sources)
        raise HarnessError(
            CauseCode.USAGE, f"{VARIABLE}: {word!r} is none of {known}", hint=f"export {VARIABLE}=auto"
        ) from None
