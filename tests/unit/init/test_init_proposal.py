"""`harness init` as a whole, from the texts of a repository to those of its new files."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proposals import configured, proposal, reasons

from harness.errors import CauseCode, HarnessError
from harness.init.proposal import propose
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.written import text_of

DAG = """
    from airflow.sdk import dag, task
    @dag(schedule=None)
    def churn():
        @task
        def evaluate():
            return {"accuracy": 0.9, "log_loss": 0.2}
        evaluate()
    churn()
"""


def test_the_plainest_repository():
    found = proposal({"dags/churn.py": DAG, "requirements.txt": "pandas\n"})
    made = configured(found)
    assert made.image.requirements == "requirements.txt"
    assert made.image.code == ("dags",)
    assert made.tests["churn"].dag == "churn"
    assert made.tests["churn"].metrics.task == "evaluate"
    assert "# [tests.churn.gates.accuracy]\n# min = " in text_of(found)
    assert "# [tests.churn.gates.log_loss]\n# max = " in text_of(found)


def test_an_astro_project():
    files = {
        "Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.1-5\n",
        "requirements.txt": "pandas\n",
        "include/model.py": "import pandas\n",
        "include/data/x.csv": "a\n",
        "dags/churn.py": "from include.model import pandas\nDATA = '/usr/local/airflow/include/data/x.csv'\n"
        + textwrap.dedent(DAG),
    }
    image = configured(proposal(files)).image
    assert (image.root, image.code) == ("/usr/local/airflow", ("dags", "include"))


def test_a_src_layout_whose_tasks_hand_a_model_on():
    files = {
        "pyproject.toml": '[project]\nname = "churn"\ndependencies = ["pandas", "apache-airflow==3.2.2"]\n',
        "src/churn/__init__.py": "",
        "src/churn/paths.py": "from pathlib import Path\nMODELS = Path(__file__).parents[2] / 'models'\n",
        "src/churn/train.py": """
            from churn.paths import MODELS
            def train():
                (MODELS / "m.txt").write_text("m")
        """,
        "dags/train.py": """
            from airflow.sdk import DAG
            from churn.train import train
            with DAG("train"):
                PythonOperator(task_id="t", python_callable=train)
        """,
    }
    image = configured(proposal(files)).image
    assert (image.code, image.python_path, image.shared) == (("dags", "src"), ("src",), ("models",))


def test_a_monorepo_is_laid_out_as_its_compose_file_mounts_it():
    files = {
        "ml/airflow/docker-compose.yml": """
            services:
              airflow:
                image: apache/airflow:3.0.2-python3.11
                volumes: [./dags:/opt/airflow/dags, ../common:/opt/airflow/common, ../data:/opt/airflow/data]
        """,
        "ml/airflow/requirements.txt": "pandas\n",
        "ml/airflow/plugins/scale.py": "FACTOR = 1\n",
        "ml/common/score.py": "def score(): return {'mae': 1.0}\n",
        "ml/data/x.csv": "a\n",
        "ml/airflow/dags/prices.py": """
            import pandas as pd
            from airflow.sdk import dag, task
            from common.score import score
            from scale import FACTOR
            @dag
            def prices():
                @task
                def evaluate():
                    pd.read_csv("/opt/airflow/data/x.csv").to_csv("/opt/airflow/data/out/y.csv")
                    return score()
                evaluate()
            prices()
        """,
    }
    found = configured(proposal(files))
    image = found.image
    assert image.code == ("ml/airflow/dags", "ml/airflow/plugins", "ml/common", "ml/data")
    assert image.dags_folder == "ml/airflow/dags"
    assert image.shared == ("ml/data/out",)
    assert image.links == {
        "common": "ml/common", "dags": "ml/airflow/dags", "data": "ml/data", "plugins": "ml/airflow/plugins",
    }  # fmt: skip
    assert found.tests["prices"].metrics.task == "evaluate"


def test_what_only_the_image_had_is_written_to_a_file_of_its_own():
    files = {
        "docker-compose.yaml": """
            x-airflow-common: &common
              image: ${AIRFLOW_IMAGE_NAME:-apache/airflow:3.1.0}
              environment:
                _PIP_ADDITIONAL_REQUIREMENTS: ${_PIP_ADDITIONAL_REQUIREMENTS:- pandas==2.2.3 }
                MODEL: forest
                API_TOKEN: hunter2
        """,
        "requirements.txt": "numpy\n",
        "dags/churn.py": "import os, sklearn, numpy\nfrom airflow.providers.http.hooks.http import HttpHook\n"
        + "M = os.environ['MODEL']\n"
        + textwrap.dedent(DAG),
    }
    found = proposal(files)
    (text,) = found.extra.values()
    lines = [line.partition("  #")[0] for line in text.splitlines()[1:]]
    assert lines[:4] == [
        "-r requirements.txt",
        "pandas==2.2.3",
        "scikit-learn",
        "apache-airflow-providers-http",
    ]
    assert configured(found).image.env == {"MODEL": "forest"}
    assert "hunter2" not in text_of(found)


def test_tmp_that_tasks_hand_files_through_is_shared():
    source = """
        from airflow.sdk import dag, task
        @dag
        def churn():
            @task
            def train():
                open("/tmp/m.txt", "w").write("m")
            @task
            def evaluate():
                return {"score": len(open("/tmp/m.txt").read())}
            train() >> evaluate()
        churn()
    """
    assert configured(proposal({"dags/churn.py": source})).image.shared_tmp


@pytest.mark.parametrize(
    ("addition", "reason"),
    [
        ("from airflow.utils.dates import days_ago", "dags/churn.py:1: Airflow 3 has no airflow.utils.dates"),
        ("import os\nT = os.environ['TOKEN']", "dags/churn.py:2: it asks for environment variable TOKEN"),
        ("V = Variable.get('x')", "dags/churn.py:1: it asks for Variable x, which nothing here gives"),
        ("C = BaseHook.get_connection('w')", "dags/churn.py:1: it asks for connection w"),
        ("from helper import x", "dags/helper.py:1: Airflow 3 has no airflow.contrib"),
    ],
)
def test_what_can_not_run_is_told_with_its_line(addition, reason):
    found = proposal(
        {
            "dags/churn.py": f"{addition}\n{textwrap.dedent(DAG)}",
            "dags/helper.py": "import airflow.contrib\nx = 1\n",
        }
    )
    assert any(each.startswith(reason) for each in reasons(found)), reasons(found)
    assert configured(found).tests == {}
    assert not found.can_run


def test_missing_data_is_told():
    source = """
        import pandas as pd
        from airflow.sdk import dag, task
        @dag
        def churn():
            @task
            def read():
                return len(pd.read_csv("/opt/airflow/data/train.csv"))
            read()
        churn()
    """
    (reason,) = reasons(proposal({"dags/churn.py": source}))
    assert reason == "dags/churn.py:8: it reads /opt/airflow/data/train.csv, which is not in the repository"
    assert reasons(proposal({"dags/churn.py": source, "data/train.csv": "a\n"})) == []


def test_a_file_called_airflow_is_not_airflow():
    files = {
        "dags/churn.py": DAG,
        "dags/airflow.py": "from airflow.sdk import DAG\nDAG('old', schedule_interval=None)\n",
    }
    found = {test.dag: test.can_run for test in proposal(files).tests}
    assert found == {"churn": True, "old": False}


def test_paths_from_a_module_s_own_place_are_told_from_the_root():
    source = """
        import os
        import pandas as pd
        from airflow.sdk import DAG
        def read():
            pd.read_csv(os.path.join(os.path.dirname(__file__), "../data/x.csv"))
        with DAG("a"):
            PythonOperator(task_id="r", python_callable=read)
    """
    (reason,) = reasons(proposal({"team/dags/a.py": source}))
    assert reason == "team/dags/a.py:6: it reads team/data/x.csv, which is not in the repository"
    (reason,) = reasons(proposal({"team/dags/a.py": source, "team/data/x.csv.dvc": ""}))
    assert reason.endswith(": DVC keeps it elsewhere")


def test_metrics_from_a_file_and_from_mlflow():
    source = """
        import json
        import mlflow
        from airflow.sdk import dag, task
        @dag
        def churn():
            @task
            def evaluate():
                {body}
            evaluate()
        churn()
    """
    written = source.replace("{body}", "json.dump({'auc': 1.0}, open('reports/metrics.json', 'w'))")
    made = configured(proposal({"dags/churn.py": written}))
    assert (made.tests["churn"].metrics.file, made.image.shared) == ("reports/metrics.json", ("reports",))
    logged = source.replace("{body}", "mlflow.log_metric('auc', 1.0)")
    assert configured(proposal({"dags/churn.py": logged})).tests["churn"].metrics.mlflow


def test_tasks_that_touch_the_world_are_left_out():
    source = """
        import requests
        from airflow.sdk import dag, task
        @dag
        def churn():
            @task
            def deploy_model(): ...
            @task
            def tell(): requests.post("https://example.com")
            @task
            def train(): ...
            train() >> deploy_model() >> tell()
        churn()
    """
    assert configured(proposal({"dags/churn.py": source})).tests["churn"].skip == ("deploy_model", "tell")


def test_what_an_untracked_file_gives_is_no_reason():
    files = {
        "dags/churn.py": "import os\nT = os.environ['TOKEN']\n" + textwrap.dedent(DAG),
        ".env": "TOKEN=x\n",
    }
    found = proposal(files)
    assert configured(found).secrets.env_file == ".env"
    assert found.can_run


def test_an_id_that_two_files_define():
    found = proposal({"dags/a.py": DAG, "dags/b.py": DAG})
    assert all("more than once" in test.reasons[0] for test in found.tests)
    assert len({test.name for test in found.tests}) == 2


def test_of_several_folders_of_dags_the_nearest_counts():
    files = {"labs/one/dags/a.py": DAG, "labs/two/dags/b.py": DAG}
    assert proposal(files).image.code == ("labs/one/dags",)
    found = proposal(files, within="labs/two")
    assert found.image.code == ("labs/two/dags",)
    assert any(each.about == "more DAGs" and each.place == "labs/one/dags" for each in found.findings)


def test_without_a_dag_there_is_nothing_to_write():
    with pytest.raises(HarnessError, match="no Python file of the repository defines a DAG") as caught:
        proposal({"dags/a.py": "print 'old'\n", "src/x.py": "x = 1\n"})
    assert caught.value.cause is CauseCode.DAG_NOT_FOUND
    assert caught.value.evidence == ("dags/a.py:1: this is no Python 3 that can be read",)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\x00"), min_size=1, max_size=12).filter(
    lambda name: name not in {".", ".."}
)
FOLDERS = st.sampled_from(["", "dags/", "team/dags/", "src/", "artifacts/", "logs/", "a b/", "é/", "-x/"])
TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "FROM apache/airflow:3.1.0\nCOPY src /opt/airflow/src\nRUN pip install 'pandas",
            "services: {a: {image: 'apache/airflow:3', volumes: ['./x:/opt/airflow/dags', './y:/opt/airflow/logs']}}",
            "a: &a [*a]",
            "[project]\ndependencies = ['x']",
            "[tool.poetry.dependencies]\npandas = {version = '^2'}",
            "pandas\n-r requirements.txt\n-e .\n",
        ]
    ),
)
FILES = st.sampled_from(
    ["Dockerfile", "docker-compose.yml", "pyproject.toml", "requirements.txt", "uv.lock", "airflow_settings.yaml",
     ".env", ".python-version", "packages.txt"]
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(st.builds(str.__add__, FOLDERS, FILES), TEXTS, max_size=5),
    st.dictionaries(
        st.builds("{}{}.py".format, FOLDERS, NAMES),
        st.builds(
            "from airflow.sdk import DAG\nimport pandas, x\nopen({!r}, 'w')\nwith DAG({!r}): PythonOperator("
            "task_id={!r}, python_callable=f)\ndef f():\n    open({!r}, 'w')\n    return {{{!r}: 1.0}}\n".format,
            NAMES, NAMES, NAMES, st.builds(str.__add__, FOLDERS, NAMES), st.sampled_from(["auc", "é score", 'f1"']),
        ),
        min_size=1, max_size=4,
    ),
)  # fmt: skip
def test_whatever_is_written_can_be_read(others, dags):
    try:
        found = propose(RepositoryFiles.given({**others, **dags}))
    except HarnessError as error:
        assert error.cause is CauseCode.DAG_NOT_FOUND
        return
    configured(found)
