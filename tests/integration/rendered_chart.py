"""charts/airflow as Helm renders it, for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import provider
import pytest
import yaml

from harness.cluster.kind.node_image.program import built
from harness.cluster.services.helm import chart
from harness.host import process
from harness.host.sources import pins, release_tools

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]
VALUES: Manifest = {
    "image": "demo:a1b2c3d4e5f6",
    "labels": {"project": "demo", "commit": "a1b2c3d4e5f6", "createdBy": "harness"},
}
FULL: Manifest = VALUES | {
    "shared": [{"path": "dags/data", "subPath": "shared/0"}],
    "caBundle": {"configMap": "ca-bundle"},
    "environment": {"STAGE": "test", "OMP_NUM_THREADS": "4"},
    "imagePullSecrets": ["registry"],
    "baseUrl": "http://demo-1a2b3c4d.localhost:8080",
    "volume": {"storageClass": "", "accessMode": "ReadWriteOnce", "size": "1Gi"},
    "pods": {
        "nodeSelector": {"pool": "ml"},
        "tolerations": [{"key": "ml", "operator": "Exists"}],
        "priorityClassName": "low",
        "annotations": {"sidecar.istio.io/inject": "false"},
        "onOneNode": True,
    },
    "worker": {"nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
}


@pytest.fixture(scope="module")
def helm() -> Path:
    """The product's own Helm, else one on PATH."""
    tools, published = built(), release_tools.downloaded("helm", pins.load().helm)
    ours = tools.helm if tools else published.path if published else None
    fitting = release_tools.on_path("helm", pins.load().helm)
    found = str(ours) if ours else str(fitting.path) if fitting else None
    if found is None:
        pytest.skip("no Helm yet: harness up makes one")
    return Path(found)


@pytest.fixture(scope="module")
def render(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    folder = tmp_path_factory.mktemp("values")

    def rendered(values: Manifest) -> list[Manifest]:
        file = folder / "values.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        argv = [
            helm,
            "template",
            "airflow",
            chart("airflow"),
            "--namespace",
            "demo-1a2b3c4d",
            "--values",
            file,
        ]
        return [found for found in yaml.safe_load_all(process.run(argv).stdout) if found]

    return rendered


@pytest.fixture(scope="module", params=[VALUES, FULL], ids=["least", "full"])
def objects(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    return render(request.param)


def named(objects: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [entry for entry in objects if entry["kind"] == kind and entry["metadata"]["name"] == name]
    return found


def worker(objects: list[Manifest]) -> Manifest:
    template: Manifest = yaml.safe_load(named(objects, "ConfigMap", "pod-template")["data"]["pod.yaml"])
    return template


def pods(objects: list[Manifest]) -> Iterator[Manifest]:
    """Every pod the release may make, as metadata and spec."""
    for entry in objects:
        if entry["kind"] == "Deployment":
            yield entry["spec"]["template"]
    yield worker(objects)


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def variables(objects: list[Manifest], container: Manifest) -> dict[str, str]:
    """The variables a container gets from ConfigMaps, later ones over earlier ones."""
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Airflow's Kubernetes provider."""
    pytest.importorskip("airflow")
    return provider.install(tmp_path_factory.mktemp("provider"))


_OPTIONS = """
import json
from airflow.providers.cncf.kubernetes.get_provider_info import get_provider_info
print(json.dumps(get_provider_info()["config"]))
"""


@pytest.fixture(scope="module")
def options(packages: Path) -> set[str]:
    """The variables of all options of Airflow and its provider."""
    import airflow

    text = (Path(airflow.__file__).parent / "config_templates" / "config.yml").read_text(encoding="utf-8")
    sections = yaml.safe_load(text) | provider.answer(packages, _OPTIONS)
    return {
        f"AIRFLOW__{section.upper()}__{option.upper()}"
        for section, content in sections.items()
        for option in content["options"]
    }
