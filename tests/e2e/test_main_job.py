"""The main job: the sample pipeline in its own Airflow, watched from outside while it runs."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from conftest import Cluster
from main_job import MainJob
from scratch import Scratch

TASKS = {
    ("ingest", -1),
    ("validate", -1),
    ("split", -1),
    ("train", 0),
    ("train", 1),
    ("train", 2),
    ("evaluate", -1),
}


def test_every_part_passed(main_job: MainJob, pipeline: Scratch) -> None:
    assert main_job.document["verdict"] == main_job.test["verdict"] == "passed"
    assert main_job.test["state"] == "success"
    assert main_job.document["cause"] is main_job.version["cause"] is main_job.test["cause"] is None
    assert main_job.version["commit"] == pipeline.git("rev-parse", "HEAD")
    assert main_job.version["dirty"] is None
    assert main_job.version["image"]["name"].endswith(f":{main_job.version['commit'][:12]}")
    assert {"image_s", "load_s", "deploy_s"} <= main_job.version["phases"].keys()


def test_the_metrics_are_those_of_a_good_model_and_each_gate_judged_its_own(main_job: MainJob) -> None:
    metrics = main_job.test["metrics"]
    assert set(metrics) == {"accuracy", "roc_auc", "log_loss", "calibration_error"}
    assert {name: metric["verdict"] for name, metric in metrics.items()} == dict.fromkeys(metrics, "passed")
    assert 0.93 <= metrics["accuracy"]["value"] <= 1
    assert metrics["accuracy"]["gate"]["min"] == 0.93
    assert 0 < metrics["log_loss"]["value"] <= metrics["log_loss"]["gate"]["max"] == 0.2


def test_every_task_instance_has_a_pod_of_its_own_from_the_commits_image(main_job: MainJob) -> None:
    tasks = main_job.test["tasks"]
    assert {(task["task_id"], task["map_index"]) for task in tasks} == TASKS
    assert {task["state"] for task in tasks} == {"success"}
    assert len({task["pod"] for task in tasks}) == len(tasks) == len(TASKS)
    image = main_job.version["image"]
    assert {task["image_digest"] for task in tasks} <= {image["digest"], image["config_digest"]}


def test_every_task_pod_told_what_memory_it_took(main_job: MainJob) -> None:
    for task in main_job.test["tasks"]:
        assert 50e6 < task["peak_memory_bytes"] < 2 * 2**30, (
            task
        )  # Airflow alone takes more, and 2 GiB is its limit
    assert re.search(r"^ +task +state +pod +queued +ran +memory$", main_job.command.stdout, re.MULTILINE)


def test_an_observer_saw_the_same_pods_made_by_the_kubernetes_executor(main_job: MainJob) -> None:
    reported = {(task["task_id"], task["map_index"]): task["pod"] for task in main_job.test["tasks"]}
    assert {pod.instance: pod.name for pod in main_job.pods} == reported
    assert len(main_job.pods) == len(TASKS)
    assert {pod.labels["kubernetes_executor"] for pod in main_job.pods} == {"True"}
    assert {pod.annotations["run_id"] for pod in main_job.pods} == {main_job.test["run_id"]}
    assert all("Running" in pod.phases for pod in main_job.pods if pod.phases != {"Succeeded"})
    image = main_job.version["image"]
    digests = {task["pod"]: task["image_digest"] for task in main_job.test["tasks"]}
    known = {image["config_digest"]: image["digest"]}  # what a node calls the image, where it was not pulled
    for pod in main_job.pods:
        ids = {image_id.rpartition("@")[2] for image_id in pod.image_ids}
        assert {known.get(each, each) for each in ids} == {digests[pod.name]}


def test_the_result_names_what_went_in(main_job: MainJob) -> None:
    environment, image = main_job.document["environment"], main_job.version["image"]
    assert {"harness", "docker", "kubernetes", "containerd", "kind", "helm"} <= environment["versions"].keys()
    assert {"node image", "airflow chart", "cluster chart"} <= environment["digests"].keys()
    kinds = [layer["kind"] for layer in image["layers"]]
    assert kinds[:2] == ["base", "dependencies"]
    assert set(kinds[2:]) == {"code"}
    assert image["lock"]["airflow"].startswith("3.")
    assert image["python"].startswith("3.11.")
    # The published Python is compiled, and no package.
    packaged = {"python3.11"} if environment["source"] == "packages" else set()
    assert {"libc6"} | packaged <= image["base_packages"].keys()


def test_helm_listed_the_versions_release_while_tasks_ran(main_job: MainJob) -> None:
    states = {
        state for namespace, _, state in main_job.releases if namespace == main_job.version["namespace"]
    }
    assert "deployed" in states
    assert states <= {"deployed", "pending-install", "pending-upgrade"}  # caught while Helm was at it


def test_nothing_of_it_is_left(main_job: MainJob, cluster: Cluster) -> None:
    assert cluster.left_of_version(main_job.version["namespace"]) == set()


def test_the_terminal_shows_tasks_metrics_gates_times_and_the_verdict(main_job: MainJob) -> None:
    shown = main_job.command.stdout
    for task in main_job.test["tasks"]:
        label = task["task_id"] if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]"
        assert re.search(rf"^ +{re.escape(label)} +success +{task['pod']}\b", shown, re.MULTILINE), label
    for name in main_job.test["metrics"]:
        assert re.search(rf"^ +{name} +0\.\d+ .*passed$", shown, re.MULTILINE), name
    assert "where the time went" in shown
    assert main_job.version["image"]["name"] in shown
    assert "passed" in shown.rstrip().splitlines()[-1]


def test_progress_and_messages_are_on_stderr_alone(main_job: MainJob) -> None:
    assert f"Airflow of {main_job.version['commit'][:12]}" in main_job.command.stderr
    assert "Airflow of" not in main_job.command.stdout


def test_the_other_reports_are_written(main_job: MainJob) -> None:
    root = ElementTree.fromstring((main_job.folder / "result.xml").read_text(encoding="utf-8"))  # noqa: S314  ours
    (suite,) = root.iter("testsuite")
    assert int(suite.attrib["tests"]) >= 1
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")
    markdown = (main_job.folder / "result.md").read_text(encoding="utf-8")
    page = (main_job.folder / "result.html").read_text(encoding="utf-8")
    for task in main_job.test["tasks"]:
        assert task["pod"] in markdown
        assert task["pod"] in page
    for name in main_job.test["metrics"]:
        assert f"| `{name}` |" in markdown
        assert name in page
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert not re.search(r"""(src|href)=["']?https?://""", page), "the page is self-contained"
