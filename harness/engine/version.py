"""What goes into a result: the version or digest of every program, chart, lock and layer that has a part in it."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from importlib.metadata import version as package_version
from pathlib import Path

from harness import __version__, versions
from harness.cluster.kind.node_image.image import NODE, SYSTEM
from harness.cluster.running_cluster import RunningCluster, attach
from harness.cluster.services import services
from harness.cluster.services.helm import chart, files_of
from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.host.machine import architecture
from harness.host.sources import debian
from harness.host.sources.packages import packages
from harness.image.base.debian import base_packages
from harness.image.build import Foundation, built_foundation, image_of
from harness.image.dependencies.source import sources
from harness.image.lock.of_commit import lock_of
from harness.image.oci import Image
from harness.project.project import load
from harness.report.provenance import (
    EnvironmentResult,
    ImageResult,
    LayerResult,
    LockResult,
    Model,
    OwnImageResult,
)

CHARTS = ("airflow", "cluster")
# How a cluster that was not built from packages names what its own pods run.
_IMAGE = re.compile(r"(?:.*/)?(?P<name>etcd|coredns):(?P<version>[^@]+)")


class Known(Model):
    """What is known here without building anything. `image`: that of the working tree, once its parts were built.

    `packages`: the Debian packages of the root file systems that were built, by name of the file system.
    """

    environment: EnvironmentResult
    lock: LockResult | None = None
    image: ImageResult | None = None
    packages: dict[str, dict[str, str]]


def known(start: Path, cluster: str) -> Known:
    """Everything that can be told here: with or without a cluster, inside a project or not, without Docker.

    Raises HarnessError(USAGE) for what is no cluster's name, or a context that isn't allowed.
    """
    running = None
    try:
        running = attach(cluster)
    except HarnessError as error:
        if error.cause is CauseCode.USAGE:
            raise
    lock, image = _of_project(start, running.base if running else "")
    found = {recipe.name: debian.built(recipe) for recipe in (NODE, SYSTEM)}
    return Known(
        environment=environment(running),
        lock=lock,
        image=image,
        packages={name: dict(packages(tar)) for name, tar in found.items() if tar is not None},
    )


def environment(running: RunningCluster | None) -> EnvironmentResult:
    """What made and ran the versions of a cluster; without one, what would."""
    is_elsewhere = running is not None and running.cluster.registry is not None
    found = {
        "harness": __version__,
        "python": platform.python_version(),
        "uv": package_version("uv"),
        "docker": "" if is_elsewhere else _docker(),
        "kubernetes": versions.KUBERNETES,
        "containerd": versions.CONTAINERD,
        "kind": versions.KIND,
        "helm": versions.HELM,
        "etcd": versions.ETCD,
        "coredns": versions.COREDNS,
        "postgresql": _postgresql(),
    }
    if is_elsewhere:  # nobody here knows what such a cluster was made of
        found = {name: text for name, text in found.items() if name not in {"kind", "etcd", "coredns"}}
    digests = {}
    origin: Mapping[str, str] = {}
    for name in CHARTS:
        found[f"{name} chart"], digests[f"{name} chart"] = _chart(chart(name))
    if running is not None:
        with suppress(HarnessError):  # a cluster that went away meanwhile
            origin = services.recorded(running.api)
            found |= {key: origin[key] for key in found if key in origin and key != "harness"}
            found |= _of_cluster(running)
            for node in running.cluster.nodes[:1]:
                argv = ["docker", "container", "inspect", "--format", "{{.Image}}", node]
                asked = process.run(argv, check=False, timeout_s=10)
                if asked.returncode == 0:
                    digests["node image"] = asked.stdout.strip()
    return EnvironmentResult(
        platform=f"linux/{architecture()}",
        source=origin.get("source"),
        node_image=origin.get("node_image") or None,
        versions={name: text for name, text in found.items() if text},
        digests=digests,
    )


def image_result(image: Image, foundation: Foundation, *, python: str, name: str = "") -> ImageResult:
    """An image with all that it is made of. `name`: what pods call it by, where that is another."""
    kinds = ["base"] * len(foundation.base.layers) + ["dependencies"] * len(foundation.dependencies.layers)
    kinds += ["code"] * (len(image.layers) - len(kinds))
    base = base_packages(foundation.base)
    return ImageResult(
        name=name or image.reference,
        digest=image.digest,
        config_digest=image.config_digest,
        base_digest=image.base_digest,
        python=base.get(f"python{python}") or foundation.base.env.get("PYTHON_VERSION", python),
        lock=_lock_result(foundation),
        layers=tuple(
            LayerResult.model_validate({"kind": kind, "digest": layer.digest})
            for kind, layer in zip(kinds, image.layers, strict=True)
        ),
        base_packages=dict(base),
        built_from_source=tuple(
            each.name
            for each in sources(
                foundation.lock.content if foundation.lock else b"",
                python=python,
                architecture=foundation.base.architecture,
            )
        ),
        own=_own_result(foundation),
    )


def _of_project(start: Path, published: str) -> tuple[LockResult | None, ImageResult | None]:
    """The working tree's lock and image as far as they can be told; what is wrong with them `test` says."""
    lock = None
    with ExitStack() as opened, suppress(HarnessError):
        project = load(start)
        commit = opened.enter_context(project.commit(None))
        settings = project.image_settings(commit)
        found = lock_of(commit, settings)
        lock = LockResult(path=found.path, digest=found.digest, airflow=found.airflow)
        foundation = built_foundation(commit, settings, project=project.name, published=published)
        if foundation is not None:
            image = image_of(commit, settings, foundation, project=project.name)
            return lock, image_result(image, foundation, python=settings.python)
    return lock, None


def _lock_result(foundation: Foundation) -> LockResult | None:
    lock = foundation.lock
    return LockResult(path=lock.path, digest=lock.digest, airflow=lock.airflow) if lock else None


def _own_result(foundation: Foundation) -> OwnImageResult | None:
    own = foundation.own
    if own is None:
        return None
    return OwnImageResult(
        origin=own.origin,
        airflow=own.contents.airflow,
        python=own.contents.python,
        user_id=own.base.user_id,
        as_is=foundation.lock is None,
    )


def _docker() -> str:
    with suppress(HarnessError):
        asked = process.run(
            ["docker", "version", "--format", "{{.Server.Version}}"], check=False, timeout_s=10
        )
        return asked.stdout.strip() if asked.returncode == 0 else ""
    return ""


def _postgresql() -> str:
    tar = debian.built(SYSTEM)
    name = f"postgresql-{versions.DEBIAN_POSTGRESQL}"
    return packages(tar).get(name, "") if tar is not None else versions.DEBIAN_POSTGRESQL


def _of_cluster(running: RunningCluster) -> dict[str, str]:
    """What the cluster says of itself."""
    found = {}
    answer = running.api.get("/version")
    if answer is not None:
        found["kubernetes"] = str(answer["gitVersion"])
    for node in running.api.list("/api/v1/nodes"):
        about = node["status"]["nodeInfo"]
        found["containerd"] = f"v{about['containerRuntimeVersion'].rpartition('//')[2].removeprefix('v')}"
        found["kernel"] = str(about["kernelVersion"])
    if services.recorded(running.api).get("source") == "release":
        for pod in running.api.list("/api/v1/namespaces/kube-system/pods"):
            for container in pod["spec"]["containers"]:
                if image := _IMAGE.fullmatch(container["image"]):
                    found[image["name"]] = image["version"]
    return found


def _chart(folder: Path) -> tuple[str, str]:
    """A chart's version, and a digest of its files."""
    about = (folder / "Chart.yaml").read_text(encoding="utf-8")
    stated = re.search(r"^version: *(\S+)", about, re.MULTILINE)
    digest = hashlib.sha256()
    for name, path in files_of(folder):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return stated[1] if stated else "", f"sha256:{digest.hexdigest()}"
