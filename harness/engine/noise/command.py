"""`harness noise`: what is known of the noise of a project's metrics, after learning more of it where that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from harness.cluster import place
from harness.cluster.existing import port_forward
from harness.cluster.running_cluster import attach
from harness.engine.noise import known as noise
from harness.engine.testing.plan import Request
from harness.engine.testing.testing import test
from harness.errors import CauseCode, HarnessError
from harness.progress import Progress
from harness.project.configuration import TestSettings
from harness.project.project import load
from harness.report.format import plural
from harness.verdict import learnt
from harness.verdict.comparison import is_compared, seeds
from harness.verdict.learnt import Noise, Sample


@dataclass(frozen=True)
class Asked:
    """What `harness noise` was asked for."""

    names: tuple[str, ...] = ()
    cluster: str = "harness"
    measure: int | None = None
    ref: str = "HEAD"
    export: Path | None = None
    import_: Path | None = None


@dataclass(frozen=True)
class TestNoise:
    """What is known of one test: its settings, and the noise of each of its metrics."""

    __test__ = False  # not a pytest class

    name: str
    settings: TestSettings
    metrics: dict[str, Noise]

    @property
    def gates(self) -> int:
        """How many gates judge a comparison together: those that ask for one, or would if they did as proposed."""
        gated = sum(
            gate.max_regression is not None or gate.max_relative_regression is not None
            for gate in self.settings.gates.values()
        )
        return max(1, gated if is_compared(self.settings) else len(self.settings.gates))


def run(start: Path, asked: Asked, progress: Progress) -> list[TestNoise]:
    """What is known of each test. Raises HarnessError, also when a run that was to be measured failed."""
    place.check_name(asked.cluster)
    read = noise.read(asked.import_) if asked.import_ is not None else ()
    project = load(start)
    tests = project.tests(asked.names)
    if asked.measure is not None:
        _measure(start, asked, tests if asked.names else measurable(tests, progress), progress)
    with progress.waiting(f"asking cluster {asked.cluster}"):
        running = attach(asked.cluster)
    with port_forward.held(running.cluster, running.server.kubectl):
        if asked.import_ is not None:
            noise.keep(running.server, read)
            progress.note(
                f"learnt from {asked.import_}: {told_of(read, tests) if read else 'nothing, it is empty'}"
            )
        samples = {name: noise.samples(running.server, settings) for name, settings in tests.items()}
    if asked.export is not None:
        found = [sample for each in samples.values() for sample in each]
        noise.write(asked.export, found)
        progress.note(
            f"{asked.export}: {told_of(found, tests)}; on the other cluster: harness noise --import "
            f"{quote(str(asked.export))}"
        )
    return [
        TestNoise(name, tests[name], gated_first(learnt.noise(each), tests[name]))
        for name, each in samples.items()
    ]


def gated_first(found: dict[str, Noise], settings: TestSettings) -> dict[str, Noise]:
    """The metrics in the order of results: those with a gate as the gates are, then the others by name."""
    names = [name for name in settings.gates if name in found]
    return {name: found[name] for name in (*names, *sorted(found.keys() - settings.gates.keys()))}


def told_of(found: Sequence[Sample], tests: dict[str, TestSettings]) -> str:
    """How many runs samples are of, and whether they tell anything of these tests."""
    keys = {noise.test_key(settings) for settings in tests.values()}
    runs = sum(len(side) for sample in found for side in sample.sides)
    ours = sum(len(side) for sample in found if sample.test in keys for side in sample.sides)
    told = plural(runs, "run")
    return (
        told if ours == runs else f"{told}, {ours or 'none'} of them of {', '.join(tests)} as configured here"
    )


def measurable(tests: dict[str, TestSettings], progress: Progress) -> dict[str, TestSettings]:
    """Those with a seed where there are any: nobody asked for the others by their names."""
    found = {name: settings for name, settings in tests.items() if seeds(settings, 1) is not None}
    if found and (others := [name for name in tests if name not in found]):
        progress.note(f"without a seed in conf, not measured: {', '.join(others)}")
    return found or tests


def _measure(start: Path, asked: Asked, tests: dict[str, TestSettings], progress: Progress) -> None:
    """Run the tests; gates do not matter, for only runs that ended as they should are learnt from."""
    request = Request(
        names=tuple(tests), refs=(asked.ref,), keep="never", cluster=asked.cluster, repeat=asked.measure
    )
    result = test(start, request, progress)
    failed = next((cause for cause in result.causes if cause.code != CauseCode.GATE_FAILED.code), None)
    if failed is not None:
        raise HarnessError(
            CauseCode.of(failed.code), failed.message, hint=failed.hint, evidence=failed.evidence
        )
