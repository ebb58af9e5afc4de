"""What `harness init` makes of what DAGs can do without, and of tasks and tries that a test leaves out."""

from __future__ import annotations

import pytest
from proposals import asking, configured, proposal, reasons


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


def test_a_server_does_not_end() -> None:
    found = proposal(asking("from flask import Flask", "Flask('x').run(host='0.0.0.0', port=5555)"))
    assert reasons(found) == [
        "dags/churn.py:8: it starts a server, which does not end by itself: no test of it can end"
    ]


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


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            "BaseHook.get_connection('data-postgres')",
            "`- {conn_id: data-postgres, conn_uri: …}` in airflow_settings.yaml, below `airflow: connections:`",
        ),
        (
            "Variable.get('model-name')",
            "`- {variable_name: model-name, variable_value: …}` in airflow_settings.yaml, below `airflow: variables:`",
        ),
    ],
)
def test_what_no_shell_can_name_is_given_by_a_file(call: str, told: str) -> None:
    (reason,) = reasons(proposal(asking(call)))
    assert told in reason


class TestAFileOfVariables:
    """As `airflow variables import` takes it."""

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("variables.json", '{"bucket": "s3://features", "other": "x"}'),
            ("config/variables.json", '{\n  "bucket": "s3://features"\n}'),
            ("airflow_variables.yaml", "bucket: s3://features\n"),
            ("variables.json", '{"bucket": {"value": "s3://features", "description": "where they lie"}}'),
        ],
    )
    def test_gives_what_code_asks_for(self, path: str, text: str) -> None:
        found = proposal({**asking("Variable.get('bucket')"), path: text})
        assert reasons(found) == []
        assert configured(found).image.env == {"AIRFLOW_VAR_BUCKET": "s3://features"}

    def test_gives_what_is_no_text_as_json(self) -> None:
        files = {
            **asking("Variable.get('grid', deserialize_json=True)"),
            "variables.json": '{"grid": {"depth": [1, 2]}}',
        }
        assert configured(proposal(files)).image.env == {"AIRFLOW_VAR_GRID": '{"depth": [1, 2]}'}

    def test_a_secret_stays_out_of_the_image(self) -> None:
        files = {**asking("Variable.get('api_key')"), "variables.json": '{\n  "api_key": "abc"\n}'}
        assert reasons(proposal(files)) == [
            "dags/churn.py:7: it asks for Variable api_key, which variables.json:2 gives, and no secret belongs "
            "into an image: give it as AIRFLOW_VAR_API_KEY, named by `from_env` below [secrets]"
        ]

    @pytest.mark.parametrize(
        "text", ["", "[", "[1]", "{1: 2}", "a: &a [*a]", "x: !!python/object:os.system {}"]
    )
    def test_others_give_nothing(self, text: str) -> None:
        found = proposal({**asking("Variable.get('bucket')"), "variables.json": text})
        assert "it asks for Variable bucket" in reasons(found)[0]
