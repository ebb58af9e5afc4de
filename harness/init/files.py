"""From the repository to its new files: what stands in the way, what they hold, and writing them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import disk
from harness.init import pull_requests
from harness.init.findings import Proposal
from harness.init.proposal import propose
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.written import text_of
from harness.project.commit import Repository
from harness.project.configuration import FILE_NAMES, parse

CONFIGURATION = FILE_NAMES[0]


@dataclass(frozen=True)
class NewFiles:
    """Files by their paths from the repository's `root`, harness.toml first, and the proposal that it was made of.

    There is no proposal where a configuration was there, which stays.
    """

    root: Path
    texts: Mapping[str, str]
    proposal: Proposal | None = None


def examine(start: Path, *, force: bool = False, workflow: bool = False) -> NewFiles:
    """What `harness init` would write for the repository around `start`.

    `workflow`: that for pull requests too; then a configuration that is there stays, also with `force`.
    Raises HarnessError: NOT_A_REPOSITORY, DAG_NOT_FOUND, USAGE when a file is there already and `force` is not given.
    """
    repository = Repository.find(start)
    root = repository.root
    added = {pull_requests.WORKFLOW: pull_requests.workflow()} if workflow else {}
    taken = [name for name in added if os.path.lexists(root / name)]
    if taken and not force:
        raise _exists(root, taken[0], "harness init --workflow")
    configured = _configured(root)
    if configured is not None and workflow:
        return NewFiles(root, added)
    if configured is not None and not force:
        raise configured
    within = start.resolve().relative_to(root.resolve()).as_posix() if start.is_dir() else ""
    files = RepositoryFiles.of(root)
    proposal = propose(files, "" if within == "." else within)
    if proposal.can_run and not workflow:
        proposal = replace(proposal, findings=(*proposal.findings, *pull_requests.offered(files)))
    text = text_of(proposal)
    parse(text, origin=CONFIGURATION)  # a mistake of ours must not reach the repository
    texts = {CONFIGURATION: text, **proposal.extra}
    taken = [name for name in proposal.extra if os.path.lexists(root / name)]
    if taken and not force:
        raise _exists(root, taken[0], "harness init")
    return NewFiles(root, texts | added, proposal)


def write(new: NewFiles) -> None:
    """Write the files, each whole or not at all. Raises HarnessError(FOLDER_UNUSABLE, DISK_FULL)."""
    for name, text in new.texts.items():
        path = new.root / name
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise disk.refused(error, str(path)) or error from error


def _configured(root: Path) -> HarnessError | None:
    """That the repository is configured already, as the error that it is to write it anew."""
    if os.path.lexists(root / CONFIGURATION):
        return _exists(root, CONFIGURATION, "harness init")
    project = root / FILE_NAMES[1]
    try:
        configured = project.is_file() and parse(project.read_text(encoding="utf-8"), origin=str(project))
    except (HarnessError, OSError, UnicodeDecodeError):
        return None  # another file's mistake, which those tell that read it
    if not configured:
        return None
    return HarnessError(
        CauseCode.USAGE,
        f"{project} has [tool.harness] already",
        hint="harness test; harness init --dry-run --force shows what else could be written",
    )


def _exists(root: Path, name: str, command: str) -> HarnessError:
    return HarnessError(
        CauseCode.USAGE,
        f"{root / name} is there already, and stays as it is",
        hint=f"{command} --dry-run --force shows what would be written, {command} --force writes it; "
        f"git diff {shlex.quote(name)} then shows the change",
    )
