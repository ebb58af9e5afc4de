"""The programs that code runs by a shell, and the modules that it loads by their names: as files of the repository."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.init.reading.constants import Names, dotted, method_of, text_of, value_of
from harness.init.reading.source import Module, loaded
from harness.init.reading.syntax.known_functions import FOLDERS
from harness.project.places import AIRFLOW_ROOT

MOST_COMMAND = 5_000
_PYTHON = r"[\"']?(?:[\w.$/{}-]*/)?(?:python(?:3(?:\.\d+)?)?|bash|sh)[\"']?\s+"
_BEGINS = r"(?:^|[\s;&|(])"
_PROGRAM = re.compile(
    _BEGINS + _PYTHON + r"(?:(?!-m)-\w+\s+)*(?:-m\s+(?P<module>[A-Za-z_][\w.]*)"
    r"|[\"']?(?P<path>[\w./():-]+\.(?:py|sh))\b)|" + _BEGINS + r"(?P<direct>/[\w./-]+\.sh)\b"
)
_GOES = re.compile(_BEGINS + r"cd\s+[\"']?(?P<path>/[\w./-]+)")
_LOOKS = re.compile(_BEGINS + r"(?:export\s+)?PYTHONPATH=[\"']?(?P<paths>[\w./:-]+)")
_SETS = re.compile(_BEGINS + r"(?:export\s+)?(?P<name>[A-Za-z_]\w*)=[\"']?(?P<folder>/[\w./():-]+)")
_TEMPLATE = re.compile(r"\{\{\s*var\.value\.(?P<name>\w+)\s*\}\}")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_HOME = re.compile(r"\$(?:AIRFLOW_HOME\b|\{AIRFLOW_HOME(?::?-[^}]*)?\})")


@dataclass(frozen=True)
class Run:
    """A program of a command: its file as `written`, or the `module` that `python -m` and imports by a text name.

    `goes` is where the shell has gone to, `looks` what the command puts on the import path.
    """

    written: str = ""
    module: str = ""
    goes: str = ""
    looks: tuple[str, ...] = ()


def texts_of(code: ast.AST, module: Module) -> Iterator[str]:
    """Every text in code that is no longer than a command; a list of words as the command that they make."""
    for node in ast.walk(code):
        texts: list[str | None] = []
        if isinstance(node, ast.ListComp):
            items = value_of(node, module.constants)
            texts = [each for each in items if isinstance(each, str)] if isinstance(items, list) else []
        elif isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp | ast.List) or (
            isinstance(node, ast.Call) and method_of(node) == "format"
        ):
            texts = [command_of(node, module.constants)]
        yield from (text for text in texts if text and len(text) <= MOST_COMMAND)


def command_of(node: ast.expr | None, names: Names) -> str | None:
    """The command that a text is, or a list of words; None where the source does not tell its program."""
    if not isinstance(node, ast.List):
        return text_of(node, names)
    words = [text_of(each, names) for each in node.elts]
    program = "python" if node.elts and dotted(node.elts[0]) == "sys.executable" else next(iter(words), None)
    return " ".join(filter(None, (program, *words[1:]))) if program else None


def runs_of(code: ast.AST, module: Module) -> Iterator[Run]:
    """The programs that code runs by a shell, such as in a bash_command."""
    for text in texts_of(code, module):
        yield from runs_in(text)


def loads_of(code: ast.AST, module: Module) -> Iterator[Run]:
    """The modules that code imports by a text, of which it may call any function."""
    for node in ast.walk(code):
        if isinstance(node, ast.Call) and (name := loaded(node, module.constants)):
            yield Run(module=name)


def _expanded(text: str) -> str:
    """A command with the folders in place of the variables that stand for them, also of those that it sets itself."""
    command = _HOME.sub(AIRFLOW_ROOT, text)
    if "$" not in command and "var.value" not in command:
        return command
    folders = dict(FOLDERS.get())
    command = _TEMPLATE.sub(lambda each: folders.get(f"AIRFLOW_VAR_{each['name'].upper()}", each[0]), command)
    folders |= {each["name"]: each["folder"] for each in _SETS.finditer(command)}
    return _VARIABLE.sub(lambda each: folders.get(each[1] or each[2], each[0]), command)


def goes_to(text: str) -> Iterator[str]:
    """The folders that a command goes to, such as that of a dbt project."""
    if "cd " in text:
        yield from (each["path"] for each in _GOES.finditer(_expanded(text)))


def runs_in(text: str) -> Iterator[Run]:
    """The programs that a command runs, each with where the shell has gone to by then."""
    command = _expanded(text)
    if found := list(_PROGRAM.finditer(command)):
        goes = _GOES.search(command[: found[0].start()])
        for each in found:
            looks = _LOOKS.search(command[: each.end()])
            yield Run(
                each["path"] or each["direct"] or "",
                each["module"] or "",
                goes["path"] if goes else "",
                tuple(filter(None, looks["paths"].split(":"))) if looks else (),
            )
