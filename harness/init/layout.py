"""What [image] must say of the code that DAGs need, found by following their imports and the paths that they name."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.init.places import WHOLE, Places, below, places_of, with_checkouts
from harness.init.reading.constants import Members
from harness.init.reading.image.team_image import TeamImage
from harness.init.reading.paths import mentioned
from harness.init.reading.programs.commands import Run, runs_in, runs_of, texts_of
from harness.init.reading.programs.path_edits import PathEdit, path_edits
from harness.init.reading.programs.roots import roots_of
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.reading.source import Imported, Module, imports, rebound

IMPORT_STEPS = 3
_SETTINGS = (".yml", ".yaml", ".json", ".toml", ".cfg", ".ini")
_DATABASES = (".duckdb", ".db", ".sqlite", ".sqlite3")
_ABSOLUTE = re.compile(r"(?:/opt|/usr/local)/airflow/[\w./-]+")
_AIRFLOWS = frozenset({"config", "dags", "logs", "plugins", "tests"})


@dataclass
class Layout:
    """Where the code lies. `used` are the modules that DAG files need, `foreign` their other imports, by file.

    `databases` are folders of files that configuration names and tasks make, `of_tasks` what tasks run, by DAG file.
    """

    places: Places
    dags_folder: str
    code: set[str] = field(default_factory=set)
    python_path: list[str] = field(default_factory=list)
    edits: list[PathEdit] = field(default_factory=list)
    used: dict[str, Module] = field(default_factory=dict)
    foreign: list[tuple[Imported, str]] = field(default_factory=list)
    roots: tuple[str, ...] = ()
    databases: set[str] = field(default_factory=set)
    of_tasks: Mapping[str, Sequence[Run]] = field(default_factory=dict, repr=False)
    _ran: dict[str, tuple[Run, ...]] = field(default_factory=dict, repr=False)

    def module_of(self, name: str, modules: Mapping[str, Module]) -> Module | None:
        """The repository's own module that is imported as `name`."""
        return next((modules[path] for _, path in _candidates(name, self) if path in modules), None)

    def runs_of(self, module: Module) -> tuple[Run, ...]:
        """What a module runs by a shell, and the tasks of its DAGs by commands that differ from task to task."""
        if module.path not in self._ran:  # a long text, which each DAG that imports it asks for
            self._ran[module.path] = tuple(runs_of(module.tree, module))
        return (*self._ran[module.path], *self.of_tasks.get(module.path, ()))

    def programs_of(self, module: Module) -> list[str]:
        """The repository's own files that a module runs by a shell."""
        return [path for each in self.runs_of(module) for path, _ in self.started(each)]

    def program(self, run: Run) -> str | None:
        """The repository's own file that is run so, where the shell has gone to a folder or not."""
        files = self.places.files
        if run.written:
            path = self.places.locate(posixpath.join(run.goes, run.written))
            return path if path and files.is_file(path) else None
        name = posixpath.join(*run.module.split("."))
        places = (posixpath.join(root, name) for root in (*self.looked(run), *self.roots))
        names = (each for place in places for each in (f"{place}.py", f"{place}/__main__.py"))
        return next(filter(files.is_file, names), None)

    def started(self, run: Run) -> Iterator[tuple[str, Run]]:
        """The repository's own files that a command starts: its program, and those that a shell script runs in turn."""
        waiting, seen = [run], set[str]()
        while waiting:
            each = waiting.pop(0)
            path = self.program(each)
            if path and path not in seen:
                seen.add(path)
                yield path, each
                text = self.places.files.read_text(path) if path.endswith(".sh") else None
                waiting += [replace(inner, goes=inner.goes or each.goes) for inner in runs_in(text or "")]

    def looked(self, run: Run) -> list[str]:
        """The folders in which a program finds its modules besides the usual ones: first of all its own."""
        path = self.program(run) if run.written else None
        own = posixpath.dirname(path) if path else self.places.locate(run.goes) if run.goes else None
        named = (self.places.locate(posixpath.join(run.goes, each)) for each in run.looks)
        return [each for each in (own, *named) if each is not None]

    def imported(self) -> set[str]:
        """The repository's modules that others of its modules import."""
        found = (
            self.module_of(each.module, self.used)
            for module in self.used.values()
            for each in imports(module)
        )
        return {module.path for module in found if module is not None}

    def add_named(self, texts: Iterable[str]) -> None:
        """Put what code or its settings name of the repository into `code`: data, SQL, configuration."""
        files, places = self.places.files, self.places
        for text in texts:
            path = places.locate(text)
            if not path or not files.has(path) or any(below(path, known) is not None for known in self.code):
                continue
            if files.is_file(path) and "." not in posixpath.basename(path):
                continue
            top = places.unit_of(path)
            by_import = path.endswith(".py") and not text.startswith("/")
            if top and not by_import and top not in {"tests", "docs", ".github"}:
                self.code.add(top)
        self.code = set(_widest(self.code))

    def links(self, paths: Iterable[str]) -> dict[str, str]:
        """The links by which these paths are where the team's own image has them."""
        found: dict[str, str] = {}
        for path in sorted(paths):
            wanted = self.places.in_image(path)
            if wanted not in {path, "."} and not any(below(wanted, name) is not None for name in found):
                found[wanted] = path
        return found

    def links_outside(self, settings: Iterable[str]) -> dict[str, str]:
        """The links for folders that the team's image has outside its root, where code or its settings name them."""
        texts = [
            *settings,
            *(text for module in self.used.values() for text in texts_of(module.tree, module)),
        ]
        outside = self.places.outside()
        return {target: host for target, host in outside.items() if any(target in text for text in texts)}


def read_layout(
    files: RepositoryFiles,
    modules: Mapping[str, Module],
    image: TeamImage,
    dags_folder: str,
    of_tasks: Callable[[Layout], Mapping[str, Sequence[Run]]] = lambda _: {},
) -> Layout:
    """The layout of the repository whose DAGs lie in `dags_folder`; `of_tasks` tells what their tasks run."""
    places = places_of(files, image, dags_folder)
    layout = Layout(places, dags_folder, {dags_folder or "."})
    start = [path for path in modules if below(path, dags_folder) is not None]
    layout.places = with_checkouts(places, [modules[path] for path in start])
    layout.edits = [edit for path in start for edit in path_edits(modules[path], layout.places.locate)]
    layout.roots = tuple(dict.fromkeys(roots_of(layout.places, dags_folder, image, layout.edits)))
    plugins = posixpath.join(places.home, "plugins")
    if any(path.endswith(".py") for path in files.below(plugins)):
        layout.code.add(plugins)
    _use([*start, *(path for path in modules if below(path, plugins) is not None)], layout, modules)
    _bind_imported(layout)
    layout.of_tasks = of_tasks(layout)
    looked: set[str] = set()
    while waiting := [path for path in layout.used if path not in looked]:  # programs may run others
        looked.update(waiting)
        runs = [each for path in waiting for each in layout.runs_of(layout.used[path])]
        layout.places = with_checkouts(layout.places, [layout.used[path] for path in waiting], runs)
        run = dict(_run(runs, layout))
        looked_in = (folder for each in run.values() for folder in layout.looked(each))
        layout.roots = tuple(dict.fromkeys((*layout.roots, *looked_in)))
        _use([path for path in run if path in modules], layout, modules)
        _bind_imported(layout)
    for module in layout.used.values():
        layout.add_named(text for text, _ in mentioned(module))
    named = list(_named_by_settings(layout))
    layout.add_named(named)
    made = (layout.places.locate(text) for text in named if text.endswith(_DATABASES))
    layout.databases = {posixpath.dirname(path) for path in made if path and not files.has(path)} - {
        "",
        dags_folder,
    }
    layout.add_named(target for target, host in image.mounts.items() if _is_codes(target, host, image.root))
    return layout


def _use(paths: list[str], layout: Layout, modules: Mapping[str, Module]) -> None:
    """Follow the imports of these modules."""
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in layout.used:
            layout.used[path] = modules[path]
            for found in imports(modules[path]):
                waiting += _follow(found, path, layout, modules)


def _run(runs: Iterable[Run], layout: Layout) -> Iterator[tuple[str, Run]]:
    """The repository's programs that code runs by a shell, with their folder in `code`.

    Where such a command goes to a folder that nothing else tells of, and a program is found from the repository's own,
    that is it.
    """
    for each in runs:
        places, files = layout.places, layout.places.files
        plain = posixpath.normpath(each.written) if each.written else f"{each.module.replace('.', '/')}.py"
        unknown = each.goes and places.locate(each.goes) is None
        if (layout.program(each) is None or unknown) and each.goes and files.is_file(plain):
            layout.places = replace(places, mounts={**places.mounts, posixpath.normpath(each.goes): WHOLE})
        for path, run in layout.started(each):
            if not any(below(path, known) is not None for known in layout.code):
                layout.code.add(layout.places.unit_of(path) or path)
            yield path, run


def _named_by_settings(layout: Layout) -> Iterator[str]:
    """The absolute paths that configuration beside the DAGs names."""
    files = layout.places.files
    for path in files.below(layout.dags_folder):
        if path.endswith(_SETTINGS):
            yield from (found[0] for found in _ABSOLUTE.finditer(files.read_text(path) or ""))


def _is_codes(target: str, host: str, root: str) -> bool:
    """Whether a folder that the team's image has below its root is more than Airflow's own and DAGs."""
    inner = below(target, root)
    if inner is None or not host or inner.startswith("dags/"):
        return False
    return inner != "." and inner not in _AIRFLOWS


def _candidates(name: str, layout: Layout) -> Iterator[tuple[str, str]]:
    """The files that a module's name may stand for, each with the root that it is below."""
    if (
        not name.strip(".") or name.partition(".")[0] == "airflow"
    ):  # the package comes before a file of its name
        return
    if name.startswith("/"):  # relative to a package: the path is known
        path = name.removeprefix("/").replace(".", "/")
        yield from (("", f"{path}.py"), ("", f"{path}/__init__.py"))
        return
    parts = name.split(".")
    for root in layout.roots:
        path = posixpath.join(root, *parts)
        yield from ((root, f"{path}.py"), (root, f"{path}/__init__.py"))
        mounted = layout.places.locate(posixpath.join(*parts)) if root == layout.places.home else None
        if mounted is not None and mounted != path:
            yield from ((root, f"{mounted}.py"), (root, f"{mounted}/__init__.py"))


def _follow(found: Imported, path: str, layout: Layout, modules: Mapping[str, Module]) -> list[str]:
    """The repository's own modules that an import leads to; the layout is told of what they need."""
    parts = found.module.split(".")
    names = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    names += [f"{found.module}.{found.name}"] if found.name else []
    reached = []
    for name in filter(None, names):
        hit = next(((root, each) for root, each in _candidates(name, layout) if each in modules), None)
        if hit is not None:
            reached.append(hit[1])
            if not name.startswith("/"):
                _need(hit[0], name, layout)
    if not reached and not found.module.startswith("/") and parts[0] not in sys.stdlib_module_names:
        layout.foreign.append((found, path))
    return reached


def _need(root: str, name: str, layout: Layout) -> None:
    """Put what an import of `name` from `root` needs into `code`, and its root on the import path."""
    home, dags = layout.places.home, layout.dags_folder
    if root in {dags, posixpath.join(home, "plugins")}:
        return
    first = name.partition(".")[0]
    top = (layout.places.locate(first) or first) if root == home else posixpath.join(root, first)
    if below(root, dags) is None or not dags:
        package = layout.places.files.has(top)
        layout.code.add(root if root not in {home, ""} else top if package else f"{top}.py")
    by_itself = root == home or any(
        edit.folder == root for edit in layout.edits
    )  # links put home below the root
    if root and not by_itself and root not in layout.python_path:
        layout.python_path.append(root)


def _bind_imported(layout: Layout) -> None:
    """Give modules the values of the names that they import from each other, a few steps far."""
    for _ in range(IMPORT_STEPS):
        for path, module in layout.used.items():
            values = {}
            for found in imports(module):
                source = layout.module_of(found.module, layout.used)
                if source is not None and found.name in source.constants:
                    values[found.alias] = source.constants[found.name]
                elif whole := layout.module_of(_whole(found), layout.used):
                    values[found.alias] = Members(whole.constants)
            if values:
                layout.used[path] = rebound(module, values)


def _whole(found: Imported) -> str:
    """The name of the module that an import may give a name to as a whole."""
    return f"{found.module}.{found.name}" if found.name else found.module


def _widest(paths: set[str]) -> Iterator[str]:
    """Those that are in none of the others."""
    for path in sorted(paths):
        if not any(other != path and below(path, other) is not None for other in paths):
            yield path
