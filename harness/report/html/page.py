"""The result as one self-contained HTML page, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from harness.report import format, ingredients, phases, task_numbers
from harness.report.html import plots
from harness.report.html.markup import Markup, element, joined
from harness.report.html.pairs_plot import pairs_plot
from harness.report.model import Cause, MetricResult, Result, TaskResult, TestResult, VersionResult
from harness.report.pairs import line, noise

_SIGNS = {"passed": "✓", "failed": "✗", "error": "!"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render(result: Result) -> str:
    """The whole page; it loads nothing, runs nothing, and every text of the result in it is escaped."""
    result = format.cleaned(result)
    parts = [element("h1", "harness ", _badge(result.verdict))]
    if result.cause is not None:
        parts.append(element("section", _cause(result.cause)))
    if len(result.versions) > 1:
        parts.append(_overview(result))
    parts += [_version(version) for version in result.versions]
    if result.environment is not None:
        rows = ingredients.environment(result.environment)
        parts.append(element("section", element("h2", "made and run with"), _list(rows)))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", f"harness: {result.verdict}"),
        element("style", Markup(files("harness.report.html").joinpath("page.css").read_text("utf-8"))),
    )
    return (
        "<!doctype html>\n"
        + element("html", head, element("body", element("main", *parts)), lang="en")
        + "\n"
    )


def _overview(result: Result) -> Markup:
    rows = []
    for version in result.versions:
        told = [format.summary(test) for test in version.tests]
        told += [version.cause.message] if version.cause else []
        cells = [element("td", element("code", version.ref)), element("td", _verdict(version.verdict))]
        rows.append(element("tr", *cells, element("td", "; ".join(told))))
    return element("section", element("table", element("tbody", *rows), class_="overview"))


def _version(version: VersionResult) -> Markup:
    parts = [element("h2", element("code", version.ref), " ", _badge(version.verdict))]
    if version.cause is not None:
        parts.append(_cause(version.cause))
    for test in version.tests:
        parts += _test(test)
    spent = phases.of_version(version)
    bar = plots.phase_bar(spent)
    if bar is not None:
        parts += [
            element("h4", f"where the time went ({format.seconds(sum(spent.values()))})"),
            bar,
            _legend(spent),
        ]
    return element("section", *parts, _facts(version), _made_of(version))


def _facts(version: VersionResult) -> Markup:
    """What tells the version from others, in words; the digests are folded below."""
    dirty = f" with uncommitted changes {version.dirty[:8]}" if version.dirty else ""
    facts = {"commit": (version.commit or "none") + dirty}
    if version.image is not None:
        facts["image"] = version.image.name
    if version.load_bytes is not None:
        facts["sent"] = f"{format.size(version.load_bytes)} into the cluster"
    if version.role is not None:
        facts["role"] = version.role
    if version.receipt is not None:
        facts["isolation"] = format.receipt(version.receipt)
    if version.namespace is not None:
        facts["namespace"] = version.namespace + (" (kept)" if version.kept else "")
    return _list(facts.items())


def _made_of(version: VersionResult) -> Markup:
    """Digests, and what the image is made of, folded: two images that differ are told apart by it."""
    image = version.image
    if image is None:
        return Markup("")
    rows = [("digest", image.digest), ("base", image.base_digest), *ingredients.image(image)]
    rows += [(f"base's {name}", number) for name, number in image.base_packages.items()]
    return element(
        "details", element("summary", "digests, and what the image is made of", class_="dim"), _list(rows)
    )


def _list(rows: Iterable[tuple[str, str]]) -> Markup:
    return element(
        "dl", *(joined([element("dt", name), element("dd", element("code", text))]) for name, text in rows)
    )


def _test(test: TestResult) -> list[Markup]:
    about = [test.run_id, f"run {test.state}" if test.state else None]
    if test.dag_id != test.name:
        about.insert(0, f"DAG {test.dag_id}")
    if test.logical_date:
        about.append(f"logical date {test.logical_date}")
    parts = [element("h3", test.name, " ", _badge(test.verdict))]
    parts.append(element("p", " · ".join(text for text in about if text), class_="dim"))
    if test.cause is not None:
        parts.append(_cause(test.cause))
    if test.metrics:
        parts += [element("h4", "metrics"), _metrics(test.metrics)]
        plots_of_pairs = {
            line(metric): plot for name, metric in test.metrics.items() if (plot := pairs_plot(name, metric))
        }
        parts += [element("p", told, class_="dim") for told in noise(test) if told not in plots_of_pairs]
        parts += _pairs(list(plots_of_pairs.values()))
    if test.parameters:
        parts += [element("h4", "parameters"), _list(test.parameters.items())]
    if test.tasks:
        parts.append(element("h4", "task instances: queued, then running"))
        plot = plots.timeline(test.tasks, test.phases.get("run_s"))
        parts += [element("div", plot, class_="scroll")] if plot is not None else []
        parts.append(_tasks(test.tasks))
    for child in test.children:
        parts += [element("h4", format.child_run(child)), _tasks(child.tasks)]
    return parts


def _pairs(found: list[Markup]) -> list[Markup]:
    """The plots of gated metrics, and how they are read."""
    told = (
        "a dot is a pair: head less the base; green: where their mean lies in 95 of 100 comparisons; at the upright "
        "line the answer was known"
    )
    return [*found, element("p", told, class_="dim small")] if found else []


def _metrics(metrics: dict[str, MetricResult]) -> Markup:
    compared = any(metric.base is not None for metric in metrics.values())
    repeated = any(metric.interval is not None for metric in metrics.values())
    rows = []
    for name, metric in metrics.items():
        numbers = [format.metric_value(metric)]
        if compared:
            numbers = [format.metric_base(metric), *numbers, format.metric_change(metric)]
        if repeated:
            numbers.append(format.metric_interval(metric))
        cells = [element("td", element("code", name))]
        cells += [element("td", text, class_="right") for text in numbers]
        cells += [
            element("td", format.metric_verdict(metric), class_=metric.verdict, title=metric.message or None),
            element("td", format.metric_gate(metric), class_="gate"),
            element("td", plots.gate_bar(name, metric)),
        ]
        rows.append(element("tr", *cells))
    changed = ("change", *(("95 % sure",) if repeated else ()))
    head = ("metric", *(("base", "head", *changed) if compared else ("value",)), "verdict", "gate", "")
    table = _table(head, rows, right=tuple(range(1, len(head) - 3)))
    if not compared:
        return table
    return joined(
        [
            table,
            element(
                "p", "filled dot: value; hollow dot: base; green: what the gate allows", class_="dim small"
            ),
        ]
    )


def _tasks(tasks: tuple[TaskResult, ...]) -> Markup:
    colours = {"success": "passed", "failed": "failed", "upstream_failed": "failed"}
    numbers = task_numbers.columns(tasks)
    rows = [
        element(
            "tr",
            element("td", element("code", format.task(task))),
            element("td", format.task_state(task), class_=colours.get(task.state or "")),
            element("td", task.try_number, class_="right"),
            element("td", element("code", task.pod or "-")),
            *(element("td", column.cell(task), class_="right") for column in numbers),
        )
        for task in tasks
    ]
    head = ("task", "state", "try", "pod", *(column.head for column in numbers))
    return _table(head, rows, right=(2, *range(4, len(head))))


def _table(head: tuple[str, ...], rows: list[Markup], *, right: tuple[int, ...]) -> Markup:
    cells = [
        element("th", name, class_="right" if index in right else None) for index, name in enumerate(head)
    ]
    table = element("table", element("thead", element("tr", *cells)), element("tbody", *rows))
    return element("div", table, class_="scroll")


def _legend(spent: dict[str, float]) -> Markup:
    items = []
    for index, (name, value) in enumerate(spent.items()):
        box = element(
            "svg", element("rect", width=10, height=10, class_=f"phase{index % 6}"), viewBox="0 0 10 10"
        )
        items.append(element("span", box, element("b", name), f" {format.seconds(value)}"))
    return element("div", *items, class_="legend")


def _cause(cause: Cause) -> Markup:
    where = f" in task {cause.task_id}" if cause.task_id else ""
    parts = [
        element("p", element("b", cause.message), element("span", f" ({cause.code}{where})", class_="dim"))
    ]
    if cause.evidence:
        parts.append(element("pre", "\n".join(cause.evidence)))
    if cause.hint:
        parts.append(element("p", "hint: ", element("code", cause.hint)))
    return element("div", *parts, class_="cause")


def _badge(verdict: str) -> Markup:
    return element("span", f"{_SIGNS[verdict]} {verdict}", class_=f"badge {verdict}")


def _verdict(verdict: str) -> Markup:
    return element("span", f"{_SIGNS[verdict]} {verdict}", class_=f"told {verdict}")
