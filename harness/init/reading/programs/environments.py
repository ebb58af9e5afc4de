"""Virtual environments besides Airflow's own that code starts programs of, and which no version has."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator

from harness.init.reading.constants import dotted, text_of
from harness.init.reading.image.team_image import ROOT, TeamImage
from harness.init.reading.source import Module, keyword

_EXTERNAL = re.compile(r"(?:^|\.|_)(?:(?:Branch)?ExternalPythonOperator|external_python)$")
_INTERPRETER = re.compile(r"/(?!usr/|bin/|home/airflow/\.local/)\S+/bin/python[\d.]*")
_WHAT_HELPS = (
    "put its packages into the lock and take the image's own Python, or let versions stand on your own image: "
    "`dockerfile` and `as_is` below [image]"
)


def lost_environments(module: Module, parts: Iterable[ast.AST], image: TeamImage) -> Iterator[str]:
    """The programs of other environments in these parts of a module: file, line and what to do."""
    folders = {
        posixpath.normpath(posixpath.join(image.root, said.value)): said.place for said in image.environments
    }
    nodes = [node for part in parts for node in ast.walk(part)]
    inner = {id(each) for node in nodes if isinstance(node, ast.JoinedStr) for each in node.values}
    for node in (node for node in nodes if id(node) not in inner):
        external = isinstance(node, ast.Call) and _EXTERNAL.search(dotted(node.func))
        given = keyword(node, "python") if external and isinstance(node, ast.Call) else None
        if given is None and isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp | ast.Call):
            given = node
        text = text_of(given, module.constants) if isinstance(given, ast.expr) else None
        if text and text.startswith("/") and not any(char.isspace() for char in text):
            path = posixpath.normpath(text)
            if path.startswith(f"{ROOT}/"):  # as AIRFLOW_HOME is read
                path = posixpath.join(image.root, posixpath.relpath(path, ROOT))
            place = next((where for folder, where in folders.items() if path.startswith(f"{folder}/")), None)
            if place is not None:
                of = f"of an environment that {place} makes and no version has"
                yield f"{module.place(node)}: it runs {path}, {of}: {_WHAT_HELPS}"
            elif external or _INTERPRETER.fullmatch(path):
                yield f"{module.place(node)}: it runs {path}, of an environment that no version has: {_WHAT_HELPS}"
