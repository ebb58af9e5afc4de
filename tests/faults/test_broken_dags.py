"""Each broken DAG is told by its cause, in the first line, in time, and without a traceback of ours."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from command import explained, loaded, only_version

from harness.errors import CauseCode
from harness.host import process

from .broken import GROUPS, HEADS, SLOW
from .broken.case import Broken, repository
from .broken.parsing import LOCAL_SETTINGS
from .conftest import Cluster

ALL = {**GROUPS, **SLOW, "local_settings": LOCAL_SETTINGS}
ALONE = ("chains", "local_settings")  # what the tests ask for that are not of each group


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Any]]]:
    """The groups that are asked for, each in a version of its own; four versions at a time, as they mostly wait."""
    own = [each for each in request.session.items if each.path == request.path]
    names = ([each.callspec.params["ran"]] if hasattr(each, "callspec") else ALONE for each in own)
    asked = set(chain.from_iterable(names))
    groups = {name: cases for name, cases in ALL.items() if name in asked}

    def run(group: str) -> tuple[process.Completed, dict[str, Any]]:
        folder = tmp_path_factory.mktemp(f"broken-{group}")
        made = repository(folder / group, groups[group], HEADS.get(group, ""))
        file: Path = folder / "result.json"
        done = cluster.harness(made.root, "test", "--keep", "never", "--json", file)
        return done, only_version(loaded(file))

    with ThreadPoolExecutor(4) as pool:
        yield {group: pool.submit(run, group) for group in groups}


def by_name(version: dict[str, Any]) -> dict[str, Any]:
    return {test["name"]: test for test in version["tests"]}


@pytest.fixture(
    scope="module", params=[*GROUPS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def ran(request: pytest.FixtureRequest, runs: dict[str, Future[Any]]) -> Any:
    """All DAGs of a group in one version: the group's name, the command, and its tests by name."""
    done, version = runs[request.param].result()
    tests = by_name(version)
    assert set(tests) == {case.name for case in ALL[request.param]}, explained(done)
    return request.param, done, tests


def told(case: Broken, test: dict[str, Any]) -> list[str]:
    """What is not as a user should be told it."""
    cause = test["cause"] or {"code": None, "message": "", "hint": "", "evidence": []}
    wrong = [] if cause["code"] == case.code else [f"the cause is {cause['code']}, not {case.code}"]
    first = cause["message"].split("\n")[0]
    wrong += [f"the first line lacks {word!r}" for word in case.words if word not in first]
    if case.hint not in cause["hint"]:
        wrong.append(f"the hint lacks {case.hint!r}")
    if case.evidence not in "\n".join(cause["evidence"]):
        wrong.append(f"the evidence lacks {case.evidence!r}")
    took_s = sum(test["phases"].get(phase, 0.0) for phase in ("parse_s", "run_s"))
    if took_s > case.deadline_s:
        wrong.append(f"it took {took_s:.0f} s")
    return wrong


def test_each_is_told_by_its_cause(ran: Any) -> None:
    group, done, tests = ran
    wrong = {case.name: told(case, tests[case.name]) for case in ALL[group]}
    assert {name: found for name, found in wrong.items() if found} == {}, {
        name: tests[name]["cause"] for name, found in wrong.items() if found
    }
    assert "Traceback (most recent call last)" not in done.stderr


def test_the_exit_code_is_that_of_the_causes(ran: Any) -> None:
    group, done, _ = ran
    codes = {CauseCode.of(case.code).exit_code for case in ALL[group] if case.code}
    assert done.returncode == next((code for code in (70, 130, 2, 3, 4, 1) if code in codes), 0)


def test_a_chain_runs_whole_and_nothing_else_does(runs: dict[str, Future[Any]]) -> None:
    done, version = runs["chains"].result()
    found = by_name(version)["chain"]
    children = {child["dag_id"]: child["state"] for child in found["children"]}
    assert children == {
        "makes_features": "success",
        "makes_report": "success",
        "follows_features": "failed",
    }, explained(done)
    assert len(found["children"]) == 3
    assert found["metrics"]["rows"]["value"] == 3.0  # handed over before another task failed


def test_a_file_that_airflow_reads_as_it_starts_is_told_without_waiting_for_airflow(
    runs: dict[str, Future[Any]],
) -> None:
    done, version = runs["local_settings"].result()
    (case,) = LOCAL_SETTINGS
    cause = version["cause"]
    assert cause["code"] == case.code, explained(done)
    assert all(word in cause["message"] for word in case.words), cause
    assert case.hint in cause["hint"]
    assert done.returncode == 1
