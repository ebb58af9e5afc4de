"""charts/airflow as Helm renders it: what its pods may do, what they know, and that Airflow takes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rendered_chart import FULL, VALUES, Manifest, Render, containers, named, pods, variables, worker

from harness.cluster.services.helm import chart
from harness.host import process


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


def test_the_users_variables_win(render: Render) -> None:
    objects = render(FULL)
    for pod in pods(objects):
        for container in pod["spec"]["containers"]:
            assert variables(objects, container)["STAGE"] == "test"
    assert variables(objects, worker(objects)["spec"]["containers"][0])["OMP_NUM_THREADS"] == "4"
    assert variables(objects, worker(objects)["spec"]["containers"][0])["MKL_NUM_THREADS"] == "1"


def test_a_ca_bundle_is_mounted_wherever_it_is_named(render: Render) -> None:
    objects = render(FULL)
    for pod in pods(objects):
        for container in pod["spec"]["containers"]:
            mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
            bundle = variables(objects, container)["SSL_CERT_FILE"]
            assert str(Path(bundle).parent) in mounted
    assert "SSL_CERT_FILE" not in str(render(VALUES))


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
