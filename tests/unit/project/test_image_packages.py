"""[image] airflow and system_packages: what may stand there."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.project import configuration


def image(text: str) -> configuration.ImageSettings:
    found = configuration.parse(f"[image]\n{text}\n", origin="harness.toml")
    assert found is not None
    return found.image


def test_packages_by_name_or_in_a_file() -> None:
    assert image("").system_packages == ()
    assert image('system_packages = ["libpq-dev", "g++", "libpq-dev"]').system_packages == (
        "g++",
        "libpq-dev",
    )
    assert image('system_packages = "packages.txt"').system_packages == "packages.txt"


@pytest.mark.parametrize(
    "text",
    [
        '["--include=x"]',
        '["a b"]',
        '["A"]',
        "[1]",
        "3",
        '"../packages.txt"',
        '"/etc/passwd"',
        '["x; rm -rf /"]',
    ],
)
def test_what_is_no_package(text: str) -> None:
    with pytest.raises(HarnessError, match=r"image\.system_packages"):
        image(f"system_packages = {text}")


@pytest.mark.parametrize("version", ["3.0.6", "3.4.0b2", "3.1.8", "3.10.0rc1"])
def test_airflows_version(version: str) -> None:
    assert image(f'airflow = "{version}"').airflow == version


@pytest.mark.parametrize("version", ["2.11.0", "3", "3.0.6; x", ">=3"])
def test_no_version_of_airflow(version: str) -> None:
    with pytest.raises(HarnessError, match=r"image\.airflow"):
        image(f'airflow = "{version}"')
