"""A registry beside a kind cluster: its container, and what the nodes must know of it.

As https://kind.sigs.k8s.io/docs/user/local-registry/ has it; the cluster tells of it by
https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry.
"""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from harness.cluster import labels
from harness.cluster.api import KubernetesApi
from harness.cluster.kind.network import network_name, registry_name
from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.host.docker.client import ASKING_S, REGISTRY_OF
from harness.image.registry.address import LocalRegistry

FIRST_PORT = 5001  # as in kind's documentation
PORT_INSIDE = 5000
FOLDER = "/var/lib/registry"
STOPPING_S = 10
COLLECTING_S = 600.0
_SETTINGS = {
    "REGISTRY_HTTP_ADDR": f":{PORT_INSIDE}",
    "REGISTRY_HTTP_DRAINTIMEOUT": f"{STOPPING_S - 5}s",  # or it does not end when it is asked to
    "REGISTRY_STORAGE_DELETE_ENABLED": "true",
    "OTEL_TRACES_EXPORTER": "none",
}
_HOSTING = "/api/v1/namespaces/kube-public/configmaps/local-registry-hosting"
_HOSTS = "/etc/containerd/certs.d"
# kind's own nodes look there. A node of ours is told to, once, and starts containerd again when that ends: what runs
# goes on meanwhile.
_TELL = f"""
mkdir -p "{_HOSTS}/$1" && cat >"{_HOSTS}/$1/hosts.toml"
config=/etc/containerd/config.toml
containerd config dump | grep -q "config_path = ['\\"].*{_HOSTS}" && exit 0
table="[plugins.'io.containerd.cri.v1.images'.registry]"
{{ cat $config; printf "\\n%s\\nconfig_path = '{_HOSTS}'\\n" "$table"; }} >$config.new
containerd --config $config.new config dump >/dev/null
mv $config.new $config
if command -v systemctl >/dev/null; then systemctl restart containerd; else kill $(pidof containerd); fi
for each in $(seq 100); do sleep 0.2; ctr version >/dev/null 2>&1 && exit 0; done
exit 1
"""
_TAKEN = ("port is already allocated", "address already in use", "ports are not available")


def told(details: Mapping[str, Any] | None, name: str) -> LocalRegistry | None:
    """What Docker's details of a container tell; None where it is not the registry of this cluster."""
    if details is None or (details["Config"]["Labels"] or {}).get(REGISTRY_OF) != name:
        return None
    bindings = (details["HostConfig"]["PortBindings"] or {}).get(f"{PORT_INSIDE}/tcp")
    if not bindings:
        return None
    return LocalRegistry(registry_name(name), details["State"]["Status"], int(bindings[0]["HostPort"]))


def find(name: str) -> LocalRegistry | None:
    """The registry beside a cluster, whether it runs or not."""
    return told(_details(registry_name(name)), name)


def refuse_anothers(name: str) -> None:
    """Raises HarnessError(CLUSTER_FAILED) where something else has the name of the container that is to be made."""
    details = _details(registry_name(name))
    if details is not None and told(details, name) is None:
        raise HarnessError(
            CauseCode.CLUSTER_FAILED,
            f"the container {registry_name(name)} is there and was not made by harness: it is left alone",
            hint=f"docker rename {registry_name(name)} another; or harness up --name another --registry",
        )


def make(name: str, image: str, *, port: int | None = None) -> LocalRegistry:
    """Start one, at `port` or the first free one from 5001 on; what a volume of its name holds it has again.

    Raises HarnessError(CLUSTER_FAILED).
    """
    container = registry_name(name)
    asked = ["docker", "image", "inspect", "--format", "{{json .Config.Cmd}}", image]
    told_words = process.run(asked, cause=CauseCode.CLUSTER_FAILED, hint="docker info", timeout_s=ASKING_S)
    configuration = json.loads(told_words.stdout)[-1]
    marks = [f"--label={REGISTRY_OF}={name}", f"--label={labels.SELECTOR}"]
    _docker("volume", "create", *marks, container)
    for each in [port] if port else _free_ports():
        argv = [
            "docker", "run", "--detach", "--pull", "never", "--name", container, "--network", network_name(name),
            "--publish", f"127.0.0.1:{each}:{PORT_INSIDE}", "--restart", "always", "--log-driver", "local", *marks,
            "--volume", f"{container}:{FOLDER}", *(f"--env={key}={value}" for key, value in _SETTINGS.items()),
            "--entrypoint", "registry", image, "serve", configuration,
        ]  # fmt: skip
        done = process.run(argv, check=False, timeout_s=ASKING_S)
        if done.returncode == 0:
            return LocalRegistry(container, "running", each)
        delete(name, with_images=False)  # what Docker made and could not start
        if not any(text in done.stderr for text in _TAKEN):
            raise process.ProgramError(done, CauseCode.CLUSTER_FAILED, hint="docker info")
    raise HarnessError(
        CauseCode.CLUSTER_FAILED,
        "no port of 127.0.0.1 is free for a registry" if port is None else _taken(container, port),
        hint=_who_listens(port or FIRST_PORT, container),
    )


def start(registry: LocalRegistry) -> LocalRegistry:
    """Start a container again that stopped. Raises HarnessError(CLUSTER_FAILED), also when its port was taken."""
    verb = "unpause" if registry.status == "paused" else "start"
    done = process.run(["docker", verb, registry.container], check=False, timeout_s=ASKING_S)
    if done.returncode == 0:
        return LocalRegistry(registry.container, "running", registry.port)
    if any(text in done.stderr for text in _TAKEN):
        raise HarnessError(
            CauseCode.CLUSTER_FAILED,
            _taken(registry.container, registry.port),
            hint=_who_listens(registry.port, registry.container),
        )
    raise process.ProgramError(
        done, CauseCode.CLUSTER_FAILED, hint=f"docker logs --tail 20 {registry.container}"
    )


def stop(registry: LocalRegistry) -> None:
    """Let it end what it is asked just now, and stop."""
    _docker("stop", "--time", str(STOPPING_S), registry.container)


def delete(name: str, *, with_images: bool = True) -> bool:
    """Remove the container and the volume of a cluster's registry; False when there was none of ours."""
    container, removed = registry_name(name), False
    if told(_details(container), name) is not None:
        _docker("rm", "--force", container)
        removed = True
    if not with_images:
        return removed
    mark = f'{{{{index .Labels "{REGISTRY_OF}"}}}}'
    asked = process.run(
        ["docker", "volume", "inspect", "--format", mark, container], check=False, timeout_s=ASKING_S
    )
    if asked.returncode == 0 and asked.stdout.strip() == name:
        _docker("volume", "rm", container)
        removed = True
    return removed


def collect(registry: LocalRegistry) -> None:
    """Free what no manifest of its needs any more. Nobody may push meanwhile, so it is stopped for seconds."""
    details = _details(registry.container)
    if details is None:
        return
    stop(registry)
    try:
        process.run(
            ["docker", "run", "--rm", "--pull", "never", "--network", "none", "--volumes-from", registry.container,
             "--entrypoint", "registry", details["Config"]["Image"], "garbage-collect", details["Config"]["Cmd"][-1]],
            cause=CauseCode.CLUSTER_FAILED,
            timeout_s=COLLECTING_S,
        )  # fmt: skip
    finally:
        start(registry)


def size_bytes(registry: LocalRegistry) -> int:
    """What its volume holds; 0 where it does not tell, since it does not run."""
    argv = ["docker", "exec", registry.container, "du", "-s", "-k", FOLDER]
    words = process.run(argv, check=False, timeout_s=COLLECTING_S).stdout.split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else 0


def tell(registry: LocalRegistry, nodes: Iterable[str], api: KubernetesApi) -> None:
    """Let nodes pull what is called by the registry's name on this machine, and tell who asks the cluster.

    Raises HarnessError(CLUSTER_FAILED).
    """
    inside = f"{registry.container}:{PORT_INSIDE}"
    for node in nodes:
        process.run(
            ["docker", "exec", "--interactive", node, "sh", "-ec", _TELL, "sh", registry.host],
            input_text=f'[host."http://{inside}"]\n',
            cause=CauseCode.CLUSTER_FAILED,
            hint=f"docker logs --tail 20 {node}",
            timeout_s=ASKING_S * 2,
        )
    hosting = {
        "host": registry.host,
        "hostFromContainerRuntime": inside,
        "help": "https://kind.sigs.k8s.io/docs/user/local-registry/",
    }
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _HOSTING.rpartition("/")[2], "labels": labels.ours(role="shared")},
        "data": {"localRegistryHosting.v1": json.dumps(hosting)},
    }
    api.apply(_HOSTING, manifest)


def forget(registry: LocalRegistry, nodes: Iterable[str], api: KubernetesApi) -> None:
    """Take back what `tell` told."""
    for node in nodes:
        process.run(
            ["docker", "exec", node, "rm", "-rf", f"{_HOSTS}/{registry.host}"],
            check=False,
            timeout_s=ASKING_S,
        )
    api.delete(_HOSTING)


def _details(container: str) -> dict[str, Any] | None:
    asked = process.run(["docker", "container", "inspect", container], check=False, timeout_s=ASKING_S)
    if asked.returncode != 0:
        return None
    details: dict[str, Any] = json.loads(asked.stdout)[0]
    return details


def _free_ports() -> Iterable[int]:
    """Ports where nobody listens now. Docker itself looks again."""

    def is_free(port: int) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    return itertools.islice(filter(is_free, range(FIRST_PORT, FIRST_PORT + 100)), 5)


def _taken(container: str, port: int) -> str:
    return f"port {port} of 127.0.0.1, which {container} is called by, is taken by something else"


def _who_listens(port: int, container: str) -> str:
    another = f"docker rm {container} && harness up --registry"
    return f"end what `ss -ltnp 'sport = :{port}'` shows; or take another: {another}"


def _docker(*arguments: str) -> None:
    process.run(
        ["docker", *arguments],
        cause=CauseCode.CLUSTER_FAILED,
        hint="docker info",
        timeout_s=STOPPING_S + ASKING_S,
    )
