"""`harness repro`: what a bundle was made of, asked for again on this machine."""

from __future__ import annotations

import json
import shlex
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from harness.engine.testing.evidence import CONFIGURATION, FORMAT, REQUEST
from harness.engine.testing.plan import Keep, Request
from harness.engine.testing.testing import test
from harness.errors import CauseCode, HarnessError
from harness.progress import Progress
from harness.project.commit import WORKING_TREE, Repository
from harness.project.configuration import Configuration, SecretsSettings
from harness.project.project import Project, find
from harness.project.values import moment
from harness.report.model import Result

MEMBER_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True)
class Recipe:
    """What a bundle says of the version that it was made of. `ref` is None for the working tree."""

    project: Project
    ref: str | None
    tests: tuple[str, ...]
    image_digest: str | None


def read(bundle: Path, start: Path) -> Recipe:
    """The same commit with the same configuration, in the repository around `start`.

    Nothing is unpacked: two members are read, wherever the archive would put them. Raises HarnessError: USAGE for
    what is no bundle, or one of uncommitted changes that are not here; REF_NOT_FOUND, CONFIG_INVALID,
    NOT_A_REPOSITORY.
    """
    texts = _members(bundle)
    try:
        request: dict[str, Any] = json.loads(texts[REQUEST])
        commit, dirty = str(request["commit"]), request["dirty"]
        tests = tuple(map(str, request["tests"]))
        dates = {name: moment(date) for name, date in request["logical_dates"].items() if date}
        digest = request["image_digest"]
        written_as = request["format"]
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _no_bundle(bundle, f"{REQUEST} in it can't be used: {error}") from error
    if written_as != FORMAT:
        raise _no_bundle(bundle, f"its format is {written_as}, this harness reads {FORMAT}")
    try:
        configuration = Configuration.model_validate_json(texts[CONFIGURATION])
    except ValueError as error:
        raise _no_bundle(bundle, f"{CONFIGURATION} in it can't be used: {error}") from error
    # What this machine has is named by its own working tree, never by a bundle of others.
    local = find(start)
    secrets = local.configuration.secrets if local else SecretsSettings()
    configuration = configuration.model_copy(update={"secrets": secrets})
    project = Project(Repository.find(start), _with_dates(configuration, dates))
    project.repository.resolve(commit)
    if dirty is not None:
        _refuse_other_changes(project, commit, str(dirty))
    return Recipe(project, None if dirty is not None else commit, tests, digest)


def reproduce(
    bundle: Path,
    start: Path,
    cluster: str,
    keep: Keep,
    progress: Progress,
    *,
    on_verdict: Callable[[Result], None] = lambda _: None,
) -> Result:
    """Run it here, as `test` does; failures are in the result. Raises what `read` does."""
    recipe = read(bundle, start)
    request = Request(
        names=recipe.tests,
        refs=(recipe.ref,) if recipe.ref else (),
        keep=keep,
        cluster=cluster,
        project=recipe.project,
    )
    result = test(start, request, progress, on_verdict=on_verdict)
    for version in result.versions:
        if recipe.image_digest and version.image and version.image.digest != recipe.image_digest:
            progress.note(f"the image is {version.image.digest}, the bundle's was {recipe.image_digest}")
    return result


def _with_dates(configuration: Configuration, dates: dict[str, datetime]) -> Configuration:
    tests = {
        name: settings.model_copy(update={"logical_date": dates.get(name, settings.logical_date)})
        for name, settings in configuration.tests.items()
    }
    return configuration.model_copy(update={"tests": tests})


def _refuse_other_changes(project: Project, commit: str, dirty: str) -> None:
    with project.commit(None) as here:
        if (here.sha, here.dirty) == (commit, dirty):
            return
        found = f"{here.sha[:12]} " + (f"with changes {here.dirty}" if here.dirty else "without changes")
    raise HarnessError(
        CauseCode.USAGE,
        f"the bundle was made of {commit[:12]} with uncommitted changes {dirty}, and this {WORKING_TREE} is {found}",
        hint=f"run it where these changes are, or test the commit alone: harness test --ref {commit[:12]}",
    )


def _members(bundle: Path) -> dict[str, str]:
    """The texts of the members that matter, by name."""
    found: dict[str, str] = {}
    try:
        with tarfile.open(bundle, "r:gz") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if path.name in {REQUEST, CONFIGURATION} and len(path.parts) == 2 and member.isfile():
                    content = archive.extractfile(member)
                    found[path.name] = content.read(MEMBER_LIMIT_BYTES).decode() if content else ""
    except FileNotFoundError as error:
        raise HarnessError(
            CauseCode.USAGE, f"there is no bundle {bundle}", hint=f"ls {shlex.quote(str(bundle.parent))}"
        ) from error
    except (OSError, EOFError, UnicodeDecodeError, tarfile.TarError, zlib.error) as error:
        raise _no_bundle(bundle, str(error)) from error
    if missing := {REQUEST, CONFIGURATION} - found.keys():
        raise _no_bundle(bundle, f"it has no {' and no '.join(sorted(missing))}")
    return found


def _no_bundle(bundle: Path, why: str) -> HarnessError:
    return HarnessError(
        CauseCode.USAGE,
        f"{bundle} is no bundle of harness: {why}",
        hint="give the .tar.gz that a failed test named",
    )
