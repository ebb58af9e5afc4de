"""A version's control plane: its pod found, awaited with a reason, and spoken to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.airflow.pods.pods import registry_is_away, will_be_tried_again
from harness.cluster.api import KubernetesApi, Manifest
from harness.cluster.services.database import Server
from harness.cluster.services.incompatible_packages import incompatible
from harness.errors import CauseCode, HarnessError, refusal
from harness.host import background, process

_WAITING_FOR_GOOD = {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
_IMAGE_TROUBLE = {"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName"}


def find(api: KubernetesApi, namespace: str) -> Manifest | None:
    """The pod, if there is one."""
    pods = api.list(
        f"/api/v1/namespaces/{namespace}/pods", labelSelector="app.kubernetes.io/component=control-plane"
    )
    return pods[-1] if pods else None


def log(api: KubernetesApi, namespace: str, *, tail_lines: int) -> str:
    """The last lines of all components, each with its component's name before it; empty while there are none."""
    pod = find(api, namespace)
    if pod is None:
        return ""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/log"
    return api.text(path, container="control-plane", tailLines=str(tail_lines)) or ""


def wait_ready(
    api: KubernetesApi,
    namespace: str,
    *,
    deadline_s: float,
    on_change: Callable[[str], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Return when every container of the control plane is ready. `check` is asked meanwhile, and may raise.

    `deadline_s` counts from the last state that was new, so a busy machine is waited for, and neither a stuck one
    nor one that goes in circles. Raises HarnessError: IMAGE_NOT_STARTABLE, DEPLOY_FAILED with the log of what
    crashed, DEPLOY_TIMEOUT.
    """
    until = time.monotonic() + deadline_s
    last, seen = "", set[str]()
    while True:
        background.check()
        pod = find(api, namespace)
        found = state(pod)
        if found is None:
            return
        if pod is not None:
            raise_if_hopeless(api, namespace, pod)
        check()
        if found != last:
            last = found
            on_change(found)
        if found not in seen:
            seen.add(found)
            until = time.monotonic() + deadline_s
        if time.monotonic() > until:
            raise too_late(
                api, namespace, f"Airflow in {namespace} made no progress for {deadline_s:.0f} s: {found}"
            )
        time.sleep(0.2)


def too_late(api: KubernetesApi, namespace: str, message: str) -> HarnessError:
    """The error for what was not ready within its time, with the namespace's warnings."""
    return HarnessError(
        CauseCode.DEPLOY_TIMEOUT,
        message,
        evidence=events(api, namespace),
        hint=f"harness logs {namespace}",
    )


def raise_if_hopeless(api: KubernetesApi, namespace: str, pod: Manifest) -> None:
    """Raises HarnessError(IMAGE_NOT_STARTABLE, DEPLOY_FAILED) for a pod that will never run."""
    every = [
        *(pod["status"].get("initContainerStatuses") or []),
        *(pod["status"].get("containerStatuses") or []),
    ]
    for status in every:
        waiting = status["state"].get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _IMAGE_TROUBLE and not registry_is_away(message):
            raise HarnessError(
                CauseCode.IMAGE_NOT_STARTABLE, f"the node can't start {status['image']}: {reason} {message}".strip(),
                evidence=events(api, namespace), hint="harness up && harness test",
            )  # fmt: skip
        if reason in _WAITING_FOR_GOOD and not will_be_tried_again(message):
            said = api.text(
                f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/log",
                container=status["name"], tailLines="200", previous="true",
            )  # fmt: skip
            lines = (said or "").splitlines()
            if (error := incompatible(f"Airflow's {status['name']}", lines)) is not None:
                raise error
            lines = lines[-15:]
            raise HarnessError(
                CauseCode.DEPLOY_FAILED,
                f"Airflow's {status['name']} does not start: {lines[-1].strip() if lines else message or reason}",
                evidence=lines or events(api, namespace),
                hint=f"harness logs {namespace}",
            )


def rest(api: KubernetesApi, server: Server, namespace: str) -> None:
    """Tell a version that stays that its tests are over: what only DAG runs need ends until there is one."""
    pod = find(api, namespace)
    if pod is not None:
        code = "import os, signal; os.kill(1, signal.SIGUSR1)"
        execute(server, namespace, str(pod["metadata"]["name"]), ("python", "-c", code))


def execute(
    server: Server, namespace: str, pod: str, argv: Sequence[str], stdin: Iterable[bytes] = ()
) -> None:
    """Run a program in the control plane. Raises HarnessError(DEPLOY_FAILED) with its last lines."""
    _run(server, namespace, pod, argv, stdin)


def output(server: Server, api: KubernetesApi, namespace: str, argv: Sequence[str]) -> str:
    """What a program prints in the control plane. Raises HarnessError(DEPLOY_FAILED), also when there is none."""
    pod = find(api, namespace)
    if pod is None:
        raise HarnessError(
            CauseCode.DEPLOY_FAILED, f"{namespace} has no control plane any more", hint="harness status"
        )
    return _run(server, namespace, str(pod["metadata"]["name"]), argv, ()).decode(errors="replace")


def _run(server: Server, namespace: str, pod: str, argv: Sequence[str], stdin: Iterable[bytes]) -> bytes:
    words: list[str | Path] = [
        server.kubectl, "--kubeconfig", server.kubeconfig, "exec", "--stdin",
        "--namespace", namespace, pod, "--container", "control-plane", "--", *argv,
    ]  # fmt: skip
    done = process.run_bytes(words, stdin=stdin, timeout_s=300)
    if done.returncode != 0:
        refused = f"the control plane in {namespace} refused `{argv[0]}`"
        raise refusal(CauseCode.DEPLOY_FAILED, refused, done.stderr, hint="harness test")
    return done.stdout


def events(api: KubernetesApi, namespace: str) -> list[str]:
    """The namespace's warnings, the newest last."""
    found = api.list(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")
    found.sort(key=lambda item: item.get("lastTimestamp") or item["metadata"]["creationTimestamp"])
    return [f"{item['involvedObject'].get('name', '')}: {item.get('message', '')}" for item in found[-8:]]


def state(pod: Manifest | None) -> str | None:
    """What the control plane waits for, in a few words; None when it is ready."""
    if pod is None:
        return "no pod yet"
    statuses = pod["status"].get("containerStatuses") or []
    if not statuses:
        for condition in pod["status"].get("conditions") or []:
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return str(condition.get("message") or "not scheduled yet")
        return "the pod is being started"
    waiting = [status["name"] for status in statuses if not status["ready"]]
    return f"waiting for {', '.join(waiting)}" if waiting else None
