"""The lines of the table that `harness init` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.init.findings import Finding, ImageTable, ProposedTest, listed
from harness.init.layout import Layout
from harness.init.places import below
from harness.init.reading.asks import Ask
from harness.init.reading.image.team_image import Said, TeamImage
from harness.init.reading.packages.imported import package_of
from harness.init.reading.purposes import LOWER_IS_BETTER
from harness.init.reading.repository_files import Place
from harness.init.runnable import ReadDag
from harness.init.written import POOLS

MOST_ADDRESSES = 8


def found(read: Sequence[ReadDag], layout: Layout, image: TeamImage) -> Iterator[Finding]:
    """What the repository's files say."""
    ids = [each.dag.dag_id for each in read if each.dag.dag_id]
    yield Finding(
        "found",
        "DAGs",
        f"{len(ids)}: {listed(ids)}" if ids else "none whose id the code tells",
        layout.dags_folder or ".",
    )
    if image.astro:
        yield Finding("found", "Astro project", f"its code is at {image.root}", str(image.astro))
    for edit in layout.edits:
        yield Finding("found", "import path", f"the code adds {edit.written}", str(edit.place))
    wanted: dict[tuple[str, str], Ask] = {}
    for each in read:
        for ask in each.asks:
            wanted.setdefault((ask.kind, ask.name), ask)
    outside = {url: place for each in reversed(read) for url, place in each.outside}
    for url, place in list(outside.items())[:MOST_ADDRESSES]:
        yield Finding("found", "network", url, str(place))
    for ask in wanted.values():
        yield Finding("found", ask.kind, ask.name + (" (optional)" if ask.optional else ""), str(ask.place))


def other_folders(folders: Sequence[str], layout: Layout) -> Iterator[Finding]:
    """The folders of DAGs that are left out: a version's Airflow reads one."""
    for folder in folders:
        if below(folder, layout.dags_folder) is None:
            text = f"{folder or '.'} is left out: run harness init in there to take it in place of {layout.dags_folder}"
            yield Finding("found", "more DAGs", text, folder or ".")


def decided(
    table: ImageTable, tests: Sequence[ProposedTest], pools: Sequence[str], folders: Mapping[str, Said]
) -> Iterator[Finding]:
    """What of the configuration follows from that; `folders` are those that variables must stand for."""
    yield Finding("decided", "code", listed(table.code, 8))
    if table.python_path:
        yield Finding("decided", "import path", listed(table.python_path))
    if table.shared:
        yield Finding("decided", "shared folders", f"{listed(table.shared)}: tasks write there")
    if pools:
        yield Finding("decided", "pools", f"{listed(pools)}, with one slot each", POOLS)
    if table.shared_tmp:
        yield Finding("decided", "folder /tmp", "one for all tasks of a run: they hand files through it")
    if table.links:
        yield Finding("decided", "links", listed(f"{name} -> {table.links[name]}" for name in table.links))
    for name, each in folders.items():
        if name in table.env:
            text = f"{name} is {each.value}, as the code finds its files below that"
            yield Finding("decided", "variable", text, str(each.place))
    for test in tests:
        if test.runs_with:
            text = f"runs with test {test.runs_with}: it follows what that produces"
            yield Finding("decided", f"DAG {test.dag}", text, test.place)
        if test.can_run:
            metrics = _metrics(test)
            skip = f", without {listed(test.skip)}" if test.skip else ""
            yield Finding("decided", f"test {test.name}", f"runs DAG {test.dag}{metrics}{skip}", test.place)


def _metrics(test: ProposedTest) -> str:
    """Where its metrics come from, and which they are, where the code tells."""
    if test.metrics_task:
        source = test.metrics_task
    elif test.metrics_file:
        source = test.metrics_file
    elif test.mlflow:
        source = f"MLflow, at {test.mlflow_address}" if test.mlflow_address else "MLflow"
    else:
        return ""
    return f", metrics from {source}" + (f": {listed(test.metrics)}" if test.metrics else "")


def shared_memory(image: TeamImage) -> Iterator[Finding]:
    """That tasks have less of it than in the team's own containers."""
    if said := image.shared_memory:
        text = (
            f"{said.value} in your container, 64 MiB in a pod: give /dev/shm of your chart's workers an emptyDir with "
            "`medium: Memory`"
        )
        yield Finding(
            "yours", "shared memory", text, str(said.place), add='[airflow]\nvalues = "values.yaml"'
        )


def yours(
    read: Sequence[ReadDag], tests: Sequence[ProposedTest], broken: Sequence[Place], layout: Layout
) -> Iterator[Finding]:
    """What only the team can do, with the line to add."""
    for place in broken:
        yield Finding("yours", "not Python 3", "this line can't be read", str(place))
    for each in read:
        if not each.dag.dag_id:
            yield Finding(
                "yours",
                "a DAG's id",
                "only running the code tells it: name the DAG in a test",
                str(each.dag.place),
                add='[tests.NAME]\ndag = "THE_ID"',
            )
        for place in each.file.uncalled:
            yield Finding("yours", "@dag", "nothing calls this function, so it makes no DAG", str(place))
        for use in each.uses.loose:
            text = f"{use.shown} lies beside the code, where no other task sees it: write it into a folder"
            yield Finding("yours", "file of a task", text, str(use.place), add='shared = ["FOLDER"]')
        if each.logged is not None and each.tracked is not None:
            text = f"they go to {each.tracked[0]}, where no test looks: leave the address out"
            yield Finding(
                "yours",
                f"metrics of {each.dag.dag_id}",
                text,
                str(each.tracked[1]),
                add="metrics = { mlflow = true }",
            )
    elsewhere = {each.dag.dag_id for each in read if each.logged is not None and each.tracked is not None}
    for test in tests:
        for reason in test.reasons:
            yield Finding("yours", f"DAG {test.dag}", reason, test.place)
        if test.can_run and test.metrics:
            bound = "max" if LOWER_IS_BETTER.search(test.metrics[0]) else "min"
            gate = f"[tests.{test.name}.gates.{test.metrics[0]}]\n{bound} = …"
            yield Finding(
                "yours", f"gates of {test.name}", "what its numbers must satisfy", test.place, add=gate
            )
        elif test.can_run and not (test.metrics_file or test.mlflow or test.dag in elsewhere):
            text = "no task returns a dict of numbers: the DAG must only succeed"
            yield Finding(
                "yours", f"metrics of {test.name}", text, test.place, add='metrics = { task = "TASK" }'
            )
    needed = {each.module.path for each in read} | layout.imported()
    for edit in layout.edits:
        if edit.folder is None and edit.place.path in needed and _lacks(edit.place.path, layout):
            text = f"{edit.written} is no folder of the repository: what is imported from it will be missing"
            yield Finding("yours", "import path", text, str(edit.place))


def _lacks(path: str, layout: Layout) -> bool:
    """Whether a module imports what neither the repository has, as far as it is known, nor a well-known package."""
    foreign = (found for found, importer in layout.foreign if importer == path and not found.guarded)
    return any(name and not sure for name, sure in map(package_of, foreign))
