"""Whether a DAG can run in a version as it is, and if not why: with file and line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.init.layout import Layout
from harness.init.parts import imported_and_run, parts_of
from harness.init.places import fits
from harness.init.reading.asks import Ask, asks
from harness.init.reading.dags import Dag, DagFile
from harness.init.reading.given import Given
from harness.init.reading.idioms import Idiom, idioms, minor_of
from harness.init.reading.image.services import (
    Address,
    address_of,
    addresses_read,
    served,
    tracked_elsewhere,
    unreachable,
    without_login,
)
from harness.init.reading.paths import FileUse
from harness.init.reading.programs.environments import lost_environments
from harness.init.reading.purposes import returned_bytes
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Module
from harness.init.reading.tasks import Task
from harness.init.uses import Circumstances, Uses, absence, lost_commands
from harness.project.values import MLFLOW_URL

_SECRET = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|CONN_", re.IGNORECASE)
_SET_BY_HARNESS = ("HARNESS_", "PYTHON", "AIRFLOW__", "AIRFLOW_HOME", "HOME", "PATH", "USER")


@dataclass
class ReadDag:
    """One DAG with its file, and what was found of it. `reasons` say why it can't run yet."""

    dag: Dag
    file: DagFile
    module: Module
    uses: Uses
    asks: list[Ask] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    logged: tuple[str, ...] | None = None
    addresses: list[Address] = field(default_factory=list)
    outside: list[tuple[str, Place]] = field(default_factory=list)
    tracked: tuple[str, Place] | None = None

    @property
    def mlflow(self) -> bool:
        """Whether it logs numbers to MLflow where the version has it, `logged` by their names."""
        return self.logged is not None and self.tracked is None

    @property
    def mlflow_address(self) -> str:
        """Where its code says that MLflow's server is, if a version's own can be there and is not by itself."""
        own = (address.own for address in self.addresses if address.own not in {"", MLFLOW_URL})
        return next(own, "") if self.mlflow else ""


def reasons(read: ReadDag, circumstances: Circumstances) -> list[str]:
    """Why the DAG can't run yet; nothing when it can."""
    dag, module, uses = read.dag, read.module, read.uses
    found = list(circumstances.general)
    found += [str(each) for each in idioms_of(module, circumstances)]
    found += [f"{dag.place}: a run must give {name!r}: add conf = {{ {name} = … }}" for name in dag.required]
    found += [str_of_ask(each, circumstances) for each in missing_asks(read, circumstances)]
    found += [str(each) for each in read.addresses if not _is_reached(each, read, circumstances)]
    found += [_not_there(use, circumstances) for use in uses.missing]
    found += _bytes_handed(read, circumstances)
    found += _defaults_not_there(read, circumstances)
    found += lost_commands(read.dag, module, circumstances)
    found += [
        each
        for used, parts in parts_of(dag, module, needed_by(module, circumstances.layout))
        for each in lost_environments(used, parts, circumstances.image)
    ]
    return list(dict.fromkeys(found))


def addresses_of(dag: Dag, module: Module, circumstances: Circumstances) -> list[Address]:
    """The addresses in what the DAG runs that no version reaches."""
    needed = needed_by(module, circumstances.layout)
    return [
        found
        for each, parts in parts_of(dag, module, needed)
        for found in unreachable(each, parts, circumstances.image)
    ]


def tracked(dag: Dag, module: Module, circumstances: Circumstances) -> tuple[str, Place] | None:
    """Where the DAG says that its numbers go, if that is none of the version's."""
    parts = parts_of(dag, module, needed_by(module, circumstances.layout))
    return tracked_elsewhere(parts, circumstances.image)


def outside(dag: Dag, module: Module, circumstances: Circumstances) -> list[tuple[str, Place]]:
    """The addresses in what the DAG runs that lead to hosts outside, once each."""
    needed = needed_by(module, circumstances.layout)
    found: dict[str, Place] = {}
    for each, parts in parts_of(dag, module, needed):
        for url, place in addresses_read(parts, each):
            if address_of(url, circumstances.image) is None:
                found.setdefault(url, place)
    return list(found.items())


def _is_reached(address: Address, read: ReadDag, circumstances: Circumstances) -> bool:
    """Whether it is MLflow's, which the version has itself, or one that a variable takes the place of."""
    if address.tracking and read.mlflow:
        return bool(address.variable) or address.own in {MLFLOW_URL, read.mlflow_address} - {""}
    said = circumstances.image.environment.get(address.variable)
    elsewhere = said is not None and not served(said.value, circumstances.image)
    return bool(address.variable) and (elsewhere or address.variable in circumstances.given.variables)


def _defaults_not_there(read: ReadDag, circumstances: Circumstances) -> Iterator[str]:
    """The params that name a file by default which is not in the repository."""
    places, files = circumstances.layout.places, circumstances.files
    for name, text, place in read.dag.defaults:
        path = places.locate(text) if text.startswith("/") else None
        if path and "." in path.rpartition("/")[2] and not files.has(path):
            made = (places.locate(use.path) for use in read.uses.written)
            if path not in made:
                use = FileUse(text, "read", place)
                yield f"{_not_there(use, circumstances)}: add conf = {{ {name} = … }}"


def _bytes_handed(read: ReadDag, circumstances: Circumstances) -> Iterator[str]:
    """The tasks that return pickles, as Airflow 2 kept them with enable_xcom_pickling."""
    if "AIRFLOW__CORE__XCOM_BACKEND" not in circumstances.image.environment:
        for task in read.dag.tasks:
            if place := returned_bytes(task, read.file.functions):
                what = f"{task.task_id} returns bytes, and Airflow 3 keeps what a task returns as JSON"
                yield f"{place}: {what}: write a file and return its path, or return a text of base64"


def _not_there(use: FileUse, circumstances: Circumstances) -> str:
    path = circumstances.layout.places.locate(use.path)
    return f"{use.place}: it reads {use.shown}, {absence(path, circumstances)}"


def idioms_of(module: Module, circumstances: Circumstances) -> list[Idiom]:
    """What a DAG's file and the repository's modules that it imports use, and their Airflow has not."""
    known, minor = circumstances.idioms, minor_of(circumstances.airflow)
    needed = needed_by(module, circumstances.layout)
    for used in needed:
        if used.path not in known:
            known[used.path] = idioms(used, minor)
    return [each for used in needed for each in known[used.path]]


def needed_by(module: Module, layout: Layout) -> list[Module]:
    """A module and those of the repository that it imports or runs as programs, directly or not."""
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
        waiting += [layout.used[path] for path in layout.programs_of(current) if path in layout.used]
    return list(found.values())


def missing_asks(read: ReadDag, circumstances: Circumstances) -> list[Ask]:
    """What the DAG's file and its modules need of Airflow and the environment, and nothing here gives."""
    found = []
    for ask in read.asks:
        said = circumstances.image.environment.get(ask.variable)
        here = said is not None and served(said.value, circumstances.image)
        of_mlflow = read.mlflow and "MLFLOW" in ask.variable.upper()
        if (here or not ask.optional) and ask.kind != "pool" and not of_mlflow:
            found += [] if is_given(ask, circumstances) else [ask]
    return found


def asks_of(dag: Dag, left_out: Iterable[Task], module: Module, layout: Layout) -> list[Ask]:
    """What a DAG's file, its tasks and the modules that it imports ask for, once each.

    `left_out` are tasks that the test skips: what only these ask for is not needed.
    """
    without = {
        id(node)
        for task in left_out
        for part in (task.call, *(function for function, _ in task.functions[:1]))
        if part is not None
        for node in ast.walk(part)
    }
    wanted: dict[tuple[str, str], Ask] = {}
    for used, parts in imported_and_run(dag, module, needed_by(module, layout)):
        for each in asks(used, parts, without):
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
    if said is not None and is_plain(ask.variable, said.value) and not served(said.value, image):
        return True
    return ask.variable in known.variables or (ask.kind, ask.name) in known.settings


def str_of_ask(ask: Ask, circumstances: Circumstances) -> str:
    """The reason that an ask nobody answers is."""
    said = circumstances.image.environment.get(ask.variable)
    why = "which nothing here gives"
    if said is not None and served(said.value, circumstances.image):
        why = f"which {said.place} gives as {without_login(said.value)}, and no version has that"
    elif said is not None and said.value:
        why = f"which {said.place} gives, and no secret belongs into an image"
    what = f"{ask.place}: it asks for {ask.kind} {ask.name}, {why}"
    if not ask.variable.isidentifier():  # no shell sets such a variable
        entry, listed = (f"conn_id: {ask.name}, conn_uri", "connections")
        if ask.kind == "Variable":
            entry, listed = (f"variable_name: {ask.name}, variable_value", "variables")
        how = f"as `- {{{entry}: …}}` in airflow_settings.yaml, below `airflow: {listed}:`"
        return f"{what}: give it {how}, and name that file by `airflow_settings` below [secrets]"
    return f"{what}: give it as {ask.variable}, named by `from_env` below [secrets]"


def duplicates(dags: Iterable[Dag]) -> Mapping[str, list[Dag]]:
    """The DAG ids that several places define, of which Airflow runs whichever is parsed last."""
    found: dict[str, list[Dag]] = {}
    for dag in dags:
        if dag.dag_id:
            found.setdefault(dag.dag_id, []).append(dag)
    return {dag_id: each for dag_id, each in found.items() if len(each) > 1}


def env_of(read: Sequence[ReadDag], circumstances: Circumstances) -> dict[str, str]:
    """What the team's own image or compose file gives that the code asks for, and is no secret."""
    wanted = {ask.variable for each in read for ask in each.asks}
    image = circumstances.image
    tracking = {
        address.variable
        for each in read
        if each.mlflow
        for address in each.addresses
        if address.tracking and address.variable
    }
    plain = {
        name: said.value
        for name, said in image.environment.items()
        if name in wanted and is_plain(name, said.value) and not served(said.value, image)
    }
    return {**dict.fromkeys(sorted(tracking - set(plain)), MLFLOW_URL), **plain}


def env_file_of(read: Sequence[ReadDag], gives: Given, env: Mapping[str, str]) -> str:
    """The untracked file of variables, where it gives something that the code asks for."""
    wanted = {ask.variable for each in read for ask in each.asks} - set(env)
    return gives.env_file if wanted & gives.variables and fits(gives.env_file) else ""


def pools_of(read: Sequence[ReadDag]) -> Iterator[str]:
    """The pools that DAGs name."""
    return iter(sorted({ask.name for each in read for ask in each.asks if ask.kind == "pool"}))


def settings_of(read: Sequence[ReadDag], gives: Given) -> str:
    """The file of Airflow's connections, Variables and pools, where it gives something that the code asks for."""
    wanted = {(ask.kind, ask.name) for each in read for ask in each.asks}
    return gives.settings_file if wanted & gives.settings and fits(gives.settings_file) else ""
