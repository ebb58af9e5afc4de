"""A version that stays while a program asks it for runs, one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.engine.asking import Asking
from harness.engine.testing.plan import Request
from harness.engine.testing.testing import test
from harness.errors import CauseCode, HarnessError
from harness.progress import Progress
from harness.project.configuration import TestSettings
from harness.report.model import Cause, Result, TestResult


class OpenVersion:
    """A version in its own Airflow, for as long as the block lasts that opened it."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._measure, self.airflow = asking.served.result()

    def run(self, name: str, settings: TestSettings) -> TestResult:
        """Run a DAG and judge it as a test of harness.toml is judged. What fails is the result's cause."""
        found = self._measure(name, settings)
        self._asking.made.append(found)
        return found


@contextmanager
def open_version(
    start: Path, request: Request, progress: Progress, interrupted: threading.Event | None = None
) -> Iterator[OpenVersion]:
    """The version that `request` names, in its own Airflow; it goes as that of a test does when the block ends.

    Once `interrupted` is set, and when Ctrl-C ends the block, it goes at once, whatever it is at.
    Raises HarnessError with the version's cause where it can't be made, and for a failed isolation receipt at its end.
    """
    asking = Asking(interrupted=interrupted or threading.Event())
    results: list[Result] = []

    def work() -> None:
        try:
            results.append(test(start, replace(request, asking=asking), progress))
            failure: BaseException = raised(results[0])
        except BaseException as error:  # noqa: BLE001  told by whoever waits for the version
            failure = error
        if not asking.served.done():
            asking.served.set_exception(failure)

    thread = threading.Thread(target=work, name="version")
    thread.start()
    try:
        yield OpenVersion(asking)
    except KeyboardInterrupt:
        asking.interrupted.set()
        raise
    finally:
        asking.ended.set()
        thread.join()
    causes = [version.cause for result in results for version in result.versions if version.cause]
    if causes:
        raise causes[0].error()


def raised(result: Result) -> HarnessError:
    """What a result failed of, as an error."""
    nothing = Cause(code=CauseCode.INTERNAL.code, message="nothing was tested")
    return next(iter(result.causes), nothing).error()


def settings_of(
    dag: str,
    conf: Mapping[str, Any],
    timeout: str | float | None = None,
    metrics: str | None = None,
    logical_date: datetime | str | None = None,
) -> TestSettings:
    """The settings of a run, checked as those of harness.toml are. Raises ValueError for what they can't be."""
    given = {"timeout": timeout, "metrics": metrics and {"task": metrics}, "logical_date": logical_date}
    known = {name: value for name, value in given.items() if value is not None}
    return TestSettings.model_validate({"dag": dag, "conf": dict(conf), **known})
