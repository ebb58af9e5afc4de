"""Shared libraries and programs that the image lacks, as the loader, shells and Python's packages tell of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The dynamic loader's own words, in Python's exceptions and on the standard error of programs; cffi's and others'.
_LIBRARY = re.compile(
    r"(?P<loader>[\w./+-]+\.so[\w.]*): cannot open shared object file"
    r"|cannot load library '(?P<cffi>[^']+)'"
    r"|no library called \"(?P<called>[\w.+-]+)\" was found"
)
_PROGRAM = re.compile(
    r"(?:^|[\s:])(?:line \d+|\d+): (?P<shell>[\w.+/-]+): (?:command )?not found"
    r"|(?:^|: )(?P<zsh>[\w.+/-]+): command not found"
    r"|env: \W?(?P<env>[\w.+/-]+)\W?: No such file or directory"
    r"|failed to execute (?:PosixPath\()?'(?P<graphviz>[\w.+/-]+)'"
)
_WHEELS = {  # packages that have a library with them, where another of the same kind wants the system's
    "libGL.so": "opencv-python-headless instead of opencv-python",
    "libgthread-2.0.so": "opencv-python-headless instead of opencv-python",
    "libpq.so": "psycopg2-binary instead of psycopg2",
    "libodbc.so": "pymssql instead of pyodbc",
    "libmysqlclient.so": "mysql-connector-python instead of mysqlclient",
    "libcairo.so": "a renderer that needs no cairo",
}
_HOLDS = "it holds Python and what the lock names, nothing that a Dockerfile installs"


def library_said_missing(lines: Iterable[str]) -> str | None:
    """The shared library that could not be loaded, by what was said; None where nothing was said of one."""
    for line in lines:
        if found := _LIBRARY.search(line):
            return str(next(filter(None, found.groups())))
    return None


def program_said_missing(lines: Iterable[str]) -> str | None:
    """The program that a shell, or a package, could not start; None where nothing was said of one."""
    for line in lines:
        if found := _PROGRAM.search(line):
            return str(next(filter(None, found.groups())))
    return None


def lacks_library(library: str) -> tuple[str, str]:
    """What is wrong, and what helps."""
    base = re.sub(r"(\.so).*", r"\1", library.rpartition("/")[2])
    instead = _WHEELS.get(base)
    helps = f"take {instead}" if instead else "take a package whose wheel has the library with it"
    return f"the image has no library {library}", f"the image has no library {library}: {_HOLDS}; {helps}"


def lacks_program(program: str) -> tuple[str, str]:
    """What is wrong, and what helps."""
    return (
        f"the image has no program {program}",
        f"the image has no program {program}: {_HOLDS}; take a package whose wheel has it with it",
    )
