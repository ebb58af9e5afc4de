"""The result as GitHub-flavoured Markdown, for a job's summary or a comment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.report import format, ingredients, phases, task_numbers
from harness.report.model import Cause, MetricResult, Result, TaskResult, TestResult, VersionResult
from harness.report.pairs import noise
from harness.report.provenance import ImageResult

_MARKS = {"passed": "✅", "failed": "❌", "error": "⚠️"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<#~@$])")
_MOST_ROWS = 100
_MOST_EVIDENCE = 40
_MOST_REF = 100
_MOST_LINE = 300
_BAR_COLUMNS = 24


def render(result: Result, *, limit: int | None = None) -> str:
    """Verdict, metrics, tasks and times; nothing in it is read as Markdown or HTML that we did not write.

    With a `limit` of characters it leaves out what it must: what is folded first, then metrics without a gate and
    evidence, then all but the verdicts, and in the end the last of them.
    """
    result = format.cleaned(result)
    whole = _rendered(result)
    if limit is None or len(whole) <= limit:
        return whole
    for shorter in (_without_folded(result), _without_folded(_gated(result))):
        found = _rendered(shorter)
        if len(found) <= limit:
            return found
    lines = [f"## {_MARKS[result.verdict]} {result.verdict}", ""]
    for version in result.versions:
        told = [f"{test.name}: {format.summary(test)}" for test in version.tests]
        told += [version.cause.message] if version.cause else []
        ref = code(version.ref[:_MOST_REF])
        lines.append(f"- {_MARKS[version.verdict]} {ref} {text('; '.join(told)[:_MOST_LINE])}")
    while len(lines) > 3 and sum(map(len, lines)) + len(lines) > limit - 40:
        lines.pop()
    hidden = len(result.versions) - (len(lines) - 2)
    return "\n".join([*lines, *([f"\nand {format.plural(hidden, 'more version')}"] if hidden else [])]) + "\n"


def _rendered(result: Result) -> str:
    blocks = [f"## {_MARKS[result.verdict]} {result.verdict}"]
    if result.cause is not None:
        blocks += _cause(result.cause)
    for version in result.versions:
        blocks += _version(version)
    if result.environment is not None:
        blocks.append(_folded("made and run with", _listed(ingredients.environment(result.environment))))
    return "\n\n".join(blocks) + "\n"


def _without_folded(result: Result) -> Result:
    """Without tasks, times and what it was made of."""

    def shorter(version: VersionResult) -> VersionResult:
        tests = tuple(test.model_copy(update={"tasks": ()}) for test in version.tests)
        return version.model_copy(update={"tests": tests, "phases": {}, "image": None})

    versions = tuple(map(shorter, result.versions))
    return result.model_copy(update={"versions": versions, "environment": None})


def _gated(result: Result) -> Result:
    """Without what no gate judges, and without evidence."""

    def bare(cause: Cause | None) -> Cause | None:
        return cause and cause.model_copy(update={"evidence": ()})

    def shorter(test: TestResult) -> TestResult:
        metrics = {name: metric for name, metric in test.metrics.items() if metric.gate is not None}
        return test.model_copy(update={"metrics": metrics, "cause": bare(test.cause)})

    versions = tuple(
        version.model_copy(update={"tests": tuple(map(shorter, version.tests)), "cause": bare(version.cause)})
        for version in result.versions
    )
    return result.model_copy(update={"versions": versions, "cause": bare(result.cause)})


def text(value: str) -> str:
    """`value` as plain text in Markdown."""
    return _SPECIAL.sub(r"\\\1", value).replace("://", ":\u2060//")


def code(value: str) -> str:
    """`value` as inline code, also with backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", value)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if value.startswith("`") or value.endswith("`") else ""
    return f"{fence}{pad}{value}{pad}{fence}"


def _version(version: VersionResult) -> list[str]:
    role = f" ({version.role})" if version.role else ""
    blocks = [f"### {_MARKS[version.verdict]} {code(version.ref)}{role} · {code(format.commit(version))}"]
    facts = []
    if version.image is not None:
        facts.append(f"image {code(version.image.name)} {code(format.digest(version.image.digest))}")
    if version.namespace is not None:
        facts.append(f"namespace {code(version.namespace)}")
    if version.receipt is not None:
        facts.append(f"isolation: {text(format.receipt(version.receipt))}")
    if facts:
        blocks.append(" · ".join(facts))
    if version.cause is not None:
        blocks += _cause(version.cause)
    for test in version.tests:
        blocks += _test(test)
    spent = phases.of_version(version)
    if spent:
        blocks.append(_phases(spent))
    if version.image is not None:
        blocks.append(_made_of(version.image))
    return blocks


def _made_of(image: ImageResult) -> str:
    rows = [*ingredients.image(image)]
    if image.base_packages:
        packages = (f"{name}={number}" for name, number in image.base_packages.items())
        rows.append(("base's packages", " ".join(packages)))
    return _folded("what the image is made of", _listed(rows))


def _listed(rows: Iterable[tuple[str, str]]) -> str:
    return _table(["what", "which"], [[text(name), code(found)] for name, found in rows], right=())


def _test(test: TestResult) -> list[str]:
    blocks = [f"{_MARKS[test.verdict]} **{text(test.name)}**: {text(format.summary(test))}"]
    if test.cause is not None:
        blocks += _cause(test.cause, told=True)
    if test.metrics:
        blocks.append(_metrics(test.metrics))
    if told := noise(test):
        blocks.append("\n".join(f"- {text(line)}" for line in told))
    if test.parameters:
        blocks.append(
            _folded(format.plural(len(test.parameters), "parameter"), _listed(test.parameters.items()))
        )
    if test.tasks:
        blocks.append(_folded(format.plural(len(test.tasks), "task instance"), _tasks(test.tasks)))
    blocks += [_folded(text(format.child_run(child)), _tasks(child.tasks)) for child in test.children]
    return blocks


def _metrics(metrics: dict[str, MetricResult]) -> str:
    compared = any(metric.base is not None for metric in metrics.values())
    repeated = any(metric.interval is not None for metric in metrics.values())
    shown = format.most(metrics, _MOST_ROWS)
    rows = []
    for name, metric in shown.items():
        mark = f"{_MARKS[metric.verdict]} " if metric.verdict else ""
        numbers = [format.metric_value(metric)]
        if compared:
            numbers = [format.metric_base(metric), *numbers, format.metric_change(metric)]
        if repeated:
            numbers.append(format.metric_interval(metric))
        gate = format.metric_gate(metric)
        cells = [*numbers, code(gate) if gate != "-" else gate]
        rows.append([code(name), *cells, mark + format.metric_verdict(metric)])
    changed = ["change", "95 % sure"] if repeated else ["change"]
    head = ["metric", *(["base", "head", *changed] if compared else ["value"]), "gate", "verdict"]
    table = _table(head, rows, right=range(1, len(head) - 2))
    hidden = len(metrics) - len(shown)
    return f"{table}\n\nand {format.plural(hidden, 'more metric')} without a gate" if hidden else table


def _tasks(tasks: tuple[TaskResult, ...]) -> str:
    numbers = task_numbers.columns(tasks)
    rows = [
        [
            code(format.task(task)),
            text(format.task_state(task)),
            str(task.try_number),
            code(task.pod) if task.pod else "-",
            *(column.cell(task) for column in numbers),
        ]
        for task in tasks[:_MOST_ROWS]
    ]
    head = ["task", "state", "try", "pod", *(column.head for column in numbers)]
    table = _table(head, rows, right=(2, *range(4, len(head))))
    hidden = len(tasks) - _MOST_ROWS
    more = f"\n\nand {format.plural(hidden, 'more task')}" if hidden > 0 else ""
    return table + more


def _phases(spent: dict[str, float]) -> str:
    longest = max(spent.values()) or 1.0
    rows = [
        [
            code(name),
            format.seconds(value),
            "█" * max(1 if value > 0 else 0, round(_BAR_COLUMNS * value / longest)),
        ]
        for name, value in spent.items()
    ]
    title = f"where the time went ({format.seconds(sum(spent.values()))})"
    return _folded(title, _table(["phase", "took", ""], rows, right=(1,)))


def _cause(cause: Cause, *, told: bool = False) -> list[str]:
    """The cause in full; without its message where that was just told."""
    blocks = [] if told else [f"**{text(cause.message)}** ({code(cause.code)})"]
    if cause.evidence:
        lines = cause.evidence[-_MOST_EVIDENCE:]
        longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
        fence = "`" * max(3, longest + 1)
        blocks.append("\n".join([f"{fence}text", *lines, fence]))
    if cause.hint:
        blocks.append(f"hint: {code(cause.hint)}")
    return blocks


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> str:
    rule = ["---:" if index in right else "---" for index in range(len(head))]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *escaped))
