"""Which file people edit for another package: never the lock itself."""

from __future__ import annotations

from typing import cast

import pytest

from harness.image.lock.of_commit import edited
from harness.project.commit import Commit
from harness.project.image_settings import ImageSettings

HASHED = b"attrs==25.1.0 --hash=sha256:00\n"


class Files:
    """A commit that has these files."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    entry = read


@pytest.mark.parametrize(
    ("requirements", "others", "found"),
    [
        ("requirements.txt", {"requirements.txt": b"attrs\n"}, "requirements.txt"),
        ("team/pyproject.toml", {}, "team/pyproject.toml"),
        ("team/uv.lock", {}, "team/pyproject.toml"),
        ("requirements.lock", {"requirements.lock": HASHED, "requirements.in": b""}, "requirements.in"),
        ("requirements.txt", {"requirements.txt": HASHED, "requirements.in": b""}, "requirements.in"),
        ("requirements.lock", {"requirements.lock": HASHED}, "what requirements.lock was made from"),
    ],
)
def test_it_is_what_the_lock_is_made_from(requirements: str, others: dict[str, bytes], found: str) -> None:
    assert edited(cast(Commit, Files(others)), ImageSettings(requirements=requirements)) == found


def test_of_an_image_that_is_taken_as_it_is_it_is_the_dockerfile() -> None:
    settings = ImageSettings(dockerfile="Dockerfile", as_is=True)
    assert edited(cast(Commit, Files({})), settings) == "Dockerfile"
