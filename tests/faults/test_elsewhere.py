"""A cluster of three nodes elsewhere: not made by harness, without its Docker, behind a registry and with few rights.

One cluster for all tests, in their order: each goes on with what the ones before it left.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from dataclasses import replace
from typing import Any

import acting
import pytest
from command import explained, loaded
from docker_registry import PASSWORD

from harness.cluster import place

from .conftest import Cluster
from .elsewhere import NAME, Elsewhere, grant
from .helpers import Watcher
from .running import eventually

pytestmark = pytest.mark.slow
# What one cluster has and the other does not, and what the test asked for.
OF_THE_CLUSTER = {
    ".environment.digests.node image",
    ".environment.node_image",
    *(f".environment.versions.{name}" for name in ("coredns", "docker", "etcd", "kind")),
    ".versions[0].image.name",
    ".versions[0].kept",
}


def test_too_few_rights_are_told_and_nothing_is_made(elsewhere: Elsewhere) -> None:
    before = elsewhere.objects()
    for command in ("up", "test"):
        done = elsewhere(command)
        assert done.returncode == 3, explained(done)
        assert "namespaces: get, list, create, patch, delete" in done.stderr + done.stdout
    doctor = elsewhere("doctor")
    assert doctor.returncode == 3, explained(doctor)
    assert elsewhere.objects() == before


def test_the_role_that_is_printed_is_enough(elsewhere: Elsewhere) -> None:
    grant(elsewhere)
    doctor = elsewhere("doctor")
    assert doctor.returncode == 0, explained(doctor)
    made = elsewhere("up")
    assert made.returncode == 0, explained(made)


def test_a_run_on_two_nodes(elsewhere: Elsewhere, cluster: Cluster) -> None:
    """With the digest that a kind node gets, and a password of the registry that is seen nowhere."""
    file = elsewhere.folder / "first.json"
    running = elsewhere.running("test", "--keep", "always", "--json", file)
    with running, Watcher(running.process.pid) as watcher:
        code, said = running.end()
    assert code == 0, said
    (version,) = loaded(elsewhere.folder / "first.json")["versions"]
    nodes = {each.spec.node_name for each in elsewhere.pods(version["namespace"])}
    assert len(nodes) >= 2, nodes
    digests = {task["image_digest"] for task in version["tests"][0]["tasks"]}
    assert digests == {version["image"]["digest"]}
    assert not any(PASSWORD in words for words in watcher.seen)
    assert not any(words.startswith("docker\0") and "version" not in words for words in watcher.seen)
    state = place.state_folder(f"@{elsewhere.cluster.context}")
    for path in (*state.rglob("*"), elsewhere.folder / "first.json"):
        if path.is_file():
            assert PASSWORD not in path.read_text(errors="replace"), path
    on_kind = elsewhere.folder / "kind.json"
    assert cluster.harness(elsewhere.repository.root, "test", "--json", on_kind).returncode == 0
    there, here = (acting.comparable(loaded(each)) for each in (elsewhere.folder / "first.json", on_kind))
    differing = {name for name in there | here if there.get(name) != here.get(name)}
    assert differing <= OF_THE_CLUSTER, {name: (there.get(name), here.get(name)) for name in differing}
    assert here[".versions[0].image.digest"]


def test_a_line_of_code_is_pushed_in_kilobytes(elsewhere: Elsewhere) -> None:
    elsewhere.one_line(0.71)
    (version,) = elsewhere.tested()["versions"]
    assert 0 < version["load_bytes"] < 100_000


def test_status_of_somebody_elses_machine(elsewhere: Elsewhere) -> None:
    """Who has another state folder sees the same versions; what it keeps is gone with `down`'s folder."""
    other = replace(
        elsewhere, environ={**elsewhere.environ, "HARNESS_STATE_DIR": str(elsewhere.folder / "other")}
    )
    mine, theirs = elsewhere("status", "--json"), other("status", "--json")
    assert theirs.returncode == 0, explained(theirs)
    names = [re.findall(r'"namespace": "([^"]+)"', each.stdout) for each in (mine, theirs)]
    assert names[0] == names[1] != []


def test_a_comparison(elsewhere: Elsewhere) -> None:
    done = elsewhere("diff", "HEAD~1")
    assert done.returncode == 0, explained(done)
    assert "0.71" in done.stdout


def test_eight_versions_at_once(elsewhere: Elsewhere) -> None:
    for number in range(8):
        elsewhere.one_line((80 + number) / 100)
    refs = [word for number in range(8) for word in ("--ref", f"HEAD~{number}" if number else "HEAD")]
    versions = elsewhere.tested(*refs)["versions"]
    found = sorted(each["tests"][0]["metrics"]["accuracy"]["value"] for each in versions)
    assert found == [0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87]
    assert {each["receipt"]["verdict"] for each in versions} == {"passed"}


def test_a_registry_away_and_a_port_forward_killed_in_mid_run(elsewhere: Elsewhere) -> None:
    """Both while tasks' pods are made: they wait for it, and the run passes."""
    elsewhere.one_line(0.9)
    registry = elsewhere.cluster.registry
    with elsewhere.running("test", "--json", elsewhere.folder / "away.json") as running:
        eventually(lambda: _forwards() or None, what="a port-forward")
        registry.stop()
        timer = threading.Timer(20, registry.start)
        timer.start()
        for number in _forwards():
            os.kill(number, signal.SIGKILL)
        code, said = running.end()
        timer.join()
    assert code == 0, said


def test_a_node_is_drained_in_mid_run(elsewhere: Elsewhere) -> None:
    """It is survived, or told as what it is."""
    elsewhere.one_line(0.91)
    api = elsewhere.cluster.api
    with elsewhere.running("test", "--json", elsewhere.folder / "drained.json") as running:
        pod = eventually(lambda: _running_task(elsewhere), what="a task's pod", deadline_s=300)
        node = pod.spec.node_name
        api.patch_node(node, {"spec": {"unschedulable": True}})
        for each in api.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={node}").items:
            if each.metadata.namespace not in {"kube-system", "local-path-storage"}:
                about = {"name": each.metadata.name, "namespace": each.metadata.namespace}
                api.create_namespaced_pod_eviction(**about, body={"metadata": about})
        code, said = running.end()
    api.patch_node(node, {"spec": {"unschedulable": False}})
    if code != 0:
        assert code == 4, said
        (version,) = loaded(elsewhere.folder / "drained.json")["versions"]
        causes = [each["cause"]["code"] for each in (version, *version["tests"]) if each["cause"]]
        assert causes
        assert set(causes) <= {"pod_evicted", "pod_deleted", "api_server_lost", "database_failed"}, causes


def test_one_node_for_a_volume_that_one_can_have(elsewhere: Elsewhere) -> None:
    file = elsewhere.folder / "allowed" / "contexts.toml"
    before = file.read_text()
    file.write_text(before.replace("ReadWriteMany", "ReadWriteOnce"))
    try:
        elsewhere.one_line(0.92)
        (version,) = elsewhere.tested("--keep", "always")["versions"]
    finally:
        file.write_text(before)
    assert len({each.spec.node_name for each in elsewhere.pods(version["namespace"])}) == 1
    assert any("kept on one node of 2" in each for each in version["tests"][0]["notes"])


def test_a_server_that_changed_is_refused(elsewhere: Elsewhere) -> None:
    file = elsewhere.folder / "allowed" / "contexts.toml"
    before = file.read_text()
    file.write_text(before.replace(":6443", ":6444"))
    try:
        done = elsewhere("status")
    finally:
        file.write_text(before)
    assert done.returncode == 2, explained(done)


def test_nothing_of_ours_is_left(elsewhere: Elsewhere) -> None:
    gone = elsewhere("down", "--force")
    assert gone.returncode == 0, explained(gone)
    left = [
        each
        for each in elsewhere.objects()
        if each.startswith(("namespace harness", "namespace repository", "namespace spread", "volume"))
    ]
    eventually(lambda: not _volumes(elsewhere) or None, what="no volume")
    assert not [each for each in left if each.startswith("namespace")]
    precious = elsewhere.cluster.api.read_namespaced_config_map("precious", "theirs")
    assert precious.data == {"a": "b"}


def _volumes(elsewhere: Elsewhere) -> list[Any]:
    return list(elsewhere.cluster.api.list_persistent_volume().items)


def _running_task(elsewhere: Elsewhere) -> Any:
    selector = "app.kubernetes.io/component=worker"
    for pod in elsewhere.cluster.api.list_pod_for_all_namespaces(label_selector=selector).items:
        if pod.status.phase == "Running":
            return pod
    return None


def _forwards() -> list[int]:
    """The port-forwards to the cluster."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True
    ).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "port-forward" in line and NAME in line]
