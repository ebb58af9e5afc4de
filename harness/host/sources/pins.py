"""What a release consists of: each file by its SHA-256, each image by its digest."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from harness.errors import CauseCode, HarnessError

VARIABLE = "HARNESS_PINS"
_REFERENCE = re.compile(
    r"(?P<registry>[a-z0-9.-]+(?::[0-9]+)?)/(?P<repository>[a-z0-9._/-]+)(?::(?P<tag>[\w.-]+))?"
    r"@(?P<digest>sha256:[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Reference:
    """An image in a registry, fixed by its digest; `tag` is for people."""

    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """From `registry/repository[:tag]@sha256:…`; raises ValueError for anything less exact."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no image of the form REGISTRY/NAME[:TAG]@sha256:DIGEST")
        return cls(found["registry"], found["repository"], found["tag"] or "", found["digest"])

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}@{self.digest}"


def _check_reference(text: str) -> str:
    Reference.parse(text)
    return text


def _check_sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{text!r} is no SHA-256")
    return text


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ToolPin(_Model):
    """A program that is published as a file per platform; `member` is its path where that is a tar.gz."""

    version: str
    url: str
    member: str = ""
    sha256: dict[str, Annotated[str, AfterValidator(_check_sha256)]]


_Image = Annotated[str, AfterValidator(_check_reference)]


class ImagePins(_Model):
    """The images of a cluster and of what runs on it."""

    node: _Image
    python: _Image
    postgresql: _Image
    gateway: _Image
    registry: _Image | None = None  # of `up --registry`; without one it is made from packages


class Pins(_Model):
    """Everything that a cluster made from releases consists of."""

    kind: ToolPin
    helm: ToolPin
    kubectl: ToolPin
    images: ImagePins


def load() -> Pins:
    """The pins of this version, or those of the file that HARNESS_PINS names.

    Raises HarnessError(CONFIG_INVALID) with everything that is wrong in that file.
    """
    name = os.environ.get(VARIABLE)
    place = Path(name) if name else None
    try:
        text = (place or files("harness") / "pins.toml").read_text(encoding="utf-8")
        return Pins.model_validate(tomllib.loads(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems = [str(error)]
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    raise HarnessError(
        CauseCode.CONFIG_INVALID,
        f"{VARIABLE}: {place or 'pins.toml'} can't be used: {problems[0]}",
        evidence=problems[1:],
        hint=f"unset {VARIABLE}",
    )
