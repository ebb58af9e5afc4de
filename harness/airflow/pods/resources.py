"""What pods ask of a node, and what it has: CPU, memory and anything else that Kubernetes counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>n|u|m|k|[KMGTPE]i?|[eE]\d+)?")
_UNITS = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
}
_BINARY_UNITS = {f"{letter}i": 1024.0 ** (power + 1) for power, letter in enumerate("KMGTPE")}


def parse_quantity(text: str | int | float) -> float:
    """A Kubernetes quantity ("250m", "1.5Gi", 2) as a number of cores or bytes.

    Raises ValueError for what is none.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is no Kubernetes quantity")
    unit = match["unit"] or ""
    if unit[:1] in {"e", "E"} and unit[1:].isdigit():
        return float(match["number"] + unit)
    return float(match["number"]) * {**_UNITS, **_BINARY_UNITS}[unit]


@dataclass(frozen=True)
class Resources:
    """CPU in cores, memory in bytes, None where nothing is said; `others` by name, such as nvidia.com/gpu."""

    cpu: float | None = None
    memory_bytes: float | None = None
    others: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, data: Mapping[str, str] | None) -> Resources:
        return cls._counted(_numbers(data))

    @classmethod
    def _counted(cls, numbers: Mapping[str, float]) -> Resources:
        others = {name: number for name, number in numbers.items() if name not in {"cpu", "memory"}}
        return cls(numbers.get("cpu"), numbers.get("memory"), tuple(sorted(others.items())))

    def fits(self, room: Resources) -> bool:
        """Whether a node with `room` in all could ever hold this."""
        pairs = ((self.cpu, room.cpu), (self.memory_bytes, room.memory_bytes))
        has = dict(room.others)
        return all(wanted is None or there is None or wanted <= there for wanted, there in pairs) and all(
            number <= has.get(name, 0.0) for name, number in self.others
        )

    def without(self, promised: Resources) -> Resources:
        """What is left of this beside what others have been promised, nothing at the least."""
        taken = dict(promised.others)
        return Resources(
            None if self.cpu is None else max(0.0, round(self.cpu - (promised.cpu or 0.0), 3)),
            None
            if self.memory_bytes is None
            else max(0.0, self.memory_bytes - (promised.memory_bytes or 0.0)),
            tuple((name, max(0.0, number - taken.get(name, 0.0))) for name, number in self.others),
        )

    def restricted_to(self, requests: Resources) -> Resources:
        """This with those others alone that are asked for, 0 of what it does not have."""
        has = dict(self.others)
        others = tuple((name, has.get(name, 0.0)) for name, _ in requests.others)
        return Resources(self.cpu, self.memory_bytes, others)

    def __str__(self) -> str:
        parts = []
        if self.cpu is not None:
            parts.append(f"{self.cpu:g} CPU")
        if self.memory_bytes is not None:
            parts.append(f"{shown_bytes(self.memory_bytes)} of memory")
        for name, number in self.others:
            in_bytes = name == "ephemeral-storage" or name.startswith("hugepages-")
            parts.append(f"{shown_bytes(number)} of {name}" if in_bytes else f"{number:g} {name}")
        return ", ".join(parts) or "nothing"


NOTHING = Resources()


def requested_by(spec: Mapping[str, Any]) -> Resources:
    """What a pod asks of its node: its containers together, or more where one that comes before them does."""
    lasting: dict[str, float] = {}
    before: dict[str, float] = {}
    for entry in spec.get("initContainers") or []:
        together = _each(lasting, _requests(entry), float.__add__)
        if entry.get("restartPolicy") == "Always":  # a sidecar: it stays
            lasting = together
        before = _each(before, together, max)
    for entry in spec["containers"]:
        lasting = _each(lasting, _requests(entry), float.__add__)
    return Resources._counted(_each(lasting, before, max))


def _requests(container: Mapping[str, Any]) -> dict[str, float]:
    return _numbers((container.get("resources") or {}).get("requests"))


def _numbers(data: Mapping[str, str] | None) -> dict[str, float]:
    return {name: parse_quantity(text) for name, text in (data or {}).items()}


def _each(
    left: Mapping[str, float], right: Mapping[str, float], combine: Callable[[float, float], float]
) -> dict[str, float]:
    return {name: combine(left.get(name, 0.0), right.get(name, 0.0)) for name in {**left, **right}}


def shown_bytes(number: float) -> str:
    """Bytes as people write them: 512Mi, 2Gi."""
    for unit, size in reversed(_BINARY_UNITS.items()):
        if number >= size:
            return f"{number / size:.3g}{unit}" if number / size < 1000 else f"{number / size:.0f}{unit}"
    return f"{number:.0f}"
