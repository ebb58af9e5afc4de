"""`harness status`, `logs` and `ui`: what is on the cluster, asked of the cluster itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from harness.airflow.logs.redaction import Redactor, secret_values
from harness.airflow.pods.pods import Pod
from harness.airflow.pods.watch import ClusterPods
from harness.airflow.release import code_environment, release
from harness.cluster import labels
from harness.cluster.running_cluster import RunningCluster
from harness.errors import CauseCode, HarnessError

IN_USE = frozenset({"starting", "running"})  # states of a version whose client is at work
USED_S = 600.0  # what a version in use has left to live, whenever its client is seen alive
KEPT_S = 24 * 3600.0  # what one that is kept has, unless asked otherwise


@dataclass(frozen=True)
class Version:
    """A version on the cluster, from its namespace's labels and annotations.

    `state`: starting, running, the verdict of one that is kept, or going.
    """

    namespace: str
    project: str
    commit: str
    ref: str
    tag: str
    author: str
    created_at: datetime
    state: str
    url: str
    expires_at: datetime

    @property
    def age_s(self) -> float:
        return (datetime.now(UTC) - self.created_at).total_seconds()

    @property
    def left_s(self) -> float:
        """Until it may be removed; negative when that is overdue."""
        return (self.expires_at - datetime.now(UTC)).total_seconds()


@dataclass(frozen=True)
class Access:
    """Where a version's Airflow is, and its login."""

    url: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Log:
    """One container's log, secrets masked."""

    name: str
    text: str


def versions(running: RunningCluster) -> tuple[Version, ...]:
    """All versions on the cluster, the oldest first."""
    found = running.api.list("/api/v1/namespaces", labelSelector=f"{labels.SELECTOR},{labels.ROLE}=version")
    items = sorted((_version(running, item) for item in found), key=lambda version: version.created_at)
    return tuple(items)


def find_version(running: RunningCluster, wanted: str) -> Version:
    """The newest version whose namespace, ref, tag or commit `wanted` names; the newest of all when empty.

    Raises HarnessError(USAGE) with near names.
    """
    known = versions(running)
    for version in reversed(known):
        names = {version.namespace, version.ref, version.tag, version.commit}
        if not wanted or wanted in names or (len(wanted) >= 7 and version.commit.startswith(wanted)):
            return version
    if not known:
        raise HarnessError(
            CauseCode.USAGE, "there is no version on the cluster", hint="harness test --keep always"
        )
    every = [name for version in known for name in (version.namespace, version.ref)]
    near = difflib.get_close_matches(wanted, every, n=3)
    raise HarnessError(
        CauseCode.USAGE,
        f"there is no version {wanted!r} on the cluster",
        evidence=[f"did you mean {name}?" for name in near],
        hint="harness status",
    )


def access(running: RunningCluster, version: Version) -> Access:
    """How to look at a version's Airflow in a browser."""
    login = release.login_of(running.api, version.namespace)
    return Access(version.url, login.username, login.password)


def logs(running: RunningCluster, version: Version, *, task: str = "") -> Iterator[Log]:
    """The logs of a version's task pods, or of those of one task; without any, those of the control plane."""
    redactor = Redactor(secret_values(code_environment.given(running.api, version.namespace)))
    pods = ClusterPods(running.api, version.namespace, running.cluster.name).pods()
    chosen = [pod for pod in pods if not task or task in {pod.task_id, _label(pod), pod.name}]
    if task and not chosen:
        near = difflib.get_close_matches(task, sorted({pod.task_id for pod in pods}), n=3)
        raise HarnessError(
            CauseCode.USAGE,
            f"no pod of a task {task!r} is in version {version.namespace}",
            hint=f"harness logs --task {near[0]}" if near else "harness logs",
        )
    for pod in sorted(chosen, key=lambda each: (each.created_at is None, each.created_at)):
        yield Log(
            f"{_label(pod)} ({pod.name})", _text(running, version.namespace, pod.name, "base", redactor)
        )
    if task:
        return
    path = f"/api/v1/namespaces/{version.namespace}/pods"
    for item in running.api.list(
        path, labelSelector="app.kubernetes.io/component in (control-plane,triggerer,mlflow)"
    ):
        pod_name = item["metadata"]["name"]
        statuses = item.get("status", {}).get("containerStatuses") or []
        restarted = {status["name"] for status in statuses if status.get("restartCount")}
        for container in item["spec"]["containers"]:
            name = container["name"]
            if name in restarted:  # why it ended, the one that runs now does not tell
                text = _text(running, version.namespace, pod_name, name, redactor, previous="true")
                yield Log(f"{name} ({pod_name}, before it was started again)", text)
            text = _text(running, version.namespace, pod_name, name, redactor)
            yield Log(f"{name} ({pod_name})", text)


def _label(pod: Pod) -> str:
    return pod.task_id if pod.map_index < 0 else f"{pod.task_id}[{pod.map_index}]"


def _text(
    running: RunningCluster, namespace: str, pod: str, container: str, redactor: Redactor, **query: str
) -> str:
    text = running.api.text(f"/api/v1/namespaces/{namespace}/pods/{pod}/log", container=container, **query)
    return redactor.known(text or "(nothing was logged)\n")


def _version(running: RunningCluster, item: dict[str, object]) -> Version:
    metadata = item["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101  what the API promises
    marks, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    name = str(metadata["name"])
    created = datetime.fromisoformat(notes.get(labels.CREATED_AT) or metadata["creationTimestamp"])
    ending = bool(metadata.get("deletionTimestamp"))
    state = "going" if ending else notes.get(labels.STATE, "unknown")
    lives = timedelta(seconds=USED_S if state in IN_USE else KEPT_S)
    expires = notes.get(labels.EXPIRES_AT)
    return Version(
        namespace=name,
        project=marks.get(labels.PROJECT, ""),
        commit=marks.get(labels.COMMIT, ""),
        ref=notes.get(labels.REF, ""),
        tag=notes.get(labels.TAG, ""),
        author=notes.get(labels.AUTHOR, ""),
        created_at=created,
        state=state,
        url=f"http://{name}.localhost:{running.cluster.gateway_port}",
        expires_at=datetime.fromisoformat(expires) if expires else created + lives,
    )
