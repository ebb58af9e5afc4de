"""How DAGs reach more code: modules by name, import paths that they extend, tasks that functions and loops make."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proposals import configured, proposal, reasons

from harness.init.findings import Proposal
from harness.init.reading.dags import read_dags
from harness.init.reading.programs.commands import Run, runs_in
from harness.init.reading.programs.path_edits import path_edits
from harness.init.reading.source import Module, parsed
from harness.init.reading.syntax.known_functions import FILE_TEXT


def module(text: str) -> Module:
    found = parsed("dags/churn.py", text)
    assert isinstance(found, Module)
    return found


@pytest.mark.parametrize(
    ("command", "run"),
    [
        ("python -m src.train", Run(module="src.train")),
        (
            "cd /opt/airflow && python3.12 -u -m src.train --fast",
            Run(module="src.train", goes="/opt/airflow"),
        ),
        ("PYTHONPATH=src:lib python -m churn.train", Run(module="churn.train", looks=("src", "lib"))),
        ("venv/bin/python3.7 generator/make.py 8", Run("generator/make.py")),
        ("python $AIRFLOW_HOME/scripts/train.py", Run("/opt/airflow/scripts/train.py")),
        ('cd "${AIRFLOW_HOME:-/x}/ml" && python train.py', Run("train.py", goes="/opt/airflow/ml")),
    ],
)
def test_the_program_of_a_command(command: str, run: Run) -> None:
    assert list(runs_in(command)) == [run]


@pytest.mark.parametrize(
    "command", ["echo python", "pip install -r requirements.txt", "ls -m x.y", "my-python -m a"]
)
def test_what_runs_no_program_of_the_repository(command: str) -> None:
    assert list(runs_in(command)) == []


@given(st.text(max_size=200))
def test_any_text_may_be_looked_at_as_a_command(text: str) -> None:
    assert all(run.written or run.module for run in runs_in(text))


class TestAModuleThatAShellRuns:
    FILES: ClassVar = {
        "docker-compose.yml": """
            services:
              airflow:
                image: apache/airflow:3.1.5
                volumes: ["./airflow/dags:/opt/airflow/dags", "./src:/opt/airflow/src", "./data:/opt/airflow/data"]
        """,
        "src/__init__.py": "",
        "src/paths.py": "CLEAN = 'data/clean/rows.csv'\n",
        "src/train.py": """
            import lightgbm
            from src.paths import CLEAN
            def main():
                open(CLEAN, "w")
            if __name__ == "__main__":
                main()
        """,
        "airflow/dags/churn.py": """
            from airflow.sdk import DAG
            from airflow.providers.standard.operators.bash import BashOperator
            with DAG("churn"):
                BashOperator(task_id="train", bash_command="cd /opt/airflow && python -m src.train")
        """,
    }

    def test_is_code_with_its_packages_and_the_folders_that_its_constants_name(self) -> None:
        found = proposal(self.FILES)
        image = configured(found).image
        assert (image.code, image.shared) == (("airflow/dags", "src"), ("data/clean",))
        assert "lightgbm  # src/train.py:2" in found.extra["harness-requirements.in"]

    def test_what_it_asks_for_is_told(self) -> None:
        files = {**self.FILES, "src/train.py": "import os\nos.environ['LICENSE_KEY']\n"}
        assert reasons(proposal(files)) == [
            "src/train.py:2: it asks for environment variable LICENSE_KEY, which nothing here gives: give it as "
            "LICENSE_KEY, named by `from_env` below [secrets]"
        ]


def test_a_module_that_a_task_loads_by_its_name_counts_whole() -> None:
    found = proposal(
        {
            "src/steps.py": """
                import lightgbm
                def train():
                    open("/opt/airflow/data/out/model.txt", "w")
            """,
            "dags/churn.py": """
                import sys
                from importlib import import_module
                from airflow.sdk import DAG
                from airflow.providers.standard.operators.python import PythonOperator
                sys.path.extend(["/opt/airflow", "/opt/airflow/src"])
                def run(name):
                    getattr(import_module("src.steps"), name)()
                with DAG("churn"):
                    PythonOperator(task_id="train", python_callable=run, op_args=["train"])
            """,
        }
    )
    image = configured(found).image
    assert (image.code, image.shared) == (("dags", "src"), ("data/out",))
    assert "lightgbm  # src/steps.py:2" in found.extra["harness-requirements.in"]


def test_functions_of_a_module_that_is_loaded_by_its_name_have_the_alias_in_front() -> None:
    steps, dags = (
        parsed("src/steps.py", "def train(): pass\n"),
        module(
            "import importlib\nfrom airflow.sdk import DAG\n"
            "steps = importlib.import_module('src.steps')\n"
            "with DAG('churn'):\n    PythonOperator(task_id='train', python_callable=steps.train)\n"
        ),
    )
    assert isinstance(steps, Module)
    (dag,) = read_dags(dags, {"src.steps": steps}.get).dags
    assert [function.name for task in dag.tasks for function, _ in task.functions] == ["train"]


@pytest.mark.parametrize(
    "edit",
    [
        "sys.path.append('/opt/airflow/src')",
        "sys.path.insert(0, os.path.join(os.environ['AIRFLOW_HOME'], 'src'))",
        "sys.path.append(os.getenv('AIRFLOW_HOME', '/x') + '/src')",
        "sys.path.extend(['/opt/airflow/src'])",
        "sys.path += ['/opt/airflow/src']",
        "sys.path[:0] = ['/opt/airflow/src']",
        "sys.path = ['/opt/airflow/src'] + sys.path",
        "sys.path = ['/opt/airflow/src', *sys.path]",
        "site.addsitedir('/opt/airflow/src')",
        "path.append('/opt/airflow/src')",
    ],
)
def test_a_folder_on_the_import_path(edit: str) -> None:
    found = path_edits(module(edit), lambda written: written.removeprefix("/opt/airflow/"))
    assert [(each.folder, each.written) for each in found] == [("src", "/opt/airflow/src")]


@pytest.mark.parametrize(
    "text", ["paths.append('x')", "sys.path.remove('x')", "sys.path.append()", "x = ['a']"]
)
def test_what_changes_no_import_path(text: str) -> None:
    assert path_edits(module(text), str) == []


class TestTasksThatFunctionsAndLoopsMake:
    def dags(self, text: str) -> list[tuple[str, list[str]]]:
        found = read_dags(module(text), lambda _: None)
        return [(dag.dag_id, [task.task_id for task in dag.tasks]) for dag in found.dags]

    def test_of_a_loop_over_what_is_written_there(self) -> None:
        assert self.dags(
            "with DAG('a'):\n"
            "    for name, rate in {'ridge': 1, 'lasso': 2}.items():\n"
            "        task_id = f'train_{name}'\n"
            "        PythonOperator(task_id=task_id, op_kwargs={'rate': rate})\n"
        ) == [("a", ["train_ridge", "train_lasso"])]

    def test_have_a_star_for_what_only_running_the_code_tells(self) -> None:
        text = (
            "with DAG('a'):\n    for each in load():\n        DockerOperator(task_id=f'train_{each}_now')\n"
        )
        assert self.dags(text) == [("a", ["train_*_now"])]

    def test_of_a_function_by_its_arguments(self) -> None:
        assert self.dags(
            "def step(name, prefix='run'):\n"
            "    return DockerOperator(task_id=f'{prefix}_{name}')\n"
            "with DAG('a'):\n"
            "    step('train') >> step('score', prefix='do')\n"
        ) == [("a", ["run_train", "do_score"])]

    def test_of_a_function_in_each_dag_of_a_loop(self) -> None:
        assert self.dags(
            "def build(region):\n"
            "    with DAG(f'a_{region}'):\n"
            "        PythonOperator(task_id=f'train_{region}')\n"
            "for region in ('north', 'south'):\n"
            "    build(region)\n"
        ) == [("a_north", ["train_north"]), ("a_south", ["train_south"])]

    def test_are_not_those_of_another_dag_that_a_function_makes(self) -> None:
        assert self.dags(
            "def other():\n"
            "    with DAG('b'):\n"
            "        EmptyOperator(task_id='second')\n"
            "a = DAG('a')\n"
            "EmptyOperator(task_id='first', dag=a)\n"
            "other()\n"
        ) == [("a", ["first"]), ("b", ["second"])]

    @pytest.mark.parametrize(("loops", "most"), [(1, 50), (2, 1000), (4, 1000)])
    def test_of_loops_in_one_another_so_many_that_reading_them_ends(self, loops: int, most: int) -> None:
        head = "".join(f"{'    ' * (each + 1)}for i{each} in {[*range(60)]}:\n" for each in range(loops))
        task_id = "_".join(f"{{i{each}}}" for each in range(loops))
        made = f"{'    ' * (loops + 1)}BashOperator(task_id=f't_{task_id}', bash_command='true')\n"
        read = read_dags(
            module(f"from airflow.sdk import DAG\nwith DAG('grid'):\n{head}{made}"), lambda _: None
        )
        assert len(read.dags[0].tasks) == most

    def test_a_function_that_calls_itself_ends(self) -> None:
        text = "def step(n):\n    step(n)\n    EmptyOperator(task_id=n)\nwith DAG('a'):\n    step('x')\n"
        assert self.dags(text) == [("a", ["x"])]

    def test_the_functions_that_they_are_handed_are_theirs(self) -> None:
        found = proposal(
            {
                "dags/churn.py": """
                    from airflow.sdk import DAG
                    from airflow.providers.standard.operators.python import PythonOperator
                    def fit(out): open(out, "w")
                    def step(model, target=fit):
                        return PythonOperator(
                            task_id=f"fit_{model}", python_callable=target, op_kwargs={"out": f"out/{model}/model.txt"}
                        )
                    with DAG("churn"):
                        for model in ("a", "b"):
                            step(model)
                """
            }
        )
        assert configured(found).image.shared == ("out/a", "out/b")

    def test_that_start_containers_are_left_out(self) -> None:
        found = proposal(
            {
                "dags/churn.py": """
                    from airflow.sdk import DAG, task
                    from airflow.providers.docker.operators.docker import DockerOperator
                    from docker.types import Mount
                    def step(name):
                        return DockerOperator(task_id=name, image="churn", mounts=[Mount("/a", "/b")])
                    with DAG("churn"):
                        @task
                        def prepare(): ...
                        prepare() >> step("train") >> [step(f"score_{each}") for each in ("a", "b")]
                """
            }
        )
        assert configured(found).tests["churn"].skip == ("train", "score_a", "score_b")
        assert not [each for each in found.findings if each.about == "a package"]  # the provider brings it


def test_of_several_folders_of_dags_the_first_that_can_run_is_taken() -> None:
    files = {
        "docker-compose.yml": """
            services:
              airflow:
                image: apache/airflow:3.1.5
                volumes: ["./a/dags:/opt/airflow/dags/a", "./b/dags:/opt/airflow/dags/b"]
        """,
        "a/dags/one.py": "from airflow.sdk import DAG\nDAG('one', schedule_interval=None)\n",
        "a/dags/two.py": "from airflow.sdk import DAG\nDAG('two', schedule_interval=None)\n",
        "b/dags/three.py": "from airflow.sdk import DAG\nDAG('three')\n",
    }
    assert configured(proposal(files)).image.code == ("b/dags",)
    found = proposal(files, "a")
    assert (found.image.code, found.can_run) == (("a/dags",), False)


class TestACommandThatGoesNowhere:
    def told(self, call: str) -> list[str]:
        text = f"from airflow.sdk import DAG\nwith DAG('churn'):\n    BashOperator(task_id='train', {call})\n"
        return reasons(proposal({"scripts/train.py": "", "dags/churn.py": text}))

    def test_is_told(self) -> None:
        assert self.told("bash_command='ls && python scripts/train.py'") == [
            "dags/churn.py:3: BashOperator looks for scripts/train.py in a folder of its own, where it is not: "
            "begin the command with `cd $AIRFLOW_HOME && `, or give the operator a `cwd`"
        ]

    def test_as_is_a_program_that_is_not_there(self) -> None:
        assert self.told("bash_command='python /opt/airflow/jobs/train.py'") == [
            "dags/churn.py:3: it runs /opt/airflow/jobs/train.py, which is not in the repository"
        ]

    @pytest.mark.parametrize(
        "call",
        [
            "bash_command='cd /opt/airflow && python scripts/train.py'",
            "bash_command='cd {{ params.home }} && python scripts/train.py'",
            "bash_command='python scripts/train.py', cwd='/opt/airflow'",
            "bash_command='python $AIRFLOW_HOME/scripts/train.py'",
            "bash_command='python /opt/airflow/scripts/train.py'",
            "bash_command='python made.py'",
            "bash_command='python /srv/other/train.py'",
            "bash_command=command()",
        ],
    )
    def test_others_are_not(self, call: str) -> None:
        assert self.told(call) == []


class TestObjectsThatTasksCall:
    FILES: ClassVar = {
        "src/settings.py": """
            import os
            from pathlib import Path
            ROOT = Path(os.path.realpath(""))
            class Paths:
                clean: Path = ROOT / "data/clean/rows.csv"
            class MlflowConfig:
                uri = "http://tracking.local:5000"
        """,
        "src/steps.py": """
            import mlflow
            from src.settings import MlflowConfig
            class Step:
                def __init__(self, paths):
                    self.paths = paths
                def __call__(self):
                    open(self.paths.clean, "w")
            class Train:
                def fit(self, out):
                    mlflow.set_tracking_uri(MlflowConfig.uri)
                    mlflow.log_metrics({"auc": 1})
                    self.save(out)
                def save(self, out):
                    open("/opt/airflow/models/model.pkl", "wb")
        """,
        "dags/churn.py": """
            from airflow.sdk import DAG
            from airflow.providers.standard.operators.python import PythonOperator
            from src import settings
            from src.steps import Step, Train
            clean = Step(settings.Paths)
            with DAG("churn"):
                train = Train()
                PythonOperator(task_id="clean", python_callable=clean)
                PythonOperator(task_id="train", python_callable=train.fit, op_args=["x"])
        """,
    }

    def test_run_their_methods_with_what_they_were_made_with(self) -> None:
        found = proposal(self.FILES)
        assert configured(found).image.shared == ("data/clean", "models")
        assert [(test.mlflow, test.metrics) for test in found.tests] == [(True, ("auc",))]

    def test_an_address_in_a_class_of_mlflow_is_its(self) -> None:
        assert reasons(proposal(self.FILES)) == []  # outside: found
        files = {**self.FILES}
        files["src/settings.py"] = files["src/settings.py"].replace("tracking.local", "localhost")
        assert reasons(proposal(files)) == [
            "src/settings.py:8: it logs to http://localhost:5000, which in a version is no server of yours: leave the "
            "address out, MLFLOW_TRACKING_URI leads to the version's own MLflow"
        ]

    def test_operators_of_the_repository_run_execute(self) -> None:
        files = {
            "plugins/training.py": """
                from airflow.sdk import BaseOperator
                class TrainOperator(BaseOperator):
                    def execute(self, context):
                        open("/opt/airflow/models/model.pkl", "wb")
                        return {"auc": 0.9}
            """,
            "dags/churn.py": """
                from airflow.sdk import DAG
                from training import TrainOperator
                with DAG("churn"):
                    TrainOperator(task_id="train")
            """,
        }
        found = proposal(files)
        assert configured(found).image.shared == ("models",)
        assert [(test.metrics_task, test.metrics) for test in found.tests] == [("train", ("auc",))]


class TestWhatATaskReads:
    def told(self, body: str) -> list[str]:
        text = "from airflow.sdk import DAG, task\nimport os\n@task\ndef train():\n"
        text += "".join(f"    {line}\n" for line in body.splitlines())
        return reasons(proposal({"dags/churn.py": f"{text}with DAG('churn'):\n    train()\n"}))

    def test_outside_of_the_repository_is_told(self) -> None:
        assert self.told("open('/mnt/shared/x.csv')") == [
            "dags/churn.py:5: it reads /mnt/shared/x.csv, which no version has: put it into the repository, with its "
            "folder as a link below [image.links]"
        ]

    @pytest.mark.parametrize(
        "body",
        [
            "open('/etc/hostname')",
            "open('/mnt/x.csv', 'w')\nopen('/mnt/x.csv')",
            "os.makedirs('/mnt/out')\nopen('/mnt/out/x.csv')",
            "if os.path.exists('data/x.csv'):\n    open('data/x.csv')",
            "try:\n    open('data/x.csv')\nexcept FileNotFoundError:\n    pass",
        ],
    )
    def test_where_it_goes_on_without_is_not(self, body: str) -> None:
        assert self.told(body) == []

    @pytest.mark.parametrize(
        "body",
        [
            "if not os.path.exists('data/x.csv'):\n    raise FileNotFoundError\nopen('data/x.csv')",
            "try:\n    open('data/x.csv')\nexcept FileNotFoundError as error:\n    raise ValueError from error",
            "try:\n    open('data/x.csv')\nexcept Exception:\n    pass",
        ],
    )
    def test_where_it_fails_without_is(self, body: str) -> None:
        assert [
            "it reads data/x.csv, which is not in the repository" in each for each in self.told(body)
        ] == [True]


class TestValuesOfTheRepositorysOwn:
    def test_files_of_one_repository_are_not_those_of_another(self) -> None:
        proposal({"dags/a.py": "from airflow.sdk import DAG\nDAG('a')\n", "names.json": '["b"]'})
        assert FILE_TEXT.get()("names.json") is None

    @pytest.mark.parametrize(
        "text", ["str(each)", "f'{each}'", "'%s' % each", "'%s' % (each,)", "'{}'.format(each)"]
    )
    def test_a_file_whose_lists_name_each_other_has_no_text(self, text: str) -> None:
        """Of nine levels it would have a billion words."""
        lists = "".join(f"- &l{level + 1} [{', '.join([f'*l{level}'] * 9)}]\n" for level in range(9))
        code = "import json\nfrom airflow.sdk import DAG\neach = json.load(open('lists.yml'))[9]\n"
        found = proposal({"lists.yml": f"- &l0 [word]\n{lists}", "dags/a.py": f"{code}DAG({text})\n"})
        assert found.tests == ()

    def test_dags_of_a_configuration_file_have_their_ids(self) -> None:
        found = proposal(
            {
                "config/training.yml": "pipelines:\n  - {name: churn, schedule: '@daily'}\n  - {name: spend}\n",
                "dags/generate.py": """
                    from pathlib import Path
                    import yaml
                    from airflow.sdk import DAG
                    def load(name):
                        with open(Path(__file__).parent.parent / "config" / name) as f:
                            return yaml.safe_load(f)
                    for each in load("training.yml")["pipelines"]:
                        with DAG(f"train_{each['name']}", schedule=each.get("schedule")):
                            EmptyOperator(task_id="start")
                """,
            }
        )
        assert [(test.dag, test.schedule) for test in found.tests] == [
            ("train_churn", "@daily"),
            ("train_spend", ""),
        ]

    @pytest.mark.parametrize(
        "load",
        [
            "json.load(open('/opt/airflow/config/models.json'))",
            "json.loads(Path('config/models.json').read_text())",
            "json.loads(open('config/models.json').read())",
            "yaml.load(Path('/usr/local/airflow/config/models.json').open(), Loader=yaml.SafeLoader)",
        ],
    )
    def test_each_way_to_read_one(self, load: str) -> None:
        text = f"from airflow.sdk import DAG\nfor name in {load}:\n    DAG(name)\n"
        found = proposal({"config/models.json": '{"ridge": 1, "lasso": 2}', "dags/generate.py": text})
        assert [test.dag for test in found.tests] == ["ridge", "lasso"]

    @pytest.mark.parametrize("text", ["{", "&a [*a]", "", "- " * 60_000])
    def test_one_that_can_not_be_read_is_unknown(self, text: str) -> None:
        load = "import yaml\nfrom airflow.sdk import DAG\nfor name in yaml.safe_load(open('c.yml')):\n    DAG(name)\n"
        found = proposal({"c.yml": text, "dags/generate.py": load})
        assert [len(found.tests), len(found.unnamed)] == [0, 1]

    def test_functions_and_properties_that_make_paths_are_followed(self) -> None:
        found = proposal(
            {
                "lib/paths.py": """
                    from dataclasses import dataclass
                    from pathlib import Path
                    @dataclass
                    class Settings:
                        base: Path = Path("/opt/airflow/data")
                        @property
                        def raw(self): return self.base / "raw"
                    settings = Settings()
                    def clean(name, folder="clean"): return settings.base / folder / name
                """,
                "dags/churn.py": """
                    from airflow.sdk import dag, task
                    from lib.paths import clean, settings
                    @task
                    def prepare():
                        open(settings.raw / "x.csv", "w")
                        open(clean("y.csv"), "w")
                        return "/opt/airflow/data/model/m.pkl"
                    @task
                    def train(out): open(out, "wb")
                    @dag
                    def churn(): train(prepare())
                    churn()
                """,
            }
        )
        assert configured(found).image.shared == ("data/clean", "data/model", "data/raw")

    def test_functions_that_call_each_other_end(self) -> None:
        text = "from airflow.sdk import DAG\n" + "".join(
            f"def f{n}(): return f{n + 1}() + f{n + 1}()\n" for n in range(60)
        )
        assert (
            len(proposal({"dags/churn.py": f"{text}def g(): return g()\nx = f0() + g()\nDAG('a')\n"}).tests)
            == 1
        )


def test_members_of_a_workspace_are_on_the_import_path() -> None:
    found = proposal(
        {
            "pyproject.toml": "[project]\nname = 'platform'\ndependencies = ['mlcore']\n",
            "packages/mlcore/pyproject.toml": "[project]\nname = 'mlcore'\n",
            "packages/mlcore/src/mlcore/__init__.py": "",
            "packages/mlcore/src/mlcore/train.py": "def fit(): return {'r2': 1.0}\n",
            "apps/etl/dags/churn.py": """
                from airflow.sdk import dag, task
                @task
                def train():
                    from mlcore.train import fit
                    return fit()
                @dag
                def churn(): train()
                churn()
            """,
        }
    )
    image = configured(found).image
    assert (image.code, image.python_path) == (
        ("apps/etl/dags", "packages/mlcore/src"),
        ("packages/mlcore/src",),
    )
    assert [(test.metrics_task, test.metrics) for test in found.tests] == [("train", ("r2",))]


class TestMlflowElsewhere:
    def found(self, uri: str) -> Proposal:
        return proposal(
            {
                "dags/churn.py": f"""
                    import os
                    import mlflow
                    from airflow.sdk import DAG, task
                    mlflow.set_tracking_uri({uri})
                    @task
                    def train():
                        mlflow.log_metric("auc", 1)
                    with DAG("churn"):
                        train()
                """
            }
        )

    @pytest.mark.parametrize(
        "uri", ["'file:///opt/airflow/mlruns'", "'sqlite:///mlflow.db'", "'https://dagshub.com/a.mlflow'"]
    )
    def test_is_told_and_no_metrics_are_asked_for(self, uri: str) -> None:
        found = self.found(uri)
        assert [(test.mlflow, test.metrics, test.reasons) for test in found.tests] == [(False, (), ())]
        (told,) = [each for each in found.findings if each.about == "metrics of churn"]
        assert told.text == f"they go to {uri[1:-1]}, where no test looks: leave the address out"

    @pytest.mark.parametrize(
        "uri",
        [
            "'http://mlflow:5000'",
            "os.getenv('MLFLOW_TRACKING_URI', 'sqlite:///mlflow.db')",
            "os.environ['URI']",
        ],
    )
    def test_the_versions_own_and_what_a_variable_says_are_not(self, uri: str) -> None:
        assert [test.mlflow for test in self.found(uri).tests] == [True]

    def test_the_address_of_a_server_is_one_that_the_versions_own_is_given(self) -> None:
        found = self.found("'http://mlflow-server:5001/'")
        metrics = configured(found).tests["churn"].metrics
        assert metrics is not None
        assert (metrics.mlflow, metrics.address) == (True, "http://mlflow-server:5001")
        (told,) = [each.text for each in found.findings if each.about == "test churn"]
        assert told == "runs DAG churn, metrics from MLflow, at http://mlflow-server:5001: auc"

    @pytest.mark.parametrize("uri", ["'http://localhost:5000'", "'http://mlflow_server:5000'"])
    def test_one_that_no_version_can_have_is_told(self, uri: str) -> None:
        (test,) = self.found(uri).tests
        assert not test.can_run
        assert "leave the address out" in test.reasons[0]


class TestOtherEnvironments:
    def test_are_told_by_what_makes_them(self) -> None:
        files = {
            "Dockerfile": """
                FROM astrocrpublic.azurecr.io/runtime:3.1-2
                RUN python -m venv dbt_env && source dbt_env/bin/activate && pip install dbt-core && deactivate
            """,
            "dags/churn.py": """
                import os
                from airflow.sdk import DAG
                HOME = os.environ["AIRFLOW_HOME"]
                with DAG("churn"):
                    BashOperator(task_id="dbt", bash_command="ls", env={"DBT": HOME + "/dbt_env/bin/dbt"})
            """,
        }
        assert reasons(proposal(files)) == [
            "dags/churn.py:6: it runs /usr/local/airflow/dbt_env/bin/dbt, of an environment that Dockerfile:3 makes "
            "and no version has: put its packages into the lock and take the image's own Python, or let versions stand "
            "on your own image: `dockerfile` and `as_is` below [image]"
        ]

    def test_are_told_where_nothing_makes_them(self) -> None:
        text = "from airflow.sdk import DAG\nwith DAG('a'):\n"
        text += "    ExternalPythonOperator(task_id='t', python='/venv/bin/python')\n"
        (reason,) = reasons(proposal({"dags/churn.py": text}))
        assert reason.startswith(
            "dags/churn.py:3: it runs /venv/bin/python, of an environment that no version has"
        )


def test_a_shell_script_is_followed() -> None:
    found = proposal(
        {
            "scripts/run.sh": "#!/bin/bash\nset -e\ncd /opt/airflow\npython -m src.train\n",
            "src/train.py": "import lightgbm\n",
            "dags/churn.py": """
                from airflow.sdk import DAG
                with DAG("churn"):
                    BashOperator(task_id="train", bash_command="/opt/airflow/scripts/run.sh ")
            """,
        }
    )
    assert configured(found).image.code == ("dags", "scripts", "src")
    assert "lightgbm  # src/train.py:1" in found.extra["harness-requirements.in"]


@pytest.mark.parametrize(
    ("command", "skip", "told"),
    [
        ("docker run churn", ("train",), False),
        ("cd /x && kubectl apply -f job.yaml", ("train",), False),
        ("cat docker | sort", (), False),
        ("cd /opt/airflow && dvc repro", (), True),
    ],
)
def test_commands_that_need_what_no_version_has(command: str, skip: tuple[str, ...], told: bool) -> None:
    text = f"from airflow.sdk import DAG\nwith DAG('a'):\n    BashOperator(task_id='train', bash_command='{command}')\n"
    (test,) = proposal({"dags/churn.py": f"{text}    EmptyOperator(task_id='end')\n"}).tests
    assert (test.skip, bool(test.reasons)) == (skip, told)


class TestWhatAirflowReadsToImportADag:
    @pytest.mark.parametrize(
        "text",
        [
            "rows = open('data/x.csv')\nDAG('churn')\n",
            "with DAG('churn'):\n    for line in open('data/x.csv'):\n        EmptyOperator(task_id=line)\n",
            "@dag\ndef churn():\n    open('data/x.csv')\nchurn()\n",
        ],
    )
    def test_is_told_where_it_is_not_there(self, text: str) -> None:
        (reason,) = reasons(proposal({"dags/churn.py": f"from airflow.sdk import DAG, dag, task\n{text}"}))
        assert reason.endswith("it reads data/x.csv, which is not in the repository")

    def test_is_nothing_that_only_functions_read(self) -> None:
        text = "from airflow.sdk import dag\ndef later():\n    open('data/x.csv')\n"
        text += "@dag\ndef churn():\n    def inner():\n        open('y.csv')\nchurn()\n"
        assert reasons(proposal({"dags/churn.py": text})) == []


def test_the_interpreter_of_one_machine_is_told_once() -> None:
    text = """
        from airflow.sdk import dag, task
        HOME = "/home/ana/churn"
        @dag(default_args={"python": f"{HOME}/venv/bin/python"})
        def churn():
            @task.external_python(task_id="train")
            def train(): ...
            train()
        churn()
    """
    (reason,) = reasons(proposal({"dags/churn.py": text}))
    assert reason.startswith(
        "dags/churn.py:4: it runs /home/ana/churn/venv/bin/python, of an environment that no"
    )


def test_a_task_groups_arguments_are_known_in_it() -> None:
    found = proposal(
        {
            "dags/churn.py": """
                from airflow.sdk import dag, task, task_group
                def fit(out): open(out, "w")
                @dag
                def churn():
                    @task_group
                    def region(name):
                        out = f"out/{name}/m.txt"
                        PythonOperator(task_id=f"fit_{name}", python_callable=fit, op_kwargs={"out": out})
                    for name in ("north", "south"):
                        region(name)
                churn()
            """
        }
    )
    assert configured(found).image.shared == ("out/north", "out/south")
