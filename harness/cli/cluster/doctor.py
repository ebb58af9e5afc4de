"""`harness doctor`: what this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import AsJson, ContextName
from harness.cli.run import run
from harness.hints import CONTEXT_MARK

if TYPE_CHECKING:
    from harness.host.doctor.check import Report
    from harness.report.text.console import Console


Fix = Annotated[bool, typer.Option("--fix", help="Install and start what is missing, where that is safe.")]
Rbac = Annotated[
    bool, typer.Option("--rbac", help="With --context: print the role that an administrator can apply.")
]


def doctor(fix: Fix = False, context: ContextName = None, rbac: Rbac = False, json: AsJson = False) -> int:
    """Look at what this machine can do and what it lacks, or what a cluster lets harness do."""
    if rbac and context is None:
        raise typer.BadParameter("--rbac is about a cluster that isn't ours: give --context too")
    if fix and context is not None:
        raise typer.BadParameter(
            "--fix is about this machine: a cluster's administrator gives rights, by --rbac"
        )
    if context is not None:
        return _of_context(f"{CONTEXT_MARK}{context}", rbac=rbac, json=json)
    from harness.host.doctor import examination as doctors
    from harness.host.doctor import fixes
    from harness.host.sources import choice as sources

    def command(console: Console) -> int:
        wanted = sources.asked()
        with console.waiting("looking at this machine, Docker and the hosts that releases come from"):
            report = doctors.examine(sources=wanted)
        if fix:
            for line in fixes.fix(report, console):
                console.note(line)
            with console.waiting("looking at what was fixed"):
                report = doctors.examine(sources=wanted)
        return _shown(console, report, json=json)

    return run(command)


def _of_context(name: str, *, rbac: bool, json: bool) -> int:
    def command(console: Console) -> int:
        from harness.engine.up import access

        if rbac:
            with console.waiting(f"asking cluster {name}"):
                found = access.role_of(name)
            console.data(as_yaml(found))
            return 0
        with console.waiting(f"looking at cluster {name}"):
            report = access.examine(name)
        return _shown(console, report, json=json)

    return run(command, name)


def as_yaml(manifests: list[dict[str, Any]]) -> str:
    """Manifests as one file that kubectl takes."""
    import yaml

    return str(yaml.safe_dump_all(manifests, sort_keys=False))


def _shown(console: Console, report: Report, *, json: bool) -> int:
    if json:
        console.data(report.to_json())
    else:
        from harness.report.text import doctor as renderer

        console.show(renderer.render(report))
    return report.exit_code
