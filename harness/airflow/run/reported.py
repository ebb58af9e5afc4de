"""What a run reported of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reported:
    """The numbers, in whatever form they came. `told` is how messages say where they are from."""

    value: object
    told: str = "the task returned"
    parameters: Mapping[str, str] = field(default_factory=dict)
