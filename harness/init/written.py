"""The text of harness.toml for a proposal, commented for whoever reads it next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from harness.hints import toml_key, toml_text
from harness.init.findings import ImageTable, Proposal, ProposedTest
from harness.init.reading.purposes import LOWER_IS_BETTER

POOLS = "harness-settings.yaml"
WIDTH = 100
SHOWN_REASONS = 6


def text_of(proposal: Proposal) -> str:
    """The whole file, which the configuration's own parser accepts."""
    tables = (_image(proposal.image), _airflow(proposal), _secrets(proposal), _tests(proposal))
    return "\n".join([*_head(proposal), *(line for table in tables for line in table)]) + "\n"


def pools_text(pools: Sequence[str]) -> str:
    """A file of Airflow's settings with these pools, of one slot each: no task can be wrong in such a one."""
    rows = "".join(f"    - pool_name: {toml_text(name)}\n      pool_slot: 1\n" for name in pools)
    return f"# Pools of a version; written by harness init, yours to change.\nairflow:\n  pools:\n{rows}"


def _head(proposal: Proposal) -> Iterator[str]:
    yield "# Written by `harness init`: yours to change. `harness test` runs each DAG below in an Airflow of its own;"
    yield "# every key: docs/configuration.md of airflow-harness."
    if proposal.project:
        yield f"project = {toml_text(proposal.project)}"
    yield ""


def _image(image: ImageTable) -> Iterator[str]:
    yield "[image]"
    yield from _key(
        "requirements", image.requirements, "what is installed; `harness lock` fixes its versions"
    )
    yield from _key("airflow", image.airflow, "")
    yield from _key("python", image.python, "")
    yield from _key("system_packages", image.system_packages, "Debian packages of the image")
    yield from _key("code", image.code, "put into the image, below its root at the same paths")
    yield from _key("root", image.root, "where your own image has the code")
    yield from _key("python_path", image.python_path, "on the import path besides the root")
    yield from _key("shared", image.shared, "folders that tasks hand files through")
    yield from _key("shared_tmp", image.shared_tmp, "the tasks of a run see one /tmp")
    if image.links:
        yield ""
        yield "[image.links]  # where your own image has a folder = where the repository has it"
        yield from (f"{toml_key(name)} = {toml_text(image.links[name])}" for name in sorted(image.links))
    if image.env:
        yield ""
        yield "[image.env]  # no place for passwords: it is part of the image"
        yield from (f"{toml_key(name)} = {toml_text(image.env[name])}" for name in sorted(image.env))


def _airflow(proposal: Proposal) -> Iterator[str]:
    if proposal.values:
        yield ""
        yield "[airflow]"
        yield from _key(
            "values", proposal.values, "of Airflow's official chart, as far as they mean the same"
        )


def _secrets(proposal: Proposal) -> Iterator[str]:
    given = {
        "from_env": proposal.from_env,
        "env_file": proposal.env_file,
        "airflow_settings": proposal.airflow_settings,
    }
    if any(given.values()):
        yield ""
        yield "[secrets]  # read where `harness test` is called, never part of an image"
        for name, value in given.items():
            yield from _key(name, value, "")


def _tests(proposal: Proposal) -> Iterator[str]:
    for test in proposal.tests:
        yield ""
        yield from _test(test) if test.can_run else _not_yet(test)
    for unnamed in proposal.unnamed:
        yield ""
        yield from _not_yet(ProposedTest("a DAG", "", unnamed.place, reasons=unnamed.reasons))
        yield "# [tests.NAME]"
        yield '# dag = "THE_ID"'


def _test(test: ProposedTest) -> Iterator[str]:
    about = f"  # {_plain(test.place)}" + (f", schedule {_plain(test.schedule)}" if test.schedule else "")
    yield f"[tests.{toml_key(test.name)}]{about}"
    yield f"dag = {toml_text(test.dag)}"
    if test.skip:
        yield from _key("skip", test.skip, "marked as done without a pod")
    if test.retries:
        yield "retries = 0  # the first failure is the test's: nothing waits to be tried again"
    if source := _metrics(test):
        yield source + (f"  # {_plain(', '.join(test.metrics))}" if test.metrics else "")
    if test.metrics:
        yield "# What must hold of them, which only you can say; `max_regression` is judged by `harness diff`:"
        for name in test.metrics[:3]:
            better = "lower" if LOWER_IS_BETTER.search(name) else "higher"
            yield f"# [tests.{toml_key(test.name)}.gates.{toml_key(name)}]"
            yield "# max = 0.5" if better == "lower" else "# min = 0.9"
            yield f'# better = "{better}"'
            yield "# max_regression = 0.01"


def _not_yet(test: ProposedTest) -> Iterator[str]:
    if test.runs_with:
        where = f"{_plain(test.dag)} ({_plain(test.place)})"
        yield f"# {where} runs with test {test.runs_with}: it follows what that produces"
        return
    yield f"# {_plain(test.dag or test.name)} ({_plain(test.place)}) can't run yet:"
    for reason in test.reasons[:SHOWN_REASONS]:
        yield from (f"#   {line}" for line in textwrap.wrap(_plain(reason), WIDTH))
    if len(test.reasons) > SHOWN_REASONS:
        yield f"#   and {len(test.reasons) - SHOWN_REASONS} more"
    if test.dag:
        yield f"# [tests.{toml_key(test.name)}]"
        yield f"# dag = {toml_text(test.dag)}"
        if source := _metrics(test):
            yield f"# {source}"


def _metrics(test: ProposedTest) -> str:
    """The line that says where the numbers are; empty where nothing tells."""
    if test.metrics_key:
        task, key = test.metrics_task, test.metrics_key
        return f"metrics = {{ task = {toml_text(task)}, key = {toml_text(key)}, name = {toml_text(key)} }}"
    if test.metrics_name:
        return f"metrics = {{ task = {toml_text(test.metrics_task)}, name = {toml_text(test.metrics_name)} }}"
    if test.metrics_task:
        return f"metrics = {{ task = {toml_text(test.metrics_task)} }}"
    if test.metrics_file:
        return f"metrics = {{ file = {toml_text(test.metrics_file)} }}"
    if test.mlflow_address:
        return f"metrics = {{ mlflow = true, address = {toml_text(test.mlflow_address)} }}"
    return "metrics = { mlflow = true }" if test.mlflow else ""


def _key(name: str, value: str | bool | Sequence[str], comment: str) -> Iterator[str]:
    """A line of a table; none for a value that is empty."""
    if not value:
        return
    if isinstance(value, bool):
        shown = "true"
    elif isinstance(value, str):
        shown = toml_text(value)
    else:
        shown = f"[{', '.join(map(toml_text, value))}]"
    yield f"{name} = {shown}" + (f"  # {comment}" if comment else "")


def _plain(text: str) -> str:
    """Text for a comment: on one line, without what no comment may hold."""
    return "".join(char if char.isprintable() else " " for char in text)[:300]
