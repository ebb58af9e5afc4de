"""From the repository to its new files: what stands in the way, what they hold, and writing them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import disk
from harness.init.findings import Proposal
from harness.init.proposal import propose
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.written import text_of
from harness.project.commit import Repository
from harness.project.configuration import FILE_NAMES, parse

CONFIGURATION = FILE_NAMES[0]


@dataclass(frozen=True)
class NewFiles:
    """A proposal and its files by their paths from the repository's `root`, harness.toml first."""

    root: Path
    proposal: Proposal
    texts: Mapping[str, str]


def examine(start: Path, *, force: bool = False) -> NewFiles:
    """What `harness init` would write for the repository around `start`.

    Raises HarnessError: NOT_A_REPOSITORY, DAG_NOT_FOUND, USAGE when it is configured already and `force` is not given.
    """
    repository = Repository.find(start)
    root = repository.root
    if not force:
        _refuse_configured(root)
    within = start.resolve().relative_to(root.resolve()).as_posix() if start.is_dir() else ""
    proposal = propose(RepositoryFiles.of(root), "" if within == "." else within)
    text = text_of(proposal)
    parse(text, origin=CONFIGURATION)  # a mistake of ours must not reach the repository
    texts = {CONFIGURATION: text, **proposal.extra}
    taken = [name for name in proposal.extra if os.path.lexists(root / name)]
    if taken and not force:
        raise _exists(root / taken[0])
    return NewFiles(root, proposal, texts)


def write(new: NewFiles) -> None:
    """Write the files, each whole or not at all. Raises HarnessError(FOLDER_UNUSABLE, DISK_FULL)."""
    for name, text in new.texts.items():
        path = new.root / name
        partial = path.with_name(f".{path.name}.partial")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise disk.refused(error, str(path)) or error from error


def _refuse_configured(root: Path) -> None:
    path = root / CONFIGURATION
    if os.path.lexists(path):
        raise _exists(path)
    project = root / FILE_NAMES[1]
    try:
        configured = project.is_file() and parse(project.read_text(encoding="utf-8"), origin=str(project))
    except (HarnessError, OSError, UnicodeDecodeError):
        return  # another file's mistake, which those tell that read it
    if configured:
        raise HarnessError(
            CauseCode.USAGE,
            f"{project} has [tool.harness] already",
            hint="harness test; harness init --dry-run --force shows what else could be written",
        )


def _exists(path: Path) -> HarnessError:
    return HarnessError(
        CauseCode.USAGE,
        f"{path} is there already, and stays as it is",
        hint=f"harness init --dry-run --force shows what would be written, harness init --force writes it; "
        f"git diff {shlex.quote(path.name)} then shows the change",
    )
