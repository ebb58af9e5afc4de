"""The repository's own DAGs under the locked Airflow: parsed, and run whole on a scratch SQLite database."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.host import process
from harness.project import configuration as config
from harness.verdict import metrics

REPOSITORY = Path(__file__).parents[2]
DAGS = REPOSITORY / "dags"
TIMEOUT_S = 600.0

# Each program writes what it found as JSON to the file its last argument names; Airflow logs to stdout.
PARSE = """
import json, sys
from pathlib import Path

from airflow.dag_processing.dagbag import BundleDagBag

dags, report = sys.argv[1:]
bag = BundleDagBag(dag_folder=dags, bundle_path=Path(dags), bundle_name="dags-folder")
found = {
    "import_errors": bag.import_errors,
    "files": [Path(stat.file).name for stat in bag.dagbag_stats],
    "heavy": sorted({"numpy", "pandas", "scipy", "sklearn"} & set(sys.modules)),
    "dags": {
        dag_id: {
            "schedule": dag.schedule,
            "seed": dag.params["seed"],
            "doc": dag.doc_md,
            "mapped": [task.task_id for task in dag.tasks if task.is_mapped],
            "downstream": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        }
        for dag_id, dag in bag.dags.items()
    },
}
Path(report).write_text(json.dumps(found))
"""

RUN = """
import json, sys
from pathlib import Path

from airflow.dag_processing.dagbag import BundleDagBag

dags, confs, report = sys.argv[1:]
dag = BundleDagBag(dag_folder=dags, bundle_path=Path(dags), bundle_name="dags-folder").dags["breast_cancer"]

from breast_cancer_pipeline import data

load_raw = data.load_raw

def run(conf):
    dag_run = dag.test(run_conf=conf)
    instances = dag_run.get_task_instances()
    evaluate = next(instance for instance in instances if instance.task_id == "evaluate")
    return {
        "run_id": dag_run.run_id,
        "state": dag_run.state,
        "tasks": sorted((i.task_id, i.map_index, i.state) for i in instances),
        "metrics": evaluate.xcom_pull(task_ids="evaluate"),
        "chosen": evaluate.xcom_pull(task_ids="evaluate", key="chosen"),
    }

runs = [run(conf) for conf in json.loads(confs)]

def load_broken():
    frame = load_raw()
    frame.loc[3, "mean area"] = -1.0
    return frame

data.load_raw = load_broken
runs.append(run(json.loads(confs)[0]))
Path(report).write_text(json.dumps(runs))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("airflow")
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "HARNESS_ARTIFACTS_URL": f"file://{home}/artifacts",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture(scope="module")
def parsed(environment, tmp_path_factory) -> dict[str, Any]:
    report = tmp_path_factory.mktemp("parse") / "report.json"
    process.run([sys.executable, "-c", PARSE, DAGS, report], env=environment, timeout_s=TIMEOUT_S)
    return json.loads(report.read_text())


@pytest.fixture(scope="module")
def settings() -> config.TestSettings:
    text = (REPOSITORY / "harness.toml").read_text()
    configuration = config.parse(text, origin="harness.toml")
    assert configuration is not None
    return configuration.tests["breast_cancer"]


@pytest.fixture(scope="module")
def ran(environment, settings, tmp_path_factory) -> dict[str, Any]:
    """What three runs reported (the same seed twice, then another), then one on broken data, and its log."""
    report = tmp_path_factory.mktemp("run") / "report.json"
    process.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, timeout_s=TIMEOUT_S)
    confs = json.dumps([settings.conf, settings.conf, {"seed": settings.conf["seed"] + 1}])
    completed = process.run(
        [sys.executable, "-c", RUN, DAGS, confs, report], env=environment, timeout_s=TIMEOUT_S
    )
    first, again, other, broken = json.loads(report.read_text())
    return {
        "first": first,
        "again": again,
        "other": other,
        "broken": broken,
        "log": completed.stdout + completed.stderr,
        "artifacts": Path(environment["HARNESS_ARTIFACTS_URL"].removeprefix("file://")),
    }


@pytest.mark.parametrize(
    "package",
    [
        "apache-airflow-core",
        "apache-airflow-providers-standard",
        "apache-airflow-task-sdk",
        "pandas",
        "scikit-learn",
    ],
)
def test_what_is_tested_here_is_what_the_lock_names(package):
    lock = (DAGS / "requirements.lock").read_text()
    locked = re.search(rf"^{re.escape(package)}==(\S+)", lock, re.MULTILINE)
    assert locked is not None
    assert importlib.metadata.version(package) == locked[1]


def test_the_lock_names_no_host_and_no_path():
    lock = (DAGS / "requirements.lock").read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|^/| /", lock, re.MULTILINE)


def test_every_dag_parses(parsed):
    assert parsed["import_errors"] == {}
    assert list(parsed["dags"]) == ["breast_cancer"]


def test_only_the_dag_file_is_read_and_nothing_heavy_imported(parsed):
    assert parsed["files"] == ["breast_cancer.py"]
    assert parsed["heavy"] == []


def test_graph(parsed):
    dag = parsed["dags"]["breast_cancer"]
    assert dag["downstream"] == {
        "ingest": ["validate"],
        "validate": ["split"],
        "split": ["evaluate", "train"],
        "train": ["evaluate"],
        "evaluate": [],
    }
    assert dag["mapped"] == ["train"]
    assert dag["schedule"] is None
    assert isinstance(dag["seed"], int)
    assert "Breast cancer" in dag["doc"]


def test_a_run_succeeds_with_three_candidates(ran):
    first = ran["first"]
    assert first["state"] == "success"
    assert first["tasks"] == [
        ["evaluate", -1, "success"],
        ["ingest", -1, "success"],
        ["split", -1, "success"],
        ["train", 0, "success"],
        ["train", 1, "success"],
        ["train", 2, "success"],
        ["validate", -1, "success"],
    ]


def test_the_metrics_pass_the_gates(ran, settings):
    returned = ran["first"]["metrics"]
    assert {type(value) for value in returned.values()} == {float}
    assert set(returned) == set(settings.gates)
    results = metrics.judge(metrics.read(returned), settings.gates)
    assert {name: result.verdict for name, result in results.items()} == dict.fromkeys(returned, "passed")


def test_the_same_seed_gives_the_same_metrics_and_another_does_not(ran):
    assert ran["first"]["run_id"] != ran["again"]["run_id"]
    assert ran["first"]["metrics"] == ran["again"]["metrics"]
    assert ran["first"]["metrics"] != ran["other"]["metrics"]


def test_reading_the_candidates_asks_for_no_xcom_that_is_not_there(ran):
    assert "XCom not found" not in ran["log"]


def test_artifacts_lie_in_a_folder_per_run(ran):
    folder = ran["artifacts"] / "breast_cancer"
    assert {path.name for path in folder.iterdir()} == {
        ran[name]["run_id"] for name in ("first", "again", "other", "broken")
    }
    assert {path.name for path in (folder / ran["first"]["run_id"]).iterdir()} == {
        "raw.csv",
        "train.csv",
        "validation.csv",
        "test.csv",
        "model-C0.01.joblib",
        "model-C0.1.joblib",
        "model-C1.joblib",
    }
    chosen = Path(ran["first"]["chosen"]["model"].removeprefix("file://"))
    assert chosen.parent == folder / ran["first"]["run_id"]


def test_broken_data_fails_validation_and_nothing_is_trained(ran):
    broken = ran["broken"]
    states = {task_id: state for task_id, _, state in broken["tasks"]}
    assert broken["state"] == "failed"
    assert states["ingest"] == "success"
    assert states["validate"] == "failed"
    assert {states[task_id] for task_id in ("split", "train", "evaluate")} == {"upstream_failed"}
    assert broken["metrics"] is None
    assert "column 'mean area': outside 0 to 6000 in row 3" in ran["log"]
