"""The result of `harness test`, schema 1: pure data that every report is rendered from."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from harness.errors import CauseCode, HarnessError, combined_exit_code
from harness.report.metric_results import GateResult, LearntResult, MetricResult, VerdictName
from harness.report.provenance import EnvironmentResult, ImageResult, Model, ValuesResult

__all__ = [
    "Cause",
    "EnvironmentResult",
    "GateResult",
    "ImageResult",
    "LearntResult",
    "MetricResult",
    "Model",
    "Receipt",
    "ReceiptCheck",
    "ReceiptVerdict",
    "Repetition",
    "Result",
    "TaskResult",
    "TestResult",
    "VerdictName",
    "VersionResult",
]

EVIDENCE_LINES = 20
FIRST_LINES = 8
_EXIT_CODES: dict[VerdictName, int] = {"passed": 0, "failed": 1, "error": 4}


class Cause(Model):
    """Why something did not pass. `code` is one of errors.CauseCode and fixes the exit code."""

    code: str
    message: str
    task_id: str | None = None
    hint: str = ""
    evidence: tuple[str, ...] = ()

    @field_validator("evidence")
    @classmethod
    def _at_most_a_screen(cls, evidence: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Of what is wrong with a configuration each line counts."""
        return evidence if info.data.get("code") == CauseCode.CONFIG_INVALID.code else excerpt(evidence)

    @classmethod
    def of(cls, error: HarnessError) -> Cause:
        return cls(
            code=error.cause.code,
            message=_encodable(error.message),
            task_id=error.task_id,
            hint=_encodable(error.hint),
            evidence=tuple(map(_encodable, error.evidence)),
        )

    def told(self, change: Callable[[str], str]) -> Cause:
        """The cause with each of its texts as `change` makes it."""
        return self.model_copy(
            update={
                "message": change(self.message),
                "hint": change(self.hint),
                "evidence": tuple(map(change, self.evidence)),
            }
        )

    def error(self) -> HarnessError:
        """The error that it was."""
        code, task = CauseCode.of(self.code), self.task_id
        return HarnessError(code, self.message, hint=self.hint, evidence=self.evidence, task_id=task)

    @property
    def exit_code(self) -> int:
        return CauseCode.of(self.code).exit_code

    @property
    def verdict(self) -> VerdictName:
        """`failed` for the DAG or a gate, `error` for all else."""
        return "failed" if self.exit_code == 1 else "error"


class TaskResult(Model):
    """One task instance. `queued_s`: from queued to started; `duration_s`: from started to ended.

    `image_name`: where its executor_config asks for another than the version's. `offset_s`: from the run's start until
    it was queued. `peak_memory_bytes`: the most that its largest process held. `base_…`: of it in the base version.
    `skipped_by_test`: it was not run, and counts as succeeded, because the test's `skip` names it.
    """

    task_id: str
    map_index: int = -1
    state: str | None
    try_number: int = 0
    pod: str | None = None
    image_digest: str | None = None
    image_name: str | None = None
    queued_s: float | None = None
    duration_s: float | None = None
    offset_s: float | None = None
    peak_memory_bytes: int | None = None
    base_duration_s: float | None = None
    base_peak_memory_bytes: int | None = None
    skipped_by_test: bool = False


class ChildRun(Model):
    """A run of another DAG that a test's run led to. `triggered_by`: operator or asset, as Airflow calls it."""

    dag_id: str
    run_id: str
    state: str | None
    triggered_by: str | None = None
    tasks: tuple[TaskResult, ...] = ()


class Repetition(Model):
    """One of several runs of a test: its seed and what it reported."""

    seed: int
    run_id: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class TestResult(Model):
    """One test of one version: a DAG run, its metrics and its verdict.

    With `--repeat` there are several runs: `repetitions` holds the numbers of each, all else is the first one's.
    `kept_at`: when it was measured, where the result is one that the cluster had kept. `parameters`: those that the run
    logged to MLflow, where its metrics are from there. `notes`: what is to be known of how the runs went, such as a
    path that two of them wrote.
    """

    __test__ = False  # not a pytest class

    name: str
    dag_id: str
    run_id: str | None = None
    logical_date: str | None = None
    data_digest: str | None = None
    state: str | None = None
    verdict: VerdictName
    metrics: dict[str, MetricResult] = Field(default_factory=dict)
    parameters: dict[str, str] = Field(default_factory=dict)
    tasks: tuple[TaskResult, ...] = ()
    children: tuple[ChildRun, ...] = ()
    repetitions: tuple[Repetition, ...] = ()
    kept_at: str | None = None
    notes: tuple[str, ...] = ()
    phases: dict[str, float] = Field(default_factory=dict)
    cause: Cause | None = None

    @property
    def every_task(self) -> tuple[TaskResult, ...]:
        """Its own, then those of the runs that it led to."""
        return self.tasks + tuple(task for child in self.children for task in child.tasks)

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Its own, then those of the runs that it led to."""
        return (*([self.run_id] if self.run_id else []), *(child.run_id for child in self.children))


ReceiptVerdict = Literal["passed", "failed", "not exercised"]


class ReceiptCheck(Model):
    """One thing that keeps a version apart from others, and whether it did."""

    name: str
    verdict: ReceiptVerdict
    message: str = ""


class Receipt(Model):
    """What was found of a version's isolation, `beside` the versions that were there at the same time."""

    verdict: ReceiptVerdict
    checks: tuple[ReceiptCheck, ...] = ()
    beside: tuple[str, ...] = ()

    @classmethod
    def of(cls, checks: tuple[ReceiptCheck, ...], *, beside: tuple[str, ...]) -> Receipt:
        """The receipt with the verdict that follows: alone on the cluster nothing was exercised."""
        failed = any(check.verdict == "failed" for check in checks)
        verdict: ReceiptVerdict = "failed" if failed else "passed" if beside else "not exercised"
        return cls(verdict=verdict, checks=checks, beside=beside)


class VersionResult(Model):
    """One commit's Airflow and the tests that ran in it. `phases` are seconds.

    `commit`: None where the ref names none.
    `role`: its side of a comparison. `bundle`: the file with all that is known of its failure.
    """

    ref: str
    commit: str | None
    dirty: str | None = None
    image: ImageResult | None = None
    values: ValuesResult | None = None
    namespace: str | None = None
    role: Literal["base", "head"] | None = None
    phases: dict[str, float] = Field(default_factory=dict)
    load_bytes: int | None = None
    kept: bool = False
    bundle: str | None = None
    tests: tuple[TestResult, ...] = ()
    receipt: Receipt | None = None
    cause: Cause | None = None

    def with_causes(self, change: Callable[[Cause], Cause]) -> VersionResult:
        """The version with each cause as `change` makes it."""
        tests = tuple(
            test.model_copy(update={"cause": test.cause and change(test.cause)}) for test in self.tests
        )
        return self.model_copy(update={"cause": self.cause and change(self.cause), "tests": tests})

    @property
    def verdict(self) -> VerdictName:
        return _worst([*(test.verdict for test in self.tests), *([self.cause.verdict] if self.cause else [])])


class Result(Model):
    """What `harness test --json` writes."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    verdict: VerdictName
    versions: tuple[VersionResult, ...] = ()
    environment: EnvironmentResult | None = None
    cause: Cause | None = None

    model_config = ConfigDict(populate_by_name=True)

    @classmethod
    def of(
        cls,
        versions: tuple[VersionResult, ...],
        cause: Cause | None = None,
        *,
        environment: EnvironmentResult | None = None,
    ) -> Result:
        """The result with the verdict that follows from its parts."""
        parts = [version.verdict for version in versions] + ([cause.verdict] if cause else [])
        return cls(verdict=_worst(parts), versions=versions, environment=environment, cause=cause)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Every cause, from the outermost in."""
        found = [self.cause]
        for version in self.versions:
            found += [version.cause, *(test.cause for test in version.tests)]
        return tuple(cause for cause in found if cause is not None)

    def with_hints(self, change: Callable[[str], str]) -> Result:
        """The result with the hint of every cause as `change` makes it."""

        def told(cause: Cause) -> Cause:
            return cause.model_copy(update={"hint": change(cause.hint)})

        versions = tuple(version.with_causes(told) for version in self.versions)
        return self.model_copy(update={"versions": versions, "cause": self.cause and told(self.cause)})

    @property
    def exit_code(self) -> int:
        """0 only when everything passed: a verdict without a cause still fails the command."""
        codes = [cause.exit_code for cause in self.causes]
        return combined_exit_code(codes) if codes else _EXIT_CODES[self.verdict]

    def to_json(self) -> str:
        """Schema 1 as indented JSON with a final newline."""
        text = json.dumps(self.model_dump(by_alias=True), ensure_ascii=False)
        return Result.model_validate_json(_encodable(text)).model_dump_json(indent=2, by_alias=True) + "\n"


def excerpt(evidence: tuple[str, ...]) -> tuple[str, ...]:
    """At most 20 lines of it: the first and, since a log tells most at its end, more of the last."""
    lines = [line for text in evidence for line in text.splitlines()]
    if len(lines) <= EVIDENCE_LINES:
        return evidence
    left_out = len(lines) - EVIDENCE_LINES + 1
    return (*lines[:FIRST_LINES], f"… {left_out} lines left out", *lines[FIRST_LINES + left_out :])


def _worst(verdicts: list[VerdictName]) -> VerdictName:
    if "error" in verdicts:
        return "error"
    return "failed" if "failed" in verdicts else "passed"


def _encodable(text: str) -> str:
    """`text` with a question mark for each byte of a file's name that is no UTF-8."""
    return text.encode(errors="replace").decode()
