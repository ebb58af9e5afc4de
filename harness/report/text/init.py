"""`harness init`: what was found, what was decided, and what is left to a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.report import format

if TYPE_CHECKING:
    from rich.console import RenderableType

    from harness.init.findings import Finding, Proposal, ProposedTest

_TITLES = {"found": "found", "decided": "decided", "yours": "only you can"}


def render(proposal: Proposal) -> RenderableType:
    """A table per kind of finding; a line to add stands below what it is for."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for kind, title in _TITLES.items():
        rows = [finding for finding in proposal.findings if finding.kind == kind]
        if not rows:
            continue
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(overflow="fold", max_width=32)
        table.add_column(overflow="fold", ratio=1)
        for finding in rows:
            table.add_row(Text(format.one_line(finding.about)), _told(finding))
        parts += [Text(title, "bold"), table, Text("")]
    return Group(*parts)


def _told(finding: Finding) -> RenderableType:
    from rich.text import Text

    text = Text(format.one_line(finding.text))
    if finding.place and finding.place not in finding.text:
        text.append(f"  {format.one_line(finding.place)}", "dim")
    for line in finding.add.splitlines():
        text.append(f"\n  {format.clean(line)}", "cyan")
    return text


def _plain(test: ProposedTest) -> dict[str, object]:
    return {
        name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(test).items()
    }


def to_json(proposal: Proposal | None, files: Mapping[str, str], *, written: bool) -> str:
    """The same for programs: `files` are the texts by path, `written` tells whether they were."""
    return json.dumps(
        {
            "written": written,
            "files": dict(files),
            "findings": [asdict(finding) for finding in (proposal.findings if proposal else ())],
            "tests": [
                _plain(test) | {"can_run": test.can_run} for test in (proposal.tests if proposal else ())
            ],
        },
        indent=2,
    )
