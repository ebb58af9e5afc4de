"""Somebody who asks a version for runs one by one, in place of the tests that are configured."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from harness.airflow.rest.api import AirflowApi
from harness.project.configuration import TestSettings
from harness.report.model import TestResult

Measure = Callable[[str, TestSettings], TestResult]
LOOK_EVERY_S = 0.2


@dataclass(eq=False)
class Asking:
    """The runs that are asked for: served from when the version is there until nobody asks any more.

    `made`: what they came to, in their order. `asks`: whether there is anybody.
    """

    asks: bool = True
    served: Future[tuple[Measure, AirflowApi]] = field(default_factory=Future)
    ended: threading.Event = field(default_factory=threading.Event)
    made: list[TestResult] = field(default_factory=list)

    def serve(self, measure: Measure, airflow: AirflowApi, pause: Callable[[float], None]) -> None:
        """Let runs be asked for until nobody does. `pause` sleeps, and raises when that must end."""
        self.served.set_result((measure, airflow))
        while not self.ended.is_set():
            pause(LOOK_EVERY_S)


NOBODY = Asking(asks=False)
