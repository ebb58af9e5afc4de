"""Whether a DAG can run in a version as it is, and if not why: with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.init.layout import Layout
from harness.init.places import below
from harness.init.reading.asks import Ask, asks
from harness.init.reading.dags import Dag, DagFile
from harness.init.reading.given import Given
from harness.init.reading.idioms import Idiom, idioms
from harness.init.reading.paths import FileUse, files_of
from harness.init.reading.purposes import only_by_name, touches_world
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.reading.source import Module
from harness.init.reading.tasks import Task
from harness.init.reading.team_image import TeamImage

_NEEDS = {
    "DockerOperator": "it starts containers, and a task pod has no Docker",
    "DockerSwarmOperator": "it starts containers, and a task pod has no Docker",
    "KubernetesPodOperator": "it makes pods, and a task pod has no right to",
    "KubernetesJobOperator": "it makes jobs, and a task pod has no right to",
    "SSHOperator": "it needs another machine",
    "SparkSubmitOperator": "it needs Spark",
}
_SECRET = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|CONN_", re.IGNORECASE)
_SET_BY_HARNESS = ("HARNESS_", "PYTHON", "AIRFLOW__", "AIRFLOW_HOME", "HOME", "PATH", "USER")
_WAITS = re.compile(r"(?:ExternalTask|File|S3Key|GCSObject\w*|Sql|Http|Sftp|Hdfs|Wasb\w*)Sensor$")
_DECORATORS = {"docker": "DockerOperator", "kubernetes": "KubernetesPodOperator"}


@dataclass
class Circumstances:
    """What all DAGs of a repository have in common."""

    files: RepositoryFiles
    layout: Layout
    image: TeamImage
    given: Given
    general: tuple[str, ...] = ()  # why none can run


@dataclass(frozen=True)
class Uses:
    """The files of a DAG's tasks: folders to share, what can't be, and whether /tmp is handed through."""

    shared: frozenset[str]
    written: Sequence[FileUse]
    loose: Sequence[FileUse]
    missing: Sequence[FileUse]
    shares_tmp: bool


@dataclass
class ReadDag:
    """One DAG with its file, and what was found of it. `reasons` say why it can't run yet."""

    dag: Dag
    file: DagFile
    module: Module
    uses: Uses
    asks: list[Ask] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def reasons(dag: Dag, module: Module, circumstances: Circumstances, uses: Uses) -> list[str]:
    """Why the DAG can't run yet; nothing when it can."""
    found = list(circumstances.general)
    found += [str(each) for each in idioms_of(module, circumstances.layout)]
    found += [f"{dag.place}: a run must give {name!r}: add conf = {{ {name} = … }}" for name in dag.required]
    found += [str_of_ask(each) for each in missing_asks(module, circumstances)]
    found += [_not_there(use, circumstances) for use in uses.missing]
    return list(dict.fromkeys(found))


def _not_there(use: FileUse, circumstances: Circumstances) -> str:
    path = circumstances.layout.places.locate(use.path)
    why = ": git ignores it" if path and circumstances.files.ignored(path) else ""
    why = ": DVC keeps it elsewhere" if path and circumstances.files.is_file(f"{path}.dvc") else why
    return f"{use.place}: it reads {use.shown}, which is not in the repository{why}"


def skipped(dag: Dag) -> list[tuple[Task, str]]:
    """The tasks that a test had better leave out, and why."""
    found = []
    for task in dag.tasks:
        why = touches_world(task) or _NEEDS.get(task.operator, "")
        if not why and _WAITS.search(task.operator):
            why = f"a {task.operator} waits for what a version does not have"
        if why:
            found.append((task, "its name says that it touches the world" if only_by_name(why) else why))
    return found


def idioms_of(module: Module, layout: Layout) -> list[Idiom]:
    """What of Airflow 2 a DAG's file and the repository's modules that it imports use."""
    return [each for used in needed_by(module, layout) for each in idioms(used)]


def needed_by(module: Module, layout: Layout) -> list[Module]:
    """A module and those of the repository that it imports, directly or not."""
    from harness.init.reading.source import imports

    found: dict[str, Module] = {}
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current.path in found:
            continue
        found[current.path] = current
        for each in imports(current):
            for name in filter(None, (each.module, f"{each.module}.{each.name}" if each.name else "")):
                other = layout.module_of(name, layout.used)
                if other is not None:
                    waiting.append(other)
    return list(found.values())


def missing_asks(module: Module, circumstances: Circumstances) -> list[Ask]:
    """What the DAG's file and its modules need of Airflow and the environment, and nothing here gives."""
    wanted = (
        each for each in asks_of(module, circumstances.layout) if not each.optional and each.kind != "pool"
    )
    return [each for each in wanted if not is_given(each, circumstances)]


def asks_of(module: Module, layout: Layout) -> list[Ask]:
    """What a DAG's file and the repository's modules that it imports ask for, once each."""
    wanted: dict[tuple[str, str], Ask] = {}
    for used in needed_by(module, layout):
        for each in asks(used):
            known = wanted.get((each.kind, each.name))
            if known is None or (known.optional and not each.optional):
                wanted[each.kind, each.name] = each
    return list(wanted.values())


def is_plain(name: str, value: str) -> bool:
    """Whether a variable may stand in the image: no secret, and nothing that harness sets."""
    fits = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and not name.startswith(_SET_BY_HARNESS)
    return bool(fits and value and value.isprintable() and not _SECRET.search(name))


def is_given(ask: Ask, circumstances: Circumstances) -> bool:
    """Whether the repository itself says what the code asks for."""
    image, known = circumstances.image, circumstances.given
    said = image.environment.get(ask.variable)
    if said is not None and is_plain(ask.variable, said.value):
        return True
    return ask.variable in known.variables or (ask.kind, ask.name) in known.settings


def str_of_ask(ask: Ask) -> str:
    """The reason that an ask nobody answers is."""
    what = f"{ask.place}: it asks for {ask.kind} {ask.name}, which nothing here gives"
    return f"{what}: give it as {ask.variable}, named by `from_env` below [secrets]"


def uses_of(dag: Dag, file: DagFile, module: Module, circumstances: Circumstances) -> Uses:
    """Where the DAG's tasks read and write."""
    tasks = [(task.task_id, files_of(task, file.functions, module)) for task in dag.tasks]
    written = [(task_id, use) for task_id, each in tasks for use in each if use.how == "write"]
    read = [(task_id, use) for task_id, each in tasks for use in each if use.how == "read"]
    layout, every = circumstances.layout, [use for _, use in written]
    folders = [(use, folder) for use in every if (folder := _folder_of(use, layout)) is not None]
    return Uses(
        shared=frozenset(folder for _, folder in folders if _can_be_shared(folder, layout)),
        written=every,
        loose=[use for use, folder in folders if not use.folder and not _can_be_shared(folder, layout)],
        missing=[use for _, use in read if _is_missing(use, every, circumstances)],
        shares_tmp=any(
            task_id != other_id and f"{use.path}/".startswith(f"{other.path}/")
            for task_id, use in read
            for other_id, other in written
            if use.path.startswith("/tmp/")  # noqa: S108
        ),
    )


def _folder_of(use: FileUse, layout: Layout) -> str | None:
    """The folder of the repository that a file lies in; None for one elsewhere."""
    path = layout.places.locate(use.path)
    return path if path is None or use.folder else path.rpartition("/")[0]


def _can_be_shared(folder: str, layout: Layout) -> bool:
    own = {"", layout.places.home, layout.dags_folder, *layout.python_path}
    return folder not in own and folder.split("/", maxsplit=1)[0] not in {"artifacts", "logs"}


def _is_missing(use: FileUse, written: Iterable[FileUse], circumstances: Circumstances) -> bool:
    """Whether nothing makes a file that is read: the repository has none, and no task writes near it."""
    places, files = circumstances.layout.places, circumstances.files
    path = places.locate(use.path)
    if path is None or not path or files.has(path) or "*" in path:
        return False
    for other in written:
        target = places.locate(other.path)
        if target is not None:
            folder = target if other.folder else target.rpartition("/")[0]
            if target == path or below(path, folder) is not None:
                return False
    return True


def widest(folders: Iterable[str]) -> tuple[str, ...]:
    """The folders that lie in none of the others."""
    known = set(folders)
    return tuple(
        sorted(
            each
            for each in known
            if not any(other != each and below(each, other) is not None for other in known)
        )
    )


def duplicates(dags: Iterable[Dag]) -> Mapping[str, list[Dag]]:
    """The DAG ids that several places define, of which Airflow runs whichever is parsed last."""
    found: dict[str, list[Dag]] = {}
    for dag in dags:
        if dag.dag_id:
            found.setdefault(dag.dag_id, []).append(dag)
    return {dag_id: each for dag_id, each in found.items() if len(each) > 1}
