"""What an image of the team's own says takes the place of what [image] leaves open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from own_image_samples import WHOLE

from harness.image.oci import BaseImage
from harness.image.own.docker_image import Known
from harness.image.own.own import OwnImage
from harness.project.image_settings import ImageSettings

CONTENTS = replace(WHOLE, home="/srv/airflow", packages={})


def settled(env: dict[str, str], **settings: object) -> ImageSettings:
    base = BaseImage(layers=(), digest="sha256:0", site_directory="usr/lib/python3/dist-packages", env=env)
    known = Known("sha256:0", (), (), env, (), (), "", "amd64", 0, ())
    given = ImageSettings.model_validate({"dockerfile": "Dockerfile", "as_is": True, **settings})
    return OwnImage("Dockerfile", known, CONTENTS, base).settled(given)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", ()),
        ("/srv/airflow", ()),
        ("/srv/airflow/src:/app/lib", ("src", "/app/lib")),
        (":include:/srv/airflow/../shared:", ("include", "/srv/shared")),
        ("/srv/airflow/src:src", ("src",)),
    ],
)
def test_its_import_path_stays(said: str, found: tuple[str, ...]) -> None:
    assert settled({"PYTHONPATH": said}).python_path == found


def test_folders_of_the_configuration_come_before_its_own() -> None:
    mine = settled({"PYTHONPATH": "/app:/srv/airflow/src"}, python_path=["team", "src"])
    assert mine.python_path == ("team", "src", "/app")
    moved = settled({"PYTHONPATH": "/srv/airflow/src"}, root="/usr/local/airflow")
    assert (moved.root, moved.python_path) == ("/usr/local/airflow", ("/srv/airflow/src",))
