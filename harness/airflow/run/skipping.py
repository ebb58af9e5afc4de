"""Tasks that a test leaves out: they count as succeeded without having run, and have no pod."""

from __future__ import annotations

import difflib

from harness.airflow.rest.api import AirflowApi
from harness.errors import CauseCode, HarnessError
from harness.hints import toml_text
from harness.project.configuration import TestSettings

_WILD = "*?["


def start(api: AirflowApi, settings: TestSettings, run_id: str, *, lacking: bool = False) -> tuple[str, ...]:
    """Let the scheduler begin with a run that it has held back until now, without the tasks that the test skips.

    Their ids. Marked before anything of the run may start, none of them does, whatever it waits for; and what comes
    after them goes on as after a success. `lacking`: this DAG may have none of the tasks that `skip` names.
    Raises HarnessError(CONFIG_INVALID) when a name is no task's, since that task would run, and when none is left.
    """
    tasks = api.task_instances(settings.dag, run_id)
    known = {task.task_id for task in tasks}
    skipped = tuple(sorted(filter(settings.skips, known)))
    if not lacking:
        _refuse_unknown(settings, known)
    if known and len(skipped) == len(known):
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"`skip` leaves DAG {settings.dag} no task to run: it has {_listed(known)}",
            hint="edit `skip` of the test in harness.toml",
        )
    for task in tasks:
        if settings.skips(task.task_id):
            api.set_succeeded(settings.dag, run_id, task)
    api.pause(settings.dag, paused=False)
    return skipped


def _refuse_unknown(settings: TestSettings, known: set[str]) -> None:
    for name in settings.skip:
        if name in known or any(sign in name for sign in _WILD):
            continue
        # A task in a group has the group's id before its own.
        near = [task for task in known if task.endswith(f".{name}")]
        near = near or difflib.get_close_matches(name, known, n=1)
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"`skip` names {name!r}, and DAG {settings.dag} has no such task: it has {_listed(known)}",
            hint=f"edit `skip` of the test in harness.toml: {toml_text(near[0])}"
            if near
            else "edit `skip` of the test in harness.toml",
        )


def _listed(tasks: set[str]) -> str:
    ordered = sorted(tasks)
    return ", ".join(ordered[:20]) + (f" and {len(ordered) - 20} more" if len(ordered) > 20 else "")
