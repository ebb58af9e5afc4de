"""An image of the team's own, made ready before anything else: lock and code depend on what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.cluster.running_cluster import log_file
from harness.hints import toml_text
from harness.image.own.own import OwnImage, own_image
from harness.progress import Progress
from harness.project.commit import Commit
from harness.project.image_settings import ImageSettings


@dataclass(frozen=True)
class Settled:
    """[image] with what its own image says of Python, Airflow and its root, and that image, which is asked once.

    `own` is None where there is none, and [image] as it was.
    """

    settings: ImageSettings
    own: OwnImage | None = None

    @property
    def packages(self) -> Mapping[str, str]:
        """The packages, by name, of the image that a lock's are put on."""
        return self.own.contents.packages if self.own else {}


def settled(commit: Commit, settings: ImageSettings, progress: Progress, cluster: str) -> Settled:
    """[image] of a commit, and the image of the team's own that it names.

    Raises HarnessError: DOCKERFILE_FAILED, IMAGE_UNFIT, and what else the image can't be had for.
    """
    if not settings.is_own:
        return Settled(settings)
    named = settings.own_name
    with progress.step(f"{named} of {commit.tag}" if settings.dockerfile else named) as step:
        own = own_image(commit, settings, on_line=step.update, log=log_file(cluster))
        airflow = f"Airflow {own.contents.airflow}" if own.contents.airflow else "no Airflow"
        step.done(f"{airflow}, Python {own.contents.python}, user {own.base.user_id}")
    if settings.base and settings.as_is and own.origin != settings.base:
        progress.note(
            f"{settings.base} may be another image tomorrow: base = {toml_text(own.origin)} stays the same"
        )
    return Settled(own.settled(settings), own)
