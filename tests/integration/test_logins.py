"""`--context` with each way of logging in, through the installed program, against an API server on this machine."""

from __future__ import annotations

import json
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import kubernetes_server
import pytest
import yaml
from kubernetes_server import NODES, Server

from harness.cluster.api import KubernetesApi
from harness.cluster.watch import WatchedItems
from harness.errors import HarnessError
from harness.host import process

PROGRAM = Path(sysconfig.get_path("scripts")) / "harness"
V1 = "client.authentication.k8s.io/v1"
LOGGED_IN = "is no kind cluster of this machine's Docker"  # what is told once its nodes were asked for

Status = Callable[[dict[str, Any]], process.Completed]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with kubernetes_server.serving(tmp_path) as found:
        found.names = ["somewhere-control-plane"]
        yield found


@pytest.fixture
def kubeconfig(server: Server, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writes a kubeconfig with one user, who may use the context `team`."""

    def written(user: dict[str, Any]) -> Path:
        document = {
            "current-context": "team",
            "contexts": [{"name": "team", "context": {"cluster": "team", "user": "me"}}],
            "clusters": [
                {"name": "team", "cluster": {"server": server.url, "certificate-authority": "ca.pem"}}
            ],
            "users": [{"name": "me", "user": user}],
        }
        (tmp_path / "config").write_text(yaml.safe_dump(document))
        (tmp_path / "contexts.toml").write_text(f'[contexts.team]\nserver = "{server.url}"\n')
        return tmp_path / "config"

    return written


@pytest.fixture
def status(kubeconfig: Callable[[dict[str, Any]], Path], tmp_path: Path) -> Status:
    """`harness status` of the context, on a machine with proxies for everything and no Docker."""

    def run(user: dict[str, Any]) -> process.Completed:
        env = {
            "KUBECONFIG": str(kubeconfig(user)),
            "HARNESS_CONFIG_DIR": str(tmp_path),
            "HARNESS_STATE_DIR": str(tmp_path / "state"),
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "ALL_PROXY": "socks://127.0.0.1:9/",
            "NO_PROXY": "[::1],fd00::/8",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }
        return process.run(
            [PROGRAM, "status", "--context", "team"], env=env, cwd=tmp_path, check=False, timeout_s=60
        )

    return run


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def credential(**status: str) -> str:
    """What a plugin prints."""
    return f"echo '{json.dumps({'apiVersion': V1, 'kind': 'ExecCredential', 'status': status})}'"


def plugin(command: str, **more: Any) -> dict[str, Any]:
    return {"exec": {"apiVersion": V1, "command": command, "interactiveMode": "Never", **more}}


def assert_logged_in(done: process.Completed) -> None:
    assert done.returncode == 2, done.stderr
    assert LOGGED_IN in done.stderr
    assert "its server: https://127.0.0.1:" in done.stderr


def test_a_plugin_beside_the_kubeconfig(server: Server, status: Status, tmp_path: Path) -> None:
    server.tokens = {"of-the-plugin"}
    (tmp_path / "bin").mkdir()
    says = f'echo "$1 $WORD" >>{tmp_path}/calls\n' + credential(token="of-the-plugin")
    script(tmp_path / "bin" / "log-in", says)
    more = {"args": ["now"], "env": [{"name": "WORD", "value": "please"}]}
    assert_logged_in(status(plugin("./bin/log-in", **more)))
    assert set(server.seen) == {"Bearer of-the-plugin"}
    assert (
        tmp_path / "calls"
    ).read_text() == "now please\n"  # once, whatever the command asks the cluster for
    assert not (tmp_path / "state").exists()


def test_a_plugins_certificate(server: Server, status: Status, tmp_path: Path) -> None:
    pair = {
        "clientCertificateData": server.certificate.read_text(),
        "clientKeyData": server.key.read_text(),
    }
    answer = json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": pair})
    (tmp_path / "answer").write_text(answer)
    assert_logged_in(status(plugin(str(script(tmp_path / "log-in", f"cat {tmp_path}/answer")))))
    assert set(server.seen) == {"certificate"}


def test_a_plugins_failure_is_told_with_its_last_line(status: Status, tmp_path: Path) -> None:
    script(tmp_path / "log-in", "echo one >&2; echo 'the session has ended: log in again' >&2; exit 3")
    done = status(plugin("./log-in"))
    assert done.returncode == 3, done.stderr
    assert "its plugin log-in failed: the session has ended: log in again\n" in done.stderr
    assert "\n\nhint: kubectl --context team auth whoami" in done.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("text", ["echo nonsense", "true", "echo '{}'", "echo '[]'", "echo 3", credential()])
def test_whatever_a_plugin_prints(
    kubeconfig: Callable[[dict[str, Any]], Path], tmp_path: Path, text: str
) -> None:
    with pytest.raises(HarnessError, match="plugin log-in") as caught:
        KubernetesApi(kubeconfig(plugin(str(script(tmp_path / "log-in", text)))))
    assert caught.value.exit_code == 3


def test_a_plugin_that_is_not_there(status: Status, tmp_path: Path) -> None:
    done = status(plugin("no-such-program", installHint="brew install no-such-program"))
    assert done.returncode == 3, done.stderr
    assert "its plugin no-such-program can't be run: No such file or directory" in done.stderr
    assert "hint: brew install no-such-program" in done.stderr


def test_a_token_file(server: Server, status: Status, tmp_path: Path) -> None:
    server.tokens = {"of-the-file"}
    (tmp_path / "token").write_text("of-the-file\n")
    assert_logged_in(status({"tokenFile": "token"}))
    assert set(server.seen) == {"Bearer of-the-file"}


def test_a_client_certificate(server: Server, status: Status) -> None:
    assert_logged_in(status({"client-certificate": "crt.pem", "client-key": "key.pem"}))
    assert set(server.seen) == {"certificate"}


def test_a_token_that_is_refused(status: Status) -> None:
    done = status({"token": "too-old"})
    assert done.returncode == 4, done.stderr
    assert "Unauthorized" in done.stderr
    assert "too-old" not in done.stderr


def test_a_token_that_was_replaced_is_read_again(
    server: Server, kubeconfig: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    """Those of a pod's service account live for an hour, less than some commands."""
    server.tokens = {"first"}
    (tmp_path / "answer").write_text("first")
    says = f'printf \'{{"apiVersion": "{V1}", "kind": "ExecCredential", "status": {{"token": "%s"}}}}\' '
    command = script(tmp_path / "log-in", says + f'"$(cat {tmp_path}/answer)"')
    api = KubernetesApi(kubeconfig(plugin(str(command))))
    assert len(api.list(NODES)) == 1
    server.tokens = {"second"}
    with pytest.raises(HarnessError, match="Unauthorized"):
        api.list(NODES)
    (tmp_path / "answer").write_text("second")
    assert len(api.list(NODES)) == 1


def test_a_watch_over_connections_that_end_in_every_way(
    server: Server, kubeconfig: Callable[[dict[str, Any]], Path]
) -> None:
    def added(name: str, version: int) -> dict[str, Any]:
        metadata = {"name": name, "uid": name, "resourceVersion": str(version)}
        return {"type": "ADDED", "object": {"metadata": metadata}}

    server.tokens = {"abc"}
    too_old = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
    server.watches = [[added("b", 11)], None, [added("c", 12), too_old], [added("d", 13)]]
    with closing(WatchedItems(KubernetesApi(kubeconfig({"token": "abc"})), NODES)) as watched:
        until = time.monotonic() + 30
        while "d" not in {item["metadata"]["name"] for item in watched.items()}:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert server.watched_since[:4] == ["10", "11", "10", "10"]
