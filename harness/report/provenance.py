"""What a result and the image in it were made of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class LayerResult(Model):
    """One layer of an image and what it was made of."""

    kind: Literal["base", "dependencies", "code"]
    digest: str


class LockResult(Model):
    """A lock file: its path, the digest of its text, and the version of Airflow in it."""

    path: str
    digest: str
    airflow: str | None = None


class OwnImageResult(Model):
    """The image of the team's own that a version stands on: where it came from, and what it holds.

    `origin`: the Dockerfile's path, or the image's name, with its digest where a registry has it. `as_is`: no packages
    were put on it.
    """

    origin: str
    airflow: str | None
    python: str
    user_id: int
    as_is: bool


class ImageResult(Model):
    """What ran: the image's name with its tag, manifest digest, config digest, and the base's digest.

    `layers` from the lowest up. `base_packages`: the Debian packages of the base, by name, with their versions.
    """

    name: str
    digest: str
    config_digest: str
    base_digest: str
    python: str | None = None
    lock: LockResult | None = None
    layers: tuple[LayerResult, ...] = ()
    base_packages: dict[str, str] = Field(default_factory=dict)
    own: OwnImageResult | None = None
    built_from_source: tuple[str, ...] = ()  # for these the dependency layer may differ on another machine


class RefusedValue(Model):
    """A value of Airflow's official chart that does not count, and why."""

    key: str
    reason: str


class ValuesResult(Model):
    """What became of the values file that [airflow] names: the keys that `counted`, and those that did not."""

    file: str
    counted: tuple[str, ...] = ()
    refused: tuple[RefusedValue, ...] = ()


class EnvironmentResult(Model):
    """What made and ran the versions, as far as it is known: programs by version, things made of files by digest.

    `source`: where the cluster's programs came from. `node_image`: its name; its digest is among `digests`.
    """

    platform: str
    source: str | None = None
    node_image: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    digests: dict[str, str] = Field(default_factory=dict)
