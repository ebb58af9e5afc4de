"""What is kept of a version on this machine, and reading it again, whatever became of the files."""

from __future__ import annotations

import errno
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.airflow.logs.log_keeper import keep_component_log, kept_logs
from harness.airflow.logs.redaction import Redactor
from harness.cluster.kind.kernel_log import parse
from harness.cluster.running_cluster import RunningCluster
from harness.engine import records, repro
from harness.engine.testing.evidence import Bundle, _component_logs
from harness.errors import CauseCode, HarnessError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def begun(namespace: str, commit: str = "a" * 40, ref: str = "main") -> records.Record:
    return records.begin("harness", namespace, ref=ref, commit=commit, tag=commit[:12])


class TestRecords:
    def test_found_by_any_of_their_names(self) -> None:
        made = begun("demo-1", commit="0123456789" * 4)
        for wanted in ("", "demo-1", "main", "0123456", "012345678901"):
            assert records.find("harness", wanted) == made
        assert records.find("harness", "012") is None
        assert records.find("other", "") is None

    def test_only_the_newest_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(records, "MOST", 2)
        for number in range(4):
            begun(f"demo-{number}")
        assert [record.namespace for record in records.records("harness")] == ["demo-2", "demo-3"]

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"namespace": "demo-1"}'])
    def test_one_that_a_killed_command_left_half_is_passed_over(self, text: str) -> None:
        made = begun("demo-1")
        (made.folder / "about.json").write_text(text)
        assert records.records("harness") == ()

    def test_only_their_owner_reads_them(self) -> None:
        assert begun("demo-1").folder.stat().st_mode & 0o077 == 0


def test_kept_logs_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "group.train[2]~1~demo-train-x1.log").write_text("said\n")
    (found,) = kept_logs(tmp_path)
    assert (found.label, found.pod) == ("group.train[2]", "demo-train-x1")
    assert all(map(found.is_of, ("group.train", "group.train[2]", "demo-train-x1")))
    assert not any(map(found.is_of, ("group.train[1]", "train", "")))
    assert found.text == "said\n"


def test_what_airflow_itself_said_is_kept_beside_the_tasks(tmp_path: Path) -> None:
    keep_component_log(tmp_path, "control-plane.previous", "airflow-1-x", "ImportError: no\n")
    (found,) = kept_logs(tmp_path)
    assert (found.label, found.pod, found.text) == (
        "control-plane.previous",
        "airflow-1-x",
        "ImportError: no\n",
    )


class Namespaces:
    """A cluster that lists one pod in each namespace, whose containers have been started again."""

    def list(self, path: str, **_: str) -> list[dict[str, object]]:
        statuses = [{"name": name, "restartCount": 1} for name in ("first", "second")]
        pod = f"of-{path.split('/')[4]}"
        return [{"metadata": {"name": pod}, "status": {"containerStatuses": statuses}}]


def test_the_logs_of_what_versions_share_are_apart_from_airflows() -> None:
    running = SimpleNamespace(api=Namespaces())
    names = [name for name, _ in _component_logs(cast(RunningCluster, running), "demo-1")]
    assert names == [
        f"{folder}/{pod}.{container}{which}.log"
        for folder, pod in (("airflow", "of-demo-1"), ("system", "of-harness-system"))
        for container in ("first", "second")
        for which in ("", ".previous")
    ]


class TestBundle:
    def test_a_full_disk_leaves_no_half_of_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(tarfile.TarFile, "addfile", full)
        bundle = Bundle(Redactor([]))
        bundle.add("report.json", lambda: "{}")
        with pytest.raises(OSError, match="No space"):
            bundle.write(tmp_path / "harness-demo-1.tar.gz")
        assert list(tmp_path.iterdir()) == []

    def test_what_cannot_be_had_is_named(self, tmp_path: Path) -> None:
        bundle = Bundle(Redactor(["s3cr3t-value"]))

        def gone() -> str:
            raise HarnessError(CauseCode.CLUSTER_FAILED, "no answer to s3cr3t-value")

        bundle.add("there.txt", lambda: "a s3cr3t-value")
        bundle.add("gone.txt", gone)
        with tarfile.open(bundle.write(tmp_path / "harness-demo.tar.gz")) as archive:
            texts = {member.name: archive.extractfile(member).read().decode() for member in archive}  # type: ignore[union-attr]
        assert texts == {
            "harness-demo/there.txt": "a ***",
            "harness-demo/missing.txt": "gone.txt: no answer to ***\n",
        }

    def test_it_does_not_hold_up_the_verdict(self) -> None:
        bundle = Bundle(Redactor(), until_s=0.0)
        bundle.add("late.txt", lambda: "never")
        assert bundle.files == {}
        assert bundle.missing == ["late.txt: no time was left for it"]


def archived(path: Path, members: Mapping[str, str | bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            data = text.encode() if isinstance(text, str) else text
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


REQUEST = json.dumps(
    {
        "format": 1,
        "commit": "a" * 40,
        "dirty": None,
        "tests": ["tiny"],
        "logical_dates": {},
        "image_digest": None,
    }
)


def test_what_is_read_again_is_not_masked_by_a_name() -> None:
    bundle = Bundle(Redactor(["s3cr3t-value"]))
    for exact in (True, False):
        bundle.add(
            f"{exact}.json", lambda: '{"no_such_secret": "2026-11-22", "x": "s3cr3t-value"}', exact=exact
        )
    assert bundle.files["True.json"] == '{"no_such_secret": "2026-11-22", "x": "***"}'
    assert bundle.files["False.json"] == '{"no_such_secret": "***", "x": "***"}'


class TestRepro:
    @pytest.mark.parametrize(
        "members",
        [
            {},
            {"b/request.json": REQUEST},
            {"b/request.json": "{", "b/configuration.json": "{}"},
            {"b/request.json": "[]", "b/configuration.json": "{}"},
            {"b/request.json": REQUEST.replace('"format": 1', '"format": 99'), "b/configuration.json": "{}"},
            {"b/request.json": REQUEST, "b/configuration.json": '{"tests": 1}'},
            {"b/request.json": b"\xff", "b/configuration.json": "{}"},
            {"b/request.json": "[" * 100_000, "b/configuration.json": "{}"},
            {"b/request.json": REQUEST, "b/configuration.json": '{"x":' * 100_000},
            {
                "b/request.json": REQUEST.replace(
                    '"logical_dates": {}', '"logical_dates": {"tiny": "9999-12-31T23:59:59Z"}'
                ),
                "b/configuration.json": "{}",
            },
            {"../../request.json": REQUEST, "/configuration.json": "{}"},
        ],
        ids=[
            "empty",
            "half",
            "no JSON",
            "a list",
            "newer",
            "bad configuration",
            "no text",
            "deep",
            "deep configuration",
            "date",
            "outside",
        ],
    )
    def test_what_is_no_bundle(self, tmp_path: Path, members: dict[str, str | bytes]) -> None:
        before = sorted(tmp_path.rglob("*"))
        path = archived(tmp_path / "b.tar.gz", members)
        with pytest.raises(HarnessError, match="is no bundle") as caught:
            repro.read(path, tmp_path)
        assert caught.value.cause is CauseCode.USAGE
        assert sorted(tmp_path.rglob("*")) == sorted([*before, path])

    @pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00cut"])
    def test_what_is_no_archive(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "b.tar.gz").write_bytes(content)
        with pytest.raises(HarnessError, match="is no bundle"):
            repro.read(tmp_path / "b.tar.gz", tmp_path)

    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="there is no bundle"):
            repro.read(tmp_path / "none.tar.gz", tmp_path)


KERNEL_LOG = (
    "[14384.37] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=2e8b,mems_allowed=0,"
    "oom_memcg=/docker/96f5/kubelet/kubepods/burstable/pod1b8c62e4-c591-4cd7-af27-24940a12e8f0,"
    "task_memcg=/docker/96f5/kubelet/kubepods/burstable/pod1b8c62e4-c591-4cd7-af27-24940a12e8f0/2e8b,"
    "task=airflow worker ,pid=16601,uid=50000\n"
    "[14384.38] Memory cgroup out of memory: Killed process 16601 (airflow worker ) total-vm:384600kB, "
    "anon-rss:338588kB, file-rss:12980kB, shmem-rss:0kB, UID:50000 pgtables:772kB oom_score_adj:984\n"
)
SYSTEMD = KERNEL_LOG.replace(
    "kubepods/burstable/pod1b8c62e4-c591-4cd7-af27-24940a12e8f0",
    "kubelet.slice/kubepods-burstable-pod1b8c62e4_c591_4cd7_af27_24940a12e8f0.slice",
)


@pytest.mark.parametrize("log", [KERNEL_LOG, SYSTEMD], ids=["cgroupfs", "systemd"])
def test_whom_the_kernel_killed(log: str) -> None:
    (kill,) = parse(log)
    assert kill.pod_uid == "1b8c62e4-c591-4cd7-af27-24940a12e8f0"
    assert kill.held_bytes == (338588 + 12980) * 1024


def test_a_kill_that_is_about_no_pod_is_none() -> None:
    assert parse("Killed process 1 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB") == ()
    assert parse("") == ()
