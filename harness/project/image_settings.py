"""[image] of harness.toml: what a version's image is made of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from harness.project.contradictions import IMAGE_SCHEMA
from harness.project.places import (
    AIRFLOW_ROOT,
    airflow_root,
    link_contradictions,
    not_hidden,
    volume_folders,
)
from harness.project.values import (
    BuildArguments,
    Environment,
    ImageReference,
    LinkName,
    Paths,
    RepositoryPath,
    SystemPackages,
    not_empty,
)


class Settings(BaseModel):
    """Frozen, and strict about its keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class ImageSettings(Settings):
    """[image]: what a version's image is made of.

    `base` or `dockerfile` name an image of the team's own to put packages and code on; `as_is`: no packages.
    """

    model_config = ConfigDict(json_schema_extra=IMAGE_SCHEMA)

    python: Annotated[str, Field(pattern=r"^3\.[0-9]{1,2}$")] = "3.11"
    requirements: RepositoryPath = "dags/requirements.lock"
    airflow: Annotated[str, Field(pattern=r"^3\.[0-9]{1,3}(\.[0-9]{1,3}((a|b|rc)[0-9]{1,3})?)$")] | None = (
        None
    )
    system_packages: SystemPackages = ()
    base: ImageReference | None = None
    dockerfile: RepositoryPath | None = None
    context: RepositoryPath = "."
    target: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$")] | None = None
    build_args: BuildArguments = Field(default_factory=dict)
    as_is: bool = False
    code: Annotated[
        Paths, AfterValidator(not_empty), AfterValidator(not_hidden), Field(json_schema_extra={"minItems": 1})
    ] = ("dags",)
    root: Annotated[str, AfterValidator(airflow_root)] = AIRFLOW_ROOT
    python_path: Paths = ()
    shared: Annotated[Paths, AfterValidator(volume_folders)] = ()
    shared_tmp: bool = False
    links: dict[LinkName, RepositoryPath] = Field(default_factory=dict)
    env: Environment = Field(default_factory=dict)

    @field_validator("links")
    @classmethod
    def _links_take_no_place(cls, links: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        places = (*info.data.get("code", ()), *info.data.get("shared", ()))
        for problem in link_contradictions(links, places, info.data.get("root", AIRFLOW_ROOT)):
            raise ValueError(problem)
        return links

    @property
    def is_own(self) -> bool:
        """Whether versions stand on an image of the team's own, by its name or as a Dockerfile makes it."""
        return self.base is not None or self.dockerfile is not None

    @property
    def own_name(self) -> str:
        """What messages call the image of the team's own."""
        return self.dockerfile or f"base {self.base}"

    @property
    def places(self) -> tuple[str, ...]:
        """All that the repository puts into the image: paths of code below the root, and links."""
        return (*self.code, *self.links)

    @property
    def dags_folder(self) -> str:
        """The folder Airflow reads DAGs from: the one named `dags`, else the first of `code`."""
        return next((path for path in self.code if PurePosixPath(path).name == "dags"), self.code[0])
