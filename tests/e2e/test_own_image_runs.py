"""A team's own image and its values of the official chart, run for real: Dockerfile, user, entrypoint, other images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import scratch
from command import loaded, only_version
from conftest import Cluster

from harness.host import process
from harness.image.build import build_foundation
from harness.image.oci import docker_archive
from harness.project.project import load

pytestmark = pytest.mark.slow
NAME = "harness.local/team-of-tests"
DOCKERFILE = """\
ARG TAG=unset
FROM harness.local/team-of-tests:${TAG}
USER root
RUN useradd --uid 1234 --gid 0 team && mkdir /etc/ml && echo eu > /etc/ml/region
COPY lib /usr/local/lib/python3.11/dist-packages/team
COPY entrypoint.sh /entrypoint.sh
USER team
ENTRYPOINT ["/entrypoint.sh"]
"""
VALUES = """\
executor: CeleryExecutor
env: [{name: STAGE, value: test-of-values}]
config: {core: {default_timezone: Europe/Berlin}}
airflowLocalSettings: |
  TEAM = "ml"
extraConfigMaps: {settings: {data: "settings.ini: '[ml]'"}}
volumes: [{name: settings, configMap: {name: settings}}]
volumeMounts: [{name: settings, mountPath: /etc/team}]
workers:
  resources: {limits: {memory: 1536Mi, cpu: 2}}
  extraVolumes: [{name: handed, emptyDir: {}}]
  extraVolumeMounts: [{name: handed, mountPath: /handed}]
  extraInitContainers:
    - name: hand-over
      image: harness.local/team-of-tests:1
      command: [sh, -c, echo init > /handed/init]
      volumeMounts: [{name: handed, mountPath: /handed}]
postgresql: {enabled: false}
"""
DAG = """\
import os

from airflow.sdk import dag, task
from kubernetes.client import models as k8s

OTHER = k8s.V1Pod(spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base", image="harness.local/team-of-tests:1")]))


@dag(schedule=None)
def own():
    @task(executor_config={"pod_override": OTHER})
    def elsewhere():
        return os.path.exists("/etc/ml/region")  # with the commit's code, which this image does not have

    @task
    def evaluate(there):
        import airflow_local_settings
        import team
        from airflow.configuration import conf

        seen = {
            "region": open("/etc/ml/region").read().strip() == "eu",
            "user": os.getuid() == 1234,
            "entrypoint": os.environ["FROM_ENTRYPOINT"] == "yes",
            "variable": os.environ["STAGE"] == "test-of-values",
            "setting": conf.get("core", "default_timezone") == "Europe/Berlin",
            "local_settings": airflow_local_settings.TEAM == "ml",
            "config_map": open("/etc/team/settings.ini").read() == "[ml]",
            "init_container": open("/handed/init").read().strip() == "init",
            "other_image": not there,
        }
        return seen | {"version": team.VERSION}

    evaluate(elsewhere())


own()
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with Airflow in Docker, as a team would have pulled it: the sample's own, under another name."""
    project = load(scratch.CHECKOUT)
    with project.commit(None) as commit:
        settings = project.image_settings(commit)
        log = tmp_path_factory.mktemp("base") / "log"
        made = build_foundation(commit, settings, project="base", on_line=lambda _: None, log=log)
    image = replace(made.image, name=NAME, tag="1")
    assert process.run_bytes(["docker", "load", "--quiet"], stdin=docker_archive(image)).returncode == 0
    yield f"{NAME}:1"
    process.run(["docker", "image", "rm", f"{NAME}:1"], check=False)


def test_it_runs_as_in_production(cluster: Cluster, tmp_path: Path, base: str) -> None:
    team = scratch.empty(tmp_path / "production")
    tag = base.rpartition(":")[2]
    team.write("Dockerfile", DOCKERFILE)
    team.write("entrypoint.sh", '#!/bin/sh\nexport FROM_ENTRYPOINT=yes\nexec "$@"\n')
    (team.root / "entrypoint.sh").chmod(0o755)
    team.write("lib/__init__.py", "VERSION = 7\n")
    team.write("values.yaml", VALUES)
    team.write("dags/own.py", DAG)
    team.write(
        "harness.toml",
        f'[image]\ndockerfile = "Dockerfile"\nas_is = true\nbuild_args = {{ TAG = "{tag}" }}\n'
        '[airflow]\nvalues = "values.yaml"\n[tests.own]\ndag = "own"\nmetrics = { task = "evaluate" }\n',
    )
    team.commit("a team")
    argv = ("test", "--ref", "HEAD", "--keep", "never", "--json", tmp_path / "result")
    ran = cluster.harness.watch(team.root, *argv)
    assert ran.exit_code == 0, ran.text
    version = only_version(loaded(tmp_path / "result"))
    own = version["image"]["own"]
    assert (own["origin"], own["user_id"], own["as_is"]) == ("Dockerfile", 1234, True)
    assert version["image"]["lock"] is None
    (test,) = version["tests"]
    values = {name: metric["value"] for name, metric in test["metrics"].items()}
    assert values.pop("version") == 7
    assert set(values.values()) == {1}, values
    assert {each["key"] for each in version["values"]["refused"]} == {
        "executor", "workers.resources.limits.cpu", "postgresql.enabled",
    }  # fmt: skip
    tasks = {task["task_id"]: task for task in test["tasks"]}
    assert tasks["elsewhere"]["image_name"] == base
    assert tasks["evaluate"]["peak_memory_bytes"] is not None  # told from below the entrypoint
