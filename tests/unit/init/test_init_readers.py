"""What is read from Python without running it: DAGs, idioms of Airflow 2, what code asks for, what tasks are for."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.init.reading.asks import asks
from harness.init.reading.dags import DagFile, read_dags
from harness.init.reading.idioms import idioms
from harness.init.reading.paths import files_of
from harness.init.reading.purposes import best_metrics, touches_world
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Module, parsed


def module(source: str, path: str = "dags/a.py") -> Module:
    found = parsed(path, textwrap.dedent(source))
    assert isinstance(found, Module)
    return found


def dags(source: str) -> DagFile:
    return read_dags(module(source), lambda _: None)


def ids(source: str) -> list[str]:
    return [dag.dag_id for dag in dags(source).dags]


class TestDags:
    def test_with_and_assigned_and_decorated(self):
        source = """
            with DAG("one", schedule="@daily"):
                pass
            two = DAG(dag_id="two")
            @dag
            def three(): ...
            three()
            @dag(dag_id="four")
            def fourth(): ...
            made = fourth()
            @dag()
            def never(): ...
        """
        assert ids(source) == ["one", "two", "three", "four"]
        assert dags(source).uncalled == (Place("dags/a.py", 12),)

    def test_ids_from_constants_and_the_file_s_name(self):
        assert ids('TEAM = "x"\nwith DAG(f"{TEAM}_train"): pass') == ["x_train"]
        assert ids('NAME = "a-{}".format("b")\nDAG(NAME)') == ["a-b"]
        assert ids("from pathlib import Path\nwith DAG(Path(__file__).stem): pass") == ["a"]
        assert ids("import os\nDAG(os.path.basename(__file__).replace('.py', ''))") == ["a"]

    def test_loops_over_what_is_written_out(self):
        source = """
            for team, options in {"a": {"s": 1}, "b": {"s": 2}}.items():
                with DAG(f"train_{team}_{options['s']}"):
                    pass
        """
        assert ids(source) == ["train_a_1", "train_b_2"]

    def test_factories(self):
        source = """
            def make(name, suffix="x"):
                @dag(dag_id=f"{name}_{suffix}")
                def pipeline(): ...
                return pipeline()
            for name in ["a", "b"]:
                globals()[name] = make(name)
            make("c", suffix="y")
        """
        assert ids(source) == ["a_x", "b_x", "c_y"]

    def test_a_factory_of_another_module(self):
        factory = module("def make(dag_id):\n    return DAG(dag_id)", "dags/lib/factory.py")
        user = module('from lib.factory import make\nmake("made")')
        found = read_dags(user, lambda name: factory if name == "lib.factory" else None)
        assert [dag.dag_id for dag in found.dags] == ["made"]

    def test_what_only_running_tells_has_no_id(self):
        (dag,) = dags("import os\nwith DAG(os.environ['NAME']): pass").dags
        assert (dag.dag_id, str(dag.place)) == ("", "dags/a.py:2")
        assert ids("class Factory:\n    def build(self): return DAG(self.name)") == [""]

    def test_what_runs_as_a_script_alone_is_no_dag(self):
        assert ids('if __name__ == "__main__":\n    DAG("script")') == []

    def test_params_that_a_run_must_give(self):
        (dag,) = dags('DAG("a", params={"x": Param(type="string"), "y": Param(1), "z": 2})').dags
        assert dag.required == ("x",)


class TestTasks:
    def test_groups_begin_their_tasks_ids(self):
        source = """
            with DAG("a"):
                start = EmptyOperator(task_id="start")
                with TaskGroup("g"):
                    PythonOperator(task_id="t", python_callable=f)
                    with TaskGroup(group_id="inner"):
                        BashOperator(task_id="u")
        """
        (dag,) = dags(source).dags
        assert [task.task_id for task in dag.tasks] == ["start", "g.t", "g.inner.u"]

    def test_functions_mapped_and_overridden(self):
        source = """
            @dag
            def a():
                @task
                def one(): ...
                @task(task_id="second")
                def two(): ...
                @task_group
                def group(x):
                    @task
                    def three(): ...
                    three()
                group(two.expand(x=one.override(task_id="first")()))
            a()
        """
        (dag,) = dags(source).dags
        assert {task.task_id: task.mapped for task in dag.tasks} == {
            "second": True, "first": False, "group.three": False,
        }  # fmt: skip

    def test_the_task_that_returns_numbers(self):
        source = """
            def evaluate():
                metrics = {"accuracy": 0.9, "note": "text"}
                metrics["log_loss"] = compute()
                return metrics
            @dag
            def a():
                @task
                def train(): return {"loss": 1.0}
                @task
                def judge(): return evaluate()
                PythonOperator(task_id="evaluate", python_callable=evaluate)
                train() >> judge()
            a()
        """
        file = dags(source)
        task, names = best_metrics(file.dags[0].tasks, file.functions)
        assert (task.task_id, names) == ("evaluate", ("accuracy", "log_loss"))

    @pytest.mark.parametrize(
        ("task", "effect"),
        [
            ('EmailOperator(task_id="x")', "it is an EmailOperator"),
            ('PythonOperator(task_id="x", python_callable=post)', "it calls requests.post"),
            ('BashOperator(task_id="deploy_model")', "of its name"),
            ('BashOperator(task_id="train")', ""),
            ('PythonOperator(task_id="x", python_callable=get)', ""),
        ],
    )
    def test_tasks_that_touch_the_world(self, task, effect):
        source = f"""
            import requests
            def post(): requests.post("https://example.com")
            def get(): requests.get("https://example.com")
            with DAG("a"):
                {task}
        """
        assert touches_world(dags(source).dags[0].tasks[0]) == effect

    def test_what_a_task_reads_and_writes(self):
        source = """
            import os, joblib
            import pandas as pd
            BASE = "/opt/airflow/data"
            def prepare(name):
                frame = pd.read_csv(os.path.join(BASE, name))
                os.makedirs(f"{BASE}/clean", exist_ok=True)
                frame.to_csv(f"{BASE}/clean/x.csv")
                joblib.dump(frame, "models/m.joblib")
                with open("out.txt", "w") as file: pass
            with DAG("a"):
                PythonOperator(task_id="p", python_callable=prepare, op_kwargs={"name": "raw.csv"})
        """
        file = dags(source)
        uses = files_of(file.dags[0].tasks[0], file.functions, module(source))
        assert {(use.path, use.how, use.folder) for use in uses} == {
            ("/opt/airflow/data/raw.csv", "read", False),
            ("/opt/airflow/data/clean", "write", True),
            ("/opt/airflow/data/clean/x.csv", "write", False),
            ("models/m.joblib", "write", False),
            ("out.txt", "write", False),
        }


class TestIdioms:
    @pytest.mark.parametrize(
        ("source", "found"),
        [
            ("from airflow.operators.dummy import DummyOperator", "airflow.operators.dummy"),
            ("import airflow.contrib.hooks", "airflow.contrib"),
            ("from airflow.utils.dates import days_ago", "airflow.utils.dates.days_ago"),
            ("import airflow\nairflow.utils.dates.days_ago(1)", "airflow.utils.dates.days_ago"),
            ("import airflow.utils.dates as d\nd.days_ago(1)", "airflow.utils.dates.days_ago"),
            ("from airflow.utils import dates\ndates.days_ago(1)", "airflow.utils.dates.days_ago"),
            ("from airflow.utils.dates import timedelta", "airflow.utils.dates.timedelta"),
            ('DAG("a", schedule_interval=None)', "argument schedule_interval of DAG"),
            ('ARGS = {"schedule_interval": None}\nDAG("a", **ARGS)', "argument schedule_interval of DAG"),
            ("@dag(concurrency=2)\ndef a(): ...", "argument concurrency of DAG"),
            (
                'PythonOperator(task_id="t", provide_context=True)',
                "argument provide_context of PythonOperator",
            ),
            ('context["execution_date"]', "execution_date in a task's context"),
            ("@task\ndef t(execution_date): ...", "execution_date in a task's context"),
            ('x = "{{ execution_date.isoformat() }}"', "execution_date in templates"),
            ('x = "{% if tomorrow_ds %}"', "tomorrow_ds in templates"),
        ],
    )
    def test_each_is_told_with_its_line(self, source, found):
        (idiom,) = idioms(module(f"\n{source}"))
        assert idiom.what == found
        assert str(idiom).startswith("dags/a.py:")

    @pytest.mark.parametrize(
        "source",
        [
            "try:\n    from airflow.operators.dummy import X\nexcept ImportError:\n    X = None",
            'DAG("a", schedule=None)',
            "def f(schedule_interval): ...",
            "f(schedule_interval=1)",
            'x = "{{ params.execution_date }}"',
            'row["execution_date"]',
            "@task\ndef t(execution_date=None): ...",
            "from airflow.sdk import dag",
            "from airflow.utils.dates import cron_presets",
            "import dates\ndates.days_ago(1)",
            'ARGS = {"schedule": None}\nDAG("a", **ARGS)',
            'DAG("a", **unknown())',
        ],
    )
    def test_what_airflow_3_takes_is_none(self, source):
        assert idioms(module(source)) == []


class TestAsks:
    def test_each_kind(self):
        source = """
            import os
            A = Variable.get("needed")
            B = Variable.get("with_default", default="x")
            C = os.environ["TOKEN"]
            D = os.getenv("MODE")
            E = os.environ["AIRFLOW_HOME"]
            BaseHook.get_connection("warehouse")
            SQLExecuteQueryOperator(task_id="q", conn_id="lake", sql="{{ var.value.schema }}", pool="gpu")
        """
        assert [(each.kind, each.name, each.optional) for each in asks(module(source))] == [
            ("Variable", "needed", False),
            ("Variable", "schema", False),
            ("Variable", "with_default", True),
            ("connection", "lake", False),
            ("connection", "warehouse", False),
            ("environment variable", "MODE", True),
            ("environment variable", "TOKEN", False),
            ("pool", "gpu", False),
        ]

    def test_what_gives_it(self):
        (ask,) = asks(module('BaseHook.get_connection("my_db")'))
        assert ask.variable == "AIRFLOW_CONN_MY_DB"


PIECES = st.sampled_from(
    [
        "DAG(", "dag_id=", '"a"', "f'{x}'", ")", "\n", "    ", "with ", ":", "@dag", "@task", "def f(x):", "return ",
        "{", "}", "[", "]", "for x in ", "x", "=", ",", "%", "'%s'", ".expand(", "Path(__file__)", "/", ".parents",
        "[0]", "import a", "from . import b", "from airflow.sdk import dag", "f(1)", "**", "*", "lambda: 0", "pass",
        "os.environ", "open(", ".to_csv(", "TaskGroup(", "task_id=", "python_callable=f", "-1", "1e999", "\x00", "é",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("".join))
def test_no_text_breaks_the_readers(text):
    found = parsed("dags/a.py", text)
    if isinstance(found, Place):
        assert found.line >= 0
        return
    file = read_dags(found, lambda _: None)
    for dag in file.dags:
        best_metrics(dag.tasks, file.functions)
        for task in dag.tasks:
            touches_world(task)
            files_of(task, file.functions, found)
    idioms(found)
    asks(found)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 500 + ")" * 500,
        "x = " + "-" * 20_000 + "1",
        "x = " + " + ".join(["1"] * 5_000),
        "x" + ".a" * 5_000,
        "x" + "()" * 2_000,
        "x = 'a' * 10**9\nDAG(x)",
        "x = '%9999999999d' % 1\nDAG(x)",
        "for a in range(10**9):\n    for b in range(10**9):\n        DAG(f'{a}{b}')",
        "def f(x):\n    DAG(x)\n    f(x)\n    f(x)\nf('a')",
        "x = [[[[]]]]\n" + "x = x + x\n" * 200,
        "a = 'x'\n" + "a = f'{a}{a}'\n" * 200 + "DAG(a)",
    ],
)
def test_no_text_takes_long(text):
    found = parsed("dags/a.py", text)
    if isinstance(found, Module):
        read_dags(found, lambda _: None)
        idioms(found)
