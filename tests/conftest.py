"""Two workers run the suite, and in the end it is said where their time went.

A cluster belongs to one worker: each folder whose tests share a cluster stays whole. All else is divided by file.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from harness.host.doctor.machine_checks import read_available_memory

WORKERS = 2  # of two cores each has one; a third would only make the others late
MEMORY_BYTES = 10 << 30  # two clusters, with three versions at work on each
WHOLE = ("tests/e2e/", "tests/faults/")
BY_ITSELF = ("tests/faults/test_ups.py",)  # its clusters are its own: the worker that is free first takes it
SHOWN_S = 60.0  # who runs less than this sees that it was quick
FILES = 15
SEED = "HARNESS_TEST_SEED"  # of what is drawn; the workers inherit it, so that all draw the same


def pytest_configure() -> None:
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(10**6)))


def pytest_report_header() -> str:
    return f"{SEED}={os.environ[SEED]} draws which kills are done; pytest -m slow does the others"


@pytest.fixture
def git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of git's settings that counts, in place of those of the user and of the machine."""
    from git_repository import isolate  # beside the tests that ask for it

    file = tmp_path / "gitconfig"
    for name, value in isolate(file).items():
        monkeypatch.setenv(name, value)
    return file


class ByFileOrFolder(LoadScopeScheduling):  # type: ignore[misc]
    """Files in the order of `testpaths`, so that what is quick tells first; folders with a cluster as one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        if file in BY_ITSELF:
            return file
        return next((folder for folder in WHOLE if file.startswith(folder)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFileOrFolder:
    return ByFileOrFolder(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None for single files, for what is watched, where memory is scarce, and for slow tests: one kills Docker."""
    alone = all(Path(each.split("::", 1)[0]).suffix == ".py" for each in config.args)
    watched = config.option.capture == "no"
    scarce = (read_available_memory() or MEMORY_BYTES) < MEMORY_BYTES
    return 0 if alone or watched or scarce or config.option.markexpr == "slow" else WORKERS


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Workers that are interrupted end without tidying up."""
    if exitstatus == pytest.ExitCode.INTERRUPTED and session.config.option.dist != "no":
        for name in ("harness-test", "harness-faults"):
            print(f"\nif it is still there: harness down --force --name {name}")  # noqa: T201


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Seconds by folder and by file, with the fixtures that were made for them, the most first."""
    reports = [each for found in terminalreporter.stats.values() for each in found]
    timed = [each for each in reports if isinstance(each, pytest.TestReport)]
    spent: Counter[str] = Counter()
    for report in timed:
        file = report.nodeid.split("::", 1)[0]
        for place in {file, "/".join(file.split("/")[:2])}:
            spent[place] += report.duration
    if sum(report.duration for report in timed) >= SHOWN_S:
        terminalreporter.section("where the time went")
        for line in _table(spent):
            terminalreporter.write_line(line)


def _table(spent: Counter[str]) -> Iterator[str]:
    folders = [place for place in spent if not place.endswith(".py")]
    files = [place for place, _ in spent.most_common() if place.endswith(".py")]
    for place in [*folders, *files[:FILES]]:
        yield f"{spent[place]:7.1f} s  {place}"
