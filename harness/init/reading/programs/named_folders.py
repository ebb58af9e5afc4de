"""Variables that stand for a folder, as in `$PROJECT_HOME/scripts/train.py`: those of the team's image, and those that
can be nothing but the repository's own folder, since it has what the code looks for below them."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace

from harness.init.reading.image.team_image import Said, TeamImage
from harness.init.reading.paths import mentioned
from harness.init.reading.programs.commands import runs_of
from harness.init.reading.repository_files import Place, RepositoryFiles
from harness.init.reading.source import Module, bind, modules
from harness.init.reading.syntax.known_functions import FOLDERS

_NAME = r"(?P<name>\w*(?:path|dir|root|home|folder|base|project|repo)\w*)"
_ASKED = re.compile(
    rf"(?:\benviron(?:\.get)?|\bgetenv|(?P<variable>\bVariable\.get))\s*[\[(]\s*['\"]{_NAME}['\"]\s*[\])]"
    rf"|var\.value\.(?P<template>(?i:{_NAME.replace('?P<name>', '?:')}))",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"(?:AIRFLOW|PYTHON|HARNESS|XDG|JAVA|SPARK|HADOOP|MLFLOW|HF)_.*|(?:PYTHON|CLASS)?PATH|HOME|TMPDIR"
)
_BELOW = re.compile(r"^/\(:(?P<name>\w+)\)/(?P<tail>[\w.-]+(?:/[\w.-]+)*)$")


def named_folders(files: RepositoryFiles, image: TeamImage) -> dict[str, Said]:
    """By variable of the environment, the folder that it must be in an image; from now on code is read with these.

    An Airflow Variable is there as the variable that gives it. What the team's image says counts, and is not repeated.
    """
    said = {name: each.value for name, each in image.environment.items() if each.value.startswith("/")}
    asked = {name: place for name, place in _asked(files) if name not in image.environment}
    found: dict[str, Said] = {}
    if asked:
        FOLDERS.set({**said, **{name: f"/(:{name})" for name in asked}})
        for name, tail in sorted(set(_looked_for(files))):
            folder = _folder_with(tail, files)
            if folder is not None and name not in found:
                found[name] = Said(posixpath.normpath(posixpath.join(image.root, folder)), asked[name])
    FOLDERS.set({**said, **{name: each.value for name, each in found.items()}})
    return found


def _asked(files: RepositoryFiles) -> Iterator[tuple[str, Place]]:
    """The variables without a default whose names tell of a folder, and where code asks for them."""
    for path in files.python():
        text = files.read_text(path) or ""
        for match in _ASKED.finditer(text):
            name = match["template"] or match["name"]
            of_airflow = match["variable"] or match["template"]
            if of_airflow or not _OTHERS.fullmatch(name.upper()):
                place = Place(path, text.count("\n", 0, match.start()) + 1)
                yield (f"AIRFLOW_VAR_{name.upper()}" if of_airflow else name), place


def _looked_for(files: RepositoryFiles) -> Iterator[tuple[str, str]]:
    """What code looks for below the variables, each of which stands for itself while it is read."""
    for module in modules(files)[0].values():
        for part in (module, *_functions(module)):
            texts = (text for text, _ in mentioned(part))
            programs = (run.written for run in runs_of(part.tree, part))
            for each in (*texts, *programs):
                if match := _BELOW.match(posixpath.normpath(each)):
                    yield match["name"], match["tail"]


def _functions(module: Module) -> Iterator[Module]:
    """The functions of a module as modules, with the values that their own names have."""
    for function in (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef)):
        names = dict(module.constants)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign | ast.AnnAssign):
                bind(node, names)
        yield replace(module, tree=ast.Module(function.body, []), constants=names)


def _folder_with(tail: str, files: RepositoryFiles) -> str | None:
    """The only folder of the repository that has this below it, the repository's own first; None where none is sure."""
    if files.has(tail):
        return ""
    ends = {name[: -len(tail) - 1] for name in files.names if name.endswith(f"/{tail}")}
    return ends.pop() if len(ends) == 1 and "/" in tail else None
