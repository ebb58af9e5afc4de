"""What an image of the team's own must have is told all at once, with where to add it."""

from __future__ import annotations

import dataclasses

import pytest
from own_image_samples import WHOLE

from harness.errors import CauseCode, HarnessError
from harness.image.own.contents import Contents
from harness.image.own.fitness import check_fit
from harness.project.image_settings import ImageSettings

AS_IS = ImageSettings(dockerfile="Dockerfile", as_is=True)


def unfit(contents: Contents, settings: ImageSettings = AS_IS) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        check_fit(settings, contents, origin="Dockerfile")
    assert caught.value.cause is CauseCode.IMAGE_UNFIT
    assert caught.value.exit_code == 2
    return caught.value


def without(*names: str) -> Contents:
    packages = {name: version for name, version in WHOLE.packages.items() if name not in names}
    return dataclasses.replace(WHOLE, packages=packages)


def test_a_whole_image_is_taken() -> None:
    check_fit(AS_IS, WHOLE, origin="Dockerfile")
    check_fit(AS_IS.model_copy(update={"airflow": "3.2.1"}), WHOLE, origin="Dockerfile")


def test_a_missing_provider_is_named_with_the_line_that_adds_it() -> None:
    error = unfit(without("apache-airflow-providers-cncf-kubernetes"))
    assert "it lacks apache-airflow-providers-cncf-kubernetes" in error.message
    assert "add to Dockerfile: RUN pip install apache-airflow-providers-cncf-kubernetes" in error.hint
    assert "apache-airflow==3.2.2" in error.hint  # so that pip does not raise it


def test_both_drivers_come_with_one_provider() -> None:
    error = unfit(without("psycopg2-binary", "asyncpg"))
    assert len(error.evidence) == 2
    assert error.hint.count("apache-airflow-providers-postgres") == 1


def test_everything_is_told_at_once() -> None:
    bare = dataclasses.replace(WHOLE, packages={}, python="3.8", libc="")
    error = unfit(bare)
    assert "for 6 reasons" in error.message
    assert [
        word for word in ("3.8", "glibc", "no Airflow") if not any(word in line for line in error.evidence)
    ] == []


@pytest.mark.parametrize("version", ["2.10.4", "1.10.15"])
def test_an_older_airflow_is_refused(version: str) -> None:
    contents = dataclasses.replace(
        WHOLE, packages={**without("apache-airflow-core").packages, "apache-airflow": version}
    )
    assert f"its Airflow is {version}" in unfit(contents).message


def test_what_the_file_says_must_be_so() -> None:
    assert (
        "[image] python says 3.11" in unfit(WHOLE, ImageSettings(base="x", as_is=True, python="3.11")).message
    )
    assert "[image] airflow says 3.1.0" in unfit(WHOLE, AS_IS.model_copy(update={"airflow": "3.1.0"})).message


def test_with_a_lock_packages_need_not_be_there() -> None:
    bare = dataclasses.replace(WHOLE, packages={})
    check_fit(ImageSettings(dockerfile="Dockerfile", requirements="r.txt"), bare, origin="Dockerfile")
