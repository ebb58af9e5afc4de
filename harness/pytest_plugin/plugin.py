"""What pytest asks of the plugin: its options, its mark, and the hooks. Each does its work in a module of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin.fixtures import (
    airflow_version,
    harness_cluster,
    harness_compare,
    harness_run,
)
from harness.pytest_plugin.settings import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Generator

    from xdist.workermanage import WorkerController

__all__ = ["airflow_version", "harness_cluster", "harness_compare", "harness_run"]
MARK = (
    "harness(dag, conf=None, timeout=None, logical_date=None, metrics=None): what harness_run runs by default"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, all of them beginning with `--harness`, and the same as ini options."""
    group = parser.getgroup("harness", "DAGs in an Airflow of their own")
    group.addoption("--harness", action="store_true", help="collect the tests of harness.toml as items")
    for name, help_text in (
        ("ref", "the version to test, by git ref; the working tree by default"),
        ("base", "the ref that harness_compare and --harness compare with"),
        ("cluster", "which cluster; that of HARNESS_CLUSTER, else its usual one"),
        ("keep", "whether versions stay: never, on-failure or always; never by default"),
    ):
        group.addoption(f"--harness-{name}", metavar=name.upper(), default=None, help=help_text)
        parser.addini(f"harness_{name}", help_text, default="")


def pytest_configure(config: pytest.Config) -> None:
    """The mark, by its name, and what Ctrl-C sets."""
    config.addinivalue_line("markers", MARK)
    config.stash[INTERRUPTED] = threading.Event()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the tests of harness.toml, before `-k` and `--lf` choose."""
    if config.getoption("--harness"):
        from harness.pytest_plugin.items import collected

        items.extend(collected(session))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],  # noqa: ARG001  pytest knows it by its name
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failing test's report has the autopsies of its runs."""
    report = yield
    if report.failed:
        from harness.pytest_plugin.runs import AUTOPSIES

        for title, text in item.stash.get(AUTOPSIES, []):
            report.sections.append((title, text))
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker of pytest-xdist which session it belongs to."""
    from harness.pytest_plugin.session import session_id

    node.workerinput["harness_session"] = session_id(node.config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
    """After Ctrl-C versions go at once. Once all workers have ended, so does what is left, and a cluster made here."""
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        session.config.stash[INTERRUPTED].set()
    try:
        yield
    finally:
        if not hasattr(session.config, "workerinput"):
            from harness.pytest_plugin import left

            left.remove(session.config)
