"""charts/airflow as Helm renders it: what its pods may do, what they know, and that Airflow takes it."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import provider
import pytest
import yaml

from harness.airflow.release import release
from harness.cluster.kind.node_image.program import built
from harness.cluster.services.helm import Helm, chart
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


def test_lint_is_content(helm: Path) -> None:
    process.run([helm, "lint", "--strict", chart("airflow"), "--set", "image=demo:abc"])


def test_everything_carries_its_labels(objects: list[Manifest]) -> None:
    for entry in [*objects, *pods(objects)]:
        labels = entry["metadata"]["labels"]
        assert labels["harness.local/project"] == "demo"
        assert labels["harness.local/commit"] == "a1b2c3d4e5f6"
        assert labels["harness.local/created-by"] == "harness"
        assert labels["app.kubernetes.io/name"] == "airflow"


def test_a_task_whose_own_resources_name_no_cpu_gets_that_of_others(objects: list[Manifest]) -> None:
    (limit,) = named(objects, "LimitRange", "tasks")["spec"]["limits"]
    (container,) = worker(objects)["spec"]["containers"]
    assert limit == {
        "type": "Container",
        "defaultRequest": {"cpu": container["resources"]["requests"]["cpu"]},
    }


def test_every_pod_is_as_restricted_namespaces_ask(objects: list[Manifest]) -> None:
    for pod in pods(objects):
        assert pod["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 50000,
            "runAsGroup": 0,
            "fsGroup": 0,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        allowed = {"emptyDir", "persistentVolumeClaim", "configMap", "secret"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod["spec"]["volumes"])
        for container in containers(pod):
            context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
            assert container["securityContext"] == context


def test_memory_is_bounded_and_cpu_is_not(objects: list[Manifest]) -> None:
    for pod in pods(objects):
        for container in containers(pod):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"])
            assert "memory" in resources["limits"]
            assert "cpu" not in resources["limits"]


def test_every_mount_has_its_volume(objects: list[Manifest]) -> None:
    for pod in pods(objects):
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_task_pods_know_no_secret_and_no_cluster(objects: list[Manifest]) -> None:
    pod = worker(objects)
    assert pod["spec"]["serviceAccountName"] == "worker"
    assert pod["spec"]["automountServiceAccountToken"] is False
    # But for what the project gives its own code, by a volume in memory: no container's description holds it.
    (given,) = [volume for volume in pod["spec"]["volumes"] if "secret" in volume]
    assert given["secret"] == {"secretName": "project-secrets", "optional": True}
    pod["spec"]["volumes"].remove(given)
    (container,) = pod["spec"]["containers"]
    container["volumeMounts"] = [each for each in container["volumeMounts"] if each["name"] != given["name"]]
    assert "secret" not in json.dumps(pod).lower().replace("imagepullsecrets", "")
    known = variables(objects, pod["spec"]["containers"][0])
    assert not [name for name in known if "SQL_ALCHEMY" in name or "SECRET" in name or "FERNET" in name]


def test_no_secret_is_in_the_release(objects: list[Manifest]) -> None:
    assert not [entry for entry in objects if entry["kind"] == "Secret"]
    for pod in pods(objects):
        for container in containers(pod):
            literal = [entry["name"] for entry in container.get("env", []) if "valueFrom" not in entry]
            assert not [name for name in literal if re.search("SECRET|PASSW|TOKEN|KEY|CONN", name)]


def test_only_the_control_plane_may_touch_pods(objects: list[Manifest]) -> None:
    assert {entry["kind"] for entry in objects}.isdisjoint({"ClusterRole", "ClusterRoleBinding"})
    (binding,) = [entry for entry in objects if entry["kind"] == "RoleBinding"]
    assert [subject["name"] for subject in binding["subjects"]] == ["airflow"]
    triggerer = named(objects, "Deployment", "triggerer")["spec"]
    assert triggerer["replicas"] == 0
    assert triggerer["template"]["spec"]["automountServiceAccountToken"] is False


def test_a_busy_control_plane_is_never_killed_nor_unreachable(objects: list[Manifest]) -> None:
    for pod in pods(objects):
        assert not [container for container in containers(pod) if "livenessProbe" in container]
    assert named(objects, "Service", "airflow")["spec"]["publishNotReadyAddresses"] is True
    (api_server,) = [
        container
        for container in containers(named(objects, "Deployment", "airflow")["spec"]["template"])
        if "ports" in container
    ]
    assert api_server["startupProbe"]["periodSeconds"] == 1
    readiness = api_server["readinessProbe"]
    assert readiness["timeoutSeconds"] >= 10
    assert readiness["periodSeconds"] * readiness["failureThreshold"] >= 60


def test_every_pod_goes_where_the_cluster_asks(render: Render) -> None:
    """And where a volume can be had by one node alone, all others follow the control plane."""
    objects = render(FULL | {"mlflow": {"enabled": True}})
    made = [*pods(objects), worker(objects)]
    assert len(made) >= 4
    for pod in made:
        spec, metadata = pod["spec"], pod["metadata"]
        assert spec["nodeSelector"]["pool"] == "ml"
        assert {"key": "ml", "operator": "Exists"} in spec["tolerations"]
        assert spec["priorityClassName"] == "low"
        assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        follows = metadata["labels"]["app.kubernetes.io/component"] != "control-plane"
        assert ("affinity" in spec) == follows
    assert worker(objects)["spec"]["nodeSelector"] == {"pool": "ml", "disk": "fast"}
    assert "storageClassName" not in named(objects, "PersistentVolumeClaim", "version")["spec"]


def test_no_hooks(objects: list[Manifest]) -> None:
    assert not [entry for entry in objects if "helm.sh/hook" in str(entry["metadata"].get("annotations"))]


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


def test_airflow_knows_every_option(objects: list[Manifest], options: set[str]) -> None:
    """A misspelt option would be ignored without a word."""
    used = {
        name
        for pod in pods(objects)
        for container in pod["spec"]["containers"]
        for name in [*variables(objects, container), *(entry["name"] for entry in container.get("env", []))]
        if name.startswith("AIRFLOW__")
    }
    assert len(used) > 40
    assert used <= options


_TASK_POD = """
import json, sys
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import ApiClient
pod = PodGenerator.construct_pod(
    dag_id="good", task_id="fit", pod_id="good-fit-x1", try_number=1, kube_image=None, date=None,
    args=["python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string", "{}"],
    pod_override_object=None, base_worker_pod=PodGenerator.deserialize_model_file(sys.argv[1]),
    namespace="demo-1a2b3c4d", scheduler_job_id="1", run_id="harness-1",
)
print(json.dumps(ApiClient().sanitize_for_serialization(pod)))
"""


def test_airflow_makes_task_pods_from_the_template(
    objects: list[Manifest], packages: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(named(objects, "ConfigMap", "pod-template")["data"]["pod.yaml"], encoding="utf-8")
    pod = provider.answer(packages, _TASK_POD, file)
    (base,) = pod["spec"]["containers"]
    assert base["name"] == "base"
    assert base["image"] == "demo:a1b2c3d4e5f6"
    assert "command" not in base
    assert base["args"][0] == "python"
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["metadata"]["labels"]["harness.local/commit"] == "a1b2c3d4e5f6"
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"


_OTHER_IMAGE = """
import json, sys
sys.path.insert(0, sys.argv[2])
import other_images
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import ApiClient, models as k8s

def pod(image):
    asked = k8s.V1Pod(spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base", image=image)]))
    made = PodGenerator.construct_pod(
        dag_id="good", task_id="fit", pod_id="good-fit-x1", try_number=1, kube_image=None, date=None, args=["python"],
        pod_override_object=asked, base_worker_pod=PodGenerator.deserialize_model_file(sys.argv[1]),
        namespace="demo-1a2b3c4d", scheduler_job_id="1", run_id="harness-1", with_mutation_hook=True,
    )
    return ApiClient().sanitize_for_serialization(made)["spec"]

other_images.give_code()
print(json.dumps([pod("registry.example/gpu:1"), pod("demo:a1b2c3d4e5f6")]))
"""


def test_a_task_with_another_image_gets_the_commits_code(
    objects: list[Manifest], packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(named(objects, "ConfigMap", "pod-template")["data"]["pod.yaml"], encoding="utf-8")
    monkeypatch.setenv("AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE", str(file))
    monkeypatch.setenv("AIRFLOW_HOME", "/opt/airflow")
    other, same = provider.answer(packages, _OTHER_IMAGE, file, chart("airflow") / "files")
    assert [each["image"] for each in containers({"spec": other})] == [
        "demo:a1b2c3d4e5f6",
        "registry.example/gpu:1",
    ]
    first, base = containers({"spec": other})
    assert first["securityContext"] == base["securityContext"]
    assert base["volumeMounts"][0] == {"name": "code", "mountPath": "/opt/airflow", "subPath": "root"}
    assert "code" in [volume["name"] for volume in other["volumes"]]
    # What it copies arrives, links as links.
    (tmp_path / "home/dags").mkdir(parents=True)
    (tmp_path / "home/dags/a.py").write_text("A = 1\n")
    (tmp_path / "home/link").symlink_to("dags")
    program = first["command"][2].replace("/code", str(tmp_path / "code"))
    process.run([sys.executable, "-c", program, tmp_path / "home"])
    assert (tmp_path / "code/root/link/a.py").read_text() == "A = 1\n"
    assert (tmp_path / "code/root/link").is_symlink()
    assert not same.get("initContainers")
    assert "code" not in [volume["name"] for volume in same["volumes"]]


def test_a_task_pods_first_process_is_python_and_writes_the_termination_message(
    objects: list[Manifest],
) -> None:
    spec = worker(objects)["spec"]
    (container,) = spec["containers"]
    assert "command" not in container  # the executor's arguments are the program: python
    assert "shareProcessNamespace" not in spec
    assert "terminationMessagePath" not in container  # Kubernetes' own default
    code = named(objects, "ConfigMap", "python")["data"]["sitecustomize.py"]
    assert 'TERMINATION_LOG = "/dev/termination-log"' in code
    assert "/etc/harness/python" in variables(objects, container)["PYTHONPATH"].split(":")
    assert "/etc/harness/python" in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_the_users_variables_win(render: Render) -> None:
    objects = render(FULL)
    for pod in pods(objects):
        for container in pod["spec"]["containers"]:
            assert variables(objects, container)["STAGE"] == "test"
    assert variables(objects, worker(objects)["spec"]["containers"][0])["OMP_NUM_THREADS"] == "4"
    assert variables(objects, worker(objects)["spec"]["containers"][0])["MKL_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("values", "seconds"), [({}, "90"), ({"dagProcessor": {"importTimeoutSeconds": 20.0}}, "20")]
)
def test_a_dag_file_has_as_long_to_be_imported_everywhere(
    render: Render, values: dict[str, object], seconds: str
) -> None:
    objects = render({**VALUES, **values})
    for pod in pods(objects):
        for container in pod["spec"]["containers"]:
            assert variables(objects, container)["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"] == seconds


def test_a_ca_bundle_is_mounted_wherever_it_is_named(render: Render) -> None:
    objects = render(FULL)
    for pod in pods(objects):
        for container in pod["spec"]["containers"]:
            mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
            bundle = variables(objects, container)["SSL_CERT_FILE"]
            assert str(Path(bundle).parent) in mounted
    assert "SSL_CERT_FILE" not in str(render(VALUES))


def test_what_the_chart_sets_itself_is_nobody_elses(objects: list[Manifest]) -> None:
    (control_plane,) = named(objects, "Deployment", "airflow")["spec"]["template"]["spec"]["containers"]
    for container in (control_plane, *worker(objects)["spec"]["containers"]):
        known = variables(objects, container)
        own = set(known["HARNESS_VARIABLES"].split(","))
        assert own >= set(known) - {"HARNESS_VARIABLES", *FULL["environment"]}
        assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in own


def test_a_version_may_have_a_server_of_mlflow_of_its_own(render: Render) -> None:
    objects = render(FULL | {"mlflow": {"enabled": True}})
    deployment = named(objects, "Deployment", "mlflow")["spec"]
    assert deployment["replicas"] == 0, "it starts when it is asked for"
    (container,) = deployment["template"]["spec"]["containers"]
    mounts = {mount["mountPath"]: mount.get("subPath") for mount in container["volumeMounts"]}
    assert mounts["/var/lib/mlflow"] == "mlflow"
    (task,) = worker(objects)["spec"]["containers"]
    assert variables(objects, task)["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    (ingress,) = named(objects, "NetworkPolicy", "mlflow")["spec"]["ingress"]
    assert ingress["ports"] == [{"port": 5000}]
    assert [{"port": 5000}] in [
        rule.get("ports") for rule in named(objects, "NetworkPolicy", "worker")["spec"]["egress"]
    ]
    assert "mlflow" not in str(render(FULL)).lower()


def test_a_server_of_mlflow_has_the_names_that_code_has_of_it(render: Render) -> None:
    services = [{"name": "mlflow", "ports": [5000]}, {"name": "tracking", "ports": [80, 5001]}]
    objects = render(FULL | {"mlflow": {"enabled": True, "services": services}})
    target = named(objects, "Service", "mlflow")["spec"]["selector"]
    for each in services:
        found = named(objects, "Service", each["name"])["spec"]
        assert found["selector"] == target
        assert [(port["port"], port["targetPort"]) for port in found["ports"]] == [
            (port, "mlflow") for port in each["ports"]
        ]


def test_shared_folders_are_filled_before_anything_starts(render: Render) -> None:
    objects = render(FULL)
    for pod in pods(objects):
        for container in pod["spec"]["containers"]:
            mounts = {mount["mountPath"]: mount.get("subPath") for mount in container["volumeMounts"]}
            assert mounts["/opt/airflow/dags/data"] == "shared/0"
    control_plane = named(objects, "Deployment", "airflow")["spec"]["template"]["spec"]
    assert [container["name"] for container in control_plane["initContainers"]] == ["seed"]
    assert "initContainers" not in named(render(VALUES), "Deployment", "airflow")["spec"]["template"]["spec"]


def test_the_root_and_the_import_path_are_the_same_everywhere(render: Render) -> None:
    objects = render(FULL | {"root": "/usr/local/airflow", "pythonPath": ["src", "team/lib", "/app"]})
    wanted = "/usr/local/airflow:/usr/local/airflow/src:/usr/local/airflow/team/lib:/app"
    for pod in pods(objects):
        for container in pod["spec"]["containers"]:
            found = variables(objects, container)
            assert found["PYTHONPATH"].removesuffix(":/etc/harness/python") == wanted
            assert found["AIRFLOW_HOME"] == container["workingDir"] == "/usr/local/airflow"
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {f"/usr/local/airflow/{name}" for name in ("artifacts", "logs", "dags/data")} <= mounts
    assert "/opt/airflow" not in str(objects)


def test_tasks_have_a_tmp_each_unless_they_share_one(render: Render) -> None:
    def tmp(values: Manifest) -> Manifest:
        mounts = worker(render(values))["spec"]["containers"][0]["volumeMounts"]
        (found,) = [mount for mount in mounts if mount["mountPath"] == "/tmp"]
        return found

    assert tmp(VALUES) == {"name": "tmp", "mountPath": "/tmp"}
    assert tmp(VALUES | {"sharedTmp": True}) == {"name": "version", "mountPath": "/tmp", "subPath": "tmp"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("root", "opt/airflow"),
        ("root", "/opt/airflow/"),
        ("pythonPath", ["../src"]),
        ("image", ""),
        ("image", "no-tag"),
        ("imageTag", "a1b2"),
        ("dagsFolder", "/etc"),
        ("dagsFolder", "dags/../.."),
        ("labels.commit", "feature/x"),
        ("worker.resources.limits", {"cpu": "1", "memory": "1Gi"}),
        ("worker.threads", 0),
        ("shared", [{"path": "dags/data"}]),
        ("shared", [{"path": "/etc", "subPath": "shared/0"}]),
        ("environment", {"A": 1}),
        ("triggerer.replicas", 2),
        ("secrets", {"fernet_key": "x"}),
    ],
)
def test_values_that_are_wrong_are_refused(render: Render, path: str, value: object) -> None:
    for part in reversed(path.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    with pytest.raises(process.ProgramError, match=r"status 1"):
        render(VALUES | value)


def test_a_control_plane_that_stood_by_is_not_replaced_by_its_commit(render: Render) -> None:
    """Nothing that Helm changes for the commit may be in the pod that runs already."""
    before = {
        "image": "demo/dependencies:1",
        "labels": {"project": "demo", "createdBy": "harness"},
        "standby": True,
        "controlPlane": {"image": "demo/dependencies:1"},
    }
    one, other = render(before), render(before | {"image": VALUES["image"], "labels": VALUES["labels"]})
    control_planes = [named(found, "Deployment", "airflow")["spec"] for found in (one, other)]
    assert control_planes[0] == control_planes[1]
    for name in ("airflow-environment", "control-plane-environment", "control-plane"):
        assert named(one, "ConfigMap", name)["data"] == named(other, "ConfigMap", name)["data"]
    # what is read later is the commit's
    assert worker(other)["spec"]["containers"][0]["image"] == VALUES["image"]
    triggerer = named(other, "Deployment", "triggerer")["spec"]["template"]["spec"]
    assert triggerer["containers"][0]["image"] == VALUES["image"]


def test_a_control_plane_that_stands_by_has_no_code_of_an_image(render: Render) -> None:
    objects = render(VALUES | {"standby": True, "controlPlane": {"image": "demo/dependencies:1"}})
    (container,) = named(objects, "Deployment", "airflow")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "demo/dependencies:1"
    mounts = {
        mount["mountPath"]: (mount["name"], mount.get("subPath")) for mount in container["volumeMounts"]
    }
    template = variables(objects, container)["AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE"]
    # what is handed over outlives the pod, and no task pod mounts it
    assert mounts["/opt/airflow"] == ("version", "standby/code")
    assert mounts[str(Path(template).parent)] == ("version", "standby/handed-over")
    (task,) = worker(objects)["spec"]["containers"]
    assert not any((mount.get("subPath") or "").startswith("standby") for mount in task["volumeMounts"])


@pytest.mark.parametrize(("hook", "status"), [(True, -signal.SIGSEGV), (False, None)])
def test_a_crash_in_native_code_ends_a_task(hook: bool, status: int | None) -> None:
    """Airflow's handler of SIGSEGV would have it spin for ever; without the hook it does."""
    crash = "import ctypes, signal\nsignal.signal(signal.SIGSEGV, lambda *_: None)\nctypes.string_at(0)"
    folder = Path(__file__).parents[2] / "charts/airflow/files"
    started = subprocess.Popen(
        [sys.executable, "-c", crash], env={**os.environ, "PYTHONPATH": str(folder) if hook else ""}
    )
    try:
        ended = started.wait(timeout=10 if hook else 2)
    except subprocess.TimeoutExpired:
        ended = None
    finally:
        started.kill()
        started.wait()
    assert ended == status


def test_a_crash_in_native_code_ends_the_fork_that_imports_a_file() -> None:
    code = (Path(__file__).parents[2] / "charts/airflow/files/control_plane.py").read_text()
    functions = {entry.name: entry for entry in ast.parse(code).body if isinstance(entry, ast.FunctionDef)}
    become = ast.unparse(functions["become"])
    assert "if component == 'dag-processor':\n        let_crashes_end()" in become
    assert become.index("let_crashes_end()") < become.index("options.func(options)")
    crash = f"""
import ctypes, os, signal
{ast.unparse(functions["let_crashes_end"])}
let_crashes_end()
signal.signal(signal.SIGTERM, lambda *_: None)
assert callable(signal.getsignal(signal.SIGTERM))
if (pid := os.fork()) == 0:
    signal.signal(signal.SIGSEGV, lambda *_: None)
    ctypes.string_at(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGSEGV
"""
    assert subprocess.run([sys.executable, "-c", crash], timeout=10, check=False).returncode == 0


def test_the_pod_template_that_is_handed_over_is_the_charts(
    render: Render, helm: Path, tmp_path: Path
) -> None:
    wanted = release.Release(
        namespace="demo-1a2b3c4d",
        project="demo",
        commit="a1b2c3d4e5f6",
        ref="main",
        tag="a1b2c3d4e5f6",
        image="demo:a1b2c3d4e5f6",
        template="template_0",
        dags_folder="dags",
        base_url="http://demo-1a2b3c4d.localhost:8080",
        ca_bundle="PEM",
    )
    kubeconfig = tmp_path / "none"
    kubeconfig.write_text("{}")
    handed_over = release.pod_template(Helm(helm, kubeconfig), wanted, standby="demo/dependencies:1")
    values = VALUES | {
        "standby": True,
        "controlPlane": {"image": "demo/dependencies:1"},
        "caBundle": {"configMap": "ca-bundle"},
        "baseUrl": wanted.base_url,
    }
    assert yaml.safe_load(handed_over) == worker(render(values))
