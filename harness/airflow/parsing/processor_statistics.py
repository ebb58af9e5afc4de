"""The dag-processor's own statistics, a table that it writes into its log: what of all files it has parsed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_TITLE = "DAG File Processing Stats"


@dataclass(frozen=True)
class ParsedFile:
    """A line of the dag-processor's statistics. `parsed`: whether it was done with the file at least once."""

    file: str
    dags: int
    errors: int
    parsed: bool


def parse_statistics(log: str) -> tuple[ParsedFile, ...] | None:
    """The files in the last whole table of statistics in the dag-processor's log; None without one."""
    lines = log.splitlines()
    for start in reversed([index for index, line in enumerate(lines) if line.strip() == _TITLE]):
        table = [line for line in lines[start + 1 :] if line.strip()]
        end = next((index for index, line in enumerate(table) if line.startswith("=====")), None)
        rules = next((index for index, line in enumerate(table[:end]) if line.startswith("---")), None)
        if end is None or rules is None or rules == 0:
            continue
        # Columns begin where their rules begin: file names may hold blanks, and cells may be empty.
        starts = [match.start() for match in re.finditer(r"-+", table[rules])]
        header = _cells(table[rules - 1], starts)
        return tuple(
            _parsed_file(dict(zip(header, _cells(line, starts), strict=True)))
            for line in table[rules + 1 : end]
        )
    return None


def _cells(line: str, starts: Sequence[int]) -> list[str]:
    return [line[begin:end].strip() for begin, end in pairwise([*starts, max(len(line), starts[-1])])]


def _parsed_file(row: dict[str, str]) -> ParsedFile:
    def number(name: str) -> int:
        text = row.get(name, "")
        return int(text) if text.isdigit() else 0

    return ParsedFile(
        row.get("File Path", ""), number("# DAGs"), number("# Errors"), bool(row.get("Last Run At"))
    )
