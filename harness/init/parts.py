"""The parts of the repository's code that a DAG runs: its file, its tasks' functions, and what these name."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from harness.init.layout import Layout
from harness.init.places import below, dag_files
from harness.init.reading.constants import dotted
from harness.init.reading.dags import Dag, DagFile, Resolve, is_dag, read_dags
from harness.init.reading.paths import files_of
from harness.init.reading.programs.classes import NOTHING
from harness.init.reading.programs.commands import Run, loads_of, runs_in, runs_of
from harness.init.reading.source import Function, Module
from harness.init.reading.tasks import Functions, Program, Task

CONSTANT_STEPS = 2  # a constant that is made of another counts with it


def parts_of(dag: Dag, module: Module, needed: Sequence[Module]) -> Iterator[tuple[Module, list[ast.AST]]]:
    """The statements of each module that count for a DAG of `module`; all where its tasks are not known.

    `needed` are the modules that it imports, directly or not, with itself.
    """
    if not dag.tasks:
        for each in needed:
            yield each, [each.tree]
        return
    run = {id(function) for task in dag.tasks for function, _ in task.runs}
    mains = _mains(dag, module)
    found = {each.path: [*_statements(each, run, own=each.path in mains)] for each in needed}
    for _ in range(CONSTANT_STEPS):
        named = _names(part for parts in found.values() for part in parts)
        for each in needed:
            found[each.path] += [
                part
                for part in each.tree.body
                if isinstance(part, ast.Assign | ast.AnnAssign)
                and _targets(part) & named
                and part not in found[each.path]
            ]
    yield from ((each, found[each.path]) for each in needed)


def imported_and_run(
    dag: Dag, module: Module, needed: Sequence[Module]
) -> Iterator[tuple[Module, list[ast.AST]]]:
    """As `parts_of`, with all that runs when the modules are imported, whether or not a task needs it."""
    run = {id(function) for task in dag.tasks for function, _ in task.runs}
    mains = _mains(dag, module)
    calls = {
        dotted(node.func).rpartition(".")[2] for node in ast.walk(module.tree) if isinstance(node, ast.Call)
    }
    for each in needed:
        own = each.path in mains
        yield (
            each,
            [
                statement
                for statement in each.tree.body
                if not dag.tasks
                or not isinstance(statement, Function)
                or id(statement) in run
                or ((own or statement.name in calls) and any(is_dag(node) for node in ast.walk(statement)))
            ],
        )


def with_programs(dag: Dag, file: DagFile, module: Module, layout: Layout, resolve: Resolve) -> Dag:
    """The DAG of a file, with the programs that its tasks run by a shell or load by a name, and what these run."""
    tasks = []
    for task in dag.tasks:
        found: dict[str, Program] = {}
        waiting: list[tuple[ast.AST, Module]] = list(task.functions)
        own = tuple(_runs_of_task(task, module, file.functions))
        waiting += [(task.call, module)] if task.call is not None else []
        while waiting:
            part, source = waiting.pop()
            runs = (*own, *runs_of(part, source), *loads_of(part, source))
            own = ()
            for path in (path for run in runs for path, _ in layout.started(run)):
                program = layout.used.get(path)
                if program is not None and program.path not in found and program is not module:
                    main = ast.FunctionDef("", NOTHING, program.tree.body, [])
                    functions = read_dags(program, resolve).functions
                    found[program.path] = Program(main, program, functions)
                    waiting.append((program.tree, program))
        tasks.append(replace(task, programs=tuple(found.values())))
    return replace(dag, tasks=tuple(tasks))


def runs_of_tasks(known: Mapping[str, Module], layout: Layout) -> dict[str, tuple[Run, ...]]:
    """By file, what the tasks of its DAGs run by commands that hold what a loop or a function gives each of them."""
    resolve = partial(layout.module_of, modules=known)
    files = (path for path in dag_files(known) if below(path, layout.dags_folder) is not None)
    return {path: _runs_of_tasks(layout.used.get(path, known[path]), resolve) for path in files}


def _runs_of_tasks(module: Module, resolve: Resolve) -> tuple[Run, ...]:
    file = read_dags(module, resolve)
    tasks = (task for dag in file.dags for task in dag.tasks)
    return tuple(dict.fromkeys(run for task in tasks for run in _runs_of_task(task, module, file.functions)))


def _runs_of_task(task: Task, module: Module, functions: Functions) -> Iterator[Run]:
    """What a task runs by a shell, with the values that its arguments have and the names around its call."""
    if task.call is not None:
        yield from runs_of(task.call, replace(module, constants={**module.constants, **task.names}))
    for use in files_of(task, functions, module):
        if use.how == "run":
            yield from runs_in(use.path)


def _mains(dag: Dag, module: Module) -> set[str]:
    """The modules whose statements a DAG runs: its own, and those that are programs."""
    return {module.path, *(program.module.path for task in dag.tasks for program in task.programs)}


def _statements(module: Module, run: set[int], *, own: bool) -> Iterator[ast.AST]:
    """The functions that are run, and of the DAG's own file what runs when it is imported."""
    for statement in module.tree.body:
        if isinstance(statement, Function):
            if id(statement) in run or (own and any(is_dag(node) for node in ast.walk(statement))):
                yield statement
        elif isinstance(statement, ast.ClassDef) or (
            own and not isinstance(statement, ast.Assign | ast.AnnAssign)
        ):
            yield statement


def _names(parts: Iterator[ast.AST]) -> set[str]:
    """All names that these parts mention."""
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for part in parts
        for node in ast.walk(part)
        if isinstance(node, ast.Name | ast.Attribute)
    }


def _targets(statement: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
