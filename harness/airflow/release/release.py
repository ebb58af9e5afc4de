"""One version's release: its namespace, secrets, database and Airflow, made, awaited and removed."""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from harness.airflow.release import removal
from harness.airflow.release.elsewhere import Elsewhere
from harness.cluster import labels
from harness.cluster.api import KubernetesApi, KubernetesError, Manifest
from harness.cluster.services.database import Credentials, Server
from harness.cluster.services.helm import Helm, chart
from harness.errors import CauseCode, HarnessError
from harness.image.base.debian import USER_ID
from harness.project.places import AIRFLOW_ROOT
from harness.project.values import IMPORT_TIMEOUT, MLFLOW_URL, THEIRS, import_timeout_s, name_of

RELEASE = "airflow"
USER = "harness"
CONFLICT = 409


@dataclass(frozen=True)
class Release:
    """What a version's Airflow is made from. `namespace` is the version's name everywhere.

    `root` is where the image has the code, below which all its paths are; `env` is what the image sets for the code of
    its DAGs, `secrets` what the project's working tree gives it besides; `mlflow`: it has a tracking server of its own,
    which is reached at the `mlflow_addresses` of the code too;
    `user_id` is whom its pods run as; `code_in_image`: below the root the image has files that no code layer brings;
    `values` are further ones of the chart, from the project's own;
    `inside` the ranges that its tasks are kept out of; `elsewhere` what a cluster asks that isn't ours.
    """

    namespace: str
    project: str
    commit: str
    ref: str
    tag: str
    image: str
    template: str
    dags_folder: str
    base_url: str
    root: str = AIRFLOW_ROOT
    python_path: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    shared_tmp: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: str = field(default="", repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    mlflow: bool = False
    mlflow_addresses: tuple[str, ...] = ()
    user_id: int = USER_ID
    code_in_image: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
    inside: tuple[str, ...] = ()
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True)
class Login:
    """The one user of a version's Airflow."""

    username: str
    password: str = field(repr=False)


def new_namespace(project: str) -> str:
    """`<project>-<8 random>`: never used before, on any machine."""
    return f"{name_of(project)}-{secrets.token_hex(4)}"


def in_namespace(release: Release, namespace: str) -> Release:
    """The same release under another name."""
    base_url = release.base_url.replace(f"//{release.namespace}.", f"//{namespace}.", 1)
    return replace(release, namespace=namespace, base_url=base_url)


def database_name(namespace: str) -> str:
    """The database of a version, and the role that owns it."""
    return "v_" + namespace.replace("-", "_")


def create_namespace(
    api: KubernetesApi, release: Release, *, role: str = "version", extra: Mapping[str, str] | None = None
) -> None:
    """Make the version's namespace, whose labels and annotations say what it is."""
    metadata = identity(release, role)
    metadata["name"] = release.namespace
    metadata["labels"] |= {"pod-security.kubernetes.io/enforce": "restricted"} | dict(extra or {})
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def take_given(api: KubernetesApi, server: Server, release: Release, given: Sequence[str]) -> Release:
    """The release in the first free namespace of those that were given. Raises HarnessError(CLUSTER_FULL)."""
    for name in given:
        placed = in_namespace(release, name)
        try:
            create_namespace(api, placed)
        except KubernetesError as error:
            if error.status != CONFLICT:
                raise
            continue
        server.drop(database_name(name))  # of a version whose removal was cut short
        return placed
    raise HarnessError(
        CauseCode.CLUSTER_FULL,
        f"all {len(given)} namespaces that contexts.toml gives are in use",
        hint="harness status, then harness down VERSION for what is not needed any more",
    )


def identity(release: Release, role: str = "version") -> Manifest:
    """The labels and annotations of a namespace, which say what it holds."""
    return {
        "labels": _labels(release, role),
        "annotations": {
            labels.REF: release.ref,
            labels.TAG: release.tag,
            labels.AUTHOR: labels.author(),
            labels.CREATED_AT: datetime.now(UTC).isoformat(timespec="seconds"),
            labels.STATE: "starting",
        },
    }


def prepare(api: KubernetesApi, release: Release, server: Server) -> Login:
    """Make the database with its role, and the Secret; nothing of it needs the image."""
    login = Login(USER, secrets.token_urlsafe(18))
    if release.elsewhere is not None:
        release.elsewhere.give_login(api, release.namespace)
    credentials = server.create(database_name(release.namespace), release.template)
    api.create(
        f"/api/v1/namespaces/{release.namespace}/secrets", _secret(credentials, login, _labels(release))
    )
    if release.ca_bundle:
        api.create(
            f"/api/v1/namespaces/{release.namespace}/configmaps",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "ca-bundle", "labels": _labels(release)},
                "data": {"ca-bundle.crt": release.ca_bundle},
            },
        )
    return login


def _labels(release: Release, role: str = "version") -> dict[str, str]:
    return labels.ours(project=release.project, commit=release.commit[:40], role=role)


def install(helm: Helm, release: Release, *, standby: str = "") -> None:
    """Install the chart; returns when the objects exist, not when they are ready.

    `standby` names the image, without code, of a control plane that is started before its version is known.
    """
    helm.install(RELEASE, chart("airflow"), release.namespace, _values(release, standby))


def change(helm: Helm, release: Release, *, standby: str) -> None:
    """Make the installed release of a control plane that stood by be this one."""
    helm.change(RELEASE, chart("airflow"), release.namespace, _values(release, standby))


def pod_template(helm: Helm, release: Release, *, standby: str) -> str:
    """The file from which the executor makes task pods, as the chart has it for this release."""
    values = _values(release, standby)
    rendered = helm.rendered(RELEASE, chart("airflow"), release.namespace, values, "pod-template.yaml")
    _, _, rest = rendered.partition("\n  pod.yaml: |\n")
    block = itertools.takewhile(
        lambda line: line.startswith("    ") or not line.strip(), rest.splitlines(True)
    )
    return textwrap.dedent("".join(block)).rstrip() + "\n"


def _values(release: Release, standby: str) -> dict[str, Any]:
    values: dict[str, Any] = {
        "image": release.image,
        "labels": {"project": release.project, "commit": release.commit[:40], "createdBy": "harness"},
        "dagsFolder": release.dags_folder,
        "baseUrl": release.base_url,
        "apiUser": USER,
    }
    if release.elsewhere is not None:
        values |= release.elsewhere.values()
    if release.user_id != USER_ID:
        values["user"] = release.user_id
    if release.mlflow:
        values["mlflow"] = {"enabled": True, "services": _services(release.mlflow_addresses)}
    if release.inside:
        values["networkPolicy"] = {"insideCIDRs": list(release.inside)}
    if release.root != AIRFLOW_ROOT:
        values["root"] = release.root
    if release.python_path:
        values["pythonPath"] = list(release.python_path)
    if release.shared:
        values["shared"] = [
            {"path": path, "subPath": f"shared/{index}"} for index, path in enumerate(release.shared)
        ]
    if release.shared_tmp:
        values["sharedTmp"] = True
    if release.ca_bundle:
        values["caBundle"] = {"configMap": "ca-bundle"}
    if (import_s := import_timeout_s(release.env)) is not None:
        values["dagProcessor"] = {"importTimeoutSeconds": import_s}
    if standby:
        values |= {"standby": True, "controlPlane": {"image": standby}}
    values |= dict(release.values)
    # What pods are given counts before what their image has: of these the image's is meant.
    if own := {name: release.env[name] for name in sorted(THEIRS - {IMPORT_TIMEOUT}) if name in release.env}:
        values["environment"] = own | values.get("environment", {})
    return values


def _services(addresses: Iterable[str]) -> list[dict[str, Any]]:
    """The names of MLflow's server with all ports of each: its own, and those of addresses in code."""
    ports: dict[str, set[int]] = {}
    for url in map(urlsplit, (MLFLOW_URL, *addresses)):
        ports.setdefault(url.hostname or "", set()).add(url.port or 80)
    return [{"name": name, "ports": sorted(each)} for name, each in sorted(ports.items())]


def remove(
    api: KubernetesApi,
    server: Server,
    namespace: str,
    tag: str = "",
    *,
    deadline_s: float = 120.0,
    wait: bool = True,
    on_change: Callable[[str], None] = lambda _: None,
) -> bool:
    """Remove a version whole: its namespace with all that is in it, its database and role.

    Without `wait` the cluster is left to do the rest; `on_change` is told what is still there. `tag`: of which version,
    where the namespace is one that stays, and may have the next one by now.

    False when there was nothing of it. Raises HarnessError(CLUSTER_FAILED) when the namespace does not go.
    """
    if tag and not removal.holds(api, namespace, tag):
        return False
    made = None
    if api.stays(namespace):  # the next version may have it, and a database of its name, at any moment after
        made = removal.made_at(api.get(f"/api/v1/namespaces/{namespace}"))
        server.drop(database_name(namespace))
    was_there = removal.delete_namespace(api, namespace, wait=wait)
    if not api.stays(namespace):
        on_change("its database")
        server.drop(database_name(namespace))
    if wait:
        removal.wait_gone(api, namespace, made, deadline_s=deadline_s, on_change=on_change)
    return was_there


def login_of(api: KubernetesApi, namespace: str) -> Login:
    """The login of a version that exists. Raises HarnessError(USAGE) when it does not."""
    secret = api.get(f"/api/v1/namespaces/{namespace}/secrets/airflow")
    if secret is None:
        raise HarnessError(CauseCode.USAGE, f"there is no version {namespace}", hint="harness status")
    passwords = json.loads(base64.b64decode(secret["data"]["passwords.json"]))
    return Login(USER, passwords[USER])


def _secret(credentials: Credentials, login: Login, identity: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "airflow", "labels": dict(identity)},
        "stringData": {
            "sql_alchemy_conn": credentials.url,
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt_secret": secrets.token_urlsafe(48),
            "api_secret_key": secrets.token_urlsafe(32),
            "passwords.json": json.dumps({login.username: login.password}),
        },
    }
