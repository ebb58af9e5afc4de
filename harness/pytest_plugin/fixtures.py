"""The fixtures: a cluster, the version under test in its own Airflow, and what runs and compares its DAGs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_plugin import cluster
from harness.pytest_plugin.runs import Run, autopsy, checked, report
from harness.pytest_plugin.settings import INTERRUPTED, request_of, setting

if TYPE_CHECKING:
    from harness.pytest_plugin.open_version import OpenVersion
    from harness.report.model import TestResult


@pytest.fixture(scope="session")
def harness_cluster(request: pytest.FixtureRequest) -> object:
    """The cluster: pytest-kind's KindCluster where that is installed. One that was there before survives."""
    return cluster.kind_cluster(cluster.obtain(request.config))


@pytest.fixture(scope="session")
def airflow_version(
    request: pytest.FixtureRequest,
    harness_cluster: object,  # noqa: ARG001  it is there first
) -> Iterator[OpenVersion]:
    """The code under test in an Airflow of its own: the working tree, or `--harness-ref`. Each worker has one."""
    from harness.progress import Silent
    from harness.pytest_plugin.open_version import open_version

    config = request.config
    root, interrupted = Path(str(config.rootpath)), config.stash[INTERRUPTED]
    with open_version(root, request_of(config), Silent(), interrupted) as version:
        yield version


@pytest.fixture
def harness_run(request: pytest.FixtureRequest, airflow_version: OpenVersion) -> Callable[..., Run]:
    """Run a DAG to its end: `harness_run("churn", conf={"seed": 7}).metrics["accuracy"]`.

    What is not given is taken from `@pytest.mark.harness(…)`. `metrics` names the task that returns the numbers.
    Raises DagRunFailed unless `check` is false.
    """
    from harness.pytest_plugin.open_version import settings_of

    mark = request.node.get_closest_marker("harness")
    marked: dict[str, Any] = dict(mark.kwargs) if mark else {}
    if mark and mark.args:
        marked.setdefault("dag", mark.args[0])

    def run(
        dag: str | None = None,
        *,
        conf: Mapping[str, Any] | None = None,
        timeout: str | float | None = None,
        logical_date: Any = None,  # noqa: ANN401  whatever harness.toml takes
        metrics: str | None = None,
        check: bool = True,
    ) -> Run:
        dag = dag or marked.get("dag")
        if not dag:
            raise pytest.UsageError(
                "harness_run needs a DAG: harness_run('churn') or @pytest.mark.harness(dag='churn')"
            )
        settings = settings_of(
            dag,
            conf if conf is not None else marked.get("conf") or {},
            timeout if timeout is not None else marked.get("timeout"),
            metrics or marked.get("metrics"),
            logical_date or marked.get("logical_date"),
        )
        found = Run.of(airflow_version.run(request.node.name, settings), airflow_version)
        return checked(found, request.node) if check else found

    return run


@pytest.fixture
def harness_compare(
    request: pytest.FixtureRequest,
    harness_cluster: object,  # noqa: ARG001  it is there first
) -> Callable[..., TestResult]:
    """Compare a test of harness.toml with a base until it is decided: `harness_compare("churn", base="main")`.

    Returns the head's result with its metrics beside the base's. A comparison that fails fails the test unless
    `check` is false.
    """
    from harness.engine.testing.testing import test as measure
    from harness.progress import Silent

    config = request.config

    def compare(name: str, *, base: str | None = None, check: bool = True) -> TestResult:
        base = base or setting(config, "base")
        if not base:
            raise pytest.UsageError("harness_compare needs a base: base='main' or --harness-base main")
        result = measure(Path(str(config.rootpath)), request_of(config, (name,), base), Silent())
        found = head_of(result, name)
        if found.cause is not None and check:
            report(request.node, f"harness: {name} against {base}", autopsy(found))
            pytest.fail(found.cause.message, pytrace=False)
        return found

    return compare


def head_of(result: Any, name: str) -> TestResult:  # noqa: ANN401
    """The head's result of a test. Raises HarnessError for what failed before there was one."""
    from harness.pytest_plugin.open_version import raised

    for version in result.versions:
        if version.role != "base":
            for test in version.tests:
                if test.name == name:
                    return test  # type: ignore[no-any-return]
    raise raised(result)
