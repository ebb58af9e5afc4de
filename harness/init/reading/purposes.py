"""What a task is for, as far as its code tells: it returns numbers, or it touches the world outside."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from harness.init.reading.constants import dotted, method_of, text_of
from harness.init.reading.dags import Dag
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Function, Module, imports, keyword
from harness.init.reading.tasks import Functions, Task

METRIC = re.compile(
    r"(?:^|_)(?:acc|accuracy|auc|auroc|ap|bleu|brier|calibration_error|error|f1|f1score|fbeta|gini|kappa|logloss|loss"
    r"|mae|mape|mcc|mse|ndcg|perplexity|precision|r2|recall|rmse|rmsle|roc|rouge|score|sensitivity|silhouette"
    r"|smape|specificity|wape|wmape)(?:_|$|\d)",
    re.IGNORECASE,
)
LOWER_IS_BETTER = re.compile(
    r"(?:^|_)(?:brier|error|logloss|loss|mae|mape|mse|perplexity|rmse|rmsle|smape|wape|wmape)(?:_|$|\d)",
    re.IGNORECASE,
)
_EVALUATES = re.compile(r"eval|metric|score|valid|test|report", re.IGNORECASE)
_WORLD = re.compile(
    r"(?:^|_)(?:alert|announce|deploy|deployment|email|mail|notification|notify|page|promote|publish|rollout|slack|sms"
    r"|teams|telegram|tweet|webhook)(?:_|$)"
)
_WORLD_OPERATORS = re.compile(
    r"^(?:Email|Slack|Discord|Telegram|PagerDuty|Opsgenie|Sns|MSTeams)\w*|Notif\w*Operator$"
)
_WORLD_MODULES = frozenset(
    {"slack", "slack_sdk", "smtplib", "telegram", "tweepy", "twilio", "sendgrid", "pymsteams"}
)
_WORLD_CALLS = frozenset(
    {f"{owner}.{verb}" for owner in ("requests", "httpx") for verb in ("post", "put", "patch", "delete")}
    | {"send_email", "send_slack_message", "smtplib.SMTP", "smtplib.SMTP_SSL", "WebClient"}
)


_NEEDS = {
    "DockerOperator": "it starts containers, and a task pod has no Docker",
    "DockerSwarmOperator": "it starts containers, and a task pod has no Docker",
    "KubernetesPodOperator": "it makes pods, and a task pod has no right to",
    "KubernetesJobOperator": "it makes jobs, and a task pod has no right to",
    "SSHOperator": "it needs another machine",
    "SparkSubmitOperator": "it needs Spark",
}
_DECORATORS = {
    "docker": "DockerOperator",
    "kubernetes": "KubernetesPodOperator",
    "kubernetes_cmd": "KubernetesPodOperator",
}
_PROGRAMS = {  # of a BashOperator, by the operator that needs the same
    "docker": "DockerOperator",
    "docker-compose": "DockerOperator",
    "kubectl": "KubernetesPodOperator",
    "spark-submit": "SparkSubmitOperator",
    "ssh": "SSHOperator",
}
_WAITS = re.compile(r"(?:ExternalTask|File|S3Key|GCSObject\w*|Sql|Http|Sftp|Hdfs|Wasb\w*)Sensor$")
_PICKLES = frozenset({"cloudpickle.dumps", "dill.dumps", "pickle.dumps"})
_MOST_STEPS = 5  # from a function to those whose value it returns
_LOGS = frozenset({"autolog", "log_batch", "log_metric", "log_metrics"})
_LOGS_BY_ITSELF = frozenset({"mlflow.evaluate", "mlflow.models.evaluate"})


def metrics_of(task: Task, functions: Functions) -> tuple[str, ...]:
    """The names of the numbers in the dict that a task returns; empty where it returns none that look like it."""
    if task.mapped or not task.functions:
        return ()
    function, module = task.functions[0]
    names = [name for name in _returned(function, module, functions, 0) if METRIC.search(name)]
    return tuple(dict.fromkeys(names))


def best_metrics(tasks: Iterable[Task], functions: Functions) -> tuple[Task, tuple[str, ...]] | None:
    """The task that most looks like the one that judges the model, and its numbers."""
    found = [(task, names) for task in tasks if (names := metrics_of(task, functions))]
    return max(found, key=lambda each: (bool(_EVALUATES.search(each[0].task_id)), len(each[1])), default=None)


def pushed_metrics(tasks: Iterable[Task]) -> tuple[Task, tuple[str, ...]] | None:
    """The task that hands over most numbers by `xcom_push`, one under each key, and their keys."""
    found = []
    for task in tasks:
        keys = [] if task.mapped else list(_pushed(task))
        if keys:
            found.append((task, tuple(dict.fromkeys(keys))))
    return max(found, key=lambda each: (bool(_EVALUATES.search(each[0].task_id)), len(each[1])), default=None)


def returned_metric(tasks: Iterable[Task]) -> tuple[Task, str] | None:
    """The task that returns one number alone, as the names in its code tell, and what to call it."""
    found = []
    for task in tasks:
        for function, _ in task.functions[:1] if not task.mapped else ():
            own = (
                node for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None
            )
            names = {_number_of(node.value) for node in own if node.value is not None}
            if len(names) == 1 and (name := names.pop()) and METRIC.search(name):
                found.append((task, name))
    return max(found, key=lambda each: bool(_EVALUATES.search(each[0].task_id)), default=None)


def _number_of(value: ast.expr) -> str:
    """`accuracy` of `accuracy`, `float(accuracy)` or `round(accuracy, 3)`; empty for all else."""
    if isinstance(value, ast.Call) and dotted(value.func) in {"float", "round"} and value.args:
        return _number_of(value.args[0])
    if isinstance(value, ast.Call) and dotted(value.func).endswith("_score"):
        return dotted(value.func).rpartition(".")[2].removesuffix("_score")
    return value.id if isinstance(value, ast.Name) else ""


def _pushed(task: Task) -> Iterator[str]:
    for function, module in task.functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and method_of(node) == "xcom_push":
                key = text_of(keyword(node, "key") or next(iter(node.args), None), module.constants)
                value = keyword(node, "value") or (node.args[1] if len(node.args) > 1 else None)
                if key and METRIC.search(key) and value is not None and _may_be_number(value):
                    yield key


def touches_world(task: Task) -> str:
    """What a task does outside of the version, in a few words; empty for nothing that shows."""
    if _WORLD_OPERATORS.search(task.operator):
        return f"it is {'an' if task.operator[0] in 'AEIOU' else 'a'} {task.operator}"
    for function, module in task.functions:
        used = {found.module.split(".")[0] for found in imports(module)} & _WORLD_MODULES
        for node in ast.walk(function):
            name = dotted(node.func) if isinstance(node, ast.Call) else ""
            if name in _WORLD_CALLS or (name.split(".")[0] in used):
                return f"it calls {name}"
    return "of its name" if _WORLD.search(task.task_id.rpartition(".")[2].lower()) else ""


def only_by_name(effect: str) -> bool:
    """Whether nothing but the task's name says so."""
    return effect == "of its name"


def skipped(dag: Dag) -> list[tuple[Task, str]]:
    """The tasks that a test had better leave out, and why; none where names alone would leave out all."""
    found = []
    for task in dag.tasks:
        why = touches_world(task) or _NEEDS.get(task.operator, "")
        if not why and (started := started_by(task)):
            why = _NEEDS[started]
        if not why and _WAITS.search(task.operator):
            why = f"a {task.operator} waits for what a version does not have"
        if why:
            found.append((task, why))
    if len(found) == len(dag.tasks) and all(only_by_name(why) for _, why in found):
        return []
    return [
        (task, "its name says that it touches the world" if only_by_name(why) else why) for task, why in found
    ]


def started_by(task: Task) -> str:
    """The operator that needs the same as a task of another kind does; empty where it needs nothing of that."""
    for each in task.functions[0][0].decorator_list if task.functions else ():
        kind = dotted(each.func if isinstance(each, ast.Call) else each).rpartition("task.")[2]
        if kind in _DECORATORS:
            return _DECORATORS[kind]
    command = text_of(keyword(task.call, "bash_command"), task.names) if task.call is not None else None
    words = re.findall(r"(?:^|[;&|(]\s*)([\w-]+)", command or "", re.MULTILINE)
    return next((_PROGRAMS[word] for word in words if word in _PROGRAMS), "")


def logged_to_mlflow(functions: Iterable[tuple[Function, Module]]) -> tuple[str, ...] | None:
    """The names of the numbers that these functions log to MLflow, as far as they tell; None where they log none."""
    names: list[str] = []
    logs = False
    for function, module in functions:
        if not any(each.module.split(".")[0] == "mlflow" for each in imports(module)):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            method = method_of(node)
            if method not in _LOGS and dotted(node.func) not in _LOGS_BY_ITSELF:
                continue
            logs = True
            if method == "log_metric":
                texts = (text_of(each, module.constants) for each in node.args[:2])
                names += [text for text in (*texts, text_of(keyword(node, "key"), module.constants)) if text]
            elif method == "log_metrics" and node.args and isinstance(node.args[0], ast.Dict):
                names += [text for key in node.args[0].keys if (text := text_of(key, module.constants))]
    return tuple(dict.fromkeys(names)) if logs else None


def returned_bytes(task: Task, functions: Functions) -> Place | None:
    """Where a task returns what a pickle is, which no XCom of Airflow 3 holds."""
    waiting = list(task.functions[:1]) if not task.operator.endswith("Sensor") else []
    for _ in range(_MOST_STEPS):
        if not waiting:
            return None
        function, module = waiting.pop()
        made = {
            target.id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(function):
            value = node.value if isinstance(node, ast.Return) else None
            value = made.get(value.id) if isinstance(value, ast.Name) else value
            if isinstance(node, ast.Return) and isinstance(value, ast.Call):
                name = dotted(value.func)
                if module.aliases.get(name, name) in _PICKLES:
                    return module.place(node)
                waiting += [functions[name]] if name in functions else []
    return None


def _returned(function: Function, module: Module, functions: Functions, depth: int) -> Iterator[str]:
    """The keys of the dicts that a function returns, also by way of another function."""
    made: dict[str, ast.expr] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            made |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            made[node.target.id] = node.value
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            value = made.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
            yield from _keys(value, module, functions, depth)
            if isinstance(node.value, ast.Name):
                yield from _later_keys(function, node.value.id, module)


def _keys(value: ast.expr, module: Module, functions: Functions, depth: int) -> Iterator[str]:
    if isinstance(value, ast.Dict):
        for key, item in zip(value.keys, value.values, strict=True):
            name = text_of(key, module.constants)
            if key is None and depth < 3:
                yield from _keys(item, module, functions, depth + 1)
            elif name and _may_be_number(item):
                yield name
    elif isinstance(value, ast.Call):
        known = functions.get(dotted(value.func))
        if known is not None and depth < 3:
            yield from _returned(*known, functions, depth + 1)
        elif dotted(value.func) == "dict":
            yield from (each.arg for each in value.keywords if each.arg and _may_be_number(each.value))


def _later_keys(function: Function, name: str, module: Module) -> Iterator[str]:
    """The keys that are given to a dict after it was made."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and dotted(target.value) == name:
                    key = text_of(target.slice, module.constants)
                    if key and _may_be_number(node.value):
                        yield key


def _may_be_number(value: ast.expr) -> bool:
    """Whether nothing speaks against it: text, lists and dicts are no metrics."""
    if isinstance(value, ast.Constant):
        return isinstance(value.value, int | float)
    return not isinstance(
        value, ast.List | ast.Dict | ast.Set | ast.Tuple | ast.JoinedStr | ast.ListComp | ast.DictComp
    )
