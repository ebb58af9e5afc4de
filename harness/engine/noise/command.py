"""`harness noise`: what is known of the noise of a project's metrics, after learning more of it where that is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
from harness.verdict import learnt
from harness.verdict.comparison import is_compared, seeds
from harness.verdict.learnt import Noise


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
        if read:
            noise.keep(running.server, read)
            progress.note(f"learnt from {asked.import_}: {len(read)} samples")
        samples = {name: noise.samples(running.server, settings) for name, settings in tests.items()}
    if asked.export is not None:
        found = [sample for each in samples.values() for sample in each]
        noise.write(asked.export, found)
        progress.note(
            f"{asked.export}: {len(found)} samples; on the other cluster: harness noise --import FILE"
        )
    return [TestNoise(name, tests[name], learnt.noise(each)) for name, each in samples.items()]


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
