"""What Python's own functions and methods make of values that are known, and of the repository's files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

MOST_ITEMS = 500
MOST_FILE = 100_000


class _Unknown:
    """The value of what can't be known from the source alone."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False


UNKNOWN: Final = _Unknown()

_TEXT_METHODS = frozenset(
    {"capitalize", "lower", "lstrip", "removeprefix", "removesuffix", "replace", "rstrip", "strip", "title", "upper"}
)  # fmt: skip
_WIDTH = re.compile(r"\{[^{}]*[:.\[!]")  # any width, and what an object has
_LOADERS = ("json.load", "json.loads", "yaml.full_load", "yaml.load", "yaml.safe_load")
_SAME = frozenset({"os.path.abspath", "os.path.realpath", "os.fspath", "os.path.normpath"})
# What a file of the repository has, by its path as code has it: set while a repository is read.
FILE_TEXT: ContextVar[Callable[[str], str | None]] = ContextVar("FILE_TEXT", default=lambda _: None)
# The folders that variables stand for, by their names in the environment: set before code is read.
FOLDERS: ContextVar[Mapping[str, str]] = ContextVar("FOLDERS", default={})  # noqa: B039  never changed in place


@dataclass(frozen=True)
class Opened:
    """A file that code has opened, or its text."""

    path: str


def is_plain(value: object) -> bool:
    """Whether a value has a short text: that of a list of lists, which name each other in YAML, may be endless."""
    return isinstance(value, str | int | float | PurePosixPath)


def is_known(name: str) -> bool:
    """Whether it is the name of a function that `called` knows."""
    return name in _FUNCTIONS


def called(name: str, arguments: Sequence[Any]) -> Any:  # noqa: ANN401
    """What a function of this name gives; UNKNOWN for one that is not known."""
    function = _FUNCTIONS.get(name)
    return UNKNOWN if function is None or UNKNOWN in arguments else function(arguments)


def method_called(  # noqa: PLR0911
    owner: object, method: str, arguments: Sequence[Any], named: Mapping[str, Any]
) -> Any:  # noqa: ANN401
    """What a method of a known value gives."""
    if any(each is UNKNOWN for each in (*arguments, *named.values())):
        return UNKNOWN
    if isinstance(owner, str) and method in _TEXT_METHODS:
        return getattr(owner, method)(*arguments)
    if isinstance(owner, str) and method == "join" and isinstance(arguments[0], list):
        return owner.join(arguments[0])
    if isinstance(owner, str) and method == "split":
        return owner.split(*arguments)
    if isinstance(owner, str) and method == "format" and not _WIDTH.search(owner):
        plain = all(map(is_plain, (*arguments, *named.values())))
        return owner.format(*arguments, **named) if plain else UNKNOWN
    if isinstance(owner, dict) and method in {"items", "keys", "values"}:
        return [list(each) if method == "items" else each for each in getattr(owner, method)()]
    if isinstance(owner, dict) and method == "get":
        return owner.get(*arguments)
    return _path_method(owner, method, arguments)


def _path_method(owner: object, method: str, arguments: Sequence[Any]) -> Any:  # noqa: ANN401
    if isinstance(owner, Opened) and method == "read":
        return owner
    if not isinstance(owner, PurePosixPath):
        return UNKNOWN
    if method in {"open", "read_text"}:
        return Opened(str(owner))
    if method in {"absolute", "as_posix", "expanduser", "resolve"}:
        return owner
    if method in {"joinpath", "with_name", "with_suffix"}:
        return getattr(owner, method)(*arguments)
    return UNKNOWN


def _loaded(given: object) -> Any:  # noqa: ANN401
    """What a JSON or YAML file of the repository says."""
    text = FILE_TEXT.get()(given.path) if isinstance(given, Opened) else None
    if not text or len(text) > MOST_FILE:
        return UNKNOWN
    import yaml

    try:
        return yaml.safe_load(text)  # which reads JSON too
    except (yaml.YAMLError, RecursionError, OverflowError):
        return UNKNOWN


def _range(arguments: Sequence[Any]) -> list[int]:
    return list(itertools.islice(range(*arguments), MOST_ITEMS))


_FUNCTIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    **{name: lambda given: _loaded(given[0]) for name in _LOADERS},
    "open": lambda given: Opened(str(given[0])),
    "Path": lambda given: PurePosixPath(*given),
    "pathlib.Path": lambda given: PurePosixPath(*given),
    "PurePath": lambda given: PurePosixPath(*given),
    "Path.cwd": lambda _: PurePosixPath("."),
    "os.getcwd": lambda _: PurePosixPath("."),
    "str": lambda given: str(given[0]) if is_plain(given[0]) else UNKNOWN,
    "list": lambda given: list(given[0]),
    "tuple": lambda given: list(given[0]),
    "sorted": lambda given: sorted(given[0]),
    "dict": lambda given: dict(given[0]) if given else {},
    "range": _range,
    "enumerate": lambda given: [list(pair) for pair in enumerate(given[0])],
    "zip": lambda given: [list(pair) for pair in zip(*given, strict=False)],
    "os.path.join": lambda given: PurePosixPath(*given),
    "os.path.dirname": lambda given: PurePosixPath(given[0]).parent,
    "os.path.basename": lambda given: PurePosixPath(given[0]).name,
    **{name: lambda given: PurePosixPath(given[0]) for name in _SAME},
}
