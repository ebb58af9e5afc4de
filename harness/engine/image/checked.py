"""A commit that is to be tested: whether an image can be made of it, found out before anything is built."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from harness.engine.image import lock
from harness.engine.image.own_image import Settled, settled
from harness.engine.image.values import check_values
from harness.image.build import check
from harness.image.lock.of_commit import lock_as_of_commit
from harness.image.own.own import OwnImage
from harness.progress import Progress
from harness.project.commit import Commit
from harness.project.image_settings import ImageSettings
from harness.project.project import Project


@dataclass(frozen=True)
class Checked:
    """A commit of which an image can be made, with its [image] as the image of the team's own, `own`, completes it."""

    commit: Commit
    settings: ImageSettings
    own: OwnImage | None = None


def checked(project: Project, commit: Commit, opened: ExitStack, progress: Progress, cluster: str) -> Checked:
    """Ask the image that a commit's packages are put on, and see that it has a lock, its code and its values.

    The working tree is read again where it got its lock only now, until `opened` is closed. Raises HarnessError: what
    `settled`, `lock.ensure`, `lock_as_of_commit`, `check` and `check_values` raise.
    """
    image = settled(commit, project.image_settings(commit), progress, cluster)
    if not commit.is_working_tree:
        _lock(commit, image, progress)
    elif not image.settings.as_is and lock.ensure(project, image.settings, image.packages, progress):
        commit = opened.enter_context(project.commit(None))
        image = settled(commit, project.image_settings(commit), progress, cluster)
    check(commit, image.settings)
    check_values(project, commit)
    return Checked(commit, image.settings, image.own)


def _lock(commit: Commit, image: Settled, progress: Progress) -> None:
    """Lock a commit that has no lock of its own as of its date; nobody can commit to it any more."""
    if image.settings.as_is:
        return
    with progress.waiting(f"lock of {commit.tag}, as of its date") as step:
        made = lock_as_of_commit(commit, image.settings, there=image.packages, on_line=step.update)
    if made is not None:
        progress.note(f"{commit.tag} has no lock of its own: {made.count} packages, {made.chosen}")
