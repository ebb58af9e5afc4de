"""Files on versions' volumes as pods list them: the listing itself runs here, in place of a pod."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from harness.airflow.release import control_plane
from harness.cluster.running_cluster import RunningCluster
from harness.isolation import by_pods


class _Running:
    server = None
    api = None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    def output(server: object, api: object, namespace: str, argv: Sequence[str]) -> str:
        python, option, script, *given = argv
        assert (python, option) == ("python", "-c")
        monkeypatch.setattr(sys, "argv", ["-c", *given])
        exec(compile(script, "<listing>", "exec"), {})  # noqa: S102 - our own script
        return capsys.readouterr().out

    monkeypatch.setattr(control_plane, "output", output)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return tmp_path


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def _changes(*shared: str) -> set[str]:
    found = by_pods.changes(cast(RunningCluster, _Running()), "one", shared)
    assert found is not None
    return set(found)


def test_a_shared_folder_may_have_a_space_in_its_name(home: Path) -> None:
    _file(home / "artifacts" / "a.txt")
    _file(home / "daily reports" / "b.txt")
    _file(home / "elsewhere" / "c.txt")
    assert _changes("daily reports") == {"artifacts/a.txt", "daily reports/b.txt"}


def test_a_link_to_nothing_hides_no_other_file(home: Path) -> None:
    _file(home / "artifacts" / "a.txt")
    (home / "artifacts" / "latest").symlink_to("gone")
    assert _changes() == {"artifacts/a.txt"}


def test_a_name_that_is_not_unicode_hides_no_other_file(home: Path) -> None:
    _file(home / "artifacts" / "a.txt")
    Path(os.fsdecode(os.fsencode(home / "artifacts") + b"/caf\xe9")).touch()
    assert "artifacts/a.txt" in _changes()


def test_a_name_may_hold_the_end_of_a_line_and_a_tab(home: Path) -> None:
    _file(home / "artifacts" / "a\tb\nc\u2028d.txt")
    assert _changes() == {"artifacts/a\tb\nc\u2028d.txt"}


def test_files_of_runs_are_found_under_results_and_logs(home: Path) -> None:
    _file(home / "artifacts" / "run-1" / "a.txt")
    _file(home / "logs" / "run_id=run-1" / "1.log")
    _file(home / "logs" / "run_id=run-2" / "1.log")
    found = by_pods.of_runs(cast(RunningCluster, _Running()), ["one"], ["run-1"])
    assert {Path(path).relative_to(home).parts[0] for path in found["one"]} == {"artifacts", "logs"}
    assert len(found["one"]) == 2
