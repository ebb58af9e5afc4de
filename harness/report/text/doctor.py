"""The doctor's report for a person: readable without colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.host.doctor.check import Check, Report, Status

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

STYLES: dict[Status, str] = {"ok": "green", "warning": "yellow", "missing": "bold red"}


def render(report: Report) -> RenderableType:
    """A line per check, its hint under it when there is something to do, then notes and a summary."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in report.checks:
        table.add_row(Text(check.status, STYLES[check.status]), check.name, _found(check))
    notes = [Padding(Text(f"note: {note}", "dim"), (0, 0)) for note in report.notes]
    return Group(Text(report.machine, "bold"), table, *notes, _summary(report))


def _found(check: Check) -> Text:
    from rich.text import Text

    text = Text(check.found)
    if check.status != "ok":
        text.append(f"\nneeded: {check.needed}", "dim")
        if check.hint:
            text.append("\nhint: ").append(check.hint, "bold")
    return text


def _summary(report: Report) -> Text:
    from rich.text import Text

    missing = [check for check in report.checks if check.status == "missing"]
    warnings = [check for check in report.checks if check.status == "warning"]
    if not missing and not warnings:
        return Text(f"{report.subject} has all that harness needs.", "green")
    counts = []
    if missing:
        counts.append(f"{len(missing)} missing")
    if warnings:
        counts.append(f"{len(warnings)} {'warning' if len(warnings) == 1 else 'warnings'}")
    text = Text(", ".join(counts) + ".", STYLES["missing" if missing else "warning"])
    if report.fixable:
        text.append(f" `harness doctor --fix` can do {len(report.fixable)} of them.")
    return text
