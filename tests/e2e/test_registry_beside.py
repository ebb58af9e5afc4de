"""`harness up --registry`: a registry beside the cluster, used, stopped, robbed of its port, tidied and removed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
import scratch
from command import explained, loaded, only_version
from conftest import NAME, Cluster

from harness.cluster.kind import local_registry
from harness.host import process
from harness.image.node import images, remove_images
from harness.image.registry import collection
from harness.image.registry.address import LocalRegistry

pytestmark = pytest.mark.slow
DOES_NOT_RUN = 3
FAILED = 4


@pytest.fixture(scope="module")
def registry(cluster: Cluster, tiny: scratch.Scratch) -> Iterator[LocalRegistry]:
    made = cluster.harness(tiny.root, "up", "--registry", "--json")
    assert made.returncode == 0, explained(made)
    found = local_registry.find(NAME)
    assert found is not None
    assert json.loads(made.stdout)["registry"] == found.host
    yield found
    removed = cluster.harness(tiny.root, "up", "--no-registry", "--json")
    assert removed.returncode == 0, explained(removed)
    assert json.loads(removed.stdout)["registry"] is None
    assert local_registry.find(NAME) is None
    assert process.run(["docker", "volume", "inspect", found.container], check=False).returncode == 1


def test_commits_go_through_it(
    cluster: Cluster, registry: LocalRegistry, tiny: scratch.Scratch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("result") / "result.json"
    ran = cluster.harness(tiny.root, "test", "--ref", "HEAD", "--keep", "never", "--json", file)
    assert ran.returncode == 0, explained(ran)
    version = only_version(loaded(file))
    assert 0 < version["load_bytes"] < 1_000_000, "`up` gave it what the commit's image stands on"
    stored = {each.digest: each for each in collection.stored(registry.address)}
    assert version["image"]["digest"] in stored
    (task,) = version["tests"][0]["tasks"]
    assert task["image_digest"] in {version["image"]["digest"], version["image"]["config_digest"]}


def test_pods_run_what_was_pushed(cluster: Cluster, registry: LocalRegistry) -> None:
    image = process.run(
        ["docker", "inspect", "--format", "{{.Config.Image}}", registry.container]
    ).stdout.strip()
    name = f"{registry.host}/tests/pushed:1"
    process.run(["docker", "tag", image, name])
    process.run(["docker", "push", name], timeout_s=300)
    process.run(["docker", "image", "rm", name])
    argv = ["run", "pushed", f"--image={name}", "--restart=Never", "--command", "--", "registry", "--version"]
    cluster.kind.kubectl(*argv)
    try:
        waited = ("wait", "pod/pushed", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s")
        assert "condition met" in cluster.kind.kubectl(*waited)
    finally:
        cluster.kind.kubectl("delete", "pod", "pushed", "--now")
    hosting = cluster.kind.kubectl(
        "get", "configmap", "local-registry-hosting", "--namespace=kube-public", "--output=yaml"
    )
    assert registry.host in hosting


def test_stopped_it_is_told_and_started_again(
    cluster: Cluster, registry: LocalRegistry, tiny: scratch.Scratch
) -> None:
    process.run(["docker", "stop", registry.container])
    refused = cluster.harness(tiny.root, "test")
    assert refused.returncode == DOES_NOT_RUN, explained(refused)
    assert f"{registry.host}, does not run" in refused.stdout
    assert "hint: harness up" in refused.stdout
    assert "does not run" in cluster.harness(tiny.root, "status").stdout
    with closing(socket.socket()) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", registry.port))
        taken.listen()
        robbed = cluster.harness(tiny.root, "up")
    assert robbed.returncode == FAILED, explained(robbed)
    assert f"port {registry.port} of 127.0.0.1" in robbed.stderr
    started = cluster.harness(tiny.root, "up")
    assert started.returncode == 0, explained(started)
    assert local_registry.find(NAME) == registry
    assert f"docker push {registry.host}/IMAGE" in cluster.harness(tiny.root, "status").stdout


def test_what_no_node_has_goes_and_what_others_pushed_stays(
    cluster: Cluster, registry: LocalRegistry, tiny: scratch.Scratch
) -> None:
    node = f"{NAME}-control-plane"
    before = {each.digest: each for each in collection.stored(registry.address)}
    ours = [each for each in before.values() if each.repository.endswith(tiny.root.name)]
    assert ours
    digests = {each.digest for each in ours}
    listed = images(node)  # of equal commits, by other tags, too
    remove_images(node, listed, [each for each in listed if each.digest in digests and not each.is_id])
    told = cluster.harness(tiny.root, "gc", "--dry-run").stdout
    assert f"registry {registry.host}: " in told
    gone = cluster.harness(tiny.root, "gc")
    assert gone.returncode == 0, explained(gone)
    left = {each.digest for each in collection.stored(registry.address)}
    assert not left & {each.digest for each in ours}
    pulled = f"{registry.host}/tests/pushed:1"
    assert process.run(["docker", "pull", pulled], check=False, timeout_s=120).returncode == 0
    process.run(["docker", "image", "rm", pulled])
    measured = json.loads(cluster.harness(tiny.root, "status", "--disk", "--json").stdout)["registry"]
    assert measured["host"] == registry.host
    assert measured["total_bytes"] > 0
