"""Results that the report tests render: a pass, a failed gate against a base, and failures of other kinds."""

from __future__ import annotations

from harness.errors import CauseCode
from harness.report.model import (
    Cause,
    GateResult,
    Result,
    TaskResult,
    TestResult,
    VersionResult,
)
from harness.report.provenance import EnvironmentResult, ImageResult, LayerResult, LockResult
from harness.verdict.metrics import cause, judge

BASE = {"accuracy": 0.9561403508771929, "log_loss": 0.1123, "rows": 569.0, "fit_s": 0.42}
HEAD = {"accuracy": 0.9123456, "log_loss": 0.2345678, "rows": 569.0, "fit_s": 0.40, "trees": 12.0}
GATES = {
    "accuracy": GateResult(min=0.93, better="higher", max_regression=0.01),
    "log_loss": GateResult(max=0.3),
}
HOSTILE = "a|b`c`</script><script>alert(1)</script>&\"'\x1b[31mred\x1b[0m\x00\n::error::x"


def digest(seed: str) -> str:
    return "sha256:" + (seed * 64)[:64]


def image(commit: str) -> ImageResult:
    return ImageResult(
        name=f"harness/breast-cancer:{commit[:12]}",
        digest=digest("1f2e3d4c"),
        config_digest=digest("c0ffee"),
        base_digest=digest("ba5e"),
        python="3.11.2-6",
        lock=LockResult(path="dags/requirements.lock", digest=digest("10c4"), airflow="3.3.2"),
        layers=(
            LayerResult(kind="base", digest=digest("ba5e")),
            LayerResult(kind="dependencies", digest=digest("deb5")),
            LayerResult(kind="code", digest=digest("c0de")),
        ),
        base_packages={"libgomp1": "12.2.0-14", "python3.11": "3.11.2-6"},
    )


def tasks(failed: bool = False) -> tuple[TaskResult, ...]:
    rows = [("prepare", -1, 2.4, 3.1, 0.0)]
    rows += [("train", index, 2.2 + 0.4 * index, 14.2 + index, 6.0) for index in range(3)]
    rows += [("evaluate", -1, 2.6, 5.9, 26.5)]
    return tuple(
        TaskResult(
            task_id=name,
            map_index=index,
            state="failed" if failed and name == "evaluate" else "success",
            try_number=2 if index == 1 else 1,
            pod=f"breast-cancer-{name}-{'k3x9w2ab'[: 8 if index < 0 else 6]}",
            image_digest=digest("1f2e3d4c"),
            queued_s=queued,
            duration_s=ran,
            offset_s=offset,
        )
        for name, index, queued, ran, offset in rows
    )


def version(ref: str, commit: str, test: TestResult | None, **changes: object) -> VersionResult:
    values: dict[str, object] = {
        "ref": ref,
        "commit": commit,
        "image": image(commit),
        "namespace": f"breast-cancer-{commit[:8]}",
        "phases": {"image_s": 0.62, "load_s": 0.45, "deploy_s": 11.2},
        "load_bytes": 10_240,
        "tests": (test,) if test else (),
    }
    return VersionResult.model_validate(values | changes)


def run_of(metrics: dict[str, float], base: dict[str, float] | None = None) -> TestResult:
    judged = judge(metrics, GATES, base)
    why = cause(judged)
    return TestResult(
        name="breast_cancer",
        dag_id="breast_cancer",
        run_id="harness__2026-03-01T00:00:00+00:00",
        logical_date="2026-03-01T00:00:00+00:00",
        state="success",
        verdict="failed" if why else "passed",
        metrics=judged,
        tasks=tasks(),
        phases={"run_s": 34.8},
        cause=why,
    )


def environment() -> EnvironmentResult:
    return EnvironmentResult(
        platform="linux/amd64",
        source="packages",
        node_image="harness.local/node:0123456789ab",
        versions={"harness": "0.1.0", "kubernetes": "v1.37.0", "airflow chart": "0.1.0"},
        digests={"node image": digest("40de"), "airflow chart": digest("c4a7")},
    )


def passed() -> Result:
    return Result.of((version("main", "a1b2c3d4e5f6" + "0" * 28, run_of(BASE)),), environment=environment())


def gate_failed() -> Result:
    base = version("main", "a1b2c3d4e5f6" + "0" * 28, run_of(BASE))
    head = version(
        "feature/fewer-trees", "0f9e8d7c6b5a" + "1" * 28, run_of(HEAD, BASE), dirty="9f8e7d6c" * 8, kept=True
    )
    return Result.of((base, head))


def memory_compared() -> Result:
    """Long times and large figures, and a task whose pod was gone before it told any."""
    peaks = {"prepare": 214_000_000, "train": 1_071_000_000, "evaluate": None}
    measured = tuple(
        task.model_copy(update={"peak_memory_bytes": peaks[task.task_id], "duration_s": 725.0})
        for task in tasks()
    )
    beside = tuple(
        task.model_copy(
            update={
                "base_duration_s": 608.0,
                "base_peak_memory_bytes": task.peak_memory_bytes and task.peak_memory_bytes // 2,
            }
        )
        for task in measured
    )
    base = run_of(BASE).model_copy(update={"tasks": measured})
    head = run_of(BASE, BASE).model_copy(update={"tasks": beside})
    return Result.of((version("main", "a1b2c3d4e5f6" + "0" * 28, base), version("HEAD", "0" * 40, head)))


def out_of_memory() -> Result:
    why = Cause(
        code=CauseCode.TASK_OUT_OF_MEMORY.code,
        message="task train[2] was killed at its memory limit of 512 MiB",
        task_id="train",
        hint="raise resources.limits.memory in the task's executor_config",
        evidence=("last state: OOMKilled, exit code 137", "Loading 4.1 GB into a DataFrame …", "Killed"),
    )
    test = TestResult(
        name="breast_cancer",
        dag_id="breast_cancer",
        state="failed",
        verdict="failed",
        tasks=tasks(True),
        cause=why,
    )
    return Result.of((version("HEAD", "0f9e8d7c6b5a" + "1" * 28, test),))


def no_cluster() -> Result:
    why = Cause(
        code=CauseCode.CLUSTER_MISSING.code, message="there is no cluster `harness`", hint="harness up"
    )
    return Result.of((), why)


def load_failed() -> Result:
    why = Cause(
        code=CauseCode.IMAGE_LOAD_FAILED.code,
        message="the node refused the image: no space left",
        hint="harness gc",
    )
    return Result.of((version("HEAD", "0f9e8d7c6b5a" + "1" * 28, None, cause=why),))


def hostile() -> Result:
    """Every text of the result is hostile to one renderer or another."""
    judged = judge({"accuracy": 0.5}, {"accuracy": GateResult(min=0.9)})
    why = Cause(code="task_failed", message=HOSTILE, task_id=HOSTILE, hint=HOSTILE, evidence=(HOSTILE,))
    test = TestResult(
        name=HOSTILE,
        dag_id=HOSTILE,
        run_id=HOSTILE,
        state="failed",
        verdict="failed",
        metrics={HOSTILE: judged["accuracy"].model_copy(update={"message": HOSTILE})},
        tasks=(TaskResult(task_id=HOSTILE, state=HOSTILE, pod=HOSTILE, queued_s=1, duration_s=2),),
        phases={HOSTILE: 1.0},
        cause=why,
    )
    return Result.of((version(HOSTILE, HOSTILE, test, namespace=HOSTILE, phases={HOSTILE: 2.0}),))


ALL = (passed, gate_failed, memory_compared, out_of_memory, no_cluster, load_failed, hostile)
