"""The house's rules about which module may know, run, print or end what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "harness"
MOST_LINES = 300
MOST_MODULES = 12

# The story, from what everything may know to what nothing may: a module imports from its own layer or from
# those above it in this list. A name counts for all below it that have no entry of their own.
LAYERS = (
    ("harness", "harness.errors", "harness.versions", "harness.progress", "harness.hints"),
    # The words of a result, that steps speak.
    ("harness.report.provenance", "harness.report.metric_results"),
    ("harness.report.model", "harness.report.format"),
    ("harness.verdict.noise",),
    ("harness.host",),
    ("harness.host.docker",),
    ("harness.host.sources",),
    ("harness.host.doctor",),
    ("harness.project",),
    ("harness.verdict",),
    ("harness.image",),
    ("harness.cluster",),
    ("harness.airflow.logs.redaction", "harness.airflow.logs.excerpts", "harness.airflow.logs.tracebacks"),
    ("harness.airflow.rest",),
    ("harness.airflow.pods",),
    ("harness.airflow.logs",),
    ("harness.airflow.autopsy",),
    ("harness.airflow.parsing",),
    ("harness.airflow.run",),
    ("harness.airflow.values",),
    ("harness.airflow.release",),
    ("harness.isolation",),
    ("harness.init",),
    ("harness.engine",),
    ("harness.report",),
    ("harness.cli", "harness.pytest_plugin", "harness.__main__"),
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}

RUNS_PROGRAMS = "harness.host.process"
EXECUTES = "harness.host.docker.bounded_runtime"  # stands alone: Docker starts it, and it becomes runc
ENDS = ("harness.cli.app", "harness.cli.run")
OS_PROGRAMS = ("system", "popen", "fork", "forkpty", "exec", "spawn", "posix_spawn", "startfile")


@dataclass(frozen=True)
class Module:
    """A module of the package and its syntax tree."""

    name: str
    path: Path
    text: str

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.path)

    @property
    def layer(self) -> int:
        """The number of the layer it is in."""
        parts = self.name.split(".")
        names = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
        found = next((LAYER_OF[name] for name in names if name in LAYER_OF), None)
        if self.name == "harness":
            return 0
        assert found is not None, f"{self.name} has no place in LAYERS: decide where it belongs"
        return found


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    _name(path): Module(_name(path), path, path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}


@dataclass(frozen=True)
class Import:
    """One name that a module imports: from where, what, in which line, and whether only for type checkers."""

    module: str
    name: str
    line: int
    types_only: bool


def imports(tree: ast.Module) -> Iterator[Import]:
    """Every import, also those inside functions."""
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno, id(node) in for_types)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: the house imports by full names"
            for alias in node.names:
                yield Import(node.module or "", alias.name, node.lineno, id(node) in for_types)


def own_imports(module: Module) -> Iterator[tuple[Import, Module]]:
    """What a module imports of the package, with the module that it comes from."""
    for found in imports(module.tree):
        source = MODULES.get(f"{found.module}.{found.name}") or MODULES.get(found.module)
        if source is not None:
            yield found, source


def calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The dotted name of everything that is called, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def uses(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every dotted name such as `sys.stdout`, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_imports_point_down_the_story() -> None:
    wrong = [
        f"{module.name}:{found.line} imports {source.name}"
        for module in MODULES.values()
        for found, source in own_imports(module)
        if source.layer > module.layer
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module.name: {source.name for _, source in own_imports(module) if source is not module}
        for module in MODULES.values()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_nobody_reaches_into_anothers_insides() -> None:
    wrong = []
    for module in MODULES.values():
        aliases = {}
        for found, source in own_imports(module):
            if is_private(found.name):
                wrong.append(f"{module.name}:{found.line} imports {source.name}.{found.name}")
            aliases[found.name] = source.name
        for name, line in uses(module.tree):
            owner, _, attribute = name.rpartition(".")
            if owner in aliases and is_private(attribute):
                wrong.append(f"{module.name}:{line} uses {name}")
    assert wrong == []


def test_one_module_runs_programs() -> None:
    wrong = []
    for module in MODULES.values():
        if module.name == RUNS_PROGRAMS:
            continue
        wrong += [
            f"{module.name}:{found.line} imports {found.module}"
            for found in imports(module.tree)
            if found.module.split(".")[0] in {"subprocess", "pty", "multiprocessing"} and not found.types_only
        ]
        wrong += [
            f"{module.name}:{line} calls {name}"
            for name, line in calls(module.tree)
            if name.startswith("os.") and name[3:].startswith(OS_PROGRAMS) and module.name != EXECUTES
        ]
    assert wrong == []


def test_the_runtime_that_docker_starts_stands_alone() -> None:
    assert [
        found.module for found in imports(MODULES[EXECUTES].tree) if found.module.startswith("harness")
    ] == []


def test_only_reports_and_the_command_line_print() -> None:
    printing = {"print", "typer.echo", "typer.secho", "click.echo"}
    streams = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}
    wrong = [
        f"{module.name}:{line} uses {name}"
        for module in MODULES.values()
        if not module.name.startswith("harness.report") and module.name not in ENDS
        for name, line in (*calls(module.tree), *uses(module.tree))
        if name in printing | streams
    ]
    assert wrong == []


def test_only_the_command_line_exits() -> None:
    exits = {"sys.exit", "exit", "quit", "os._exit", "SystemExit", "typer.Exit"}
    wrong = []
    for module in MODULES.values():
        if module.name in ENDS:
            continue
        wrong += [f"{module.name}:{line} calls {name}" for name, line in calls(module.tree) if name in exits]
        wrong += [
            f"{module.name}:{node.lineno} raises {ast.unparse(node.exc)}"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Raise) and node.exc is not None and ast.unparse(node.exc) in exits
        ]
    assert wrong == []


def test_a_module_has_one_job_that_fits_on_a_few_screens() -> None:
    lengths = {module.name: len(module.text.splitlines()) for module in MODULES.values()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_a_folder_holds_a_dozen_modules_at_most() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    sizes = {
        str(folder.relative_to(ROOT)): sum(path.stem != "__init__" for path in folder.glob("*.py"))
        for folder in folders
    }
    assert {name: size for name, size in sizes.items() if size > MOST_MODULES} == {}


def test_each_folder_says_what_lives_in_it() -> None:
    assert [
        module.name
        for module in MODULES.values()
        if module.path.stem == "__init__" and not ast.get_docstring(module.tree)
    ] == []


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "common", "misc"}
    assert [name for name in MODULES if drawers & set(name.split("."))] == []


def test_no_module_changes_global_state() -> None:
    wrong = [
        f"{module.name}:{node.lineno}"
        for module in MODULES.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
    ]
    assert wrong == []


def test_every_layer_names_something_that_exists() -> None:
    assert [name for name in LAYER_OF if name not in MODULES] == []


def test_no_two_test_modules_have_one_name() -> None:
    """Outside of packages pytest imports them by their names alone: together two could not be collected."""
    loose = [
        path for path in (ROOT / "tests").rglob("test_*.py") if not (path.parent / "__init__.py").exists()
    ]
    names = sorted(path.name for path in loose)
    assert names == sorted(set(names))
