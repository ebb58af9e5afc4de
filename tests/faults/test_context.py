"""A cluster that harness did not make, made here by kind itself: used only when allowed, and left as it was."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import remains
import scratch
import urllib3
import yaml
from command import DEADLINE_S, ENVIRONMENT, PROGRAM, explained, loaded, only_version
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from harness.cluster import place
from harness.cluster.kind import kind, sourcing
from harness.cluster.kind.configuration import configuration
from harness.cluster.services import services
from harness.host import process

from .conftest import Cluster
from .helpers import programs_about
from .running import Running

NAME = "harness-theirs"
CONTEXT = f"kind-{NAME}"
COMMANDS = ("up", "test", "status", "logs", "ui", "gc", "version", "down", "diff HEAD")


@dataclass(frozen=True)
class Theirs:
    """Somebody's kind cluster, and what our program is run with: their kubeconfig, and a folder for the allow list."""

    kubeconfig: Path
    server: str
    api: client.CoreV1Api
    cwd: Path
    environ: dict[str, str]

    def __call__(self, *arguments: str | Path) -> process.Completed:
        argv = [PROGRAM, *arguments, "--context", CONTEXT]
        return process.run(argv, cwd=self.cwd, env=self.environ, check=False, timeout_s=DEADLINE_S)

    def running(self, *arguments: str | Path) -> Running:
        return Running(self.cwd, (*arguments, "--context", CONTEXT), self.environ)

    @property
    def folder(self) -> Path:
        return place.state_folder(f"@{CONTEXT}")

    def objects(self) -> set[str]:
        """Namespaces, volumes, what is in the namespace of somebody else, and images of the node."""
        found = {f"namespace {each.metadata.name}" for each in self.api.list_namespace().items}
        found |= {f"volume {each.metadata.name}" for each in self.api.list_persistent_volume().items}
        maps = self.api.list_namespaced_config_map("theirs").items
        found |= {f"map {each.metadata.name}" for each in maps if each.metadata.name != "kube-root-ca.crt"}
        argv = [
            "docker",
            "exec",
            f"{NAME}-control-plane",
            "ctr",
            "--namespace",
            "k8s.io",
            "images",
            "ls",
            "-q",
        ]
        return found | {f"image {line}" for line in process.run(argv).stdout.splitlines()}


@pytest.fixture(scope="module")
def theirs(
    cluster: Cluster, tiny: scratch.Scratch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Theirs]:
    """Made by kind from the node image that is there, without anything of ours but that."""
    folder = tmp_path_factory.mktemp("theirs")
    node = kind.node_container(cluster.name)
    assert node is not None
    marker = cluster.api.read_namespaced_config_map("harness", services.NAMESPACE)
    tools = sourcing.present_tools(marker.data)
    assert tools is not None
    wanted = configuration(NAME, node.image)
    wanted["nodes"] = [
        {key: value for key, value in each.items() if not key.startswith("extra")} for each in wanted["nodes"]
    ]
    (folder / "kind.json").write_text(json.dumps(wanted))
    kubeconfig = folder / "config"
    network = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": NAME}
    about = ["--name", NAME, "--kubeconfig", kubeconfig]
    before = remains.docker_objects(NAME)
    try:
        argv = [tools.kind, "create", "cluster", *about, "--config", folder / "kind.json", "--wait", "60s"]
        process.run(argv, env=network, timeout_s=300)
        api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig), context=CONTEXT))
        api.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name="theirs")))
        precious = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="precious"), data={"a": "b"})
        api.create_namespaced_config_map("theirs", precious)
        server = api.api_client.configuration.host
        environ = {
            **ENVIRONMENT, "KUBECONFIG": str(kubeconfig), "HARNESS_CONFIG_DIR": str(folder / "allowed"), "CI": "",
        }  # fmt: skip
        yield Theirs(kubeconfig, server, api, tiny.root, environ)
    finally:
        place.remove_state(f"@{CONTEXT}")
        process.run([tools.kind, "delete", "cluster", *about], env=network, check=False)
        process.run(["docker", "network", "rm", NAME], check=False)
    assert remains.left_on_docker(NAME, before) == []


@pytest.fixture
def allowed(theirs: Theirs) -> None:
    """By the command that the refusal hints at; it is there for all tests after this one."""
    file = Path(theirs.environ["HARNESS_CONFIG_DIR"]) / "contexts.toml"
    if not file.exists():
        hint = theirs("status").stderr.partition("hint: ")[2]
        subprocess.run(["sh", "-c", hint], check=True)


class TestNotAllowed:
    """Nothing is read of the cluster, and nothing of it is kept here."""

    @pytest.mark.parametrize("command", COMMANDS)
    def test_refused(self, theirs: Theirs, command: str) -> None:
        before, config_before = theirs.objects(), theirs.kubeconfig.read_bytes()
        done = theirs(*shlex.split(command))
        assert done.returncode == 2, explained(done)
        assert theirs.server in done.stderr + done.stdout
        assert "hint: mkdir -p " in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        assert theirs.objects() == before
        assert theirs.kubeconfig.read_bytes() == config_before
        assert not theirs.folder.exists()

    def test_another_address_is_refused(self, theirs: Theirs, tmp_path: Path) -> None:
        (tmp_path / "contexts.toml").write_text(f'[contexts.{CONTEXT}]\nserver = "{theirs.server}0"\n')
        elsewhere = {**theirs.environ, "HARNESS_CONFIG_DIR": str(tmp_path)}
        done = process.run(
            [PROGRAM, "up", "--context", CONTEXT], cwd=theirs.cwd, env=elsewhere, check=False, timeout_s=60
        )
        assert done.returncode == 2, explained(done)
        assert f"allowed: {theirs.server}0" in done.stderr
        assert not theirs.folder.exists()

    def test_the_current_context_is_never_taken(self, theirs: Theirs, cluster: Cluster) -> None:
        """It is theirs; a command without `--context` goes to the cluster of ours that it names."""
        done = process.run(
            [PROGRAM, "status", "--name", cluster.name], cwd=theirs.cwd, env=theirs.environ, check=False
        )
        assert done.returncode == 0, explained(done)
        missing = process.run(
            [PROGRAM, "status", "--name", "harness-nowhere"], cwd=theirs.cwd, env=theirs.environ, check=False
        )
        assert missing.returncode == 3, explained(missing)


@pytest.fixture
def by_plugin(theirs: Theirs, tmp_path: Path) -> Theirs:
    """The same cluster for somebody who logs in by a plugin, as on clouds: every tool asks it by itself."""
    api = theirs.api
    account = client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="somebody"))
    api.create_namespaced_service_account("theirs", account)
    subject = {"kind": "ServiceAccount", "name": "somebody", "namespace": "theirs"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    client.RbacAuthorizationV1Api(api.api_client).create_cluster_role_binding(
        {"metadata": {"name": "somebody"}, "roleRef": role, "subjects": [subject]}
    )
    request = {"spec": {"audiences": [], "expirationSeconds": 7200}}
    token = api.create_namespaced_service_account_token("somebody", "theirs", request).status.token
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token},
    }
    (tmp_path / "answer").write_text(json.dumps(answer))
    (tmp_path / "log-in").write_text('#!/bin/sh\ncat "$(dirname "$0")/answer"\n')
    (tmp_path / "log-in").chmod(0o755)
    document = yaml.safe_load(theirs.kubeconfig.read_text())
    plugin = {"apiVersion": answer["apiVersion"], "command": "./log-in", "interactiveMode": "Never"}
    document["users"] = [{"name": each["name"], "user": {"exec": plugin}} for each in document["users"]]
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    return replace(theirs, environ={**theirs.environ, "KUBECONFIG": str(tmp_path / "config")})


@pytest.mark.usefixtures("allowed")
class TestAllowed:
    def test_a_namespace_of_others_by_our_name_is_left_alone(self, theirs: Theirs) -> None:
        foreign = client.V1ObjectMeta(name=services.NAMESPACE, labels={"owner": "somebody"})
        theirs.api.create_namespace(client.V1Namespace(metadata=foreign))
        try:
            done = theirs("up")
            assert done.returncode == 4, explained(done)
            assert f"namespace {services.NAMESPACE} is there and was not made by harness" in done.stderr
            gone = theirs("down")
            assert gone.returncode == 0, explained(gone)
            labels = theirs.api.read_namespace(services.NAMESPACE).metadata.labels
            assert labels["owner"] == "somebody"
            assert "harness.local/created-by" not in labels
        finally:
            theirs.api.delete_namespace(services.NAMESPACE)
            _wait_gone(theirs, services.NAMESPACE)

    def test_up_test_and_down(self, theirs: Theirs, by_plugin: Theirs, tmp_path: Path) -> None:
        """The whole story: `up` killed half-way, a test whose port-forward is killed, and nothing left in the end."""
        theirs = by_plugin
        before, config_before = theirs.objects(), theirs.kubeconfig.read_bytes()
        with theirs.running("up") as running:
            _until(lambda: _has_namespace(theirs, services.NAMESPACE), "harness-system")
            running.process.kill()
        made = theirs("up")
        assert made.returncode == 0, explained(made)
        assert f"next: harness test --context {CONTEXT}" in made.stderr

        file = tmp_path / "result.json"
        with theirs.running("test", "--json", file, "--keep", "always") as running:
            _until(lambda: _forwards(theirs), "kubectl port-forward")
            assert all("127.0.0.1" in words.split("\0") for words in _forwards(theirs).values())
            for number in _forwards(theirs):
                os.kill(number, signal.SIGKILL)
            code, said = running.end()
        assert code == 0, said
        document = loaded(file)
        version = only_version(document)
        assert document["verdict"] == "passed"
        assert _forwards(theirs) == {}

        with theirs.running("ui", "--json") as running:
            shown = ""
            while '"password"' not in shown:
                line = running.process.stdout.readline()
                assert line, f"it ended: {shown}"
                shown += line
            assert version["namespace"] in shown
            assert _answers(theirs)
            running.interrupt()
            code, said = running.end()
        assert code == 130, said
        assert not _answers(theirs)

        notes = {"harness.local/author": "somebody@elsewhere"}
        theirs.api.patch_namespace(version["namespace"], {"metadata": {"annotations": notes}})
        refused = theirs("down")
        assert refused.returncode == 2, explained(refused)
        assert f"harness down --context {CONTEXT} --force" in refused.stderr
        gone = theirs("down", "--force")
        assert gone.returncode == 0, explained(gone)
        _until(lambda: theirs.objects() == before, "the cluster as it was")
        assert theirs.kubeconfig.read_bytes() == config_before
        assert not theirs.folder.exists()
        assert programs_about(str(theirs.folder)) == []


def _has_namespace(theirs: Theirs, name: str) -> bool:
    try:
        theirs.api.read_namespace(name)
    except ApiException:
        return False
    return True


def _wait_gone(theirs: Theirs, name: str) -> None:
    _until(lambda: not _has_namespace(theirs, name), f"namespace {name} gone")


def _forwards(theirs: Theirs) -> dict[int, str]:
    """The port-forwards to the cluster: process id -> arguments."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "port-forward" in words and str(theirs.folder) in words:
            found[int(folder.name)] = words
    return found


def _answers(theirs: Theirs) -> bool:
    port = int((theirs.folder / "port").read_text())
    try:
        return bool(urllib3.request("GET", f"http://127.0.0.1:{port}/healthz", retries=False).status == 200)
    except urllib3.exceptions.HTTPError:
        return False


def _until(holds: Any, what: str, deadline_s: float = 60.0) -> None:
    until = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < until, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.1)
