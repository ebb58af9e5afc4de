"""What `harness init` makes of forms that public repositories have, each cut down to what made a difference."""

from __future__ import annotations

import textwrap

import pytest
import yaml
from proposals import configured, proposal, reasons

from harness.init.findings import Proposal
from harness.init.written import text_of

HEAD = """
from airflow.sdk import dag, task
"""
PLAIN = """
    from airflow.sdk import dag, task
    @dag(schedule=None)
    def churn():
        @task
        def train(): ...
        @task
        def evaluate():
            return {"accuracy": 0.9}
        train() >> evaluate()
    churn()
"""


def written(found: Proposal) -> list[str]:
    (text,) = found.extra.values()
    return [line.partition("  #")[0] for line in text.splitlines()[1:]]


def in_a_task(body: str, head: str = "") -> str:
    """A DAG whose first task does that, with a second one after it."""
    task = textwrap.indent(textwrap.dedent(body), " " * 8)
    return (
        f"import os\nfrom airflow.sdk import dag, task\n{textwrap.dedent(head)}\n"
        f"@dag\ndef churn():\n    @task\n    def train(**context):\n{task}\n"
        "    @task\n    def report(x): ...\n    report(train())\nchurn()\n"
    )


class TestTheTeamsImage:
    @pytest.mark.parametrize(
        "base",
        [
            "quay.io/astronomer/astro-runtime:3.0-4",
            "astrocrpublic.azurecr.io/runtime:3.0-10",
            "air.astronomer.io/runtime-dev:3.0-1-nightly202504150001",
            "registry.example.com/mirror/astro-runtime:3.0-4-base",
        ],
    )
    def test_an_astro_runtime_of_any_host(self, base: str) -> None:
        image = configured(proposal({"Dockerfile": f"FROM {base}\n", "dags/churn.py": PLAIN})).image
        assert (image.root, image.airflow) == ("/usr/local/airflow", "3.0.6")

    def test_an_astro_project_without_its_dockerfile(self) -> None:
        files = {".astro/config.yaml": "project:\n    name: x\n", "dags/churn.py": PLAIN}
        assert configured(proposal(files)).image.root == "/usr/local/airflow"

    def test_another_runtime_is_none_of_astros(self) -> None:
        files = {"Dockerfile": "FROM mcr.example.com/dotnet/runtime:8.0\n", "dags/churn.py": PLAIN}
        assert configured(proposal(files)).image.root == "/opt/airflow"

    @pytest.mark.parametrize("name", ["dockerfile", "docker/Airflow.Dockerfile", "Containerfile"])
    def test_a_dockerfile_by_any_of_its_names(self, name: str) -> None:
        files = {name: "FROM apache/airflow:3.2.0\nRUN pip install xgboost\n", "dags/churn.py": PLAIN}
        found = proposal(files)
        assert found.image.airflow == "3.2.0"
        assert "xgboost" in written(found)

    def test_a_dockerfile_that_only_the_compose_file_names(self) -> None:
        files = {
            "docker-compose.yaml": """
                services:
                  airflow-scheduler:
                    build: {context: ., dockerfile: build/image.txt}
            """,
            "build/image.txt": "FROM apache/airflow:3.1.5\nCOPY needs/all.txt /r.txt\nRUN pip install -r /r.txt\n",
            "needs/all.txt": "polars\n",
            "dags/churn.py": PLAIN,
        }
        found = proposal(files)
        assert (found.image.airflow, found.image.requirements) == ("3.1.5", "needs/all.txt")

    def test_of_several_stages_the_last_one_counts(self) -> None:
        dockerfile = (
            "FROM astrocrpublic.azurecr.io/runtime:3.1-10\n\nFROM apache/airflow:3.0.2 AS base\nFROM base\n"
        )
        image = configured(proposal({"Dockerfile": dockerfile, "dags/churn.py": PLAIN})).image
        assert (image.root, image.airflow) == ("/opt/airflow", "3.0.2")

    def test_of_several_projects_the_one_with_the_dags_counts(self) -> None:
        files = {
            "a/Dockerfile": "FROM apache/airflow:3.0.2\n",
            "a/dags/one.py": PLAIN.replace("churn", "one"),
            "b/Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.1-1\n",
            "b/dags/two.py": PLAIN.replace("churn", "two"),
        }
        assert configured(proposal(files, "a")).image.root == "/opt/airflow"
        assert configured(proposal(files, "b")).image.root == "/usr/local/airflow"

    def test_a_virtual_environment_s_packages_are_not_airflows(self) -> None:
        dockerfile = """
            FROM apache/airflow:3.1.5
            RUN python -m venv dbt_venv && source dbt_venv/bin/activate && \\
                pip install dbt-postgres && deactivate
            RUN /opt/other_env/bin/pip install torch
            RUN pip install polars
        """
        assert "polars" in (found := written(proposal({"Dockerfile": dockerfile, "dags/churn.py": PLAIN})))
        assert not {"dbt-postgres", "torch"} & set(found)

    def test_a_project_that_the_image_installs_by_its_lock(self) -> None:
        files = {
            "Dockerfile": "FROM apache/airflow:3.1.3\nCOPY pyproject.toml uv.lock ./\nRUN uv sync --frozen\n",
            "uv.lock": '[[package]]\nname = "apache-airflow"\nversion = "3.1.3"\n',
            "pyproject.toml": '[project]\nname = "x"\ndependencies = ["apache-airflow"]\n',
            "requirements.txt": "black\n",
            "dags/churn.py": PLAIN,
        }
        assert proposal(files).image.requirements == "uv.lock"

    def test_a_file_that_the_image_does_not_install_and_contradicts_is_left_out(self) -> None:
        files = {
            "Dockerfile": 'FROM apache/airflow:3.1.7\nRUN pip install "numpy==2.1.3" "scikit-learn==1.5.2"\n',
            "requirements.txt": "apache-airflow==2.9.3\nnumpy==1.26.4\n",
            "dags/churn.py": PLAIN,
        }
        found = proposal(files)
        assert found.can_run
        assert written(found)[:2] == [
            "numpy==2.1.3",
            "scikit-learn==1.5.2",
        ]  # not dropped, though one brings the other

    def test_what_compose_mounts_into_the_image_is_code(self) -> None:
        files = {
            "docker-compose.yaml": """
                x-airflow-common: &common
                  image: apache/airflow:3.1.0
                  volumes:
                    - ./dags:/opt/airflow/dags
                    - ./dbt:/opt/airflow/dbt
                    - ./logs:/opt/airflow/logs
                services:
                  scheduler:
                    <<: *common
            """,
            "dbt/project.yml": "x\n",
            "logs/.gitkeep": "",
            "dags/churn.py": PLAIN,
        }
        assert configured(proposal(files)).image.code == ("dags", "dbt")


class TestPackages:
    def test_no_file_is_written_for_what_other_packages_bring(self) -> None:
        files = {
            "requirements.txt": "scikit-learn\ndag-factory\nastronomer-cosmos\n",
            "dags/churn.py": "import yaml, joblib, numpy, psycopg2, dagfactory_x as x\nimport cosmos\n"
            + textwrap.dedent(PLAIN),
        }
        assert proposal(files).extra == {}

    def test_a_name_without_its_hyphens(self) -> None:
        files = {
            "requirements.txt": "house-style\n",
            "dags/churn.py": "import housestyle\n" + textwrap.dedent(PLAIN),
        }
        assert not [each for each in proposal(files).findings if each.about == "a package"]


class TestFiles:
    def test_tmp_whose_paths_tasks_hand_on_is_shared(self) -> None:
        body = "path = '/tmp/train.pkl'\nkeep(1, path)\nreturn path, 1\n"
        assert configured(proposal({"dags/churn.py": in_a_task(body)})).image.shared_tmp

    def test_a_folder_whose_files_are_handed_on_by_xcom_is_shared(self) -> None:
        body = "save(model, f'{OUT}/model.bin')\ncontext['ti'].xcom_push(key='m', value=f'{OUT}/model.bin')\n"
        found = configured(proposal({"dags/churn.py": in_a_task(body, "OUT = '/opt/airflow/models'")}))
        assert found.image.shared == ("models",)

    def test_a_path_that_is_only_looked_at_is_none(self) -> None:
        body = "path = '/tmp/x.csv'\nprint(os.path.exists(path))\nreturn 1\n"
        assert not configured(proposal({"dags/churn.py": in_a_task(body)})).image.shared_tmp

    def test_a_param_whose_file_is_not_there(self) -> None:
        source = """
            from airflow.sdk import Param, dag, task
            @dag(params={"input": Param("/opt/airflow/include/data/trips.parquet", type="string")})
            def churn():
                @task
                def train(**context): ...
                train()
            churn()
        """
        (reason,) = reasons(proposal({"dags/churn.py": source, "include/x.py": ""}))
        assert reason.startswith(
            "dags/churn.py:3: it reads /opt/airflow/include/data/trips.parquet, which is not in"
        )
        assert reason.endswith("add conf = { input = … }")
        assert not reasons(proposal({"dags/churn.py": source, "include/data/trips.parquet": "x"}))

    def test_an_address_is_no_file(self) -> None:
        body = "import pandas\npandas.read_csv('https://example.com/x.csv')\n"
        found = proposal({"dags/churn.py": in_a_task(body)})
        assert found.can_run
        assert [each.text for each in found.findings if each.about == "network"] == [
            "https://example.com/x.csv"
        ]


class TestServices:
    COMPOSE = """
        services:
          airflow-scheduler:
            image: apache/airflow:3.1.0
            environment: {DB_HOST: warehouse, MLFLOW_URI: "http://tracker:5000", MODE: fast}
          warehouse: {image: "postgres:16"}
          tracker: {build: ./tracker}
    """

    @pytest.mark.parametrize(
        ("body", "head", "told"),
        [
            ("connect(URL)", "URL = 'postgresql://me:hunter2@warehouse:5432/x'", "3: it connects to"),
            (
                "connect('redis://host.docker.internal:6379')",
                "",
                "it connects to redis://host.docker.internal:6379",
            ),
            ("connect(host='warehouse')", "", "it connects to warehouse, a service of docker-compose.yaml:6"),
            ("connect(os.getenv('DB', 'localhost'))", "", "it takes localhost where DB is not set"),
            ("connect(os.environ['DB_HOST'])", "", "which docker-compose.yaml:5 gives as warehouse"),
            ("connect(os.getenv('DB_HOST'))", "", "which docker-compose.yaml:5 gives as warehouse"),
            (
                "mlflow.set_tracking_uri('http://host.docker.internal:5000')",
                "import mlflow",
                "leave the address out",
            ),
        ],
    )
    def test_what_no_version_reaches_is_told_with_its_line(self, body: str, head: str, told: str) -> None:
        (reason,) = reasons(
            proposal({"docker-compose.yaml": self.COMPOSE, "dags/churn.py": in_a_task(body, head)})
        )
        assert reason.startswith("dags/churn.py:")
        assert told in reason
        assert "hunter2" not in reason

    def test_what_no_task_runs_is_no_reason(self) -> None:
        head = "OTHER = 'http://warehouse:80'\ndef unused():\n    connect('http://localhost:80')\n"
        assert proposal(
            {"docker-compose.yaml": self.COMPOSE, "dags/churn.py": in_a_task("pass", head)}
        ).can_run

    def test_a_variable_of_mlflows_leads_to_the_version_s_own(self) -> None:
        body = """
            mlflow.set_tracking_uri(os.getenv('MLFLOW_URI', 'http://tracker:5000'))
            mlflow.log_metric('auc', 1.0)
        """
        found = configured(
            proposal({"docker-compose.yaml": self.COMPOSE, "dags/churn.py": in_a_task(body, "import mlflow")})
        )
        assert found.image.env == {"MLFLOW_URI": "http://mlflow:5000"}
        assert found.tests["churn"].metrics.mlflow

    def test_the_address_that_a_version_s_mlflow_has_itself(self) -> None:
        body = (
            "mlflow.set_tracking_uri('http://mlflow:5000')\nMlflowClient().log_metric(run_id, 'auc', 1.0)\n"
        )
        compose = self.COMPOSE.replace("tracker:", "mlflow:")
        found = proposal({"docker-compose.yaml": compose, "dags/churn.py": in_a_task(body, "import mlflow")})
        (test,) = found.tests
        assert (test.can_run, test.mlflow, test.metrics) == (True, True, ("auc",))


class TestDags:
    def test_dags_of_dag_factory_are_those_of_its_yaml(self) -> None:
        files = {
            "dags/all.py": "from dagfactory import load_yaml_dags\nload_yaml_dags(globals_dict=globals())\n",
            "dags/all.yml": """
                default:
                  schedule: null
                scoring:
                  tasks:
                    score: {operator: a.b.PythonOperator, python_callable_file: /opt/airflow/include/score.py}
                training:
                  schedule_interval: '@daily'
                  tasks: {train: {operator: a.b.EmptyOperator}}
            """,
            "include/score.py": "",
            "requirements.txt": "dag-factory\n",
        }
        found = proposal(files)
        assert [(test.dag, test.place) for test in found.tests] == [
            ("scoring", "dags/all.yml:4"),
            ("training", "dags/all.yml:7"),
        ]
        assert reasons(found)[0].startswith("dags/all.yml:8: Airflow 3 has no schedule_interval")
        assert found.image.code == ("dags", "include")

    def test_one_file_of_dag_factory_by_its_path(self) -> None:
        files = {
            "dags/one.py": "import dagfactory\nf = dagfactory.DagFactory('/opt/airflow/dags/one.yml')\n",
            "dags/one.yml": "one: {tasks: {}}\n",
            "dags/other.yml": "other: {tasks: {}}\n",
        }
        assert [test.dag for test in proposal(files).tests] == ["one"]

    def test_the_class_as_a_decorator_is_told(self) -> None:
        source = (
            "from airflow.sdk import DAG, task\n@DAG(dag_id='churn')\ndef pipeline():\n    pass\npipeline()\n"
        )
        found = proposal({"dags/churn.py": source})
        assert [test.dag for test in found.tests] == ["churn"]
        assert reasons(found) == [
            "dags/churn.py:2: Airflow 3 has no decorator DAG, which is a class: use airflow.sdk.dag"
        ]

    def test_where_no_id_is_known_the_error_tells_where_and_what_to_do(self) -> None:
        source = "from airflow.sdk import DAG\nimport settings\nwith DAG(settings.name()):\n    pass\n"
        found = proposal({"dags/churn.py": source})
        error = found.nothing_runs("harness.toml")
        (told,) = error.evidence
        assert told.startswith("dags/churn.py:3: only running the code tells this DAG's id")
        assert '# dag = "THE_ID"' in text_of(found)

    def test_a_connection_that_no_shell_variable_can_give(self) -> None:
        source = in_a_task("PostgresHook(postgres_conn_id='data-postgres')")
        (reason,) = reasons(proposal({"dags/churn.py": source}))
        assert "airflow_settings.yaml" in reason
        assert "AIRFLOW_CONN_DATA-POSTGRES" not in reason

    def test_functions_that_task_is_called_with(self) -> None:
        files = {
            "dags/churn.py": """
                from airflow.sdk import dag, task
                from model import train_model
                @dag
                def churn():
                    train = task(train_model)
                    again = task(task_id="again")(train_model)
                    again(train())
                churn()
            """,
            "dags/model.py": "def train_model(x=1):\n    open('out/model.bin', 'w')\n    return {'auc': 1.0}\n",
        }
        found = configured(proposal(files))
        assert found.image.shared == ("out",)
        assert found.tests["churn"].metrics.task == "train_model"


class TestMetrics:
    @pytest.mark.parametrize(
        ("body", "metrics"),
        [
            ("ti.xcom_push(key='mse', value=float(mse))", {"task": "train", "key": "mse", "name": "mse"}),
            ("return accuracy", {"task": "train", "name": "accuracy"}),
            ("return float(roc_auc_score(a, b))", {"task": "train", "name": "roc_auc"}),
            ("return model", None),
            ("ti.xcom_push(key='score_path', value='/x/y')", None),
        ],
    )
    def test_numbers_in_no_dict(self, body: str, metrics: dict[str, str] | None) -> None:
        test = configured(proposal({"dags/churn.py": in_a_task(body)})).tests["churn"]
        found = test.metrics.model_dump(exclude_defaults=True) if test.metrics else None
        assert found == metrics


class TestAirflowsVersions:
    @pytest.mark.parametrize(("version", "runs"), [("3.1.8", True), ("3.2.0", False)])
    def test_what_only_later_releases_lack(self, version: str, runs: bool) -> None:
        source = "from airflow.datasets import Dataset\n" + textwrap.dedent(PLAIN)
        found = proposal({"requirements.txt": f"apache-airflow=={version}\n", "dags/churn.py": source})
        assert found.can_run is runs
        assert reasons(found) == (
            [] if runs else ["dags/churn.py:1: Airflow 3 has no airflow.datasets: use airflow.sdk.Asset"]
        )

    @pytest.mark.parametrize(
        ("line", "instead"),
        [
            (
                "from airflow.providers.postgres.operators.postgres import PostgresOperator",
                "SQLExecuteQueryOperator",
            ),
            ("from airflow.operators.mysql_operator import MySqlOperator", "the provider's package"),
            ("from airflow.models.dataset import Dataset", "airflow.sdk.Asset"),
            ("from airflow.providers.http.operators.http import SimpleHttpOperator", "HttpOperator"),
        ],
    )
    def test_what_no_release_has(self, line: str, instead: str) -> None:
        (reason,) = reasons(proposal({"dags/churn.py": f"{line}\n{textwrap.dedent(PLAIN)}"}))
        assert reason.startswith("dags/churn.py:1: Airflow 3 has no ")
        assert reason.endswith(instead)

    def test_a_sensor_that_is_there(self) -> None:
        source = "from airflow.sensors.time_sensor import TimeSensor\n" + textwrap.dedent(PLAIN)
        assert proposal({"dags/churn.py": source}).can_run


class TestPools:
    @pytest.mark.parametrize(
        "how",
        [
            "@dag(default_args={'pool': 'gpu', 'retries': 1})\ndef churn():\n    @task\n",
            "default_args = {'pool': 'gpu'}\n@dag(default_args=default_args)\ndef churn():\n    @task\n",
            "@dag\ndef churn():\n    @task(pool='gpu')\n",
        ],
    )
    def test_a_pool_that_nobody_gives_is_made_with_one_slot(self, how: str) -> None:
        source = f"from airflow.sdk import dag, task\n{how}    def train(): ...\n    train()\nchurn()\n"
        found = proposal({"dags/churn.py": source})
        assert configured(found).secrets.airflow_settings == "harness-settings.yaml"
        (text,) = (text for name, text in found.extra.items() if name == "harness-settings.yaml")
        assert yaml.safe_load(text) == {"airflow": {"pools": [{"pool_name": "gpu", "pool_slot": 1}]}}

    def test_one_that_the_team_gives_is_left_to_them(self) -> None:
        source = "@dag\ndef churn():\n    @task(pool='gpu')\n    def train(): ...\n    train()\nchurn()\n"
        files = {
            "dags/churn.py": f"from airflow.sdk import dag, task\n{source}",
            "airflow_settings.yaml": "airflow: {pools: [{pool_name: gpu, pool_slot: 4}]}",
        }
        found = proposal(files)
        assert configured(found).secrets.airflow_settings == "airflow_settings.yaml"
        assert "harness-settings.yaml" not in found.extra


def test_what_only_a_task_that_is_left_out_needs_is_no_reason() -> None:
    source = """
        from airflow.sdk import Variable, dag, task
        from airflow.providers.slack.operators.slack_webhook import SlackWebhookOperator

        def publish():
            connect("http://localhost:80")
            open("/opt/airflow/data/nowhere.csv")

        @dag
        def churn():
            @task
            def train():
                return {"auc": 1.0}
            @task
            def deploy():
                Variable.get("endpoint")
                publish()
            train() >> deploy() >> SlackWebhookOperator(task_id="notify", slack_webhook_conn_id="slack")
        churn()
    """
    found = proposal({"dags/churn.py": source})
    assert (found.can_run, found.tests[0].skip) == (True, ("deploy", "notify"))
    read_at_import = source.replace("def publish", "KEY = os.environ['KEY']\n        def publish")
    assert "environment variable KEY" in reasons(proposal({"dags/churn.py": read_at_import}))[0]


@pytest.mark.parametrize(
    ("project", "python"),
    [
        ('[project]\nrequires-python = ">=3.12"\ndependencies = ["pandas"]\n', "3.13"),
        ('[tool.poetry.dependencies]\npython = "^3.12"\npandas = "*"\n', "3.13"),
        ('[tool.poetry.dependencies]\npython = "~3.12"\npandas = "*"\n', None),
        ('[project]\nrequires-python = ">=3.10,<3.13"\ndependencies = ["pandas"]\n', "3.11"),
        ('[project]\nrequires-python = ">=3.12"\ndependencies = ["apache-airflow==3.0.6"]\n', None),
    ],
)
def test_the_python_is_one_that_the_project_takes(project: str, python: str | None) -> None:
    found = proposal({"pyproject.toml": project, "dags/churn.py": PLAIN})
    if python is None:
        assert "and versions have 3.11" in reasons(found)[0]
    else:
        assert configured(found).image.python == python
