"""The DAGs that a repository's Python defines, found by reading it: their ids, schedules and tasks."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.init.reading.assets import Names, asset_decorator, assets_of, mentioned, produced
from harness.init.reading.constants import dotted, text_of, value_of
from harness.init.reading.programs.classes import defined, objects
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Function, Module, bind, bind_target, called, imports, keyword
from harness.init.reading.syntax.known_functions import UNKNOWN
from harness.init.reading.tasks import Functions, Task, decorated, tasks_in

MOST_STEPS = 5_000  # of a file's statements, each loop's counted once per item
MOST_DEPTH = 5
# Code that does something else at another try, in Python or a template, as against what only logs the number.
OF_A_TRY = re.compile(r"try_number['\")\]]*\s*(?:[=!<>]=|[<>%])|[=!<>]=?\s*[\w.\[\]()\"']*\btry_number\b")
Resolve = Callable[[str], Module | None]


@dataclass(frozen=True)
class Dag:
    """One DAG. `dag_id` is empty where only running the code would tell it.

    `required` are params without default, `defaults` those whose default is a text, with their lines.
    `follows` are the assets that it is scheduled on, `produces` those of its tasks. `retries` tells whether a task that
    fails waits and is tried again.
    """

    dag_id: str
    place: Place
    schedule: str = ""
    tasks: tuple[Task, ...] = ()
    required: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str, Place], ...] = ()
    follows: Names = frozenset()
    produces: Names = frozenset()
    retries: bool = False


@dataclass
class _Reader:
    """Follows what a module does when it is imported: each loop's items, each local function's arguments."""

    module: Module
    functions: Functions
    helpers: Functions  # also those that the imported modules call
    assets: Mapping[str, Names]
    found: dict[tuple[str, Place], Dag] = field(default_factory=dict)
    steps: int = 0
    at: Place | None = None  # the line that called another module's function

    def statements(self, body: Sequence[ast.stmt], names: dict[str, Any], depth: int) -> None:
        for statement in body:
            self.steps += 1
            if self.steps > MOST_STEPS or depth > MOST_DEPTH:
                return
            self._statement(statement, names, depth)

    def _statement(self, statement: ast.stmt, names: dict[str, Any], depth: int) -> None:
        if isinstance(statement, ast.With):
            for manager in statement.items:
                self._expression(manager.context_expr, names, depth, statement.body)
            bind(statement, names)
            self.statements(statement.body, names, depth)
        elif isinstance(statement, ast.For):
            items = value_of(statement.iter, names)
            for item in list(items) if isinstance(items, list | dict) else [UNKNOWN]:
                bind_target(statement.target, item, names)
                self.statements(statement.body, names, depth)
        elif isinstance(statement, ast.If | ast.Try):
            if isinstance(statement, ast.If) and _is_script(statement):
                return
            for body in (statement.body, statement.orelse, getattr(statement, "finalbody", [])):
                self.statements(body, names, depth)
        elif isinstance(statement, Function):
            if (asset := asset_decorator(statement)) is not None:
                self._add(asset, statement, names, [statement], statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return):
            if statement.value is not None:
                self._expression(statement.value, names, depth)
            bind(statement, names)

    def _expression(
        self, expression: ast.expr, names: dict[str, Any], depth: int, body: Sequence[ast.stmt] = ()
    ) -> None:
        for call in ast.walk(expression):
            if not isinstance(call, ast.Call):
                continue
            known = self.functions.get(dotted(call.func))
            if known is not None:
                self._called(*known, call, names, depth)
            elif is_dag(call):
                self._add(call, call, names, body or self.module.tree.body)

    def _called(
        self, function: Function, module: Module, call: ast.Call, names: dict[str, Any], depth: int
    ) -> None:
        """What a call of the repository's own function makes: the DAG that it is, or those in its body."""
        decorator = dag_decorator(function)
        if decorator is not None:
            self._add(decorator, function, {**module.constants, **names}, function.body, function.name)
        elif any(is_dag(node) for node in ast.walk(function)):
            local = {each.name: (each, module) for each in function.body if isinstance(each, Function)}
            known = ({**self.functions, **local}, {**self.helpers, **local})
            at = self.at or (self.module.place(call) if module is not self.module else None)
            inner = _Reader(self.module, *known, self.assets, self.found, self.steps, at)
            inner.statements(function.body, called(function, module.constants, call, names), depth + 1)
            self.steps = inner.steps

    def _add(
        self,
        definition: ast.expr,
        node: ast.AST,
        names: dict[str, Any],
        body: Sequence[ast.stmt],
        name: str = "",
    ) -> None:
        call = definition if isinstance(definition, ast.Call) else None
        given = (keyword(call, *_ids(node)) or next(iter(call.args), None)) if call else None
        dag_id = (text_of(given, names) or "") if given is not None else name
        schedule = keyword(call, "schedule", "schedule_interval", "timetable") if call else None
        timed = value_of(schedule, names)
        shown = ast.unparse(schedule) if schedule is not None and not isinstance(timed, str) else str(timed)
        place = self.at or self.module.place(node)
        params = keyword(call, "params") if call else None
        around = replace(self.module, constants={**self.module.constants, **names})
        tasks = tasks_in(body, around, self.helpers)
        self.found.setdefault(
            (dag_id, place),
            Dag(
                dag_id,
                place,
                "" if schedule is None or timed is None else shown,
                tasks,
                _required(params),
                tuple(_defaults(params, self.module, names)),
                mentioned(schedule, self.module, self.assets),
                produced(tasks, self.module, self.assets),
                _has_retries(call, tasks, {**self.module.constants, **names}, self.module),
            ),
        )


@dataclass(frozen=True)
class DagFile:
    """What one file defines: DAGs, functions with @dag that nothing calls, and all functions that it can call."""

    dags: tuple[Dag, ...]
    uncalled: tuple[Place, ...]
    functions: Functions = field(repr=False)


def read_dags(module: Module, resolve: Resolve) -> DagFile:
    """What a file defines; `resolve` gives the repository's own module of a name that is imported."""
    functions = defined(module)
    given = {"__file__", "__name__", *module.functions, *(each.alias for each in imports(module))}
    names: dict[str, Any] = {name: value for name, value in module.constants.items() if name in given}
    assets: dict[str, Names] = {}
    for alias, own, source in _own_names(module, resolve):
        if named := assets_of(source).get(own):
            assets[alias] = named
        if (known := defined(source).get(own)) is not None:
            functions[alias] = known
        if own in source.constants:
            names[alias] = source.constants[own]
    for statement in module.tree.body:
        functions |= objects(statement, functions)
    helpers = dict(functions)
    for source in _sources(module, resolve):
        helpers = {**defined(source), **helpers}
    reader = _Reader(module, functions, helpers, {**assets, **assets_of(module)})
    try:
        reader.statements(module.tree.body, names, 0)
    except RecursionError:  # expressions that nobody writes by hand
        return DagFile(tuple(reader.found.values()), (), helpers)
    dags = _complete(module, list(reader.found.values()))
    mentioned = {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
    uncalled = [
        module.place(function)
        for name, function in module.functions.items()
        if dag_decorator(function) and name not in mentioned
    ]
    return DagFile(tuple(dags), tuple(uncalled), helpers)


def is_dag(node: ast.AST) -> bool:
    """Whether it is `DAG(…)`, `@dag` or `@dag(…)`, also as airflow.sdk's, or an `@asset(…)`, which is a DAG too."""
    if isinstance(node, Function):
        return dag_decorator(node) is not None or asset_decorator(node) is not None
    return isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "DAG"


def dag_decorator(function: Function) -> ast.expr | None:
    """`@dag` or `@dag(…)`, or the class in its place."""
    return decorated(function, "dag") or decorated(function, "DAG")


def _ids(node: ast.AST) -> tuple[str, ...]:
    """The arguments that give a DAG its id; an asset's is its name."""
    asset = asset_decorator(node) if isinstance(node, Function) else None
    of_one = isinstance(asset, ast.Call) and not dotted(asset.func).endswith(".multi")
    return ("dag_id", "name") if of_one else ("dag_id",)


def _own_names(module: Module, resolve: Resolve) -> Iterator[tuple[str, str, Module]]:
    """What a module calls the things that it imports from the repository's own: alias, name there, where."""
    for found in imports(module):
        source = resolve(found.module)
        if found.name and source is not None:
            yield found.alias, found.name, source
        inner = resolve(f"{found.module}.{found.name}") if found.name else source
        if inner is not None:
            yield from (
                (f"{found.alias}.{name}", name, inner) for name in (*inner.functions, *inner.constants)
            )


def _sources(module: Module, resolve: Resolve) -> list[Module]:
    """The repository's own modules that a module imports, directly or not, the nearest first."""
    found: dict[str, Module] = {}
    waiting = [module]
    while waiting:
        current = waiting.pop(0)
        for each in imports(current):
            for name in (each.module, f"{each.module}.{each.name}" if each.name else ""):
                source = resolve(name) if name else None
                if source is not None and source.path not in found and source is not module:
                    found[source.path] = source
                    waiting.append(source)
    return list(found.values())


def _complete(module: Module, found: list[Dag]) -> list[Dag]:
    """With a DAG of unknown id where something makes one that was not followed, in a class for instance."""
    scripts = {
        id(inner)
        for statement in module.tree.body
        if isinstance(statement, ast.If) and _is_script(statement)
        for inner in ast.walk(statement)
    }
    made = (node for node in ast.walk(module.tree) if isinstance(node, ast.Call) and is_dag(node))
    first = next((node for node in made if id(node) not in scripts), None)
    return found if found or first is None else [Dag("", module.place(first))]


def _is_script(statement: ast.If) -> bool:
    """Whether it is `if __name__ == "__main__"`."""
    return "__main__" in ast.dump(statement.test)


def _required(params: ast.expr | None) -> tuple[str, ...]:
    """The params that a run must give: Param with neither a default nor null among its types."""
    if not isinstance(params, ast.Dict):
        return ()
    return tuple(
        str(key.value)
        for key, value in zip(params.keys, params.values, strict=True)
        if isinstance(key, ast.Constant)
        and isinstance(value, ast.Call)
        and dotted(value.func).rpartition(".")[2] == "Param"
        and not value.args
        and keyword(value, "default") is None
        and "null" not in ast.dump(value)
    )


def _has_retries(call: ast.Call | None, tasks: Sequence[Task], names: dict[str, Any], module: Module) -> bool:
    """Whether default_args or a task of its own ask for more than one try, and no code tells the tries apart."""
    sources = {module.path: module, **{each.path: each for task in tasks for _, each in task.functions}}
    if any(OF_A_TRY.search(each.text) for each in sources.values()):
        return False
    defaults = keyword(call, "default_args") if call else None
    given = value_of(defaults, names)
    asked = [given.get("retries")] if isinstance(given, dict) else []
    for task in tasks:
        calls = [task.call, *(each for function, _ in task.functions[:1] for each in function.decorator_list)]
        asked += [value_of(keyword(each, "retries"), names) for each in calls if isinstance(each, ast.Call)]
    return any(isinstance(each, int) and each > 0 for each in asked)


def _defaults(
    params: ast.expr | None, module: Module, names: dict[str, Any]
) -> Iterator[tuple[str, str, Place]]:
    """The params whose default is a text."""
    if not isinstance(params, ast.Dict):
        return
    for key, value in zip(params.keys, params.values, strict=True):
        given: ast.expr | None = value
        if isinstance(value, ast.Call):
            given = next(iter(value.args), None) or keyword(value, "default")
        name, text = text_of(key, names), text_of(given, {**module.constants, **names})
        if name and text and given is not None:
            yield name, text, module.place(given)
