"""An image of the team's own, made ready before anything else: lock and code depend on what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.cluster.running_cluster import log_file
from harness.engine.image import lock
from harness.hints import toml_text
from harness.image.own.own import own_image
from harness.progress import Progress
from harness.project.commit import Commit
from harness.project.image_settings import ImageSettings
from harness.project.project import Project


def settled(commit: Commit, settings: ImageSettings, progress: Progress, cluster: str) -> ImageSettings:
    """[image] with what its own image says of Python, Airflow and its root; the same where there is none.

    Raises HarnessError: DOCKERFILE_FAILED, IMAGE_UNFIT, and what else the image can't be had for.
    """
    if not settings.is_own:
        return settings
    named = settings.own_name
    with progress.step(f"{named} of {commit.tag}" if settings.dockerfile else named) as step:
        own = own_image(commit, settings, on_line=step.update, log=log_file(cluster))
        airflow = f"Airflow {own.contents.airflow}" if own.contents.airflow else "no Airflow"
        step.done(f"{airflow}, Python {own.contents.python}, user {own.base.user_id}")
    if settings.base and settings.as_is and own.origin != settings.base:
        progress.note(
            f"{settings.base} may be another image tomorrow: base = {toml_text(own.origin)} stays the same"
        )
    return own.settled(settings)


def ensure_lock(project: Project, progress: Progress, cluster: str) -> None:
    """Lock the working tree's requirements for the image that they are put on, unless that was done.

    Raises what `settled` and `lock.ensure` raise.
    """
    settings = project.configuration.image
    if settings.as_is:
        return
    there: Mapping[str, str] = {}
    if settings.is_own:
        with (
            project.commit(None) as commit,
            progress.waiting("reading the image that packages are put on") as step,
        ):
            own = own_image(commit, settings, on_line=step.update, log=log_file(cluster))
            settings, there = own.settled(settings), own.contents.packages
    lock.ensure(project, settings, there, progress)


def packages(
    commit: Commit, settings: ImageSettings, *, on_line: Callable[[str], None], cluster: str
) -> Mapping[str, str]:
    """The packages, by name, of the image that a lock's are put on; none where there is no such image."""
    if not settings.is_own:
        return {}
    return own_image(commit, settings, on_line=on_line, log=log_file(cluster)).contents.packages
