"""Peak memory: read from what anybody may write, and waited for, but not for long."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.autopsy.pod_trouble import trouble
from harness.airflow.pods.nodes import LostNode
from harness.airflow.pods.pods import Container, Pod, Resources, peak_memory_bytes
from harness.engine.testing import memory
from harness.errors import CauseCode, HarnessError
from harness.report.model import TaskResult, TestResult

NOW = datetime(2026, 11, 22, 19, 43, tzinfo=UTC)
LINE = '{"peak_memory_bytes": 271581184}\n'
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("peak_memory_bytes"), inner),
)


class TestMessage:
    @given(st.integers(1, 10**15 - 1), st.text())
    def test_the_last_line_counts(self, number: int, before: str) -> None:
        line = f'{{"peak_memory_bytes": {number}}}\n'
        assert json.loads(line) == {"peak_memory_bytes": number}
        assert peak_memory_bytes(line) == number
        assert peak_memory_bytes(f"{before}\n{line}") == number

    @given(st.text() | JSON.map(json.dumps) | st.text('{}"peak_mory_bts:0123456789- \n'))
    def test_anything_else_is_no_figure(self, text: str) -> None:
        found = peak_memory_bytes(text)
        assert found is None or text.rstrip().split("\n")[-1] == f'{{"peak_memory_bytes": {found}}}'

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            '{"peak_memory_bytes": 0}',
            '{"peak_memory_bytes": -1}',
            '{"peak_memory_bytes": 1.5}',
            '{"peak_memory_bytes": 1e9}',
            '{"peak_memory_bytes": true}',
            '{"peak_memory_bytes": null}',
            '{"peak_memory_bytes": "1"}',
            '{"peak_memory_bytes": \u0661}',
            '{"peak_memory_bytes": 1',
            '{"peak_memory_bytes": ' + "9" * 4000 + "}",
            "[" * 4096,
            "x " + LINE,
            LINE + "and more",
            'exec: "python": executable file not found in $PATH',
        ],
    )
    def test_what_is_near(self, text: str) -> None:
        assert peak_memory_bytes(text) is None


def manifest(message: str | None, reason: str = "Completed", **more: Any) -> dict[str, Any]:
    ended = {"exitCode": 0, "reason": reason, "startedAt": "2026-11-22T19:42:52Z"}
    return {
        "metadata": {"name": "good-fit-x1"},
        "spec": {"containers": [{"name": "sidecar"}, {"name": "base"}]},
        "status": {
            "phase": "Succeeded",
            "containerStatuses": [
                {"name": "sidecar", "state": {"terminated": {"message": '{"peak_memory_bytes": 7}'}}},
                {
                    "name": "base",
                    "state": {"terminated": ended | ({} if message is None else {"message": message})},
                },
            ],
        }
        | more,
    }


class TestPod:
    def test_its_base_container_tells(self) -> None:
        assert Pod.of(manifest(LINE)).peak_memory_bytes == 271581184

    @pytest.mark.parametrize("message", [None, "", "done\n", '{"peak_memory_bytes": "much"}'])
    def test_it_tells_nothing(self, message: str | None) -> None:
        assert Pod.of(manifest(message)).peak_memory_bytes is None

    def test_one_that_has_not_begun(self) -> None:
        assert Pod.of(manifest(LINE, containerStatuses=[])).peak_memory_bytes is None

    def test_why_a_container_did_not_start_is_told_as_before(self) -> None:
        found = Pod.of(manifest('exec: "python": not found', "StartError", phase="Failed"))
        assert found.peak_memory_bytes is None
        why = trouble(found)
        assert why is not None
        assert 'does not start: exec: "python": not found' in why.error.message


@dataclass
class Watch:
    """A namespace whose pods each look finds further on; the last look's stay."""

    looks: Sequence[Sequence[Pod] | HarnessError]
    slept_s: list[float] = field(default_factory=list)
    asked: int = 0

    def pods(self) -> tuple[Pod, ...]:
        self.asked += 1
        look = self.looks[min(self.asked, len(self.looks)) - 1]
        if isinstance(look, HarnessError):
            raise look
        return tuple(look)

    def events(self, name: str) -> tuple[str, ...]:
        return ()

    def rooms(self) -> tuple[Resources, ...]:
        return ()

    def lost_nodes(self) -> tuple[LostNode, ...]:
        return ()


RUNS = Pod("fit-1", phase="Running", containers=(Container("base", started_at=NOW),))
ENDED = replace(
    RUNS,
    phase="Succeeded",
    containers=(Container("base", exit_code=0, peak_memory_bytes=5, started_at=NOW, ended_at=NOW),),
)
GONE = HarnessError(CauseCode.CLUSTER_FAILED, "the cluster does not answer")


def run(**changes: object) -> TestResult:
    task = TaskResult(task_id="fit", state="success", pod="fit-1").model_copy(update=changes)
    other = TaskResult(task_id="load", state="success", pod="load-1", peak_memory_bytes=3)
    return TestResult(name="t", dag_id="d", verdict="passed", tasks=(other, task))


def completed(*looks: Sequence[Pod] | HarnessError, **changes: object) -> tuple[int | None, Watch]:
    """The peak that the task gets, and the watch that was asked."""
    watch = Watch(looks)
    found = memory.completed({"key": run(**changes)}, watch, watch.slept_s.append)
    assert list(found) == ["key"]
    assert found["key"].tasks[0] == run().tasks[0]
    return found["key"].tasks[1].peak_memory_bytes, watch


class TestCompleted:
    def test_a_pod_that_has_ended_meanwhile(self) -> None:
        peak, watch = completed([ENDED])
        assert (peak, watch.asked, watch.slept_s) == (5, 1, [])

    def test_one_that_is_about_to(self) -> None:
        peak, watch = completed([RUNS], [RUNS], [ENDED])
        assert (peak, watch.asked) == (5, 3)

    def test_one_that_does_not_end_is_not_waited_for_for_long(self) -> None:
        peak, watch = completed([RUNS])
        assert peak is None
        assert 2 < sum(watch.slept_s) < 4

    def test_one_with_a_sidecar_that_goes_on(self) -> None:
        peak, watch = completed([replace(ENDED, phase="Running")])
        assert (peak, watch.slept_s) == (5, [])

    @pytest.mark.parametrize(
        "look", [[], [replace(RUNS, deleted=True)], [replace(RUNS, containers=())], [replace(RUNS, name="x")]]
    )
    def test_one_that_will_not_tell(self, look: list[Pod]) -> None:
        peak, watch = completed(look)
        assert (peak, watch.slept_s) == (None, [])

    def test_a_cluster_that_does_not_answer(self) -> None:
        assert completed(GONE)[0] is None
        assert completed([RUNS], GONE)[0] is None

    @pytest.mark.parametrize(
        "changes", [{"peak_memory_bytes": 9}, {"state": "running"}, {"state": None}, {"pod": None}]
    )
    def test_nobody_is_asked_where_there_is_nothing_to_learn(self, changes: dict[str, Any]) -> None:
        peak, watch = completed([RUNS], **changes)
        assert (peak, watch.asked) == (changes.get("peak_memory_bytes"), 0)
