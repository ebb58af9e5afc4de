"""Somebody who asks a version for runs one by one, in place of the tests that are configured."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TypeVar

from harness.airflow.rest.api import AirflowApi
from harness.project.configuration import TestSettings
from harness.report.model import TestResult

Measure = Callable[[str, TestSettings], TestResult]
LOOK_EVERY_S = 0.2
T = TypeVar("T")


@dataclass(eq=False)
class Asking:
    """The runs that are asked for: served from when the version is there until nobody asks any more.

    `made`: what they came to, in their order. `asks`: whether there is anybody. `interrupted`: whoever asks was
    interrupted, elsewhere than where the version's test waits; that ends as Ctrl-C would end it.
    """

    asks: bool = True
    served: Future[tuple[Measure, AirflowApi]] = field(default_factory=Future)
    ended: threading.Event = field(default_factory=threading.Event)
    interrupted: threading.Event = field(default_factory=threading.Event)
    made: list[TestResult] = field(default_factory=list)

    def serve(self, measure: Measure, airflow: AirflowApi, pause: Callable[[float], None]) -> None:
        """Let runs be asked for until nobody does. `pause` sleeps, and raises when that must end."""
        self.served.set_result((measure, airflow))
        while not self.ended.is_set():
            pause(LOOK_EVERY_S)

    def result_of(self, result: Future[T]) -> T:
        """The result, once it is there. Raises KeyboardInterrupt when whoever asks was interrupted."""
        while self.asks and not result.done():
            wait((result,), LOOK_EVERY_S)
            if self.interrupted.is_set():
                raise KeyboardInterrupt
        return result.result()


NOBODY = Asking(asks=False)
