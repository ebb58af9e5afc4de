"""A control plane that stands by: who may have it, and what is handed over to it."""

from __future__ import annotations

import io
import runpy
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles import Clock, Kubernetes, items, refusal
from release_samples import a_release

from harness.airflow.release import release, standby
from harness.cluster.services.helm import chart
from harness.errors import CauseCode, HarnessError
from harness.image.layer import Layer, Member, write_layer

SPACE = "/api/v1/namespaces"
DEPENDENCIES = "harness.local/churn/dependencies:1"
WANTED = a_release("churn-00000000")
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
SECRET = {"data": {"passwords.json": "eyJoYXJuZXNzIjogInBhc3MifQ=="}}


def namespace(name: str, version: str = "7") -> dict[str, Any]:
    metadata = {
        "name": name,
        "resourceVersion": version,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {},
    }
    return {"metadata": metadata, "status": {"phase": "Active"}}


def layer(size_bytes: int) -> Layer:
    return Layer(Path("/nowhere"), "sha256:0", size_bytes)


class TestFitting:
    def test_code_alone_fits(self) -> None:
        assert standby.fits(WANTED, ["dags", "src/model"], [layer(1000)])

    @pytest.mark.parametrize(
        "code", [["."], ["dags", "/data"], ["plugins"], ["dags", "./plugins/mine.py"], ["config"]]
    )
    def test_what_airflow_reads_when_it_starts_does_not(self, code: list[str]) -> None:
        assert not standby.fits(WANTED, code, [])

    def test_shared_folders_do_not(self) -> None:
        assert not standby.fits(replace(WANTED, shared=("dags/data",)), ["dags"], [])

    def test_variables_of_its_dags_fit_and_settings_of_airflow_do_not(self) -> None:
        assert standby.fits(replace(WANTED, env={"AIRFLOW_VAR_A": "1", "B": "2"}), ["dags"], [])
        assert not standby.fits(replace(WANTED, env={"AIRFLOW__CORE__PARALLELISM": "2"}), ["dags"], [])

    def test_too_much_code_does_not(self) -> None:
        assert not standby.fits(WANTED, ["dags"], [layer(60 << 20), layer(5 << 20)])

    def test_the_commit_is_no_part_of_the_key(self) -> None:
        other = replace(
            WANTED,
            namespace="churn-11111111",
            commit="b" * 40,
            image="harness.local/churn:b",
            base_url="http://churn-11111111.localhost:1",
        )
        assert standby.key(WANTED, DEPENDENCIES) == standby.key(other, DEPENDENCIES)

    @pytest.mark.parametrize(
        "other",
        [
            replace(WANTED, template="template_1"),
            replace(WANTED, dags_folder="pipelines"),
            replace(WANTED, root="/usr/local/airflow"),
            replace(WANTED, ca_bundle="PEM"),
            replace(WANTED, base_url="http://churn-00000000.localhost:2"),
            replace(WANTED, project="other"),
        ],
    )
    def test_what_started_with_it_is(self, other: release.Release) -> None:
        assert standby.key(WANTED, DEPENDENCIES) != standby.key(other, DEPENDENCIES)
        assert standby.key(WANTED, DEPENDENCIES) != standby.key(WANTED, "other")


class TestClaiming:
    def test_what_was_seen_is_what_is_changed(self) -> None:
        api = Kubernetes(
            {
                ("GET", SPACE): items(namespace("churn-1a2b3c4d")),
                ("GET", f"{SPACE}/churn-1a2b3c4d/secrets/airflow"): SECRET,
            }
        )
        found = standby.claim(api, WANTED, DEPENDENCIES)
        assert found is not None
        assert found.release.namespace == "churn-1a2b3c4d"
        assert found.release.base_url == "http://churn-1a2b3c4d.localhost:1"
        assert found.login.password == "pass"
        (change,) = api.asked("PATCH")
        metadata = change.body["metadata"]
        assert metadata["resourceVersion"] == "7"
        assert metadata["labels"]["harness.local/role"] == "version"
        assert metadata["labels"]["harness.local/commit"] == "a" * 40
        assert metadata["labels"][standby.KEY] is None

    def test_one_that_another_was_quicker_for_is_left(self) -> None:
        taken, free = namespace("churn-aaaaaaaa"), namespace("churn-bbbbbbbb")
        api = Kubernetes(
            {
                ("GET", SPACE): items(taken, free),
                ("PATCH", f"{SPACE}/churn-aaaaaaaa"): refusal(409, "PATCH", SPACE),
                ("GET", f"{SPACE}/churn-bbbbbbbb/secrets/airflow"): SECRET,
            }
        )
        found = standby.claim(api, WANTED, DEPENDENCIES)
        assert found is not None
        assert found.release.namespace == "churn-bbbbbbbb"

    def test_none_there(self) -> None:
        assert standby.claim(Kubernetes({("GET", SPACE): items()}), WANTED, DEPENDENCIES) is None


class TestMaking:
    class Server:
        dropped: list[str]

        def __init__(self) -> None:
            self.dropped = []

        def drop(self, database: str) -> None:
            self.dropped.append(database)

    def made(self, *there: dict[str, Any]) -> tuple[Kubernetes, Server]:
        """What is asked of a cluster on which `there` stands by, the first of them for what is wanted."""
        answers: dict[tuple[str, str], Any] = {("GET", SPACE): items(*there)}
        for each in there:
            answers["GET", f"{SPACE}/{each['metadata']['name']}"] = {
                "metadata": {"labels": {"harness.local/created-by": "harness"}}
            }
        api, server = Kubernetes(answers), self.Server()
        standby.make(api, None, server, WANTED, DEPENDENCIES)  # type: ignore[arg-type]
        return api, server

    def standing(self, name: str, role: str = standby.ROLE, **marks: str) -> dict[str, Any]:
        found = namespace(name)
        key = standby.key(WANTED, DEPENDENCIES)
        found["metadata"]["labels"] = {
            "harness.local/role": role,
            "harness.local/project": marks.get("project", "churn"),
            standby.KEY: marks.get("key", key),
        }
        return found

    def test_it_has_nothing_of_the_commit_that_was_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[release.Release] = []
        monkeypatch.setattr(standby.release, "prepare", lambda *_: None)
        monkeypatch.setattr(standby.release, "install", lambda _, blank, **__: made.append(blank))
        asked = replace(WANTED, env={"OMP_NUM_THREADS": "4"}, secrets={"TOKEN": "hush"}, mlflow=True)
        api = Kubernetes({("GET", SPACE): items()})
        standby.make(api, None, self.Server(), asked, DEPENDENCIES)  # type: ignore[arg-type]
        (blank,) = made
        assert (blank.image, blank.commit, blank.tag) == (DEPENDENCIES, "", "")
        assert (dict(blank.env), dict(blank.secrets), blank.mlflow) == ({}, {}, False)

    def test_one_is_enough(self) -> None:
        api, server = self.made(self.standing("churn-aaaaaaaa"))
        assert api.asked("POST") == []
        assert server.dropped == []

    def test_one_with_other_dependencies_goes(self) -> None:
        _, server = self.made(self.standing("churn-aaaaaaaa"), self.standing("churn-bbbbbbbb", key="old"))
        assert server.dropped == ["v_churn_bbbbbbbb"]

    def test_what_a_killed_client_left_goes(self) -> None:
        _, server = self.made(
            self.standing("churn-aaaaaaaa"),
            self.standing("churn-bbbbbbbb", role=standby.UNFINISHED),
            self.standing("other-cccccccc", role=standby.LEFTOVER, project="other"),
        )
        assert server.dropped == ["v_churn_bbbbbbbb", "v_other_cccccccc"]

    def test_of_other_projects_the_newest_stays(self) -> None:
        _, server = self.made(
            self.standing("churn-aaaaaaaa"),
            self.standing("one-bbbbbbbb", project="one"),
            self.standing("two-cccccccc", project="two"),
        )
        assert server.dropped == ["v_one_bbbbbbbb"]


class TestWaitingForItsPod:
    def pod(self, **status: object) -> dict[str, Any]:
        found = namespace("airflow-0")
        return found | {"status": {"phase": "Pending", **status}}

    def wait(self, monkeypatch: pytest.MonkeyPatch, *states: dict[str, Any]) -> tuple[str, list[str]]:
        clock, told = Clock(), list[str]()
        monkeypatch.setattr(standby, "time", clock)
        api = Kubernetes({("GET", f"{SPACE}/churn-1a2b3c4d/pods"): [items(*each) for each in states]})
        found = standby._running_pod(api, "churn-1a2b3c4d", deadline_s=10, on_change=told.append)
        return found, told

    def test_until_its_container_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        running = self.pod(containerStatuses=[{"name": "airflow", "ready": False, "state": RUNNING}])
        found, told = self.wait(monkeypatch, [], [self.pod()], [running])
        assert found == "airflow-0"
        assert told == ["no pod yet", "the pod is being started"]

    def test_what_was_seen_last_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        full = {"type": "PodScheduled", "status": "False", "message": "no room"}
        with pytest.raises(HarnessError, match="did not start within 10 s: no room") as caught:
            self.wait(monkeypatch, [self.pod(conditions=[full])])
        assert caught.value.cause is CauseCode.DEPLOY_TIMEOUT


class TestHandingOver:
    """What standby sends, as charts/airflow/files/hand_over.py takes it."""

    def received(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
    ) -> dict[str, tuple[str, int]]:
        monkeypatch.setattr(sys, "argv", ["hand_over.py", str(tmp_path)])
        monkeypatch.setenv("AIRFLOW_HOME", "/opt/airflow")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        (tmp_path / "run/harness").mkdir(parents=True)
        runpy.run_path(str(chart("airflow") / "files" / "hand_over.py"))
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        return {
            path.relative_to(tmp_path).as_posix(): (path.read_text(), path.stat().st_mode & 0o777)
            for path in files
        }

    def test_code_of_several_layers_and_what_says_that_it_is_there(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        store = tmp_path / "store"
        members = [
            Member("opt/airflow/dags/train.py", 5, executable=True, chunks=lambda: iter([b"train"])),
            Member("opt/airflow/dags/größe.txt", 3, chunks=lambda: iter([b"big"])),
        ]
        layers = [write_layer([member], store=store, roots=("opt/airflow",)) for member in members]
        target = tmp_path / "pod"
        target.mkdir()
        found = self.received(monkeypatch, target, b"".join(standby._code(layers)))
        assert found["opt/airflow/dags/train.py"] == ("train", 0o755)
        assert found["opt/airflow/dags/größe.txt"] == ("big", 0o644)
        assert found["run/harness/code"][0] == ""

    def test_the_pod_template(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        found = self.received(monkeypatch, tmp_path, b"".join(standby._file("pod.yaml", b"kind: Pod")))
        assert found == {"run/harness/pod.yaml": ("kind: Pod", 0o644)}

    def test_names_that_lead_outside_are_refused(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("opt/airflow/../../../escaped"))
        with pytest.raises(SystemExit, match="no name inside"):
            self.received(monkeypatch, tmp_path, archive.getvalue())
