"""Where the time went: phases that follow each other, so that they add up to the whole."""

from __future__ import annotations

from collections.abc import Mapping

from harness.report.model import VersionResult


def of_version(version: VersionResult) -> dict[str, float]:
    """Seconds by names for people, in order: the version's own phases, then those of its tests.

    With several tests theirs carry the test's name.
    """
    found = {_name(key): value for key, value in version.phases.items()}
    for test in version.tests:
        for key, value in in_turn(test.phases).items():
            name = f"{test.name}: {_name(key)}" if len(version.tests) > 1 else _name(key)
            found[name] = found.get(name, 0.0) + value
    return found


def in_turn(phases: Mapping[str, float]) -> dict[str, float]:
    """A test's phases one after another: its `run_s` begins with what `first_task_s` counts too."""
    found = dict(phases)
    if "run_s" in found and "first_task_s" in found:
        run_s, first_s = found.pop("run_s"), found.pop("first_task_s")
        found |= {"first_task_s": first_s, "rest_of_run_s": max(0.0, run_s - first_s)}
    return found


def _name(key: str) -> str:
    """ "deploy" for "deploy_s"."""
    return key.removesuffix("_s").replace("_", " ")
