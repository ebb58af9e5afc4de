"""What hints propose is applied: commands to the command line, lines of TOML to the reader of harness.toml."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.autopsy.exception_hints import hint_for
from harness.airflow.autopsy.missing_files import elsewhere, hand_over
from harness.airflow.autopsy.missing_settings import missing_setting
from harness.airflow.logs.task_log import Raised
from harness.airflow.rest.models import DagRun, TaskInstance
from harness.airflow.run import metrics_file, metrics_task
from harness.airflow.run.following import RunOutcome
from harness.cli import app as cli
from harness.engine.testing import plan
from harness.errors import HarnessError
from harness.hints import COMMANDS
from harness.project.configuration import (
    Configuration,
    ImageSettings,
    MetricsSource,
    SecretsSettings,
    TestSettings,
    parse,
)
from harness.project.places import CodeFiles

PACKAGE = Path(__file__).parents[3] / "harness"
GROUP = typer.main.get_command(cli.app)
NAMES = sorted({*COMMANDS, "doctor", "init", "lock", "schema"})
# A command in running text ends where words begin that are no option, no value of one, and no name to fill in.
_COMMAND = re.compile(rf"(?:^|[`;:&(] ?|, (?:then |or )?|\bthen )harness ((?:{'|'.join(NAMES)})\b[^`;:,\n]*)")
_ARGUMENT = re.compile(r"-.*|[A-Z][A-Z_]*|.*FILLED.*|.*[./~].*|'.*'")
_TEXT = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf'{_TEXT}|\[(?:{_TEXT}|[^\]"])*\]|\{{(?:{_TEXT}|[^{{}}"])*\}}|true\b|false\b|\d[\w:.-]*'
_LINE = re.compile(rf"(?<![\w.\[])(?P<key>[A-Za-z_][\w.]*) = (?P<value>{_VALUE})")
TABLES = {"image": ImageSettings, "secrets": SecretsSettings, "tests.a": TestSettings}
FILLED = "FILLED"
BESIDE = {  # what a key of an image of one's own is about
    "as_is": 'dockerfile = "Dockerfile"\n',
    "base": "as_is = true\n",
    "context": 'dockerfile = "Dockerfile"\nas_is = true\n',
    "dockerfile": "as_is = true\n",
}
EXAMPLES = {  # of keys that don't take any text
    "address": "http://mlflow-server:5000",
    "python": "3.13",
    "root": "/usr/local/airflow",
}


def texts(tree: ast.AST) -> Iterator[str]:
    """Each text of a module that is no docstring, those with values in them filled."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else _filled(part) for part in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in inside | docstrings:
            yield node.value if isinstance(node.value, str) else ""


def _filled(part: ast.expr) -> str:
    """What stands for a value: in quotes where it is put into some."""
    return f'"{FILLED}"' if "toml_text" in ast.dump(part) else FILLED


@cache
def told() -> tuple[tuple[str, str], ...]:
    """Every text of the package, with its module."""
    return tuple(
        (str(path.relative_to(PACKAGE)), text)
        for path in sorted(PACKAGE.rglob("*.py"))
        for text in texts(ast.parse(path.read_text(encoding="utf-8")))
    )


def commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """The commands that messages and hints name, as far as they are to be typed."""
    for place, text in told():
        for match in _COMMAND.finditer(text):
            try:
                name, *words = shlex.split(match[1].rstrip(")."))
            except ValueError:  # an apostrophe of the sentence
                name, *words = match[1].partition("'")[0].split()
            yield place, (name, *_typed(name, words))


def _typed(name: str, words: list[str]) -> Iterator[str]:
    """The words up to where the sentence goes on."""
    flags = {
        option
        for parameter in GROUP.commands[name].params  # type: ignore[attr-defined]
        if getattr(parameter, "is_flag", False)
        for option in parameter.opts
    }
    wants_value = False
    for word in words:
        if not (wants_value or _ARGUMENT.fullmatch(word)):
            return
        yield word
        wants_value = word.startswith("-") and "=" not in word and word not in flags
    if wants_value:
        yield "7"  # it follows in another text


def lines() -> Iterator[tuple[str, str, str]]:
    """The lines of harness.toml that messages and hints name: place, key and value."""
    known = {key for table in TABLES.values() for key in table.model_fields}
    for place, text in told():
        for match in _LINE.finditer(text):
            key = match["key"]
            if key in known or key.startswith("AIRFLOW_"):
                value = match["value"].replace("…", "1").replace(FILLED, EXAMPLES.get(key, FILLED))
                for name, example in EXAMPLES.items():  # also inside of tables
                    value = value.replace(f'{name} = "{FILLED}"', f'{name} = "{example}"')
                yield place, key, value


def configuration(key: str, value: str) -> Configuration:
    """The line below the table that has its key, in a configuration that is valid without it."""
    table = next((name for name, model in TABLES.items() if key in model.model_fields), "image.env")
    line = f"{key} = {value}"
    rest = "" if table == "tests.a" else '[tests.a]\ndag = "a"\n'
    dag = 'dag = "a"\n' if table == "tests.a" and key != "dag" else ""
    found = parse(f"[{table}]\n{dag}{BESIDE.get(key, '')}{line}\n{rest}", origin="harness.toml")
    assert found is not None
    return found


@pytest.mark.parametrize(("place", "argv"), sorted(set(commands())), ids=str)
def test_the_command_line_takes_each_command(place: str, argv: tuple[str, ...]) -> None:
    name, *arguments = argv
    command: Any = GROUP.commands[name]  # type: ignore[attr-defined]
    if arguments:  # else the command's name alone, in a sentence
        assert command.make_context(name, list(arguments)), place


def test_there_are_commands_and_lines_to_be_looked_at() -> None:
    assert {argv[0] for _, argv in commands()} >= {
        "up",
        "test",
        "down",
        "logs",
        "status",
        "doctor",
        "lock",
        "gc",
    }
    assert {key for _, key, _ in lines()} >= {
        "shared",
        "root",
        "requirements",
        "logical_date",
        "from_env",
        "conf",
    }


@pytest.mark.parametrize(("place", "key", "value"), sorted(set(lines())), ids=str)
def test_the_configuration_takes_each_line(place: str, key: str, value: str) -> None:
    assert configuration(key, value), place


PARTS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12
)
PATHS = st.lists(
    st.one_of(PARTS, st.sampled_from(["..", ".", "dags", "data", "src"])), min_size=1, max_size=6
)
ANYTHING = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


def applied(hint: str) -> None:
    """Apply each line that a hint proposes."""
    for match in _LINE.finditer(hint):
        if (
            match["key"] in {"shared", "root", "code", "from_env", "airflow_settings"}
            or match["key"].isupper()
        ):
            configuration(match["key"], match["value"])


@given(
    parts=PATHS,
    root=st.sampled_from(["/opt/airflow", "/usr/local/airflow"]),
    top=st.sampled_from(["/", "", "/opt/airflow/"]),
)
def test_a_folder_that_a_hint_says_to_share_can_be_shared(parts: list[str], root: str, top: str) -> None:
    path = top + "/".join(parts)
    code = CodeFiles(root)
    applied(hand_over(path, code))
    applied(hint_for(Raised("FileNotFoundError", f"[Errno 2] No such file or directory: {path!r}"), code))
    applied(hint_for(Raised("PermissionError", f"[Errno 13] Permission denied: {path!r}"), code))


@given(top=PATHS, rest=PATHS)
def test_where_a_file_of_the_repository_is_put_by_a_hint_it_can_be_put(
    top: list[str], rest: list[str]
) -> None:
    inside = "/".join(part for part in rest if part not in {".", ".."}) or "x"
    found = elsewhere(f"/{'/'.join(top)}/{inside}", CodeFiles(paths=lambda: (inside,)))
    applied(found[1] if found else "")


@given(name=ANYTHING)
def test_a_setting_that_a_hint_says_to_give_can_be_given(name: str) -> None:
    for kind, message in (
        ("AirflowNotFoundException", f"The conn_id `{name}` isn't defined"),
        ("AirflowRuntimeError", f"VARIABLE_NOT_FOUND: Variable {name} not found"),
        ("KeyError", f"'{name.upper()}'"),
    ):
        applied(missing_setting(kind, message))


@given(name=st.from_regex(r"[A-Za-z_][\w.]{0,30}", fullmatch=True))
def test_a_class_that_a_hint_says_to_allow_can_be_allowed(name: str) -> None:
    said = f"{name} was not found in allow list for deserialization imports"
    applied(hint_for(Raised("ImportError", said), CodeFiles()))


class Keys:
    """An Airflow whose task pushed a value under another key."""

    def __init__(self, key: str) -> None:
        self.key = key

    def xcom(self, _dag: str, _run: str, _task: str, key: str) -> object:
        return {"auc": 0.9} if key == self.key else None

    def xcom_keys(self, *_: str) -> tuple[str, ...]:
        return (self.key,)


RUN = DagRun("churn", "run-1", "success", None)


def metrics_line(error: HarnessError) -> MetricsSource:
    """The `metrics` that a hint says to write."""
    value = error.hint.partition("harness.toml: ")[2]
    source = configuration("metrics", value).tests["a"].metrics
    assert source is not None
    return source


@given(key=ANYTHING, task=ANYTHING)
def test_metrics_under_another_key_are_found_by_the_line_of_the_hint(key: str, task: str) -> None:
    outcome = RunOutcome(RUN, (TaskInstance(task, -1, "success", 1, 0),), ())
    with pytest.raises(HarnessError) as caught:
        metrics_task.handed_over(Keys(key), "churn", MetricsSource(task=task), outcome)  # type: ignore[arg-type]
    if key != "return_value":
        assert metrics_line(caught.value) == MetricsSource(task=task, key=key)


@given(folder=PARTS.filter(lambda name: name.isprintable() and "\\" not in name and not name.startswith("-")))
def test_metrics_in_another_file_are_found_by_the_line_of_the_hint(folder: str) -> None:
    file = f"{folder}/metrics.json"
    said = f'{{"near": [{metrics_file.json.dumps(f"/opt/airflow/artifacts/{file}")}]}}'
    with pytest.raises(HarnessError) as caught:
        metrics_file.written(lambda _: said, "metrics.json", (), RUN)
    if folder not in {".", ".."}:
        assert metrics_line(caught.value).file == file


@given(name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True))
def test_a_test_without_a_date_gets_one_by_the_hint(name: str) -> None:
    settings = TestSettings(dag="d")
    with pytest.raises(HarnessError) as caught:
        plan.run_dates({name: settings}, None)
    line, _, table = caught.value.hint.removeprefix("add ").partition("; ")[0].partition(" to ")
    found = parse(f'{table}\ndag = "d"\n{line}\n', origin="harness.toml")
    assert found is not None
    assert found.tests[name].logical_date is not None
