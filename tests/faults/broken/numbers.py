"""Numbers that are missing, or are none, and runs that come to no task; numbers in object storage."""

from __future__ import annotations

from .case import METRICS, Broken, one, tasks

NUMBERS = (
    Broken(
        "no_metrics",
        one("no_metrics", "print('done')"),
        "metrics_missing",
        ("work",),
        toml=METRICS,
        slow=True,
    ),
    Broken(
        "skipped_metrics",
        one(
            "skipped_metrics",
            "from airflow.sdk.exceptions import AirflowSkipException\nraise AirflowSkipException('no data today')",
        ),
        "metrics_missing",
        ("work", "skipped"),
        toml=METRICS,
    ),
    Broken(
        "not_a_number",
        one("not_a_number", "return {'accuracy': float('nan')}"),
        "metrics_invalid",
        ("task work", "not finite"),
        toml=METRICS,
    ),
    Broken(
        "words_for_numbers",
        one("words_for_numbers", "return {'accuracy': 'high'}"),
        "metrics_invalid",
        ("accuracy",),
        toml=METRICS,
        slow=True,
    ),
    Broken(
        "too_large",
        one("too_large", "return {'accuracy': 10**400}"),
        "metrics_invalid",
        ("task work", "too large"),
        toml=METRICS,
        slow=True,
    ),
    Broken(
        "no_such_metrics_task",
        one("no_such_metrics_task", "return {'accuracy': 0.9}"),
        "metrics_missing",
        ("evaluate", "work"),
        toml='metrics = { task = "evaluate" }',
    ),
    Broken(
        "mapped_metrics",
        tasks(
            "mapped_metrics",
            "@task\ndef work(x):\n    return {'accuracy': x / 10}\nwork.expand(x=[8, 9])",
        ),
        "metrics_invalid",
        ("work", "mapped"),
        toml=METRICS,
    ),
    Broken(
        "gate",
        one("gate", "return {'accuracy': 0.5}"),
        "gate_failed",
        ("accuracy", "0.5", "0.9"),
        toml=METRICS + "\ngates.accuracy = { min = 0.9 }",
    ),
    Broken(
        "no_such_pool",
        one("no_such_pool", "return 1", "pool='gpu'"),
        "task_failed",
        ("work", "pool 'gpu', which does not exist"),
        hint="default_pool",
    ),
    Broken(
        "starts_later",
        "import pendulum\n"
        + one("starts_later", "return 1").replace(
            "schedule=None", "schedule=None, start_date=pendulum.datetime(2090, 1, 1)"
        ),
        "task_failed",
        ("ran no task", "start_date"),
        hint="logical_date",
    ),
    Broken(
        "tolerated_failure",
        tasks(
            "tolerated_failure",
            """
@task
def fit():
    raise ValueError("X contains NaN")

@task
def work():
    return {"accuracy": 0.9}

@task(trigger_rule="all_done")
def notify():
    print("ended")

fit() >> work() >> notify()
""",
        ),
        "task_failed",
        ("fit", "X contains NaN"),
        toml=METRICS,
    ),
    Broken(
        "number_as_text",
        one("number_as_text", "return {'accuracy': '0.93', 'loss': 0.2}"),
        "metrics_invalid",
        ("work", "accuracy is text '0.93', not a number"),
        toml=f"{METRICS}\ngates.accuracy = {{ min = 0.9 }}",
    ),
    Broken(
        "wrong_key",
        one(
            "wrong_key",
            "from airflow.sdk import get_current_context\n"
            "get_current_context()['ti'].xcom_push('score', {'accuracy': 0.9})",
        ),
        "metrics_missing",
        ("work", "the key 'scores'", "'score'"),
        hint='key = "score"',
        toml='metrics = { task = "work", key = "scores" }',
        slow=True,
    ),
)

# What a task returns lies in object storage, and only a reference to it in the database.
XCOM_BACKEND = (
    Broken(
        "kept_elsewhere",
        one("kept_elsewhere", "return {f'fold_{number}': {'auc': 0.9, 'loss': 0.1} for number in range(40)}"),
        None,
        toml=f'{METRICS}\ngates."fold_39.auc" = {{ min = 0.9 }}',
    ),
)
