"""What Airflow 3 no longer has, where a repository's code still uses it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.init.reading.constants import dotted, value_of
from harness.init.reading.dags import is_dag
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Imported, Module, imports
from harness.init.reading.tasks import decorated

_SQL = "airflow.providers.common.sql.operators.sql.SQLExecuteQueryOperator"
# Modules that are gone, and what took their place; those below them count too. Tried with Airflow 3.3.
GONE_MODULES = {
    "airflow.api.common.experimental": "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.compat": "Python's own functools",
    "airflow.contrib": "the provider's package",
    "airflow.decorators.python": "airflow.providers.standard.decorators.python",
    "airflow.executors.celery_executor": "airflow.providers.celery",
    "airflow.hooks.S3_hook": "airflow.providers.amazon.aws.hooks.s3",
    "airflow.hooks.base_hook": "airflow.sdk.BaseHook",
    "airflow.hooks.dbapi": "airflow.providers.common.sql.hooks.sql",
    "airflow.hooks.postgres_hook": "airflow.providers.postgres.hooks.postgres",
    "airflow.kubernetes": "airflow.providers.cncf.kubernetes",
    "airflow.lineage.entities": "assets",
    "airflow.models.dataset": "airflow.sdk.Asset",
    "airflow.operators.bash_operator": "airflow.providers.standard.operators.bash",
    "airflow.operators.dagrun_operator": "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.operators.dummy": "airflow.providers.standard.operators.empty.EmptyOperator",
    "airflow.operators.dummy_operator": "airflow.providers.standard.operators.empty.EmptyOperator",
    "airflow.operators.email_operator": "airflow.providers.smtp.operators.smtp",
    "airflow.operators.http_operator": "airflow.providers.http.operators.http",
    "airflow.operators.python_operator": "airflow.providers.standard.operators.python",
    "airflow.operators.sql": "airflow.providers.common.sql.operators.sql",
    "airflow.operators.subdag": "airflow.sdk.TaskGroup",
    "airflow.operators.subdag_operator": "airflow.sdk.TaskGroup",
    "airflow.providers.microsoft.mssql.operators.mssql": _SQL,
    "airflow.providers.mysql.operators.mysql": _SQL,
    "airflow.providers.oracle.operators.oracle.OracleOperator": _SQL,
    "airflow.providers.postgres.operators.postgres": _SQL,
    "airflow.providers.sqlite.operators.sqlite": _SQL,
    "airflow.providers.trino.operators.trino": _SQL,
    "airflow.sensors.base_sensor_operator": "airflow.sdk.BaseSensorOperator",
    "airflow.sensors.external_task_sensor": "airflow.providers.standard.sensors.external_task",
    "airflow.sensors.s3_key_sensor": "airflow.providers.amazon.aws.sensors.s3",
    "airflow.sensors.sql": "airflow.providers.common.sql.sensors.sql",
    "airflow.sensors.smart_sensor": "a deferrable sensor",
    "airflow.utils.weekday": "airflow.providers.standard.utils.weekday",
    "airflow.www": "nothing: the web server is another",
}
# Modules that later releases lack, with the first minor version of Airflow 3 that does; looked up in 3.0 to 3.3.
GONE_SINCE = {
    "airflow.datasets": (2, "airflow.sdk.Asset"),
    "airflow.models.mappedoperator": (2, "airflow.sdk"),
    "airflow.timetables.datasets": (2, "airflow.timetables.assets"),
    "airflow.utils.dag_parsing_context": (2, "airflow.sdk.get_parsing_context"),
}
_PYTHONS_OWN = ("datetime", "relativedelta", "timedelta", "timezone")
_OF_DATES = ("date_range", "infer_time_unit", "parse_execution_date", "round_time", "scale_time_units")
GONE_NAMES = {
    **{f"airflow.utils.dates.{name}": "Python's own module of dates" for name in _PYTHONS_OWN},
    **{f"airflow.utils.dates.{name}": "pendulum" for name in _OF_DATES},
    "airflow.decorators.DAG": "airflow.sdk.DAG",
    "airflow.operators.BashOperator": "airflow.providers.standard.operators.bash",
    "airflow.operators.PythonOperator": "airflow.providers.standard.operators.python",
    "airflow.providers.http.operators.http.SimpleHttpOperator": "HttpOperator",
    "airflow.providers.snowflake.operators.snowflake.SnowflakeOperator": _SQL,
    "airflow.utils.db.create_session": "what airflow.sdk has: tasks reach no database of Airflow's",
    "airflow.models.SubDagOperator": "airflow.sdk.TaskGroup",
    "airflow.models.operator.Operator": "airflow.sdk.BaseOperator",
    "airflow.utils.dates.days_ago": "a fixed start_date",
    "airflow.utils.decorators.apply_defaults": "nothing: it does so by itself",
    "airflow.utils.helpers.chain": "airflow.sdk.chain",
    "airflow.utils.helpers.cross_downstream": "airflow.sdk.cross_downstream",
}
GONE_DAG_ARGUMENTS = {
    "concurrency": "max_active_tasks",
    "default_view": "nothing",
    "fail_stop": "fail_fast",
    "full_filepath": "nothing",
    "orientation": "nothing",
    "schedule_interval": "schedule",
    "timetable": "schedule",
}
GONE_TASK_ARGUMENTS = {
    "provide_context": "nothing: it is always given",
    "task_concurrency": "max_active_tis_per_dag",
}
GONE_CONTEXT = {
    "execution_date": "logical_date",
    "next_ds": "data_interval_end | ds",
    "next_ds_nodash": "data_interval_end | ds_nodash",
    "next_execution_date": "data_interval_end",
    "prev_ds": "prev_data_interval_start_success | ds",
    "prev_ds_nodash": "prev_data_interval_start_success | ds_nodash",
    "prev_execution_date": "prev_data_interval_start_success",
    "tomorrow_ds": "macros.ds_add(ds, 1)",
    "tomorrow_ds_nodash": "macros.ds_add(ds, 1)",
    "yesterday_ds": "macros.ds_add(ds, -1)",
    "yesterday_ds_nodash": "macros.ds_add(ds, -1)",
}
NEWEST_MINOR = 99
_OF_PROVIDERS = re.compile(
    r"airflow\.(?:hooks|operators|sensors)\.(?!time_sensor)\w+_(?:hook|operator|sensor)"
)
_CONTEXTS = frozenset({"context", "kwargs", "ti_context", "ctx"})


@dataclass(frozen=True, order=True)
class Idiom:
    """Something of Airflow 2: `what` is gone, `instead` what Airflow 3 has."""

    place: Place
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.place}: Airflow 3 has no {self.what}" + (
            "" if self.instead.startswith("nothing") else f": use {self.instead}"
        )


def idioms(module: Module, minor: int = NEWEST_MINOR) -> list[Idiom]:
    """What a module uses that Airflow 3.`minor` has not, in order of its lines, once per line and thing."""
    found = [
        *_imports(module, minor),
        *_attributes(module),
        *_arguments(module),
        *_context(module),
        *_templates(module),
        *_class_as_decorator(module),
    ]
    return sorted(set(found))


def _class_as_decorator(module: Module) -> Iterator[Idiom]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef) and (given := decorated(node, "DAG")) is not None:
            yield Idiom(module.place(given), "decorator DAG, which is a class", "airflow.sdk.dag")


def _imports(module: Module, minor: int) -> Iterator[Idiom]:
    for found in imports(module):
        gone = None if found.guarded else _gone(found, minor)
        if gone:
            yield Idiom(Place(module.path, found.line), *gone)


def _attributes(module: Module) -> Iterator[Idiom]:
    """`airflow.utils.dates.days_ago(1)`, of a module that is there without the name."""
    modules = {
        each.alias: f"{each.module}.{each.name}" if each.name else each.alias for each in imports(module)
    }
    modules |= {
        each.alias: each.module for each in imports(module) if not each.name and each.alias != each.module
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and (written := dotted(node)):
            first, _, rest = written.partition(".")
            whole = f"{modules.get(first, first)}.{rest}"
            if whole in GONE_NAMES:
                yield Idiom(module.place(node), whole, GONE_NAMES[whole])


def minor_of(version: str) -> int:
    """The minor version of Airflow 3 that a text names, such as 2 of 3.2.1; the newest where it names none."""
    found = re.match(r"3\.(\d+)", version)
    return int(found[1]) if found else NEWEST_MINOR


def _gone(found: Imported, minor: int) -> tuple[str, str] | None:
    """The name that is gone, and what took its place."""
    whole = f"{found.module}.{found.name}" if found.name else found.module
    if whole in GONE_NAMES:
        return whole, GONE_NAMES[whole]
    for name in (whole, found.module):
        parts = name.split(".")
        for length in range(len(parts), 1, -1):
            owner = ".".join(parts[:length])
            if owner in GONE_MODULES:
                return owner, GONE_MODULES[owner]
            if minor >= GONE_SINCE.get(owner, (minor + 1, ""))[0]:
                return owner, GONE_SINCE[owner][1]
            if _OF_PROVIDERS.fullmatch(owner):
                return owner, "the provider's package"
    return None


def _arguments(module: Module) -> Iterator[Idiom]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorator = decorated(node, "dag")
            calls = [decorator] if isinstance(decorator, ast.Call) else []
            gone, kind = GONE_DAG_ARGUMENTS, "DAG"
        elif isinstance(node, ast.Call):
            calls, gone, kind = [node], GONE_TASK_ARGUMENTS, dotted(node.func).rpartition(".")[2]
            if is_dag(node):
                gone, kind = GONE_DAG_ARGUMENTS, "DAG"
            elif not any(each.arg == "task_id" for each in node.keywords):
                continue
        else:
            continue
        for call in calls:
            for given in call.keywords:
                unpacked = value_of(given.value, module.constants) if given.arg is None else {given.arg: None}
                for name in gone.keys() & (unpacked if isinstance(unpacked, dict) else {}):
                    place = Place(module.path, given.value.lineno)
                    yield Idiom(place, f"argument {name} of {kind}", gone[name])


def _context(module: Module) -> Iterator[Idiom]:
    """`context["execution_date"]` and the parameter of a task's function."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            key = node.slice.value
            if isinstance(key, str) and key in GONE_CONTEXT and dotted(node.value) in _CONTEXTS:
                yield Idiom(module.place(node), f"{key} in a task's context", GONE_CONTEXT[key])
        elif isinstance(node, ast.FunctionDef) and decorated(node, "task"):
            for parameter in (*node.args.args, *node.args.kwonlyargs):
                if parameter.arg in GONE_CONTEXT and parameter.arg not in _with_default(node):
                    yield Idiom(
                        Place(module.path, parameter.lineno),
                        f"{parameter.arg} in a task's context",
                        GONE_CONTEXT[parameter.arg],
                    )


def _with_default(function: ast.FunctionDef) -> set[str]:
    """The parameters that a caller may leave out."""
    count = len(function.args.defaults)
    return {each.arg for each in function.args.args[len(function.args.args) - count :]} if count else set()


def _templates(module: Module) -> Iterator[Idiom]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{" in node.value:
            for template in re.findall(r"\{\{.*?\}\}|\{%.*?%\}", node.value[:20_000], re.DOTALL):
                for name in re.findall(r"(?<![\w.'\"\[])[A-Za-z_]\w*", template):
                    if name in GONE_CONTEXT:
                        yield Idiom(module.place(node), f"{name} in templates", GONE_CONTEXT[name])
