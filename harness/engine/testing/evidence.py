"""The bundle of a failed version: all that is known of it in one file, for whoever was not there."""

from __future__ import annotations

import io
import json
import os
import platform
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from harness import __version__, versions
from harness.airflow.logs.log_keeper import LogKeeper, keep_component_log
from harness.airflow.logs.redaction import Redactor, secret_values, secrets_of
from harness.airflow.pods.watch import ClusterPods
from harness.airflow.release import code_environment, release
from harness.cluster.api import Manifest
from harness.cluster.running_cluster import RunningCluster
from harness.cluster.services import services
from harness.engine.records import Record, begin
from harness.errors import UNREACHABLE, HarnessError
from harness.host import disk, process
from harness.progress import Progress
from harness.project.configuration import Configuration
from harness.report.model import Result, VersionResult

FORMAT = 1
DEADLINE_S = 60.0  # after that the rest is left out: a bundle must not hold up the verdict
UNREACHABLE_S = 15.0  # of a cluster that has not answered for long
LOG_LINES = "5000"
REPORT, REQUEST, CONFIGURATION = "report.json", "request.json", "configuration.json"


@dataclass
class Bundle:
    """Files by their names in the bundle, with what could not be had and why."""

    redact: Redactor
    files: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    until_s: float = field(default_factory=lambda: time.monotonic() + DEADLINE_S)
    on_change: Callable[[str], None] = lambda _: None

    def add(self, name: str, content: Callable[[], str], *, exact: bool = False) -> None:
        """Put in what `content` returns; what it raises is noted instead.

        `exact`: of what merely looks like a secret by its name nothing is masked.
        """
        if time.monotonic() > self.until_s:
            self.missing.append(f"{name}: no time was left for it")
            return
        self.on_change(name)
        try:
            self.files[name] = (self.redact.known if exact else self.redact)(content())
        except (HarnessError, OSError, LookupError, TypeError, ValueError) as error:
            self.missing.append(self.redact(f"{name}: {error}"))

    def write(self, path: Path) -> Path:
        """As a .tar.gz that only its owner reads, in place whole."""
        if self.missing:
            self.files["missing.txt"] = "\n".join(self.missing) + "\n"
        partial = path.with_name(f".{path.name}.partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        top = path.name.removesuffix(".tar.gz")
        try:
            with tarfile.open(partial, "w:gz") as archive:
                for name, text in sorted(self.files.items()):
                    data = text.encode(errors="replace")
                    entry = tarfile.TarInfo(f"{top}/{name}")
                    entry.size, entry.mode, entry.mtime = len(data), 0o644, int(time.time())
                    archive.addfile(entry, io.BytesIO(data))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)  # what a full disk left of it
        return path


@dataclass
class Evidence:
    """What is kept of one version while it is tested, and after it failed. `folder`: where bundles go, if asked."""

    running: RunningCluster
    configuration: Configuration
    progress: Progress
    folder: Path | None = None
    record: Record | None = None

    def keep_logs(self, pods: ClusterPods, found: VersionResult, tag: str) -> LogKeeper:
        """Follows the task logs of the version in the namespace of `pods`."""
        record = self._begun(found, pods.namespace, tag)
        return LogKeeper(pods, record.logs, self._redactor(pods.namespace))

    def after(self, found: VersionResult, namespace: str, tag: str) -> VersionResult:
        """The result, with the path of its bundle when the version failed. It is still on the cluster."""
        if found.verdict == "passed":
            return found
        found = found.model_copy(update={"namespace": namespace})
        try:
            with self.progress.step("keeping what is known of the failure") as step:
                path = self._collected(self._begun(found, namespace, tag), found, step.update)
                step.done(str(path))
        except (HarnessError, OSError) as error:
            self.progress.note(f"no bundle could be written: {error}")
            return found
        return found.model_copy(update={"bundle": str(path)})

    def _begun(self, found: VersionResult, namespace: str, tag: str) -> Record:
        if self.record is None:
            cluster = self.running.cluster.name
            self.record = begin(cluster, namespace, ref=found.ref, commit=found.commit or "", tag=tag)
        return self.record

    def _redactor(self, namespace: str) -> Redactor:
        return Redactor(_known_secrets(self.running, namespace))

    def _collected(self, record: Record, found: VersionResult, on_change: Callable[[str], None]) -> Path:
        """The bundle, written. What can't be had, from a cluster that is gone for instance, is named in it."""
        running, namespace, api = self.running, record.namespace, self.running.api
        bundle = Bundle(self._redactor(namespace), on_change=on_change)
        if any(test.cause and test.cause.code in UNREACHABLE for test in found.tests):
            bundle.until_s = time.monotonic() + UNREACHABLE_S
        bundle.add(REPORT, lambda: Result.of((found,)).to_json())
        bundle.add(REQUEST, lambda: _json(_request(found)), exact=True)
        bundle.add(CONFIGURATION, lambda: self.configuration.model_dump_json(indent=2) + "\n")
        for path in sorted(record.logs.glob("*.log")):
            bundle.add(f"tasks/{path.name}", partial(path.read_text, encoding="utf-8"))
        bundle.add("pods.json", lambda: _json([_pod(item) for item in api.list(_of(namespace, "pods"))]))
        bundle.add("events.txt", lambda: _events(running, namespace))
        for name, content in _component_logs(running, namespace):
            bundle.add(name, content)
            place, _, file = name.partition("/")
            if (
                place == "airflow" and name in bundle.files
            ):  # `harness logs` shows it once the version is gone
                pod, _, component = file.removesuffix(".log").partition(".")
                keep_component_log(record.logs, component, pod, bundle.files[name])
        bundle.add("manifests.yaml", lambda: running.helm.manifest(release.RELEASE, namespace))
        quotas = _of(namespace, "resourcequotas")
        bundle.add("quota.json", lambda: _json([_bare(item) for item in api.list(quotas)]))
        bundle.add("nodes.json", lambda: _json([_node(item) for item in api.list("/api/v1/nodes")]))
        bundle.add("events-harness-system.txt", lambda: _events(running, services.NAMESPACE))
        bundle.add("versions.json", lambda: _json(_versions(running)))
        folder = record.folder if self.folder is None else disk.folder(self.folder, variable="--bundle")
        return bundle.write(folder / record.bundle_name)


def _request(found: VersionResult) -> dict[str, Any]:
    """What `harness repro` needs to ask for the same again."""
    return {
        "format": FORMAT,
        "ref": found.ref,
        "commit": found.commit,
        "dirty": found.dirty,
        "tests": [test.name for test in found.tests],
        "logical_dates": {test.name: test.logical_date for test in found.tests},
        "image_digest": found.image.digest if found.image else None,
    }


def _known_secrets(running: RunningCluster, namespace: str) -> set[str]:
    """The values of every Secret of the version and of what versions share, and this machine's own."""
    known = secrets_of(os.environ)
    for place in (namespace, services.NAMESPACE):
        with suppress(HarnessError):
            for item in running.api.list(_of(place, "secrets"), fieldSelector="type=Opaque"):
                known |= set(_values(item))
    return known


def _values(secret: Manifest) -> Iterator[str]:
    import base64

    texts = {
        key: base64.b64decode(encoded).decode(errors="replace")
        for key, encoded in (secret.get("data") or {}).items()
    }
    if secret["metadata"]["name"] == code_environment.NAME:
        yield from secret_values(texts)
        return
    for key, text in texts.items():
        yield text
        if key == "passwords.json":
            with suppress(ValueError, AttributeError):
                yield from map(str, json.loads(text).values())
        if "://" in text and "@" in text:  # a connection: its password alone, too
            yield text.partition("://")[2].rpartition("@")[0].partition(":")[2]


def _component_logs(running: RunningCluster, namespace: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """The logs of Airflow's own pods, and of those of harness-system; of restarted containers the last one's too."""
    for folder, place, selector in (
        ("airflow", namespace, "app.kubernetes.io/component in (control-plane,triggerer,mlflow)"),
        ("system", services.NAMESPACE, ""),
    ):
        pods: list[Manifest] = []
        with suppress(HarnessError):
            query = {"labelSelector": selector} if selector else {}
            pods = running.api.list(_of(place, "pods"), **query)
        for item in pods:
            pod = item["metadata"]["name"]
            for status in item.get("status", {}).get("containerStatuses") or []:
                container = status["name"]
                path = f"{_of(place, 'pods')}/{pod}/log"

                def text(path: str = path, container: str = container, previous: str = "false") -> str:
                    found = running.api.text(
                        path, container=container, tailLines=LOG_LINES, previous=previous
                    )
                    return found or ""

                name = f"{folder}/{pod}.{container}"
                yield f"{name}.log", text
                if status.get("restartCount"):
                    yield f"{name}.previous.log", partial(text, previous="true")


def _events(running: RunningCluster, namespace: str) -> str:
    found = running.api.list(_of(namespace, "events"))
    found.sort(key=lambda item: item.get("lastTimestamp") or item["metadata"]["creationTimestamp"])
    return "".join(
        f"{item.get('lastTimestamp') or item['metadata']['creationTimestamp']} {item.get('type', '')} "
        f"{item['involvedObject'].get('kind', '')}/{item['involvedObject'].get('name', '')} "
        f"{item.get('reason', '')} x{item.get('count') or 1}: {item.get('message', '')}\n"
        for item in found
    )


def _pod(item: Manifest) -> dict[str, Any]:
    """A pod without its arguments and environment, which may hold a token."""
    metadata, spec = item["metadata"], item["spec"]
    kept = ("name", "image", "resources", "volumeMounts", "securityContext")
    return {
        "metadata": {
            key: metadata.get(key) for key in ("name", "labels", "creationTimestamp", "deletionTimestamp")
        },
        "spec": {key: spec.get(key) for key in ("nodeName", "nodeSelector", "tolerations", "volumes")}
        | {"containers": [{key: each.get(key) for key in kept} for each in spec["containers"]]},
        "status": item.get("status"),
    }


def _node(item: Manifest) -> dict[str, Any]:
    status = item["status"]
    kept = ("capacity", "allocatable", "conditions", "nodeInfo")
    return {"name": item["metadata"]["name"], **{key: status.get(key) for key in kept}}


def _bare(item: Manifest) -> dict[str, Any]:
    return {"name": item["metadata"]["name"], "spec": item.get("spec"), "status": item.get("status")}


def _versions(running: RunningCluster) -> dict[str, Any]:
    docker = ""
    if running.cluster.registry is None:
        argv = ["docker", "version", "--format", "{{.Server.Version}}"]
        docker = process.run(argv, check=False, timeout_s=10).stdout.strip()
    git = process.run(["git", "--version"], check=False, timeout_s=10)
    made = services.recorded(running.api)
    return {
        "harness": __version__,
        "kubernetes": made.get("kubernetes", versions.KUBERNETES),
        "helm": made.get("helm", versions.HELM),
        "kind": made.get("kind", versions.KIND),
        "cluster": dict(made),
        "docker": docker,
        "git": git.stdout.strip().removeprefix("git version "),
        "python": sys.version.split()[0],
        "system": platform.platform(),
    }


def _of(namespace: str, kind: str) -> str:
    return f"/api/v1/namespaces/{namespace}/{kind}"


def _json(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"
