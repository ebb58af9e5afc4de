"""Why a task was skipped, from what Airflow knows: the scheduler skips it without a pod and without a log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.airflow.rest.models import TaskInstance
from harness.airflow.rest.task_definitions import TaskDefinition

# What each rule asks of the tasks before, where a skipped one among them is enough to skip the task.
_RULES = {
    "all_success": "wants all upstream tasks to succeed",
    "none_skipped": "wants no upstream task to be skipped",
    "none_failed_min_one_success": "wants one upstream task to succeed",
    "one_success": "wants one upstream task to succeed",
    "one_failed": "wants one upstream task to fail",
    "one_done": "wants one upstream task to succeed or fail",
    "all_failed": "wants all upstream tasks to fail",
    "all_done_min_one_success": "wants one upstream task to succeed",
    "all_skipped": "wants all upstream tasks to be skipped",
}
_DEEPEST = 50


@dataclass(frozen=True)
class Skip:
    """Why a task was skipped, and what helps. `has_log`: it ran, and raised AirflowSkipException itself."""

    reason: str
    hint: str
    has_log: bool = False


def why_skipped(
    task_id: str, tasks: Iterable[TaskInstance], definitions: Iterable[TaskDefinition], depth: int = 0
) -> Skip:
    """The reason for a task of a run whose `tasks` have ended, by the DAG's `definitions`."""
    instances = [task for task in tasks if task.task_id == task_id]
    known = {definition.task_id: definition for definition in definitions}
    if any(task.started_at is not None and task.pod for task in instances):
        return Skip(
            f"{task_id} skipped itself (AirflowSkipException)",
            f"harness logs --task {task_id}: see why it raised AirflowSkipException",
            has_log=True,
        )
    states: dict[str, str] = {}
    for task in tasks:
        states[task.task_id] = (
            "success" if "success" in {task.state, states.get(task.task_id)} else str(task.state)
        )
    before = [known[name] for name in sorted(known) if task_id in known[name].downstream]
    for each in before:
        if (skipper := _skipper(each, states)) is not None:
            return Skip(
                f"{task_id}: {skipper}",
                f"let {each.task_id} choose {task_id} in this test, through its `conf`; or name another task in "
                "`metrics` of harness.toml",
            )
    own = known.get(task_id)
    skipped = [each.task_id for each in before if states.get(each.task_id) == "skipped"]
    if own is not None and own.is_mapped and not skipped:
        sources = " and ".join(each.task_id for each in before) or "its input"
        return Skip(
            f"{task_id} is mapped over nothing: {sources} returned no elements",
            f"let {sources} return something in this test, through its `conf`",
        )
    rule = own.trigger_rule if own else "all_success"
    wants = _RULES.get(rule, "was not satisfied")
    if not skipped or depth > _DEEPEST:
        told = ", ".join(f"{each.task_id} {states.get(each.task_id)}" for each in before)
        return Skip(
            f"{task_id}: its trigger_rule {rule} {wants}"
            + (f", and upstream there was {told}" if told else ""),
            f"see the trigger_rule of {task_id}",
        )
    root = why_skipped(skipped[0], tasks, known.values(), depth + 1)
    return Skip(
        f"{task_id}: its trigger_rule {rule} {wants}, and upstream {_named(skipped)} skipped ({root.reason})",
        f'give {task_id} trigger_rule="none_failed_min_one_success" to run it after the branch that was chosen'
        if any(states.get(each.task_id) == "success" for each in before)
        else f'{root.hint}; or give {task_id} trigger_rule="all_done", and let it do without',
    )


def _skipper(before: TaskDefinition, states: dict[str, str]) -> str | None:
    """What a task did that skips others although it succeeded itself; None for any other."""
    if states.get(before.task_id) != "success":
        return None
    kind = before.operator.lower()
    if "branch" in kind:
        return f"the branch {before.task_id} did not choose it"
    if "shortcircuit" in kind or "short_circuit" in kind:
        return f"{before.task_id}, a short circuit, returned nothing that is true"
    if "latestonly" in kind:
        return f"{before.task_id} lets only the latest scheduled run on"
    return None


def _named(tasks: Sequence[str]) -> str:
    return f"{tasks[0]} was" if len(tasks) == 1 else f"{', '.join(tasks[:-1])} and {tasks[-1]} were"
