"""What the shell proposes: refs, tests, versions and clusters, from what this machine knows without asking a cluster.

A shell waits for it at each press of a key, so it is quick, and whatever goes wrong proposes nothing.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from harness import hints


class QuickCommand(TyperCommand):
    """A command of which a shell learns in time what it proposes."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401  of Typer or click, by Typer's version
        """Its options and arguments."""
        return _as_typed(super().get_params(ctx), ctx.resilient_parsing)


class QuickGroup(TyperGroup):
    """The same for the program that the commands are of."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401  of Typer or click, by Typer's version
        """Its options."""
        return _as_typed(super().get_params(ctx), ctx.resilient_parsing)


def _as_typed(parameters: Sequence[Any], is_shell: bool) -> list[Any]:
    """While a shell asks values stay as they were typed: to check them Typer imports pydantic, which takes 0.2 s."""
    for parameter in parameters if is_shell else ():
        parameter.process_value = lambda _, value: value
    return [*parameters]


def refs(incomplete: str) -> list[str]:
    """Branches and tags of the repository around, and those of its remotes."""
    from harness.host import process

    argv = ["git", "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes"]
    with suppress(Exception):
        return _matching(process.run(argv, check=False, timeout_s=2).stdout.splitlines(), incomplete)
    return []


def tests(incomplete: str) -> list[str]:
    """The tests of the nearest harness.toml, or of [tool.harness] in pyproject.toml."""
    with suppress(Exception):
        here = Path.cwd()
        for folder in (here, *here.parents):
            for name in ("harness.toml", "pyproject.toml"):
                if (folder / name).is_file():
                    found = tomllib.loads((folder / name).read_text(encoding="utf-8"))
                    settings = found if name == "harness.toml" else found.get("tool", {}).get("harness")
                    if settings is not None:
                        return _matching(settings.get("tests", {}), incomplete)
    return []


def versions(context: typer.Context, incomplete: str) -> list[str]:
    """The versions of the chosen cluster that this machine remembers, the newest first, by name and by ref."""
    with suppress(Exception):
        from harness.engine.records import records

        named, foreign = context.params.get("name"), context.params.get("context")
        usual = os.environ.get(hints.VARIABLE) or hints.DEFAULT_CLUSTER
        found = list(reversed(records(f"{hints.CONTEXT_MARK}{foreign}" if foreign else named or usual)))
        return _matching(
            [record.namespace for record in found] + [record.ref for record in found], incomplete
        )
    return []


def clusters(incomplete: str) -> list[str]:
    """The clusters that this machine has made and not removed."""
    with suppress(Exception):
        from harness.cluster.place import state_folder

        folder = state_folder(hints.DEFAULT_CLUSTER).parent
        names = sorted(path.name for path in folder.iterdir() if path.is_dir())
        return _matching([name for name in names if not name.startswith(hints.CONTEXT_MARK)], incomplete)
    return []


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    """Those that begin with what was typed, each once."""
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete) and " " not in name]
