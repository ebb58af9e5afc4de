"""Addresses in code that no version reaches: a service of the compose file, or the machine of whoever wrote it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.init.reading.constants import dotted, text_of
from harness.init.reading.image.team_image import TeamImage
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Module
from harness.project.values import mlflow_address

MLFLOW = "MLFLOW_TRACKING_URI"
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^\s/@]*@)?(?P<host>[\w.-]+)(?::(?P<port>\d+))?", re.I)
_ADDRESS = re.compile(r"(?:https?|ftp|s3a?|gs|abfss?|wasbs?|hdfs|hf)://[\w.-]+(?:/[^\s?#]*)?")
_TO_A_SERVER = re.compile(r"(?:https?|postgres(?:ql)?(?:\+\w+)?|mysql(?:\+\w+)?|mongodb|rediss?)$", re.I)
EVERYWHERE = "0.0.0.0"  # noqa: S104  where a server listens, and nobody connects to
_OWN_MACHINE = frozenset({"host.docker.internal", "localhost", "127.0.0.1", EVERYWHERE})
_ENVIRONMENT = frozenset({"os.getenv", "os.environ.get", "environ.get", "getenv"})


@dataclass(frozen=True)
class Address:
    """An address that code has. `variable` is the environment variable that it stands in for, if any."""

    place: Place
    url: str
    host: str
    why: str
    variable: str = ""
    tracking: bool = False  # whether it is MLflow's

    @property
    def own(self) -> str:
        """The address as the version's own MLflow can have it; empty where it can't."""
        try:
            return mlflow_address(self.url) if self.tracking and not self.variable else ""
        except ValueError:
            return ""

    def __str__(self) -> str:
        if self.tracking and not self.variable:
            what = f"it logs to {self.url}, {self.why}"
            return f"{self.place}: {what}: leave the address out, {MLFLOW} leads to the version's own MLflow"
        if self.variable:
            what = f"it takes {self.url} where {self.variable} is not set, {self.why}"
            return f"{self.place}: {what}: name {self.variable} in `from_env` below [secrets]"
        if self.url == EVERYWHERE:
            return f"{self.place}: it starts a server, which does not end by itself: no test of it can end"
        what = f"it connects to {self.url}, {self.why}"
        return f"{self.place}: {what}: take the address from a connection or a variable that a test can set"


def unreachable(module: Module, parts: Iterable[ast.AST], image: TeamImage) -> Iterator[Address]:
    """The addresses in these parts of a module that lead to no host outside."""
    for part in parts:
        in_place_of = dict(_defaults(part, module))
        tracked = {
            id(argument)
            for node in ast.walk(part)
            if isinstance(node, ast.Call) and dotted(node.func).endswith("set_tracking_uri")
            for argument in (*node.args, *(each.value for each in node.keywords))
        }
        hosts = {
            id(each.value)
            for node in ast.walk(part)
            if isinstance(node, ast.Call)
            for each in node.keywords
            if each.arg in {"host", "hostname", "server"}
        }
        for node, text in _texts(part):
            variable = in_place_of.get(id(node), "")
            found = address_of(text, image)
            if found is None and (variable or id(node) in hosts):
                found = _host(text, image)
            if found is not None and variable != MLFLOW:
                host, why = found
                tracking = (
                    id(node) in tracked or "mlflow" in f"{host}{variable}".lower() or _is_mlflows(node, part)
                )
                yield Address(module.place(node), without_login(text), host, why, variable, tracking=tracking)


def addresses_read(parts: Iterable[ast.AST], module: Module) -> Iterator[tuple[str, Place]]:
    """The addresses of the network in these parts of a module, but for those that are only shown."""
    for part in parts:
        for node, text in _texts(part):
            if found := _ADDRESS.match(text):
                yield found[0], module.place(node)


def tracked_elsewhere(
    parts: Iterable[tuple[Module, list[ast.AST]]], image: TeamImage
) -> tuple[str, Place] | None:
    """Where code itself says that MLflow's numbers go: a file, a database or a server that no test looks at."""
    for module, nodes in parts:
        outside = {each for part in nodes for each, _ in _defaults(part, module)}
        said = {
            node.value
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in outside
        }
        for node in (node for part in nodes for node in ast.walk(part)):
            if isinstance(node, ast.Call) and dotted(node.func).endswith("set_tracking_uri") and node.args:
                text = text_of(node.args[0], module.constants)
                given = isinstance(node.args[0], ast.Call)
                if text in said and not given and text and address_of(text, image) is None:
                    return without_login(text), module.place(node)
    return None


def address_of(text: str, image: TeamImage) -> tuple[str, str] | None:
    """The host of an address that no version reaches, and why it does not; None for any other text."""
    found = _URL.match(text.strip())
    if found is None:
        return None
    host = found["host"].lower()
    known = _host(host, image)
    if known is None and "." not in host and _TO_A_SERVER.match(found["scheme"]):
        return host, "a name of your own network that no version knows"
    return known


def _texts(part: ast.AST) -> Iterator[tuple[ast.Constant, str]]:
    """The texts in a part of a module, but for those that stand alone, as docstrings do."""
    alone = {id(node.value) for node in ast.walk(part) if isinstance(node, ast.Expr)}
    for node in ast.walk(part):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node, node.value


def _host(host: str, image: TeamImage) -> tuple[str, str] | None:
    if host in _OWN_MACHINE:
        return host, "which in a version is no server of yours"
    if host in image.services:
        return host, f"a service of {image.services[host]} that no version has"
    return None


def without_login(text: str) -> str:
    """An address as it may be shown: without user and password, and not longer than a line."""
    return re.sub(r"(://)[^\s/@]*@", r"\1", text.strip())[:80]


def served(value: str, image: TeamImage) -> bool:
    """Whether a variable's value is a service of the compose file, by its name or by an address."""
    return (_host(value, image) or address_of(value, image)) is not None


def _defaults(part: ast.AST, module: Module) -> Iterator[tuple[int, str]]:
    """The expressions that stand in for an environment variable which is not set, with its name."""
    for node in ast.walk(part):
        if isinstance(node, ast.Call) and dotted(node.func) in _ENVIRONMENT and len(node.args) > 1:
            name = text_of(node.args[0], module.constants)
            if name:
                yield from ((id(each), name) for each in ast.walk(node.args[1]))
        elif isinstance(node, ast.BoolOp) and isinstance(node.values[0], ast.Call):
            first = node.values[0]
            name = text_of(first.args[0], module.constants) if first.args else None
            if name and dotted(first.func) in _ENVIRONMENT:
                yield from ((id(each), name) for other in node.values[1:] for each in ast.walk(other))


def _is_mlflows(node: ast.Constant, part: ast.AST) -> bool:
    """Whether it is given to a name such as MLFLOW_TRACKING_URI, or to one in a class such as MlflowConfig."""
    named: dict[int, str] = {}
    for each in ast.walk(part):  # classes before what is in them
        if isinstance(each, ast.ClassDef):
            named |= {id(inner): each.name for inner in each.body}
        elif isinstance(each, ast.Assign | ast.AnnAssign) and each.value is not None:
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            named[id(each.value)] = " ".join((named.get(id(each), ""), *map(dotted, targets))).lower()
    return any(word in named.get(id(node), "") for word in ("mlflow", "tracking_uri"))
