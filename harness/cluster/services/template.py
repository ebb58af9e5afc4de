"""The migrated template database of a set of migrations, made when it is first needed."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from harness.cluster import labels
from harness.cluster.api import KubernetesApi, KubernetesError, Manifest
from harness.cluster.services.database import Credentials, Server
from harness.cluster.services.incompatible_packages import incompatible
from harness.cluster.services.services import NAMESPACE
from harness.errors import CauseCode, HarnessError
from harness.host import background, cache

CLAIM_S = 180.0
RENEW_EVERY_S = 5.0
SILENT_S = 45.0  # a claim that is not renewed for so long, while somebody waits for it, is a killed client's
DEADLINE_S = 2 * CLAIM_S + 60.0  # the last moment of a claim that was given up, and a migration of our own
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"


def template_name(migrations: str) -> str:
    """The template's name from the digest of its migrations."""
    return f"template_{migrations}"


def ensure(
    api: KubernetesApi,
    server: Server,
    template: str,
    image: str,
    *,
    spec: Mapping[str, object] = MappingProxyType({}),
    on_change: Callable[[str], None],
) -> None:
    """Make the template with `image`'s Airflow unless it is there; of several that want it one makes it.

    `spec`: what the migrating pod's has besides.

    Raises HarnessError(DATABASE_FAILED) with the migration's last lines, or what the others did that were waited for.
    """
    name = template.replace("_", "-")
    until = time.monotonic() + DEADLINE_S
    others = _Others()
    while not server.template_exists(template):
        if not _claim(api, name, others):
            _wait_for_others(api, template, name, until, on_change)
            continue
        try:
            with _renewed(api, name):
                if server.template_exists(template):  # finished between the look and the claim
                    return
                if kept(template).exists():
                    on_change("filling it with what was migrated before")
                if not _restored(server, template):
                    credentials = server.begin_template(template)
                    _run_migration(api, _pod(name, image, spec), credentials, on_change)
                    _keep(template, server.dump(template))
                server.finish_template(template)
        finally:
            api.delete(f"{_PODS}/{name}", gracePeriodSeconds=0)
            api.delete(f"{_SECRETS}/{name}")


def _wait_for_others(
    api: KubernetesApi, template: str, name: str, until_s: float, on_change: Callable[[str], None]
) -> None:
    """A moment for whoever migrates it: then it is there, or they gave up and it is our turn."""
    phase = _phase(api, name)
    state = f"their pod is {phase}" if phase else "they have no pod"
    on_change(f"others migrate it: {state}")
    if time.monotonic() > until_s:
        raise HarnessError(
            CauseCode.DATABASE_FAILED,
            f"others had not migrated the database template {template} after {DEADLINE_S:.0f} s: {state}",
            hint="harness up",
        )
    background.check()
    time.sleep(1.0)


def kept(template: str) -> Path:
    """The file with what the migrations make, once they have run on any cluster; it need not exist."""
    return cache.entry("databases", template) / "dump.sql"


def _restored(server: Server, template: str) -> bool:
    """Fill the database from what was kept; False when it was not, or this server does not take it."""
    file = kept(template)
    if not cache.used(file.parent):
        return False
    try:
        server.begin_template(template)
        server.restore(template, file.read_text(encoding="utf-8"))
    except HarnessError:
        shutil.rmtree(file.parent, ignore_errors=True)
        return False
    return True


def _keep(template: str, dump: str) -> None:
    def write(folder: Path) -> None:
        (folder / "dump.sql").write_text(dump, encoding="utf-8")

    cache.obtain("databases", template, write)


class _Others:
    """The claim of others, looked at again and again."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._since_s = time.monotonic()

    def are_gone(self, claim: Manifest) -> bool:
        """Whether nobody renewed it while we looked, or it is older than any may become."""
        metadata = claim["metadata"]
        if metadata.get("resourceVersion") != self._version:
            self._version, self._since_s = metadata.get("resourceVersion"), time.monotonic()
        age_s = time.time() - datetime.fromisoformat(metadata["creationTimestamp"]).timestamp()
        return age_s >= CLAIM_S or time.monotonic() - self._since_s > SILENT_S


@contextmanager
def _renewed(api: KubernetesApi, name: str) -> Iterator[None]:
    """Renew our claim as long as this block, and this process, lives."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEW_EVERY_S):
            now = datetime.now(UTC).isoformat(timespec="seconds")
            with suppress(HarnessError):  # the next one follows soon
                api.patch(f"{_SECRETS}/{name}", {"metadata": {"annotations": {labels.RENEWED_AT: now}}})

    threading.Thread(target=renew, daemon=True, name="migration claim").start()
    try:
        yield
    finally:
        ended.set()


def _claim(api: KubernetesApi, name: str, others: _Others) -> bool:
    """The Secret is the claim: who makes it migrates; one that a killed client left is taken over."""
    found = api.get(f"{_SECRETS}/{name}")
    if found is not None:
        if not others.are_gone(found):
            return False
        api.delete(f"{_PODS}/{name}", gracePeriodSeconds=0)
        api.delete(f"{_SECRETS}/{name}")
    try:
        api.create(
            _SECRETS,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "labels": labels.ours(role="migration")},
            },
        )
    except KubernetesError as error:
        if error.status == 409:
            return False
        raise
    return True


def _run_migration(
    api: KubernetesApi, pod: Manifest, credentials: Credentials, on_change: Callable[[str], None]
) -> None:
    name = pod["metadata"]["name"]
    api.patch(f"{_SECRETS}/{name}", {"stringData": {"url": credentials.url}})
    api.create(_PODS, pod)
    until = time.monotonic() + CLAIM_S
    while True:
        phase = _phase(api, name) or "gone"
        on_change(f"airflow db migrate: {phase}")
        if phase == "Succeeded":
            return
        if phase in {"Failed", "gone"} or time.monotonic() > until:
            lines = (api.text(f"{_PODS}/{name}/log", tailLines="200") or "").splitlines()
            if phase == "Failed" and (error := incompatible("airflow db migrate", lines)) is not None:
                raise error
            raise HarnessError(
                CauseCode.DATABASE_FAILED,
                f"the database could not be migrated ({phase}): {lines[-1] if lines else 'no log'}",
                evidence=lines[-20:],
                hint="harness up",
            )
        background.check()
        time.sleep(0.3)


def _phase(api: KubernetesApi, name: str) -> str:
    pod = api.get(f"{_PODS}/{name}")
    return str(pod["status"]["phase"]) if pod else ""


def _pod(name: str, image: str, spec: Mapping[str, object]) -> Manifest:
    connection = {"secretKeyRef": {"name": name, "key": "url"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels.ours(role="migration")},
        "spec": {
            **spec,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "migrate",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-m", "airflow", "db", "migrate"],
                    "env": [
                        {"name": "AIRFLOW_HOME", "value": "/tmp/airflow"},  # noqa: S108
                        {"name": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "valueFrom": connection},
                    ],
                    "resources": {
                        "requests": {"cpu": "200m", "memory": "300Mi"},
                        "limits": {"memory": "2Gi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "runAsGroup": 0,  # the image says the user
                    },
                }
            ],
        },
    }
