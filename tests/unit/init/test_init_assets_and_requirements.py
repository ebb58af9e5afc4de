"""What `harness init` makes of assets, of questions that code can do without, and of requirements of one machine."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proposals import configured, proposal, reasons

from harness.init.findings import Proposal
from harness.init.proposal import propose
from harness.init.reading.packages.requirement_lines import unfit
from harness.init.reading.repository_files import Place, RepositoryFiles
from harness.init.reading.repository_files import _text as text_of_file
from harness.init.written import text_of

TASK = """
    from airflow.sdk import Variable, dag, task
    @dag(schedule=None)
    def churn():
        @task
        def train():
{body}
        train()
    churn()
"""


def asking(*lines: str) -> dict[str, str]:
    return {"dags/churn.py": TASK.format(body="\n".join(f"            {line}" for line in lines))}


class TestAssets:
    CHAIN = """
        from airflow.sdk import Asset, asset, dag, task
        MODEL = Asset("model")

        @asset(schedule="@daily")
        def quotes() -> list[dict]:
            return [{"c": 1}]

        @asset(schedule=quotes, name="chosen")
        def selected(context): ...

        @asset.multi(schedule=None, outlets=[MODEL])
        def fitted(): ...

        @dag(schedule=[MODEL])
        def report():
            @task
            def show(): ...
            show()
        report()
    """

    def test_each_is_a_dag_of_its_own_by_its_name(self) -> None:
        found = proposal({"dags/quotes.py": self.CHAIN})
        assert {test.dag: test.schedule for test in found.tests} == {
            "quotes": "@daily",
            "chosen": "quotes",
            "fitted": "",
            "report": "[MODEL]",
        }

    def test_one_that_follows_another_of_the_repository_runs_with_its_test(self) -> None:
        found = proposal({"dags/quotes.py": self.CHAIN})
        assert sorted(configured(found).tests) == ["fitted", "quotes"]
        text = text_of(found)
        assert "# chosen (dags/quotes.py:10) runs with test quotes: it follows what that produces" in text
        assert "# report (dags/quotes.py:16) runs with test fitted: it follows what that produces" in text

    def test_one_that_waits_for_several_heads_has_a_test_of_its_own(self) -> None:
        found = proposal(
            {
                "dags/quotes.py": """
                    from airflow.sdk import asset
                    @asset(schedule="@daily")
                    def raw_a(): ...
                    @asset(schedule="@daily")
                    def raw_b(): ...
                    @asset(schedule=[raw_a])
                    def clean_a(): ...
                    @asset(schedule=[clean_a, raw_b])
                    def both(): ...
                    @asset(schedule=[both])
                    def after(): ...
                """
            }
        )
        assert sorted(configured(found).tests) == ["both", "raw_a", "raw_b"]

    def test_also_where_the_asset_is_another_modules(self) -> None:
        found = proposal(
            {
                "include/assets.py": "from airflow.sdk import Asset\nready = Asset('s3://bucket/ready')\n",
                "dags/make.py": """
                    from airflow.sdk import dag, task
                    from include.assets import ready
                    @dag(schedule=None)
                    def make():
                        @task(outlets=[ready])
                        def put(): ...
                        put()
                    make()
                """,
                "dags/train.py": """
                    from airflow.sdk import Asset, dag, task
                    @dag(schedule=Asset("s3://bucket/ready"))
                    def train():
                        @task
                        def fit(): ...
                        fit()
                    train()
                """,
            }
        )
        assert list(configured(found).tests) == ["make"]

    def test_one_has_a_test_of_its_own_where_that_which_it_follows_can_not_run(self) -> None:
        found = proposal(
            {"dags/quotes.py": self.CHAIN.replace("return [", "open('/opt/airflow/data/x.csv'); return [")}
        )
        assert sorted(configured(found).tests) == ["chosen", "fitted"]


class TestQuestionsThatCodeCanDoWithout:
    @pytest.mark.parametrize(
        "caught", ["", " Exception", " (ValueError, Exception) as e", " AirflowRuntimeError"]
    )
    def test_what_is_caught_is_optional(self, caught: str) -> None:
        found = proposal(
            asking(
                "try:", "    url = Variable.get('url')", f"except{caught}:", "    url = 'http://example.com'"
            )
        )
        assert reasons(found) == []

    @pytest.mark.parametrize("handler", ["except KeyError:\n    pass", "except Exception:\n    raise"])
    def test_what_airflow_3_raises_else_is_not(self, handler: str) -> None:
        found = proposal(asking("try:", "    Variable.get('url')", *handler.split("\n")))
        assert "it asks for Variable url" in reasons(found)[0]

    def test_a_variable_of_the_environment_is_caught_as_a_key(self) -> None:
        found = proposal(asking("import os", "try:", "    os.environ['KEY']", "except KeyError:", "    pass"))
        assert reasons(found) == []


class TestRequirementsOfOneMachine:
    def lock_of(self, requirements: str) -> tuple[str, list[str], list[str]]:
        found = proposal({"requirements.txt": requirements, **asking("pass")})
        said = [
            f"{each.place} {each.text}"
            for each in found.findings
            if each.about == "packages" and each.kind == "yours"
        ]
        lines = [line for text in found.extra.values() for line in text.splitlines()[1:]]
        return found.image.requirements, lines, said

    def test_lines_that_are_none_are_left_out_and_named(self) -> None:
        path, lines, said = self.lock_of(
            "pandas==2.1.4\n\nvolumes:\n    - ./dags:/opt/airflow/dags\n    - x\n"
        )
        assert (path, lines) == ("harness-requirements.in", ["pandas==2.1.4"])
        assert said == [
            "requirements.txt:3 `volumes:`: this is no requirement: the line is left out, as are 2 more like it"
        ]

    def test_what_conda_froze_is_taken_by_its_name(self) -> None:
        _, lines, said = self.lock_of("numpy @ file:///croot/numpy_1708/work\nscipy==1.12\n")
        assert lines == ["numpy", "scipy==1.12"]
        assert said[0].endswith("its file lies on the machine that wrote it: numpy is taken")

    def test_what_no_linux_has_is_left_out(self) -> None:
        _, lines, _ = self.lock_of("pywin32==306\npkg-resources==0.0.0\npandas\n")
        assert lines == ["pandas"]
        path, _, said = self.lock_of("pywin32==306; sys_platform == 'win32'\npandas\n")
        assert (path, said) == ("requirements.txt", [])

    def test_a_file_in_utf_16_is_copied(self, tmp_path: Path) -> None:
        (tmp_path / "requirements.txt").write_bytes("pandas==2.1.4\n".encode("utf-16"))
        text = text_of_file(tmp_path / "requirements.txt")
        assert text is not None
        found = propose(
            RepositoryFiles.given(
                {"requirements.txt": text, "dags/churn.py": "from airflow.sdk import DAG\nDAG('x')\n"}
            )
        )
        assert found.extra["harness-requirements.in"].splitlines()[1:] == ["pandas==2.1.4"]

    @given(
        name=st.from_regex(r"[A-Za-z]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True).filter(
            lambda name: (
                "win" not in name.lower() and name.lower() not in {"wmi", "pkg_resources", "pkg-resources"}
            )
        ),
        rest=st.sampled_from(
            [
                *("", "==1.0", ">=1,<2", "[extra]~=1.0", " (>=1.0)", " ; python_version < '3.12'"),
                *(
                    " @ https://example.com/x.whl",
                    " @ git+https://example.com/x.git@v1",
                    "==1.0 --hash=sha256:00",
                ),
            ]
        ),
    )
    def test_no_requirement_is_taken_for_none(self, name: str, rest: str) -> None:
        assert unfit(f"{name}{rest}", Place("requirements.txt", 1)) is None


def test_a_dag_of_which_nothing_would_run_has_no_test() -> None:
    found = proposal(
        {
            "dags/mail.py": """
                from airflow.sdk import DAG
                from airflow.providers.smtp.operators.smtp import EmailOperator
                with DAG("mail"):
                    EmailOperator(task_id="send", to="a@example.com", subject="s", html_content="h")
            """
        }
    )
    assert reasons(found) == ["dags/mail.py:5: send can't run here: it is an EmailOperator"]


def test_the_variables_of_a_service_that_is_only_called_after_airflow_are_not_taken() -> None:
    found = proposal(
        {
            "docker-compose.yml": """
                services:
                  airflow-scheduler:
                    build: {context: ., dockerfile: Dockerfile.airflow}
                    image: my-airflow:2.10.5
                    environment: {TEAM: ml}
                  app:
                    build: .
                    image: my-airflow-platform:local
                    environment: {MODEL_DIR: /app/models}
            """,
            "Dockerfile.airflow": "FROM apache/airflow:3.1.3\n",
            "Dockerfile": "FROM python:3.11-slim\n",
            **asking("import os", "os.getenv('MODEL_DIR')", "os.getenv('TEAM')"),
        }
    )
    assert dict(configured(found).image.env) == {"TEAM": "ml"}


class TestProgramsThatAShellRuns:
    FILES: ClassVar = {
        "scripts/train.py": """
            import json, os
            import lightgbm
            def main():
                os.makedirs("data/clean", exist_ok=True)
                with open("data/clean/metrics.json", "w") as f:
                    json.dump({"auc": 0.9}, f)
                os.environ["LICENSE_KEY"]
            if __name__ == "__main__":
                main()
        """,
        "scripts/report.py": "def main(): open('data/raw/x.csv')\nmain()\n",
        "cli/ct.py": "import subprocess\nsubprocess.run(['python', 'scripts/train.py', '--fast'])\n",
        "dags/churn.py": """
            from airflow.sdk import DAG, task
            from airflow.providers.standard.operators.bash import BashOperator
            with DAG("churn"):
                for model in ("a", "b"):
                    BashOperator(task_id="train", bash_command=f"cd /opt/airflow && python cli/ct.py --model {model}")
                @task
                def report():
                    import subprocess
                    subprocess.run("python /opt/airflow/scripts/report.py", shell=True)
                report()
        """,
    }

    def test_are_code_with_their_packages_and_folders(self) -> None:
        found = proposal(self.FILES)
        image = configured(found).image
        assert (image.code, image.shared) == (("dags", "cli", "scripts"), ("data/clean",))
        assert found.extra["harness-requirements.in"].splitlines()[1] == "lightgbm  # scripts/train.py:3"

    def test_what_they_ask_for_and_read_is_told(self) -> None:
        assert reasons(proposal(self.FILES)) == [
            "scripts/train.py:8: it asks for environment variable LICENSE_KEY, which nothing here gives: give it as "
            "LICENSE_KEY, named by `from_env` below [secrets]",
            "scripts/report.py:1: it reads data/raw/x.csv, which is not in the repository",
        ]

    def test_the_numbers_that_they_write_are_metrics(self) -> None:
        files = {**self.FILES, "scripts/report.py": ""}
        files["scripts/train.py"] = files["scripts/train.py"].replace('os.environ["LICENSE_KEY"]', "")
        assert [test.metrics_file for test in proposal(files).tests] == ["data/clean/metrics.json"]


@pytest.mark.parametrize(
    "name",
    [
        "Docker-compose.airflow.yml",
        "docker-compose.dev.yaml",
        "compose.yml",
        "docker/docker-compose-local.yml",
    ],
)
def test_compose_files_have_many_names(name: str) -> None:
    compose = "services:\n  airflow:\n    image: apache/airflow:3.1.5\n"
    assert configured(proposal({name: compose, **asking("pass")})).image.airflow == "3.1.5"


class TestFoldersOutsideTheRoot:
    COMPOSE = """
        services:
          airflow-scheduler:
            image: apache/airflow:3.1.3
            volumes:
              - ./airflow/dags:/opt/airflow/dags
              - ./data:/opt/project/data
              - ./unused:/unused
              - .:/sources
    """

    def test_links_lead_to_those_that_code_names(self) -> None:
        found = proposal(
            {
                "docker-compose.yml": self.COMPOSE,
                "data/x.csv": "a",
                "unused/y.csv": "a",
                "airflow/dags/churn.py": TASK.format(body="            open('/opt/project/data/x.csv')"),
            }
        )
        image = configured(found).image
        assert image.links == {"/opt/project/data": "data", "dags": "airflow/dags"}
        assert reasons(found) == []

    def test_a_command_that_goes_to_the_repository_tells_where_it_lies(self) -> None:
        found = proposal(
            {
                "modules/train.py": "import pandas\n",
                "dags/churn.py": """
                    from airflow.sdk import DAG
                    from airflow.providers.standard.operators.bash import BashOperator
                    HOME = "/home/airflow/project"
                    with DAG("churn"):
                        BashOperator(task_id="train", bash_command=f"cd {HOME} && python modules/train.py")
                """,
            }
        )
        image = configured(found).image
        assert (image.code, image.links) == (("dags", "modules"), {"/home/airflow/project": "."})
        assert found.extra["harness-requirements.in"].splitlines()[1] == "pandas  # modules/train.py:1"

    def test_a_place_of_the_systems_is_not_taken(self) -> None:
        compose = self.COMPOSE.replace("/opt/project/data", "/var/lib/data")
        body = "            open('/var/lib/data/x.csv')"
        found = proposal(
            {
                "docker-compose.yml": compose,
                "data/x.csv": "a",
                "airflow/dags/churn.py": TASK.format(body=body),
            }
        )
        assert configured(found).image.links == {"dags": "airflow/dags"}


class TestProjectsThatTheImageInstalls:
    FILES: ClassVar = {
        "Dockerfile": """
            FROM apache/airflow:3.1.3
            ADD --chown=airflow:airflow packages /home/airflow/packages
            RUN pip install -e /home/airflow/packages
        """,
        "docker-compose.yml": """
            services:
              airflow:
                build: .
                environment: [AIRFLOW__CORE__LOAD_EXAMPLES=false, HASH_FILE=.git_hash]
        """,
        "packages/pyproject.toml": '[project]\nname = "ours"\nversion = "1"\ndependencies = ["pandas==2.2.3"]\n',
        "packages/src/ours/__init__.py": "",
        "packages/src/ours/experiment.py": """
            import os
            from airflow.sdk import DAG, task

            @task
            def run(): ...

            def experiment(name):
                os.environ["HASH_FILE"]
                with DAG(dag_id=name) as dag:
                    run()
                return dag
        """,
        "dags/mnist.py": """
            from airflow.sdk import DAG
            from ours.experiment import experiment
            made: DAG = experiment("mnist")
            OTHER = None
        """,
    }

    def test_their_modules_are_found_and_the_dags_that_they_make(self) -> None:
        found = proposal(self.FILES)
        image = configured(found).image
        assert (image.code, image.python_path) == (("dags", "packages/src"), ("packages/src",))
        assert image.requirements == "packages/pyproject.toml"
        assert dict(image.env) == {"HASH_FILE": ".git_hash"}
        assert [(test.dag, test.place) for test in found.tests] == [("mnist", "dags/mnist.py:4")]


def test_a_server_does_not_end() -> None:
    found = proposal(asking("from flask import Flask", "Flask('x').run(host='0.0.0.0', port=5555)"))
    assert reasons(found) == [
        "dags/churn.py:8: it starts a server, which does not end by itself: no test of it can end"
    ]


class TestVariablesThatAComposeFileTakesFromFiles:
    FILES: ClassVar = {
        ".env": "TAG=3.1.5\nexport MODEL_NAME='churn'  # ours\nAPI_KEY=abc\nDAGS=./flows\n",
        "docker-compose.yaml": """
            services:
              airflow:
                image: apache/airflow:${TAG}
                env_file: [{path: "${ENV_FILE:-.env}"}]
                environment: {STAGE: "${TAG}-test"}
                volumes: ["${DAGS}:/opt/airflow/dags"]
        """,
        "flows/churn.py": TASK.format(
            body="            import os\n            [os.environ[name] for name in ()]\n"
            "            os.environ['MODEL_NAME'], os.environ['API_KEY'], os.environ['STAGE']"
        ),
    }

    def found(self, tracked: bool) -> Proposal:
        texts = {name: textwrap.dedent(text) for name, text in self.FILES.items()}
        return propose(RepositoryFiles(tuple(sorted(texts)), texts.get, tracked=lambda _: tracked))

    def test_those_of_git_count_and_secrets_are_told(self) -> None:
        found = self.found(tracked=True)
        image = configured(found).image
        assert (image.airflow, image.code, dict(image.links)) == ("3.1.5", ("flows",), {"dags": "flows"})
        assert dict(image.env) == {"MODEL_NAME": "churn", "STAGE": "3.1.5-test"}
        assert [reason.partition(": ")[2] for reason in reasons(found)] == [
            "it asks for environment variable API_KEY, which .env:3 gives, and no secret belongs into an image: give "
            "it as API_KEY, named by `from_env` below [secrets]"
        ]

    def test_an_example_tells_of_images_and_folders_alone(self) -> None:
        texts = {
            name.replace(".env", ".env.template"): textwrap.dedent(text) for name, text in self.FILES.items()
        }
        found = propose(RepositoryFiles(tuple(sorted(texts)), texts.get, tracked=lambda _: True))
        image = configured(found).image
        assert (image.airflow, image.code, dict(image.env)) == ("3.1.5", ("flows",), {"STAGE": "-test"})

    def test_those_that_git_has_not_stay_with_their_owner(self) -> None:
        found = self.found(tracked=False)
        assert "churn" not in dict(configured(found).image.env).values()
        assert found.env_file == ".env"


@pytest.mark.parametrize(
    ("dag", "task", "expected"),
    [
        ("default_args={'retries': 2, 'retry_delay': timedelta(minutes=5)}", "@task", 0),
        ("default_args=ARGS", "@task", 0),
        ("", "@task(retries=3)", 0),
        ("default_args={'retries': 0}", "@task(retries=0)", None),
        ("", "@task", None),
        ("default_args=ARGS", "@task  # and logs ti.try_number", 0),
        ("default_args=ARGS", "@task  # where ti.try_number == 1", None),
        ("default_args=ARGS", "@task  # where context['ti'].try_number > 1", None),
        ("default_args=ARGS", "@task  # where 1 == context['task_instance'].try_number", None),
        ("default_args=ARGS", "@task  # {% if ti.try_number < 2 %}", None),
    ],
)
def test_a_test_does_not_wait_for_other_tries(dag: str, task: str, expected: int | None) -> None:
    source = f"""
        from datetime import timedelta
        from airflow.sdk import dag, task
        ARGS = {{"owner": "ml", "retries": 1}}
        @dag({dag})
        def churn():
            {task}
            def train(): ...
            train()
        churn()
    """
    assert configured(proposal({"dags/churn.py": source})).tests["churn"].retries == expected


def test_the_repository_s_root_on_the_import_path_is_called_so() -> None:
    source = """
        import sys
        from pathlib import Path
        from airflow.sdk import DAG
        ROOT = Path(__file__).resolve().parent.parent
        if str(ROOT) not in sys.path:
            sys.path.insert(0, str(ROOT))
        from src.train import train
        DAG("churn")
    """
    found = proposal({"dags/churn.py": source, "src/train.py": "def train(): ...\n"})
    assert [each.text for each in found.findings if each.about == "import path"] == [
        "the code adds the repository's root"
    ]
    assert configured(found).image.code == ("dags", "src")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://mlops-mlflow-1:5000/api", True),
        ("postgresql+psycopg2://ml:secret@warehouse/db", True),
        ("https://data.example.com/x.csv", False),
        ("s3://bucket/x.csv", False),
        ("file://data/x.csv", False),
    ],
)
def test_a_name_without_a_dot_is_of_ones_own_network(address: str, told: bool) -> None:
    found = reasons(proposal(asking(f"print({address!r})")))
    assert bool(found) == told
    assert not told or "a name of your own network that no version knows" in found[0]
    assert "secret" not in str(found)


def test_an_image_of_ones_own_that_installs_airflow() -> None:
    found = proposal(
        {
            "Dockerfile": """
                FROM python:3.13-slim AS base
                ARG AIRFLOW_VERSION=3.1.3
                ENV AIRFLOW_HOME=/app/airflow
                RUN pip install "apache-airflow[amazon]==${AIRFLOW_VERSION}" scikit-learn==1.5.2 --constraint x.txt
                COPY dags/ /app/airflow/dags/
                COPY data/ /app/airflow/data/
            """,
            "ui/Dockerfile": "FROM python:3.9\nRUN pip install streamlit apache-airflow-client\n",
            "data/x.csv": "a",
            **asking("open('/app/airflow/data/x.csv')"),
        }
    )
    image = configured(found).image
    assert (image.root, image.airflow, image.python) == ("/app/airflow", "3.1.3", "3.13")
    assert image.code == ("dags", "data")
    assert reasons(found) == []
    lines = found.extra["harness-requirements.in"].splitlines()[1:]
    assert [line.partition("  #")[0] for line in lines] == [
        "apache-airflow[amazon]==3.1.3",
        "scikit-learn==1.5.2",
    ]
