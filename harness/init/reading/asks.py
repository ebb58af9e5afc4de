"""What a repository's code asks its Airflow and its surroundings for: connections, Variables, pools, variables."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from harness.init.reading.constants import dotted, text_of, value_of
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Module, keyword

Kind = Literal["connection", "Variable", "pool", "environment variable"]
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_IN_TEMPLATE = re.compile(r"\b(?P<kind>conn|var\.value|var\.json)\.(?P<name>\w+)")
_ENVIRONMENT = frozenset({"os.getenv", "os.environ.get", "environ.get", "getenv"})
_CATCHES_ALL = re.compile(r"(?:Base)?Exception")
_CATCHES = {  # what Airflow 3 raises for what nobody gave; no KeyError for a Variable, as Airflow 2 did
    "environment variable": re.compile(r"(?:Key|Lookup)Error"),
    "connection": re.compile(r"Airflow\w+"),
    "Variable": re.compile(r"Airflow\w+"),
}
_CONNECTIONS = frozenset({"get_connection", "get_connection_from_secrets"})
# What Airflow and harness set themselves, and what a pod's shell has.
_GIVEN = re.compile(
    r"AIRFLOW__.*|AIRFLOW_(HOME|CTX_.*)|HARNESS_.*|HOME|PATH|USER|PWD|TMPDIR|PYTHON.*|HOSTNAME|LANG"
)


@dataclass(frozen=True, order=True)
class Ask:
    """One thing that code asks for. `optional` where it goes on without."""

    kind: Kind
    name: str
    place: Place
    optional: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that gives it, in Airflow's own spelling; empty for a pool."""
        prefix = {"connection": "AIRFLOW_CONN_", "Variable": "AIRFLOW_VAR_", "pool": ""}.get(self.kind)
        if prefix is None:
            return self.name
        return f"{prefix}{self.name.upper()}" if prefix else ""


def asks(module: Module, nodes: Iterable[ast.AST] | None = None, without: Container[int] = ()) -> list[Ask]:
    """What a module asks for, or only these parts of it; once each, at its first line.

    `without` are the ids of nodes that do not count.
    """
    found: dict[tuple[Kind, str], Ask] = {}
    for part in (module.tree,) if nodes is None else nodes:
        for each in _asks(part, module, without):
            known = found.get((each.kind, each.name))
            if known is None or (known.optional and not each.optional):
                found[each.kind, each.name] = each
    return sorted(found.values())


def _asks(part: ast.AST, module: Module, without: Container[int]) -> Iterator[Ask]:
    caught = _caught(part)
    for node in ast.walk(part):
        if id(node) not in without:
            for each in _asked(node, module):
                yield replace(each, optional=each.optional or _goes_on(each, caught.get(id(node), ())))


def _caught(part: ast.AST) -> dict[int, tuple[str, ...]]:
    """By the ids of nodes inside `try` the exceptions that are caught there, and not raised again."""
    found: dict[int, tuple[str, ...]] = {}
    for node in ast.walk(part):
        if isinstance(node, ast.Try):
            kinds = tuple(kind for handler in node.handlers for kind in _kinds(handler))
            for inner in (each for statement in node.body for each in ast.walk(statement)):
                found[id(inner)] = (*found.get(id(inner), ()), *kinds)
    return found


def _kinds(handler: ast.ExceptHandler) -> Iterator[str]:
    if any(isinstance(node, ast.Raise) for statement in handler.body for node in ast.walk(statement)):
        return
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    yield from (dotted(each).rpartition(".")[2] if each is not None else "BaseException" for each in caught)


def _goes_on(ask: Ask, caught: Iterable[str]) -> bool:
    """Whether code that catches these does without."""
    own = _CATCHES.get(ask.kind)
    return any(_CATCHES_ALL.fullmatch(kind) or (own and own.fullmatch(kind)) for kind in caught)


def _asked(node: ast.AST, module: Module) -> Iterator[Ask]:
    if isinstance(node, ast.Call):
        yield from _call(node, module)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
        if any("args" in dotted(target) for target in node.targets):
            yield from _pool_of(node.value, module)
    elif isinstance(node, ast.Subscript) and dotted(node.value) in {"os.environ", "environ"}:
        name = text_of(node.slice, module.constants)
        if name and isinstance(node.ctx, ast.Load) and not _GIVEN.fullmatch(name):
            yield Ask("environment variable", name, module.place(node))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "{" in node.value:
        for template in _TEMPLATE.findall(node.value[:20_000]):
            for match in _IN_TEMPLATE.finditer(template):
                kind: Kind = "connection" if match["kind"] == "conn" else "Variable"
                if match["name"] != "get":
                    yield Ask(kind, match["name"], module.place(node))


def _pool_of(settings: ast.Dict, module: Module) -> Iterator[Ask]:
    """The pool that default_args name."""
    for key, value in zip(settings.keys, settings.values, strict=True):
        pool = text_of(value, module.constants) if text_of(key, module.constants) == "pool" else None
        if pool and pool != "default_pool":
            yield Ask("pool", pool, module.place(value))


def _call(call: ast.Call, module: Module) -> Iterator[Ask]:
    name, names, place = dotted(call.func), module.constants, module.place(call)
    method = name.rpartition(".")[2]
    first = text_of(call.args[0], names) if call.args else None
    if method in _CONNECTIONS or (method == "get" and name.endswith("Connection.get")):
        asked = first or text_of(keyword(call, "conn_id"), names)
        if asked:
            yield Ask("connection", asked, place)
    elif name.endswith("Variable.get"):
        asked = first or text_of(keyword(call, "key"), names)
        if asked:
            optional = len(call.args) > 1 or keyword(call, "default", "default_var") is not None
            yield Ask("Variable", asked, place, optional)
    elif name in _ENVIRONMENT and first and not _GIVEN.fullmatch(first):
        yield Ask("environment variable", first, place, optional=True)
    if isinstance(settings := keyword(call, "default_args"), ast.Dict):
        yield from _pool_of(settings, module)
    for given in call.keywords:
        value = value_of(given.value, names)
        if not given.arg or not isinstance(value, str) or not value or "{" in value:
            continue
        if given.arg == "conn_id" or given.arg.endswith("_conn_id"):
            yield Ask("connection", value, place)
        elif (
            given.arg == "pool"
            and value != "default_pool"
            and (keyword(call, "task_id", "pool_slots") is not None or "task" in name.split("."))
        ):
            yield Ask("pool", value, place)
