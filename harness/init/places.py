"""Which path of the repository a path in code or configuration means, and where its DAGs lie."""

from __future__ import annotations

import ast
import posixpath
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from harness.init.reading.constants import REPOSITORY
from harness.init.reading.dags import is_dag
from harness.init.reading.image.team_image import ASTRO_ROOT, ROOT, TeamImage
from harness.init.reading.programs.checkouts import checkouts
from harness.init.reading.programs.commands import Run
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.reading.source import Module, imports
from harness.project.places import RESERVED, link_place

WHOLE = "."


@dataclass(frozen=True)
class Places:
    """`home` is the folder of the repository that is Airflow's home in the team's image, `mounts` what is elsewhere.

    A mount of `.` is one of the repository as a whole.
    """

    files: RepositoryFiles = field(repr=False)
    root: str
    home: str
    mounts: Mapping[str, str]

    def locate(self, written: str) -> str | None:
        """The path in the repository, also of what is not there yet; None for what lies elsewhere."""
        path = posixpath.normpath(written)
        if path.startswith(f"{REPOSITORY}/") or path == str(REPOSITORY):
            return inside(posixpath.relpath(path, REPOSITORY))
        absolute = posixpath.normpath(posixpath.join(self.root, path))
        for target in sorted(self.mounts, key=len, reverse=True):
            if absolute == target or absolute.startswith(f"{target}/"):
                return inside(posixpath.join(self.mounts[target], posixpath.relpath(absolute, target)))
        for root in (self.root, ROOT, ASTRO_ROOT):
            if absolute == root or absolute.startswith(f"{root}/"):
                inner = posixpath.relpath(absolute, root)
                at_home, plain = inside(posixpath.join(self.home, inner)), inside(inner)
                known = at_home is not None and self.files.has(at_home)
                return plain if not known and plain and self.files.has(plain) else at_home
        return None

    def unit_of(self, path: str) -> str:
        """What to take into the image as a whole for a path: a mounted folder, or one at the top of home or all."""
        mounted = [host for host in self.mounts.values() if host != WHOLE and below(path, host) is not None]
        if mounted:
            return max(mounted, key=len)
        inner = below(path, self.home)
        if inner == "." or path == ".":
            return ""
        return posixpath.join(self.home if inner else "", (inner or path).split("/")[0])

    def outside(self) -> dict[str, str]:
        """The mounts that are not below the root of any image of Airflow's, by their absolute paths."""
        roots = (self.root, ROOT, ASTRO_ROOT)
        return {
            target: host
            for target, host in self.mounts.items()
            if not any(below(target, root) is not None or below(root, target) is not None for root in roots)
        }

    def in_image(self, path: str) -> str:
        """Where the team's image has a path of the repository, from its root; the same path where nothing tells."""
        for target, host in self.mounts.items():
            inner = below(path, host) if host != WHOLE else None
            if inner is not None and target.startswith(f"{self.root}/"):
                return posixpath.normpath(posixpath.join(posixpath.relpath(target, self.root), inner))
        inner = below(path, self.home)
        return path if inner is None else posixpath.normpath(inner)


def places_of(files: RepositoryFiles, image: TeamImage, dags_folder: str) -> Places:
    """The repository's places, once it is known where its DAGs lie."""
    mounts = {target: host or WHOLE for target, host in image.mounts.items()}
    above = posixpath.dirname(dags_folder) if posixpath.basename(dags_folder) == "dags" else ""
    home = posixpath.dirname(image.astro.path) if image.astro else above
    if below(dags_folder, home) is None:  # another project's
        home = above
    return Places(files, image.root, home, mounts)


def with_checkouts(places: Places, modules: Iterable[Module], runs: Iterable[Run] = ()) -> Places:
    """Where also those folders are the repository's own that its code has it in on another machine."""
    roots = checkouts(modules, runs, places.files, places.locate)
    found = {root: WHOLE for root in roots if fits_outside(root)}
    return replace(places, mounts={**found, **places.mounts})


def dags_folders(modules: Mapping[str, Module], image: TeamImage, within: str = "") -> list[str]:
    """The folders that hold DAGs, the likeliest that Airflow reads them from first: those below `within` if any."""
    holding = dag_files(modules)
    said = image.environment.get("AIRFLOW__CORE__DAGS_FOLDER")
    mounted = []
    for target in (said.value if said else "", f"{image.root}/dags"):
        host = image.mounts.get(target)
        if host and any(below(path, host) is not None for path in holding):
            mounted.append(host)
    folders = Counter(_dags_folder(path) for path in holding)

    def rank(folder: str) -> tuple[bool, bool, bool, int, int, str]:
        elsewhere = below(folder, within) is None
        stray = (
            not folder and "dags" in folders
        )  # a file at the root, beside the folder that Airflow is given
        return elsewhere, folder not in mounted, stray, -folders[folder], folder.count("/"), folder

    return sorted({*folders, *mounted}, key=rank)


def dag_files(modules: Mapping[str, Module]) -> list[str]:
    """The files that make DAGs, also by a function of another module, and not those that only have such functions."""
    makers = {
        name
        for module in modules.values()
        for name, function in module.functions.items()
        if any(is_dag(node) for node in ast.walk(function) if node is not function) and not is_dag(function)
    }
    callers: dict[str, set[str]] = {}
    for path, module in modules.items():
        for each in imports(module):
            if each.name in makers and "airflow" in module.text.lower() and _calls(module, each.alias):
                callers.setdefault(path, set()).add(each.name)
    called = {name for names in callers.values() for name in names}
    return [
        path
        for path, module in modules.items()
        if path in callers or (defines_dags(module) and not _only_has(module, called))
    ]


def _calls(module: Module, name: str) -> bool:
    """Whether a module calls something by this name when it is imported."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
        for statement in module.tree.body
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for node in ast.walk(statement)
    )


def _only_has(module: Module, called: Container[str]) -> bool:
    """Whether all DAGs of a module are made in functions of these names, which others call."""
    made = [
        name
        for name, function in module.functions.items()
        if any(is_dag(node) for node in ast.walk(function))
    ]
    inside = {id(node) for name in made for node in ast.walk(module.functions[name])}
    outside = any(is_dag(node) and id(node) not in inside for node in ast.walk(module.tree))
    return bool(made) and not outside and all(name in called for name in made)


def defines_dags(module: Module) -> bool:
    """Whether a file may make DAGs: Airflow itself looks only at those that hold its name, and `dag` or `asset`."""
    text = module.text.lower()
    if "dagfactory" in text and any(each.module.split(".")[0] == "dagfactory" for each in imports(module)):
        return True
    if "airflow" not in text or ("dag" not in text and "asset" not in text):
        return False
    makes = any("dag" in found.name.lower() and found.name.startswith("create") for found in imports(module))
    return makes or any(is_dag(node) for node in ast.walk(module.tree))


def below(path: str, folder: str) -> str | None:
    """`path` from `folder`, `.` for itself; None where it is not in there. The empty folder is the repository's."""
    if not folder or folder == ".":
        return path or "."
    if path == folder:
        return "."
    return path.removeprefix(f"{folder}/") if path.startswith(f"{folder}/") else None


def fits(path: str) -> bool:
    """Whether a path may stand in [image]: plain, and none that a version keeps files of its own at."""
    plain = path.isprintable() and "\\" not in path and not path.startswith(("-", "/"))
    return (
        bool(path)
        and plain
        and path.split("/", maxsplit=1)[0] not in RESERVED
        and ".." not in path.split("/")
    )


def fits_outside(path: str) -> bool:
    """Whether a link may lie at an absolute path."""
    try:
        link_place(path)
    except ValueError:
        return False
    return True


def inside(path: str) -> str | None:
    """A path of the repository in its plain form, empty for the repository itself; None for what leads out."""
    normal = posixpath.normpath(path)
    if normal.startswith(("../", "/")) or normal == "..":
        return None
    return "" if normal == "." else normal


def _dags_folder(path: str) -> str:
    """The topmost folder called `dags` above a file, else the file's own."""
    parts = PurePosixPath(path).parts[:-1]
    for index, part in enumerate(parts):
        if part == "dags":
            return posixpath.join(*parts[: index + 1])
    return posixpath.dirname(path)
