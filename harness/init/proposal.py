"""A repository -> what its harness.toml should be, and what is said about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from functools import partial

from harness.errors import CauseCode, HarnessError
from harness.init.findings import ImageTable, Proposal, ProposedTest, UnnamedDag, chained, listed
from harness.init.layout import Layout, read_layout
from harness.init.packages import packages_of, python_version
from harness.init.parts import runs_of_tasks, with_programs
from harness.init.places import below, dag_files, dags_folders, fits, fits_outside
from harness.init.reading.dag_factory import yaml_dags
from harness.init.reading.dags import Dag, DagFile, read_dags
from harness.init.reading.given import given
from harness.init.reading.image.image_files import team_image
from harness.init.reading.image.production import production, values_file
from harness.init.reading.image.team_image import ROOT, Said, TeamImage
from harness.init.reading.programs.named_folders import named_folders
from harness.init.reading.purposes import (
    best_metrics,
    logged_to_mlflow,
    pushed_metrics,
    returned_metric,
    skipped,
)
from harness.init.reading.repository_files import Place, RepositoryFiles
from harness.init.reading.source import MOST_ROUTINES, ROUTINES, Module, modules
from harness.init.reading.syntax.known_functions import FILE_TEXT
from harness.init.runnable import (
    ReadDag,
    addresses_of,
    asks_of,
    duplicates,
    env_file_of,
    env_of,
    outside,
    pools_of,
    reasons,
    settings_of,
    tracked,
)
from harness.init.table import decided, found, other_folders, shared_memory, yours
from harness.init.uses import Circumstances, metrics_file, uses_of, widest
from harness.init.written import POOLS, pools_text
from harness.project.configuration import TestSettings
from harness.project.places import RESERVED, link_contradictions

MOST_FOLDERS = 8  # that are read where the DAGs of the likeliest can't run
_TEST_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def propose(files: RepositoryFiles, within: str = "") -> Proposal:
    """What `harness init` would write for these files; of several folders of DAGs, one below `within` counts.

    Where none of its DAGs can run, the next folder is taken that has one which can.

    Raises HarnessError(DAG_NOT_FOUND) where no DAG is defined.
    """
    return copy_context().run(_of_files, files, within)  # what is set while these are read is theirs alone


def _of_files(files: RepositoryFiles, within: str) -> Proposal:
    FILE_TEXT.set(files.found)
    ROUTINES.set([MOST_ROUTINES])
    image = team_image(files)
    named = named_folders(files, image)
    known, broken = modules(files)
    folders = dags_folders(known, image, within)
    if not folders:
        raise _no_dags(broken)
    unfit = [folder for folder in folders if folder and not fits(folder)]
    folders = [folder for folder in folders if folder not in unfit]
    if not folders:
        raise HarnessError(
            CauseCode.DAG_NOT_FOUND,
            f"the DAGs lie in {unfit[0]!r}, which can't be a path of [image] code",
            hint=f"move them to a folder such as `dags`; {' and '.join(RESERVED)} are a version's own",
        )
    near = [folder for folder in folders if below(folder, within) is not None] or folders
    proposals = (_of_folder(files, known, broken, folder, folders, named) for folder in near[:MOST_FOLDERS])
    first = next(proposals)
    return first if first.can_run else next((each for each in proposals if each.can_run), first)


def _of_folder(
    files: RepositoryFiles,
    known: Mapping[str, Module],
    broken: list[Place],
    dags_folder: str,
    folders: Sequence[str],
    named: Mapping[str, Said],
) -> Proposal:
    """What would be written for the DAGs of one folder, of those that hold some."""
    image = team_image(files, near=dags_folder)
    image.environment = {**named, **image.environment}
    layout = read_layout(files, known, image, dags_folder, partial(runs_of_tasks, known))
    known = {**known, **layout.used}
    gives = given(files, layout.places.home)
    packages = packages_of(files, layout, image)
    python, python_reasons, python_findings = python_version(files, layout, image, packages.version)
    circumstances = Circumstances(
        files,
        layout,
        image,
        gives,
        general=(*packages.reasons, *python_reasons),
        airflow=packages.version,
    )
    read = list(_dags(known, dags_folder, circumstances))
    tests = chained(list(_tests(read, circumstances)))
    shared = _shared(read, layout)
    code = _code(layout)
    table = ImageTable(
        requirements=packages.path,
        airflow=packages.airflow,
        python=python,
        code=code,
        root="" if image.root == ROOT else image.root,
        python_path=tuple(path for path in layout.python_path if fits(path)),
        shared=shared,
        shared_tmp=any(each.uses.shares_tmp for each in read),
        system_packages=packages.system,
        links=_links(layout, code, shared, image),
        env=env_of(read, circumstances),
    )
    settings = settings_of(read, gives)
    pools = () if settings or gives.settings_file else tuple(pools_of(read))
    values = values_file(files)
    findings = (
        *found(read, layout, image),
        *other_folders(folders, layout),
        *packages.findings,
        *python_findings,
        *decided(table, tests, pools, named),
        *production(files, image, values),
        *yours(read, tests, broken, layout),
        *shared_memory(image),
    )
    return Proposal(
        table,
        tests,
        findings,
        extra={**packages.extra, **({POOLS: pools_text(pools)} if pools else {})},
        env_file=env_file_of(read, gives, table.env),
        unnamed=tuple(_unnamed(read)),
        airflow_settings=settings or (POOLS if pools else ""),
        values=values,
    )


def _no_dags(broken: list[Place]) -> HarnessError:
    return HarnessError(
        CauseCode.DAG_NOT_FOUND,
        "no Python file of the repository defines a DAG",
        evidence=[f"{place}: this is no Python 3 that can be read" for place in broken[:10]],
        hint="run harness init in the repository that holds the DAGs; git status tells what git ignores",
    )


def _dags(known: Mapping[str, Module], folder: str, circumstances: Circumstances) -> Iterator[ReadDag]:
    """The DAGs of a folder with what they need, and why those that can't run yet don't."""
    read = _defined(known, folder, circumstances)
    twice = duplicates(dag for dag, *_ in read)
    for dag, file, module, said in read:
        without = skipped(dag)
        left_out = [task for task, _ in without]
        kept = replace(dag, tasks=tuple(task for task in dag.tasks if task not in left_out))
        found = ReadDag(
            dag,
            file,
            module,
            uses_of(kept, file, module, circumstances),
            asks_of(kept, left_out, module, circumstances.layout),
            logged=logged_to_mlflow(each for task in dag.tasks for each in task.runs),
            addresses=addresses_of(kept, module, circumstances),
            outside=outside(kept, module, circumstances),
            tracked=tracked(kept, module, circumstances),
        )
        why = [*reasons(found, circumstances), *said]
        if without and len(without) == len(dag.tasks):
            why += [f"{task.place}: {task.task_id} can't run here: {reason}" for task, reason in without]
        if dag.dag_id in twice:
            places = listed(str(each.place) for each in twice[dag.dag_id])
            why.append(
                f"DAG id {dag.dag_id} is defined more than once, and Airflow runs the last one parsed: {places}"
            )
        if dag.dag_id and not _is_taken(dag.dag_id):
            why.append(f"{dag.place}: {dag.dag_id!r} is no id that Airflow takes")
        yield replace(found, reasons=why)


def _defined(
    known: Mapping[str, Module], folder: str, circumstances: Circumstances
) -> list[tuple[Dag, DagFile, Module, tuple[str, ...]]]:
    """The DAGs that the files of a folder define, each with why one in YAML of dag-factory can't run."""
    layout = circumstances.layout
    helpers = layout.imported()
    holding = [known[path] for path in dag_files(known) if below(path, folder) is not None]
    read: list[tuple[Dag, DagFile, Module, tuple[str, ...]]] = []
    resolve = partial(layout.module_of, modules=known)
    for module in holding:
        file = read_dags(module, resolve)
        dags = (with_programs(dag, file, module, layout, resolve) for dag in file.dags)
        read += [(dag, file, module, ()) for dag in dags if dag.dag_id or module.path not in helpers]
        yaml = yaml_dags(module, circumstances.files, layout.places.locate, folder)
        read += [(dag, file, module, yaml.reasons[dag.dag_id]) for dag in yaml.dags]
        layout.add_named(yaml.named)
    return read or [  # then what nothing could be told of is all that there is
        (Dag("", Place(module.path, 0)), read_dags(module, resolve), module, ())
        for module in holding
        if module.path not in helpers
    ]


def _unnamed(read: list[ReadDag]) -> Iterator[UnnamedDag]:
    for each in read:
        if not each.dag.dag_id:
            unknown = f"{each.dag.place}: only running the code tells this DAG's id: name it in [tests.NAME] yourself"
            yield UnnamedDag(str(each.dag.place), (unknown, *each.reasons))


def _is_taken(dag_id: str) -> bool:
    """Whether the configuration takes such an id, as Airflow does."""
    try:
        TestSettings.model_validate({"dag": dag_id})
    except ValueError:
        return False
    return True


def _tests(read: list[ReadDag], circumstances: Circumstances) -> Iterator[ProposedTest]:
    names: set[str] = set()
    for each in read:
        if not each.dag.dag_id:
            continue
        plain = _TEST_NAME.sub("_", each.dag.dag_id).strip("_.-")[:60] or "dag"
        name = next(n for n in (plain, *(f"{plain[:56]}-{i}" for i in range(2, 10_000))) if n not in names)
        names.add(name)
        skip = tuple(task.task_id for task, _ in skipped(each.dag))
        kept = [task for task in each.dag.tasks if task.task_id not in skip]
        file = "" if each.mlflow else metrics_file(each.uses, circumstances.layout)
        best = None if each.mlflow else best_metrics(kept, each.file.functions)
        pushed = alone = None
        if not (each.mlflow or best or file):
            pushed = pushed_metrics(kept)
            alone = None if pushed else returned_metric(kept)
        yield ProposedTest(
            name,
            each.dag.dag_id,
            str(each.dag.place),
            each.dag.schedule,
            metrics_task=next((found[0].task_id for found in (best, pushed, alone) if found), ""),
            metrics_key=pushed[1][0] if pushed else "",
            metrics_name=alone[1] if alone else "",
            metrics_file="" if best else file,
            mlflow=each.mlflow,
            mlflow_address=each.mlflow_address,
            metrics=best[1]
            if best
            else pushed[1][:1]
            if pushed
            else alone[1:]
            if alone
            else (each.mlflow and each.logged) or (),
            skip=skip,
            reasons=tuple(each.reasons),
            retries=each.dag.retries,
            follows=each.dag.follows,
            produces=each.dag.produces,
        )


def _shared(read: list[ReadDag], layout: Layout) -> tuple[str, ...]:
    folders = {folder for each in read for folder in each.uses.shared} | layout.databases
    return widest(folder for folder in folders if fits(folder))


def _code(layout: Layout) -> tuple[str, ...]:
    """The folder of DAGs first, which is where Airflow reads them from; what a version hides is left out."""
    first = layout.dags_folder or "."
    others = sorted(path for path in layout.code if path != first and fits(path))
    return (first, *others)


def _links(
    layout: Layout, code: tuple[str, ...], shared: tuple[str, ...], image: TeamImage
) -> dict[str, str]:
    outside = layout.links_outside(said.value for said in image.environment.values())
    kept: dict[str, str] = {}
    for name, target in {**layout.links((*code, *shared)), **outside}.items():
        able = fits_outside(name) if name in outside else fits(name)
        said = link_contradictions({**kept, name: target}, (*code, *shared), image.root)
        if able and fits(target) and not any(said):
            kept[name] = target
    return kept
