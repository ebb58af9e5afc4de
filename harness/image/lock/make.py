"""Inputs to a lock: the packages that fit together as of Airflow's release, for both architectures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.errors import HarnessError
from harness.image.lock import airflow, lock_text, packages
from harness.image.lock.inputs import Inputs
from harness.image.lock.packages import Resolved
from harness.image.lock.resolve import Question, UnresolvedError, resolve
from harness.image.lock.target import PLATFORMS, Target
from harness.image.lock.wanted import AIRFLOW, Wanted, wanted

_MARKERS = tuple(f'platform_machine == "{machine}"' for machine in PLATFORMS)


@dataclass(frozen=True)
class Made:
    """A lock. `added` are packages that nobody asked for and runs need; `built` those without a wheel.

    `chosen` says how versions were chosen, `notes` what did not go as it should.
    """

    content: bytes = field(repr=False)
    airflow: str
    count: int
    chosen: str
    added: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Way:
    """One way to choose versions, and how it is called."""

    name: str
    question: Question


def make(
    inputs: Inputs,
    *,
    asked: datetime,
    there: Mapping[str, str] = MappingProxyType({}),
    on_line: Callable[[str], None] = lambda _: None,
    log: Path | None = None,
) -> Made:
    """The lock of `inputs` as it could have been made at `asked`: nothing newer gets in.

    `there`: the packages, by name, of the image that the lock's are put on. Their versions are taken where they fit.
    Raises HarnessError: DEPENDENCIES_UNRESOLVED with uv's words, SOURCE_UNREACHABLE.
    """
    target = Target(inputs.python)
    found = wanted(inputs, target)
    asked = _end_of_day(asked)
    texts = {**{path: inputs.text(path) for path in inputs.files}, **found.texts}
    question = Question(
        origin=inputs.source,
        texts=texts,
        files=found.files,
        lines=found.requirements,
        constraints=found.constraints,
        as_of=asked,
        exempt=tuple(found.pinned),
        undated=found.bound,
        bound=found.bound,
        asked=asked,
    )
    version, uploaded, question = _airflow(question, target, found, on_line, log)
    notes: list[str] = []
    failed: HarnessError | None = None
    fixed = (f"{AIRFLOW[0]}=={version}",)
    question = replace(question, lines=(*question.lines, *fixed))
    release = airflow.as_of_release(uploaded) if uploaded else None
    for way in chain(
        _as_there(question, release, inputs, there),
        _ways(question, found, version, release, inputs.python, notes),
    ):
        try:
            first, answered = _answered(way, target, found, on_line, log)
        except UnresolvedError as error:
            failed = error
            notes.append(f"{way.name}: {error.evidence[1] if len(error.evidence) > 1 else error.message}")
            continue
        notes += _told(way, answered, first)
        return _made(inputs, found, replace(way, question=answered), first, notes, on_line, log)
    assert failed is not None  # noqa: S101  there is one way at least
    raise failed


def _answered(
    way: _Way, target: Target, found: Wanted, on_line: Callable[[str], None], log: Path | None
) -> tuple[dict[str, Resolved], Question]:
    """The packages that a way leads to; those that could not stay as preferred are no newer than the rest."""
    first, answered = _resolve(way.question, target, on_line, log)
    if packages.without_pkg_resources(first):
        with suppress(UnresolvedError):
            more = replace(answered, lines=(*answered.lines, packages.PKG_RESOURCES))
            first, answered = _resolve(more, target, on_line, log)
    if moved := _moved(way.question, first, found):
        kept = tuple(name for name in answered.exempt if name not in moved)
        with suppress(UnresolvedError):
            return _resolve(replace(answered, exempt=kept), target, on_line, log)
    return first, answered


def _told(way: _Way, answered: Question, resolved: Mapping[str, Resolved]) -> Iterator[str]:
    """What is to be known of the versions besides the way by which they were chosen."""
    if answered.undated:
        names = ", ".join(sorted(answered.undated))
        yield f"no date bounds {names}: the index does not say when files were uploaded"
    if newer := sorted(set(answered.exempt) - set(way.question.exempt)):
        yield f"newer than that, because your versions need it: {', '.join(newer)}"
    if packages.PKG_RESOURCES in answered.lines:
        rest = {name: each for name, each in resolved.items() if name != "setuptools"}
        who = ", ".join(packages.without_pkg_resources(rest))
        yield f"added, as Airflow's own image has it and {who} takes it for granted: {packages.PKG_RESOURCES}"
    if told := packages.for_gpus(resolved):
        yield told


def _airflow(
    question: Question, target: Target, found: Wanted, on_line: Callable[[str], None], log: Path | None
) -> tuple[str, datetime | None, Question]:
    """Airflow's version and when it was uploaded: the fixed one, else what fits as of the day that is asked for.

    With it the question, which knows by then which packages have no date.
    """
    if found.airflow:
        return (
            found.airflow,
            airflow.released(found.airflow, target, question, on_line=on_line, log=log),
            question,
        )
    resolved, answered = _resolve(question, target, on_line, log)
    core = resolved[AIRFLOW[0]]
    return core.version, core.uploaded, answered


def _resolve(
    question: Question, target: Target, on_line: Callable[[str], None], log: Path | None
) -> tuple[dict[str, Resolved], Question]:
    """The packages that answer a question; those that an index has without a date count whatever the date.

    Those that only the date stands against may be newer, as what a fixed version needs in turn. With the packages
    comes the question as it was answered. Raises what `resolve` raises.
    """
    while True:
        try:
            return resolve(question, target, on_line=on_line, log=log), question
        except UnresolvedError as error:
            suspects = {str(canonicalize_name(name)) for name in error.without_a_date} - question.undated
            undated = {name for name in suspects if not _has_date(name, question, target, log)}
            newer = suspects - undated - {*question.exempt, *AIRFLOW}
            if not undated | newer:
                raise
            question = replace(
                question, undated=question.undated | undated, exempt=(*question.exempt, *sorted(newer))
            )


def _has_date(name: str, question: Question, target: Target, log: Path | None) -> bool:
    """Whether the index that has a package says when its files were uploaded; one that only it is asked for by name
    (`explicit`) is none of those that date theirs."""
    alone = replace(question, files=(), lines=(name,), constraints=(), as_of=None, exempt=(), alone=True)
    try:
        found = resolve(alone, target, on_line=lambda _: None, log=log).get(name)
    except UnresolvedError:
        return False
    return found is not None and found.uploaded is not None


def _as_there(
    question: Question, release: datetime | None, inputs: Inputs, there: Mapping[str, str]
) -> Iterator[_Way]:
    """What the image below has: what runs in production is tested, and little is put on it."""
    preferred = {name: version for name, version in there.items() if _is_version(version)}
    if preferred:
        asked = question.asked
        assert asked is not None  # noqa: S101
        as_of = min(release, asked) if release else asked
        named = inputs.base.partition("@")[0] or "the image"
        yield _Way(
            f"the packages of {named}, others as of {as_of:%Y-%m-%d}",
            replace(
                question,
                as_of=as_of,
                preferred=preferred,
                exempt=(*question.exempt, *(name for name in preferred if name not in question.exempt)),
            ),
        )


def _moved(question: Question, resolved: Mapping[str, Resolved], found: Wanted) -> frozenset[str]:
    """What is taken in another version than was preferred: there is no reason any more to take a newer one."""
    return frozenset(
        name
        for name, version in question.preferred.items()
        if name in resolved and resolved[name].version != version and name not in found.pinned
    )


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _ways(
    question: Question,
    found: Wanted,
    version: str,
    release: datetime | None,
    python: str,
    notes: list[str],
) -> Iterator[_Way]:
    """Ways to choose versions, the best first: what Airflow was tested with, that day's, those of the day asked for."""
    asked = question.asked
    assert asked is not None  # noqa: S101
    own = airflow.constraints(version, python) if not found.constraints else None
    if own is not None:
        kept = airflow.without(own, frozenset(found.pinned))
        yield _Way(f"the constraints of Airflow {version}", replace(question, constraints=kept))
    elif not found.constraints:
        notes.append(
            f"the constraints of Airflow {version} can't be had here: its release's date takes their place"
        )
    if release is not None and release < asked:
        yield _Way(
            f"as of {release:%Y-%m-%d}, the release of Airflow {version}", replace(question, as_of=release)
        )
    yield _Way(f"as of {asked - timedelta(days=1):%Y-%m-%d}", question)


def _made(
    inputs: Inputs,
    found: Wanted,
    way: _Way,
    first: dict[str, Resolved],
    notes: Sequence[str],
    on_line: Callable[[str], None],
    log: Path | None,
) -> Made:
    """The lock of what was resolved for the first architecture, and the same versions for the other."""
    machines = list(PLATFORMS)
    same = [f"{each.name}=={each.version}" for each in first.values() if not each.url or each.uploaded]
    other: dict[str, Resolved] = {}
    with suppress(UnresolvedError):  # then it is a lock for the first one alone
        on_line("the same for the other architecture")
        question = replace(way.question, constraints=(*way.question.constraints, *same))
        other = resolve(question, Target(inputs.python, machines[1]), on_line=lambda _: None, log=log)
    lines = packages.both(first, other, _MARKERS) if other else packages.both(first, first, _MARKERS)
    assert way.question.as_of is not None  # noqa: S101
    as_of = f"{way.question.as_of:%Y-%m-%dT%H:%M:%SZ}"
    base = inputs.base if "@" in inputs.base else ""
    header = lock_text.Header(inputs.source, inputs.python, inputs.digest, way.name, as_of, base)
    return Made(
        content=lock_text.write(header, lines),
        airflow=first[AIRFLOW[0]].version,
        count=len(first),
        chosen=way.name,
        added=tuple(f"{name} {first[name].version}" for name in found.added),
        built=tuple(f"{each.name} {each.version}" for each in first.values() if each.is_built),
        notes=tuple(notes),
    )


def _end_of_day(moment: datetime) -> datetime:
    """The midnight that ends a day, so that one day gives one lock."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1)
