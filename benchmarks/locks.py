"""A lock file with fewer packages, made from a whole one: other dependencies, and nothing to be resolved for them."""

from __future__ import annotations

import re

_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==.*\n(?:[ \t]+\S.*\n)*", re.MULTILINE)
_VIA = re.compile(r"^ +#(?: via)? +(?!via$)(?P<by>\S.*)$", re.MULTILINE)


def without(lock: str, package: str) -> str:
    """The lock without a package that it was asked for, and without what that alone brought: uv's `# via` says so.

    Raises ValueError for a package that is not in the lock, and for one that another needs.
    """
    entries = list(_ENTRY.finditer(lock))
    needed_by: dict[str, set[str]] = {}
    for entry in entries:  # a package has several where its version depends on Python's
        needed_by.setdefault(entry["name"], set()).update(_VIA.findall(entry[0]))
    if package not in needed_by:
        raise ValueError(f"{package} is not in the lock")
    others = sorted(by for by in needed_by[package] if not by.startswith("-r "))
    if others:
        raise ValueError(f"{package} can't be left out: it is needed by {', '.join(others)}")
    gone = {package}
    while more := {name for name, by in needed_by.items() if by and by <= gone} - gone:
        gone |= more
    return _ENTRY.sub(lambda entry: "" if entry["name"] in gone else entry[0], lock)
