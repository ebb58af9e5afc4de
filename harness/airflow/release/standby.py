"""A control plane that is started before anyone asks for it, without code, and becomes exactly one version.

Starting takes Airflow about ten seconds, none of which need the commit: only the dag-processor and the task pods
read code. So one namespace stands by with all else running. A version claims it by changing the namespace under
the resource version that it saw, which the API server grants to one of several; then the code and the pod template
are handed over to the running pod, and Helm makes the release that commit's.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import posixpath
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from harness.airflow.release import code_environment, control_plane, release
from harness.airflow.release.release import Login, Release
from harness.cluster import labels
from harness.cluster.api import KubernetesApi, KubernetesError, Manifest
from harness.cluster.services.database import Server
from harness.cluster.services.helm import Helm, chart, fingerprint
from harness.host import background
from harness.image import tar
from harness.image.layer import CHUNK_BYTES, Layer

ROLE = "standby"
UNFINISHED = "standby-unfinished"  # its release is being installed
LEFTOVER = "leftover"
UNFINISHED_S = 300.0  # after that whoever was making it is gone
MOST = 2  # on a cluster: each holds half a gigabyte for a project that may not come back
KEY = "harness.local/standby"  # label: what a version must want to be able to use it
CODE_LIMIT_BYTES = 64 << 20  # more is quicker read from the image by a control plane of its own
# What Airflow reads when it starts, which a control plane that has started will not see.
READ_AT_START = ("plugins", "config", "airflow_local_settings.py", "webserver_config.py")
_HAND_OVER = ("python", "/etc/harness/control-plane/hand_over.py")


@dataclass(frozen=True)
class Standby:
    """A claimed control plane: the release it now is, and its login."""

    release: Release
    login: Login


def key(wanted: Release, dependencies: str) -> str:
    """What standing by for `wanted` depends on; `dependencies` names the image of its packages without code."""
    parts = [
        fingerprint(chart("airflow"), {}), dependencies, wanted.template, wanted.project, wanted.dags_folder,
        wanted.root, wanted.ca_bundle, wanted.base_url.rpartition(":")[2], wanted.inside,
        wanted.elsewhere.values() if wanted.elsewhere else None,
        wanted.user_id, wanted.values,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def fits(wanted: Release, code: Iterable[str], layers: Iterable[Layer]) -> bool:
    """Whether a version of these code paths can be run by a control plane that has started: all are below the root.

    Settings of Airflow itself are read when it starts.
    """
    tops = {posixpath.normpath(path) for path in code}
    return (
        not wanted.shared
        and not wanted.code_in_image
        and not (wanted.elsewhere and wanted.elsewhere.placement.namespaces)  # those are for versions
        and not any(name.startswith("AIRFLOW__") for name in wanted.env)
        and sum(layer.size_bytes for layer in layers) <= CODE_LIMIT_BYTES
        and not any(top == "." or top[0] == "/" or top.split("/")[0] in READ_AT_START for top in tops)
    )


def make(api: KubernetesApi, helm: Helm, server: Server, wanted: Release, dependencies: str) -> None:
    """Start a control plane for a version like `wanted` that nobody asked for yet, unless one stands by.

    Returns when its objects exist. Those that nothing can use any more, since lock or chart changed, are removed.
    """
    wanted_key = key(wanted, dependencies)
    _remove_unusable(api, server, wanted.project, wanted_key)
    if is_there(api, wanted_key) or is_there(api, wanted_key, UNFINISHED):
        return
    blank = replace(wanted, image=dependencies, commit="", ref="", tag="", env={}, secrets={}, mlflow=False)
    release.create_namespace(api, blank, role=UNFINISHED, extra={KEY: wanted_key})
    release.prepare(api, blank, server)
    release.install(helm, blank, standby=dependencies)
    api.patch(f"/api/v1/namespaces/{blank.namespace}", {"metadata": {"labels": {labels.ROLE: ROLE}}})


def is_there(api: KubernetesApi, wanted_key: str, role: str = ROLE) -> bool:
    """Whether one stands by that `key` gives this key for."""
    return bool(_namespaces(api, f"{labels.ROLE}={role},{KEY}={wanted_key}"))


def claim(api: KubernetesApi, wanted: Release, dependencies: str) -> Standby | None:
    """Make a control plane that stands by this version's; None when there is none that fits."""
    for namespace in _namespaces(api, f"{labels.ROLE}={ROLE},{KEY}={key(wanted, dependencies)}"):
        taken = release.in_namespace(wanted, namespace["metadata"]["name"])
        metadata = release.identity(taken)
        metadata["labels"][KEY] = None
        if _change(api, namespace, metadata):
            return Standby(taken, release.login_of(api, taken.namespace))
    return None


def hand_over(
    api: KubernetesApi,
    helm: Helm,
    server: Server,
    taken: Release,
    dependencies: str,
    layers: Iterable[Layer],
    *,
    deadline_s: float,
    on_change: Callable[[str], None],
) -> None:
    """Give the claimed control plane its pod template and its code, whereupon its scheduler and dag-processor begin.

    Raises HarnessError(DEPLOY_FAILED, DEPLOY_TIMEOUT).
    """
    template = release.pod_template(helm, taken, standby=dependencies)
    pod = _running_pod(api, taken.namespace, deadline_s=deadline_s, on_change=on_change)
    on_change("its code and pod template are handed over")
    environment = json.dumps(code_environment.handed_over(taken)).encode()
    archive = itertools.chain(
        _file("pod.yaml", template.encode()), _file("environment.json", environment), _code(layers)
    )
    control_plane.execute(server, taken.namespace, pod, _HAND_OVER, archive)


def finish(api: KubernetesApi, helm: Helm, taken: Release, dependencies: str) -> None:
    """Make all that Helm and Kubernetes know of a claimed control plane the commit's; before its first DAG run.

    Raises ProgramError(DEPLOY_FAILED).
    """
    release.change(helm, taken, standby=dependencies)
    pod = control_plane.find(api, taken.namespace)
    if pod is not None:
        path = f"/api/v1/namespaces/{taken.namespace}/pods/{pod['metadata']['name']}"
        api.patch(path, {"metadata": {"labels": {labels.COMMIT: taken.commit[:40]}}})


def remove_unfinished(api: KubernetesApi, server: Server, namespace: str) -> None:
    """Remove what a `make` that was interrupted left of this namespace; one that stands by stays."""
    for each in _namespaces(api, f"{labels.ROLE}={UNFINISHED}"):
        if each["metadata"]["name"] == namespace:
            _give_up(api, server, each)


def _remove_unusable(api: KubernetesApi, server: Server, project: str, wanted_key: str) -> None:
    """Remove a project's control planes that have other dependencies, those that nobody took for longest, and
    what killed clients left of some."""
    others = []
    for namespace in _namespaces(api, f"{labels.ROLE} in ({ROLE},{UNFINISHED},{LEFTOVER})"):
        known, created = namespace["metadata"]["labels"], namespace["metadata"]["creationTimestamp"]
        age_s = time.time() - datetime.fromisoformat(created).timestamp()
        if known[labels.ROLE] == LEFTOVER or (known[labels.ROLE] == UNFINISHED and age_s > UNFINISHED_S):
            _give_up(api, server, namespace)
        elif known[labels.PROJECT] != project:
            others.append(namespace)
        elif known[labels.ROLE] == ROLE and known.get(KEY) != wanted_key:
            _give_up(api, server, namespace)
    for namespace in others[: -(MOST - 1)]:
        _give_up(api, server, namespace)


def _give_up(api: KubernetesApi, server: Server, namespace: Manifest) -> None:
    if _change(api, namespace, {"labels": {labels.ROLE: LEFTOVER}}):
        release.remove(api, server, namespace["metadata"]["name"], wait=False)


def _namespaces(api: KubernetesApi, selector: str) -> list[Manifest]:
    """Namespaces of ours, the oldest first: it is the readiest."""
    found = api.list("/api/v1/namespaces", labelSelector=f"{labels.SELECTOR},{selector}")
    alive = [item for item in found if item["status"]["phase"] == "Active"]
    return sorted(alive, key=lambda item: str(item["metadata"]["creationTimestamp"]))


def _change(api: KubernetesApi, namespace: Manifest, metadata: Manifest) -> bool:
    """Change a namespace unless somebody else did since it was read."""
    seen = {"resourceVersion": namespace["metadata"]["resourceVersion"]}
    try:
        api.patch(f"/api/v1/namespaces/{namespace['metadata']['name']}", {"metadata": metadata | seen})
    except KubernetesError as error:
        if error.status in {404, 409}:
            return False
        raise
    return True


def _running_pod(
    api: KubernetesApi, namespace: str, *, deadline_s: float, on_change: Callable[[str], None]
) -> str:
    """The control plane's pod once its container runs: it may have been started a moment ago."""
    until = time.monotonic() + deadline_s
    while True:
        background.check()
        pod = control_plane.find(api, namespace)
        found = control_plane.state(pod) or "its container is being started"
        if pod is not None:
            control_plane.raise_if_hopeless(api, namespace, pod)
            statuses = pod["status"].get("containerStatuses") or []
            if statuses and statuses[0]["state"].get("running"):
                return str(pod["metadata"]["name"])
        if time.monotonic() > until:
            message = f"the control plane in {namespace} did not start within {deadline_s:.0f} s: {found}"
            raise control_plane.too_late(api, namespace, message)
        on_change(found)
        time.sleep(0.2)


def _code(layers: Iterable[Layer]) -> Iterator[bytes]:
    for layer in layers:
        with layer.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    yield from _file("code", b"")


def _file(name: str, content: bytes) -> Iterator[bytes]:
    yield tar.header(name, tar.FILE, mode=0o644, size_bytes=len(content))
    yield content + tar.padding(len(content)) + tar.END
