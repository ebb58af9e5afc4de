"""That Airflow takes what charts/airflow gives it: its options, its pods, and the end of its processes."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import provider
import pytest
import yaml
from rendered_chart import FULL, VALUES, Manifest, Render, containers, named, pods, variables, worker

from harness.airflow.release import release
from harness.cluster.services.helm import Helm, chart
from harness.host import process


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


def test_what_the_chart_sets_itself_is_nobody_elses(objects: list[Manifest]) -> None:
    (control_plane,) = named(objects, "Deployment", "airflow")["spec"]["template"]["spec"]["containers"]
    for container in (control_plane, *worker(objects)["spec"]["containers"]):
        known = variables(objects, container)
        own = set(known["HARNESS_VARIABLES"].split(","))
        assert own >= set(known) - {"HARNESS_VARIABLES", *FULL["environment"]}
        assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in own


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
