"""The main job as others see it: `harness test` of the sample pipeline, watched from outside while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import only_version
from observer import ObservedPod

from harness.host.process import Completed


@dataclass(frozen=True)
class MainJob:
    """`harness test --keep never` of the sample pipeline: what it printed, wrote, and what others saw of it."""

    command: Completed
    folder: Path
    document: dict[str, Any]
    pods: list[ObservedPod]
    releases: set[tuple[str, str, str]]

    @property
    def version(self) -> dict[str, Any]:
        return only_version(self.document)

    @property
    def test(self) -> dict[str, Any]:
        (test,) = self.version["tests"]
        return test
