"""Eight commits of one DAG, and what the version of each must come to: one lacks a package, and one raises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.commands import Tested
from benchmarks.locks import without
from benchmarks.repositories import CHECKOUT, DAG_FILE, LOCK, Repository, dag
from harness.errors import CauseCode
from harness.report.model import TestResult, VersionResult

COUNT = 8
LEAN, BROKEN = 3, 6  # which of them has fewer dependencies, and which is broken
PACKAGE = "scikit-learn"  # nothing of Airflow needs it


@dataclass(frozen=True)
class Branch:
    """A branch whose task returns its line, or names it when it raises, and says whether it has scikit-learn."""

    name: str
    line: int
    has_package: bool = True
    is_broken: bool = False

    def problems(self, version: VersionResult | None) -> Iterator[str]:
        """In what a version's result is not what it must be."""
        if version is None:
            yield f"{self.name}: no result"
            return
        if version.cause is not None:
            yield f"{self.name}: {version.cause.code}: {version.cause.message}"
        if len(version.tests) != 1:
            yield f"{self.name}: {len(version.tests)} tests, not one"
        for test in version.tests:
            yield from (f"{self.name}: {problem}" for problem in self._of(test))

    def _of(self, test: TestResult) -> Iterator[str]:
        cause = test.cause
        if self.is_broken:
            words = f"line {self.line} is broken"
            if cause is None or cause.code != CauseCode.TASK_FAILED.code or words not in cause.message:
                told = f"{cause.code}: {cause.message}" if cause else "it passed"
                yield f"{told}, where its task says `{words}`"
            return
        if cause is not None:
            yield f"{cause.code}: {cause.message}"
            return
        for name, wanted in (("line", self.line), ("scikit_learn", self.has_package)):
            metric = test.metrics.get(name)
            if metric is None or metric.value != wanted:
                yield f"{name} is {metric.value if metric else 'not there'}, not {wanted:d}"


def eight(made: Repository, lines: Iterator[int]) -> list[Branch]:
    """Eight new branches, with the next of these lines: no image of theirs was ever made."""
    lean = without((CHECKOUT / LOCK).read_text(encoding="utf-8"), PACKAGE)
    branches = []
    for index in range(COUNT):
        line = next(lines)
        branch = Branch(f"line-{line}", line, has_package=index != LEAN, is_broken=index == BROKEN)
        files = {DAG_FILE: dag(line, broken=branch.is_broken)} | ({} if branch.has_package else {LOCK: lean})
        made.branch(branch.name, files)
        branches.append(branch)
    return branches


def problems(branches: Sequence[Branch], tested: Tested, remote: str = "") -> Iterator[str]:
    """In what a command's result for these branches, asked for as those of `remote`, is not what it must be."""
    versions = {version.ref: version for version in tested.result.versions}
    if tested.result.cause is not None:
        yield f"{tested.result.cause.code}: {tested.result.cause.message}"
    for branch in branches:
        yield from branch.problems(versions.get(remote + branch.name))
    wanted = 1 if any(branch.is_broken for branch in branches) else 0
    if tested.exit_code != wanted:
        yield f"`harness test` ended with {tested.exit_code}, not {wanted}"
