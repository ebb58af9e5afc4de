"""DAG runs that lead to further ones."""

from __future__ import annotations

from .case import METRICS, Broken

TRIGGERS = (
    "from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator\n"
    "from airflow.sdk import Asset, Param, dag, task\n\nFEATURES = Asset('s3://lake/features')\n\n"
)


def triggering(name: str, *children: str, more: str = "") -> str:
    """A DAG of a task and, after it, one for each DAG that is triggered."""
    operators = "".join(
        f"    first >> TriggerDagRunOperator(task_id='go_{child}', trigger_dag_id='{child}'{more})\n"
        for child in children
    )
    return (
        f"{TRIGGERS}\n@dag(schedule=None)\ndef {name}():\n    @task\n    def work():\n        return {{'rows': 3}}\n\n"
        f"    first = work()\n{operators}\n\n{name}()\n"
    )


def of_one_task(name: str, body: str, schedule: str = "None", outlets: str = "[]", more: str = "") -> str:
    return (
        f"{TRIGGERS}\n@dag(schedule={schedule}{more})\ndef {name}():\n    @task(outlets={outlets})\n    def work():\n"
        f"        {body}\n\n    work()\n\n\n{name}()\n"
    )


# The first leads to three more runs; beside it are two DAGs whose time has come.
CHAINS = (
    Broken(
        "chain",
        triggering("chain", "makes_features", "makes_report"),
        "task_failed",
        (
            "DAG follows_features: task work failed",
            "dags/follows_features.py:",
            "ValueError: column age is empty",
        ),
        deadline_s=120.0,  # four DAG runs, one after another
        toml=METRICS,
        beside=(
            ("dags/makes_features.py", of_one_task("makes_features", "return 1", outlets="[FEATURES]")),
            ("dags/makes_report.py", of_one_task("makes_report", "return 1")),
            (
                "dags/follows_features.py",
                of_one_task("follows_features", "raise ValueError('column age is empty')", "[FEATURES]"),
            ),
            *(
                (
                    f"dags/{name}.py",
                    "from datetime import UTC, datetime\n"
                    + of_one_task(
                        name,
                        "return 1",
                        "'* * * * *'",
                        "[Asset('s3://lake/other')]",
                        more=", start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=True",
                    ),
                )
                for name in ("timed_one", "timed_two")
            ),
        ),
    ),
    Broken(
        "child_refuses",
        triggering("child_refuses", "strict", more=", conf={'epochs': 0}"),
        "task_failed",
        ("task go_strict failed", "Invalid input for param epochs: 0 is less than the minimum of 1"),
        hint="edit the conf",
        beside=(
            (
                "dags/strict.py",
                of_one_task(
                    "strict", "return 1", more=", params={'epochs': Param(3, type='integer', minimum=1)}"
                ),
            ),
        ),
    ),
)
