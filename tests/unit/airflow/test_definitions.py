"""Which code a DAG's run was of: what the dag-processor's forks told, and waiting until all of them have."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from harness.airflow.parsing.completeness import wait_for_every_file
from harness.airflow.parsing.definitions import Definition, refuse_several, several_definitions
from harness.cluster.services.helm import chart
from harness.errors import CauseCode, HarnessError

HEAD = "=" * 80 + "\nDAG File Processing Stats\n\n"
ROWS = (
    "Bundle       File Path         PID  Current Duration      # DAGs    # Errors  Last Duration    Last Run At\n"
    "-----------  ----------------  ---  ------------------  --------  ----------  ---------------  -----------\n"
    "dags-folder  churn_daily.py                                    1           0  0.74s            2026-11-22\n"
    "dags-folder  churn_rewrite.py  77   3.02s                      0           0\n"
)
WAITING = f"{HEAD}{ROWS}{'=' * 80}\n"
PARSED = WAITING.replace("77   3.02s", "          ").replace(
    "0           0\n=", "0           0  1.00s            2026-11-22\n="
)

DAILY = Definition("churn_daily.py", "churn_daily.py", 8, again=False)
REWRITE = Definition("churn_rewrite.py", "churn_rewrite.py", 8, again=False)


def written(module: ModuleType, lines: list[dict[str, object]]) -> list[bytes]:
    """What the supervisor passes on of these reports and a table after them."""
    reports = [module.MARK + json.dumps(line).encode() for line in lines]
    return list(module.Definitions().passed([*reports, b"DAG File Processing Stats"]))


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "dag_definitions", Path(str(chart("airflow"))) / "files" / "dag_definitions.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(entry: Definition) -> dict[str, object]:
    return {"dag_id": "churn", **entry.__dict__}


def test_what_the_forks_tell_stands_before_the_next_table(script: ModuleType) -> None:
    lines = written(script, [told(DAILY), told(REWRITE), told(DAILY), {**told(DAILY), "dag_id": "other"}])
    assert lines[-1] == b"DAG File Processing Stats"
    found = several_definitions(b"\n".join(lines).decode())
    assert found == {"churn": (DAILY, REWRITE)}


def test_a_log_that_tells_nothing_is_not_one_that_tells_of_none(script: ModuleType) -> None:
    assert several_definitions(WAITING) is None
    assert several_definitions(b"\n".join(written(script, [told(DAILY)])).decode()) == {}


def test_two_files_are_both_named() -> None:
    with pytest.raises(HarnessError) as caught:
        refuse_several("churn", (DAILY, REWRITE), "dags")
    assert caught.value.cause is CauseCode.DAG_IMPORT_ERROR
    assert "dags/churn_daily.py:8 and dags/churn_rewrite.py:8 define it" in caught.value.message
    assert caught.value.hint.endswith("edit dags/churn_rewrite.py")


@pytest.mark.parametrize(
    "definitions",
    [
        (),
        (DAILY,),
        (DAILY, Definition("report.py", "churn_daily.py", 8, again=False)),  # which imports it
        (Definition("a.py", "common.py", 3, again=False), Definition("b.py", "common.py", 3, again=False)),
    ],
)
def test_a_file_that_imports_what_another_defines_is_no_second_definition(
    definitions: tuple[Definition, ...],
) -> None:
    refuse_several("churn", definitions, "dags")


@pytest.mark.parametrize(
    "definitions",
    [
        (DAILY, Definition("churn.zip/churn_daily.py", "churn.zip/churn_daily.py", 8, again=False)),
        (DAILY, Definition("churn_daily.py", "churn_daily.py", 20, again=False)),
        (DAILY, Definition("churn_daily.py", "churn_daily.py", 8, again=True)),  # in a loop
    ],
)
def test_a_zip_beside_a_folder_and_one_file_that_makes_it_twice_are_refused(
    definitions: tuple[Definition, ...],
) -> None:
    with pytest.raises(HarnessError, match="duplicate"):
        refuse_several("churn", definitions, "dags")


def wait(log: Callable[[], str]) -> object:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    try:
        return wait_for_every_file(
            log, "churn", deadline_s=30.0, folder="dags", clock=lambda: now[0], sleep=sleep
        )
    except HarnessError as error:
        return error


def test_it_is_waited_for_until_each_file_was_parsed() -> None:
    logs = iter(["", WAITING, f"harness-definitions {{}}\n{PARSED}"])
    found = wait(lambda: next(logs))
    assert [entry.file for entry in found.files] == ["churn_daily.py", "churn_rewrite.py"]  # type: ignore[attr-defined]


def test_a_file_that_is_never_through_leaves_a_doubt_which_is_told() -> None:
    error = wait(lambda: WAITING)
    assert isinstance(error, HarnessError)
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert error.message.startswith("dags/churn_rewrite.py was still being imported after 30 s")
    assert "not known" in error.message


def test_an_airflow_that_does_not_tell_is_judged_by_its_counts() -> None:
    logs = iter([PARSED, PARSED])
    found = wait(lambda: next(logs))
    found.refuse_doubt("churn", 1, "dags")  # type: ignore[attr-defined]
    with pytest.raises(HarnessError, match="define 1 DAGs, and Airflow has 0"):
        found.refuse_doubt("churn", 0, "dags")  # type: ignore[attr-defined]
