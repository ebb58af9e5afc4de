"""Commands to the runner of GitHub Actions: each failure beside the line that it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
import report_samples as samples

from harness.report.files import annotations
from harness.report.model import Cause, Result, TestResult

DAG = "def train():\n    raise ValueError\n"
TABLES = """\
[image]
code = ["dags"]

[tests.breast_cancer]
dag = "breast_cancer"
metrics = { task = "evaluate" }

[tests.breast_cancer.gates.log_loss]
max = 0.3
[tests.breast_cancer.gates.accuracy]
min = 0.93
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dags/lib").mkdir(parents=True)
    (tmp_path / "dags/churn.py").write_text(DAG, encoding="utf-8")
    (tmp_path / "dags/lib/model.py").write_text(DAG, encoding="utf-8")
    return tmp_path


def failed(message: str, *evidence: str) -> Result:
    cause = Cause(code="task_failed", message=message, evidence=evidence)
    test = TestResult(name="churn", dag_id="churn", verdict="failed", cause=cause)
    return Result.of((samples.version("HEAD", "0" * 40, test),))


@pytest.mark.parametrize(
    "result, place",
    [
        (
            failed("task train failed at dags/churn.py:2 in train: ValueError: no"),
            "file=dags/churn.py,line=2,",
        ),
        (failed("task train failed: E", "  dags/lib/model.py:1 in fit"), "file=dags/lib/model.py,line=1,"),
        (failed("churn.py:2 cannot be imported: E"), "file=dags/churn.py,line=2,"),
        (failed("task train failed: connection to db.example.com:5432"), ""),
        (failed("task train failed at numpy/core.py:7: E"), ""),
        (failed("at ../../etc/secret.py:1"), ""),
    ],
)
def test_a_failure_is_shown_at_its_line(root: Path, result: Result, place: str) -> None:
    (line,) = annotations.render(result, root, root)
    message = result.versions[0].tests[0].cause.message
    assert line == f"::error {place}title=churn (HEAD)::{message}"


@pytest.mark.parametrize(
    "text, line",
    [
        (TABLES, 10),
        (
            TABLES.replace(
                "[tests.breast_cancer.gates.accuracy]\n", "[tests.'breast_cancer'.gates]\naccuracy."
            ),
            11,
        ),
        ('[tests.breast_cancer]\ndag = "a"\ngates.accuracy = { min = 0.93 }\n', 3),
        ('[tests.breast_cancer]\ndag = "a"\n', 1),
        ('[tests]\nbreast_cancer = { dag = "a" }\n', 2),
    ],
)
def test_a_gate_is_shown_where_it_is_configured(root: Path, text: str, line: int) -> None:
    (root / "harness.toml").write_text(text, encoding="utf-8")
    (found,) = annotations.render(samples.gate_failed(), root, root.parent)
    assert found.startswith(
        f"::error file={root.name}/harness.toml,line={line},title=breast_cancer (feature/"
    )
    assert found.endswith("::accuracy 0.9123 is below its minimum 0.93")


def test_what_passed_is_not_shown(root: Path) -> None:
    assert annotations.render(samples.passed(), root, root) == []


def test_a_failure_before_any_version_is_shown_without_a_place(root: Path) -> None:
    (line,) = annotations.render(samples.no_cluster(), root, root)
    assert line.startswith("::error title=harness::there is no cluster")


def test_no_text_of_others_is_a_command_of_its_own(root: Path) -> None:
    for line in annotations.render(samples.hostile(), root, root):
        assert line.startswith("::error ")
        assert "\n" not in line
        assert line.split("::")[1].count(",") <= 2
