"""Any DAG a team has: Airflow's own examples, and one that hands files on, beside a plugin and a broken file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import scratch
from command import explained, loaded, only_version
from conftest import Cluster

from harness.cluster.place import state_folder
from harness.host import process

# DAG id -> where its file comes from. Templated and scheduled, mapped, with setup and teardown, short-circuited,
# branched by time and scheduled, deferred to the triggerer, several DAGs in a file.
EXAMPLES = {
    "tutorial": "airflow.example_dags/tutorial.py",
    "example_dynamic_task_mapping": "airflow.example_dags/example_dynamic_task_mapping.py",
    "example_setup_teardown_taskflow": "airflow.example_dags/example_setup_teardown_taskflow.py",
    "example_short_circuit_operator": (
        "airflow.providers.standard.example_dags/example_short_circuit_operator.py"
    ),
    "example_branch_datetime_operator": (
        "airflow.providers.standard.example_dags/example_branch_datetime_operator.py"
    ),
    "example_time_delta_sensor_async": "airflow.example_dags/example_time_delta_sensor_async.py",
}
SLOW = ("example_setup_teardown_taskflow", "example_short_circuit_operator")
HANDS_FILES_ON = """\
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import dag, task
from ours_beside.names import FILE  # a package beside dags/

DATA = Path(__file__).parent / "data"


@dag(schedule="@daily", start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=True, params={"factor": 2})
def hands_files_on():
    @task
    def write(params=None):
        (DATA / FILE).write_text(str(int((DATA / "seed.txt").read_text()) * params["factor"]))

    @task(retries=1, retry_delay=0)
    def read(ds=None):
        return {"number": int((DATA / FILE).read_text()), "has_date": len(ds) == 10}

    write() >> read()


hands_files_on()
"""
PLUGIN = """\
from airflow.plugins_manager import AirflowPlugin


def shout(text):
    return text.upper()


class Shouting(AirflowPlugin):
    name = "shouting"
    macros = [shout]
"""
CONFIGURATION = """\
[image]
code = ["dags", "ours_beside", "plugins"]
shared = ["dags/data"]

[tests.files]
dag = "hands_files_on"
conf = { factor = 3 }
metrics = { task = "read" }
gates.number = { min = 21, max = 21 }
gates.has_date = { min = 1 }
"""


def example(place: str) -> Path:
    package, _, name = place.partition("/")
    module, _, folder = package.rpartition(".")
    return Path(str(files(module))) / folder / name


@pytest.fixture(scope="module")
def token(repository: scratch.Scratch) -> Iterator[str]:
    """What every secret of the repository's DAG ends with."""
    with pytest.MonkeyPatch.context() as patch:
        yield scratch.plant_secrets(repository, patch)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    """The examples as they are, our own DAG, a file that cannot be imported, and a harness.toml of few lines."""
    made = scratch.empty(tmp_path_factory.mktemp("any") / "any")
    (made.root / "dags").mkdir()
    shutil.copy(scratch.CHECKOUT / "dags" / "requirements.lock", made.root / "dags")
    for place in EXAMPLES.values():
        shutil.copy(example(place), made.root / "dags")
    made.write("dags/sub/hands_files_on.py", HANDS_FILES_ON.replace("parent /", "parent.parent /"))
    made.write("dags/data/seed.txt", "7\n")
    made.write("dags/broken.py", "from airflow.sdk import dag\nimport there_is_no_such_module\n")
    made.write("ours_beside/__init__.py", "")
    made.write("ours_beside/names.py", 'FILE = "handed.txt"\n')
    made.write("plugins/shouting.py", PLUGIN)
    made.write("dags/reads_settings.py", scratch.SETTINGS_DAG)
    tests = "".join(f'\n[tests.{name}]\ndag = "{name}"\ntimeout = "5m"\n' for name in EXAMPLES)
    made.write("harness.toml", CONFIGURATION + tests + scratch.SETTINGS_TOML)
    made.commit("any DAG")
    return made


@pytest.fixture(scope="module")
def ran(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    repository: scratch.Scratch,
    token: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """Our own and the examples that are asked for, in one version."""
    file = tmp_path_factory.mktemp("any-result") / "result.json"
    own = [each for each in request.session.items if each.path == request.path]
    asked = {each.callspec.params["name"] for each in own if hasattr(each, "callspec")}
    names = ["files", "settings", *(name for name in EXAMPLES if name in asked)]
    done = cluster.harness(repository.root, "test", *names, "--json", file)
    return done, {test["name"]: test for test in only_version(loaded(file))["tests"]}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in EXAMPLES]
)
def test_an_example_of_airflow_itself_runs(ran: Any, name: str) -> None:
    done, tests = ran
    assert tests[name]["verdict"] == "passed", f"{tests[name]['cause']}\n{explained(done)}"
    assert tests[name]["state"] == "success"


def test_only_the_asked_run_of_a_scheduled_dag_starts(ran: Any) -> None:
    _, tests = ran
    assert all(test["run_id"].startswith("harness-") for test in tests.values())


def test_files_are_handed_on_through_a_shared_folder_seeded_from_the_commit(ran: Any) -> None:
    done, tests = ran
    assert tests["files"]["verdict"] == "passed", f"{tests['files']['cause']}\n{explained(done)}"
    assert tests["files"]["metrics"]["number"]["value"] == 21


def test_a_file_that_cannot_be_imported_is_named_and_disturbs_nobody(ran: Any) -> None:
    done, _ = ran
    assert "dags/broken.py:2" in done.stderr
    assert "there_is_no_such_module" in done.stderr
    assert done.returncode == 0, explained(done)


def test_what_image_and_secrets_give_reaches_the_code(ran: Any) -> None:
    """To a control plane of its own; tests/e2e/test_standing_by.py has one that stood by."""
    done, tests = ran
    assert "which stood by" not in done.stderr
    assert tests["settings"]["verdict"] == "passed", f"{tests['settings']['cause']}\n{explained(done)}"


def test_a_skipped_task_had_no_pod_and_the_dag_went_on(ran: Any) -> None:
    done, tests = ran
    tasks = {task["task_id"]: task for task in tests["settings"]["tasks"]}
    assert tasks["deploy"]["skipped_by_test"] is True
    assert tasks["deploy"]["pod"] is None
    assert tasks["write"]["pod"] is not None
    assert "skipped by the test: deploy" in done.stderr


def test_secrets_are_nowhere_once_the_version_is_gone(cluster: Cluster, ran: Any, token: str) -> None:
    """Not even in the cluster's own storage, which keeps what was deleted: there they were encrypted.

    Left out is /var/log/pods, where the kubelet keeps what a task printed for a minute longer.
    """
    done, tests = ran
    kept = json.dumps(tests) + done.stderr + done.stdout
    assert f"-{token}" not in kept
    logs = [path.read_text() for path in state_folder(cluster.harness.cluster).rglob("*.log")]
    assert any("told by a task that should not: *** *** *** ***" in text for text in logs)
    search = ["grep", "--recursive", "--files-with-matches", "--text", "--no-messages", "-e"]
    here = str(state_folder(cluster.harness.cluster))
    assert process.run([*search, f"-{token}", here], check=False).stdout == ""
    inside = ["docker", "exec", f"{cluster.kind.name}-control-plane"]
    there = ["/etc", "/run", "/var/lib/etcd", "/var/lib/kubelet", "/var/local-path-provisioner"]
    there += [f"/var/lib/containerd/io.containerd.{each}" for each in ("metadata.v1.bolt", "grpc.v1.cri")]
    assert process.run([*inside, *search, f"-{token}", *there], check=False).stdout == ""
    assert process.run([*inside, *search, "kube-apiserver", "/etc"], check=False).stdout != "", "it finds"
