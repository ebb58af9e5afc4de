"""What the cluster knows of the noise of metrics: learnt by each comparison, measured on purpose, carried in a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.cluster.services.database import Server
from harness.cluster.services.kept_results import Results
from harness.errors import CauseCode, HarnessError
from harness.project.configuration import TestSettings
from harness.report.format import size
from harness.report.model import TestResult
from harness.verdict import learnt
from harness.verdict.learnt import Noise, Sample
from harness.verdict.sequential import Spread

MOST_BYTES = 100_000_000  # of a file; fifty comparisons of a hundred tests take a tenth of that
FORMAT = 1  # part of every key: raise it when samples of now can't be read as those of before
_SAMPLES = TypeAdapter(tuple[Sample, ...])


def test_key(settings: TestSettings) -> str:
    """SHA-256 of what runs have in common whose numbers differ by noise alone: all of the configuration but a seed."""
    conf = {name: value for name, value in settings.conf.items() if name != settings.seed}
    source = settings.metrics.model_dump() if settings.metrics else None
    parts = [FORMAT, settings.dag, conf, source]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def learnt_of(
    tests: Mapping[str, TestSettings], versions: Mapping[str, Mapping[str, Sequence[TestResult]]]
) -> list[Sample]:
    """What the runs of a version's tests, or of a base's and its head's, tell of the noise, by the versions' tags."""
    found = []
    for name, settings in tests.items():
        sides = [runs.get(name, ()) for runs in versions.values()]
        count = min(map(len, sides))
        if count > 1 and all(run.verdict == "passed" for side in sides for run in side[:count]):
            numbers = tuple(tuple(map(_numbers, side[:count])) for side in sides)
            found.append(
                Sample(test=test_key(settings), dag=settings.dag, versions=tuple(versions), sides=numbers)
            )
    return found


def keep(server: Server, samples: Iterable[Sample]) -> None:
    """Have the cluster keep what was learnt. Raises HarnessError(DATABASE_FAILED)."""
    Results(server).keep_noise({_key(each): (each.test, each.model_dump_json()) for each in samples})


def keep_quietly(server: Server, found: Iterable[Sample]) -> None:
    """The same, where a cluster that can't be asked is no reason to fail: nothing is learnt of this one."""
    with suppress(HarnessError):
        keep(server, found)


def samples(server: Server, settings: TestSettings) -> list[Sample]:
    """What the cluster knows of a test. Raises HarnessError(DATABASE_FAILED)."""
    found = []
    for document in Results(server).noise(test_key(settings)):
        with suppress(ValidationError):  # written by another version of harness
            found.append(Sample.model_validate_json(document))
    return found


def known(server: Server, settings: TestSettings) -> dict[str, Noise]:
    """The noise of each of a test's metrics. Raises HarnessError(DATABASE_FAILED)."""
    return learnt.noise(samples(server, settings))


def spreads(server: Server, settings: TestSettings, versions: tuple[str, ...]) -> dict[str, Spread]:
    """What a comparison of these versions may rely on: what all others told; nothing where nobody can be asked."""
    with suppress(HarnessError):
        found = samples(server, settings)
        return learnt.spreads(each for each in found if set(each.versions) != set(versions))
    return {}


def write(path: Path, found: Sequence[Sample]) -> None:
    """Write samples for another cluster. Raises HarnessError(USAGE) where the file can't be written."""
    try:
        path.write_bytes(_SAMPLES.dump_json(tuple(found), indent=1) + b"\n")
    except OSError as error:
        raise HarnessError(
            CauseCode.USAGE, f"--export {path}: {error.strerror}", hint="harness noise --export noise.json"
        ) from error


def read(path: Path) -> tuple[Sample, ...]:
    """Samples that `write` wrote. Raises HarnessError(USAGE) for anything else."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) <= MOST_BYTES:
            return _SAMPLES.validate_json(text)
        problem = f"not what harness noise --export writes: more than {size(MOST_BYTES)}"
    except OSError as error:
        problem = str(error.strerror)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"not what harness noise --export writes: {first['msg']}"
    raise HarnessError(
        CauseCode.USAGE, f"--import {path}: {problem}", hint="harness noise --export noise.json"
    )


def _numbers(run: TestResult) -> dict[str, float]:
    return {name: metric.value for name, metric in run.metrics.items() if metric.value is not None}


def _key(found: Sample) -> str:
    parts = [FORMAT, found.test, found.versions]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
