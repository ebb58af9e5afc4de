"""The result as JUnit XML: a suite per version, a case per test and per gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from harness.report import format, pairs, phases
from harness.report.model import Cause, MetricResult, Result, TestResult, VersionResult


def render(result: Result) -> str:
    """JUnit XML as Jenkins, GitLab and GitHub's report actions read it.

    The test's own case stands for the DAG run: a gate that failed is the failure of its own case, so nothing
    is counted twice.
    """
    result = format.cleaned(result)
    root = ElementTree.Element("testsuites", name="harness")
    for version in result.versions:
        _version(root, version)
    if result.cause is not None:
        suite = ElementTree.SubElement(root, "testsuite", name="harness")
        _fail(_case(suite, "harness", "harness"), result.cause)
    total = [_count(suite) for suite in root]
    _set_counts(root, total)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _version(root: ElementTree.Element, version: VersionResult) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=f"{version.ref} ({format.commit(version)})")
    facts = {
        "ref": version.ref,
        "commit": version.commit,
        "dirty": version.dirty,
        "namespace": version.namespace,
        "role": version.role,
        "isolation": version.receipt.verdict if version.receipt else None,
    }
    if version.image is not None:
        facts |= dict(_told("image", version.image.model_dump()))
    facts |= {f"phase.{name}": f"{value:.3f}" for name, value in version.phases.items()}
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in facts.items():
        if value is not None:
            ElementTree.SubElement(properties, "property", name=name, value=value)
    for test in version.tests:
        _test(suite, version, test)
    if version.cause is not None:
        _fail(_case(suite, version.ref, "environment"), version.cause)


def _told(name: str, facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Facts in words, each by its own name; what there are hundreds of, as packages, is in the JSON file."""
    for key, value in facts.items():
        if isinstance(value, Mapping) and key != "base_packages":
            yield from _told(f"{name}.{key}", value)
        elif isinstance(value, str | int):
            yield f"{name}.{key}", str(value).lower() if isinstance(value, bool) else str(value)


def _test(suite: ElementTree.Element, version: VersionResult, test: TestResult) -> None:
    of_gates = any(metric.verdict == "failed" for metric in test.metrics.values())
    case = _case(suite, version.ref, test.name, sum(phases.in_turn(test.phases).values()) or _longest_s(test))
    if test.cause is not None and not (test.cause.code == "gate_failed" and of_gates):
        _fail(case, test.cause)
    elif test.verdict != "passed" and not of_gates:
        tag = "failure" if test.verdict == "failed" else "error"
        ElementTree.SubElement(case, tag, message=f"{test.name} {test.verdict}", type=test.verdict)
    for name, metric in test.metrics.items():
        if metric.gate is not None:
            _gate(
                _case(suite, f"{version.ref}.{test.name}", f"gate {name} {format.gate(metric.gate)}"),
                name,
                metric,
            )


def _gate(case: ElementTree.Element, name: str, metric: MetricResult) -> None:
    numbers = f"{name}: {format.metric_value(metric)}, base {format.metric_base(metric)}"
    told = f"{numbers}\n{pairs.line(metric)}" if metric.answer is not None else numbers
    if metric.verdict is None:
        ElementTree.SubElement(case, "skipped", message=metric.message or "not judged")
    elif metric.verdict != "passed":
        tag = "failure" if metric.verdict == "failed" else "error"
        problem = ElementTree.SubElement(case, tag, message=metric.message, type="gate_failed")
        problem.text = told
    if metric.value is not None and metric.verdict == "passed":
        output = ElementTree.SubElement(case, "system-out")
        output.text = told


def _case(suite: ElementTree.Element, classname: str, name: str, time_s: float = 0.0) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=classname, name=name, time=f"{time_s:.3f}")


def _fail(case: ElementTree.Element, cause: Cause) -> None:
    tag = "failure" if cause.verdict == "failed" else "error"
    problem = ElementTree.SubElement(case, tag, message=cause.message, type=cause.code)
    hint = ["", f"hint: {cause.hint}"] if cause.hint else []
    problem.text = "\n".join([*cause.evidence, *hint])


def _longest_s(test: TestResult) -> float:
    ends = [(task.offset_s or 0.0) + (task.queued_s or 0.0) + (task.duration_s or 0.0) for task in test.tasks]
    return max(ends, default=0.0)


def _count(suite: ElementTree.Element) -> dict[str, float]:
    cases = suite.findall("testcase")
    counts: dict[str, float] = {
        "tests": len(cases),
        "time": sum(float(case.get("time", "0")) for case in cases),
    }
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        counts[name] = sum(case.find(tag) is not None for case in cases)
    _set_counts(suite, [counts])
    return counts


def _set_counts(element: ElementTree.Element, parts: list[dict[str, float]]) -> None:
    for name in ("tests", "failures", "errors", "skipped"):
        if name != "skipped" or element.tag == "testsuite":
            element.set(name, str(int(sum(part[name] for part in parts))))
    element.set("time", f"{sum(part['time'] for part in parts):.3f}")
