"""A Dockerfile as it is read before Docker reads it, and what its failures mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import CauseCode
from harness.image.own.dockerfile import failed, ignoring, named_images

LOG = Path("log")


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM python:3.12", ["python:3.12"]),
        ("# FROM a\nfrom --platform=linux/amd64 b AS build\nFROM c\nCOPY --from=build /x /x", ["b", "c"]),
        (
            "FROM a AS one\nFROM one\nCOPY --chown=1 --from=ghcr.io/x/uv:1 /uv /uv\nCOPY --from=0 /a /b",
            ["a", "ghcr.io/x/uv:1"],
        ),
        ("ARG TAG=3.2\nFROM apache/airflow:${TAG}", ["apache/airflow:3.2"]),
        ("ARG TAG\nFROM apache/airflow:${TAG:-3.3}", ["apache/airflow:3.3"]),
        ("ARG V='1'\nFROM \\\n  a:$V\nARG V=2\nFROM a:$V AS x", ["a:1", "a:1"]),
        ("FROM scratch", []),
        ("FROM\ta:1  AS  Build\nFROM b:1\nCOPY --from=build /x /x\nFROM\tBUILD", ["a:1", "b:1"]),
    ],
)
def test_the_images_that_it_stands_on(text: str, images: list[str]) -> None:
    assert list(named_images(text, {})) == images


def test_build_arguments_count_before_defaults() -> None:
    assert list(named_images("ARG TAG=1\nFROM a:$TAG", {"TAG": "2"})) == ["a:2"]


class _Commit:
    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)


def left_out(files: dict[str, bytes], path: str, context: str = ".") -> bool:
    commit: Any = _Commit(files)
    return ignoring(commit, "docker/Dockerfile", context)(path)


def test_dockerignore_holds() -> None:
    files = {".dockerignore": b"# data\nnotebooks\n*.csv\n!keep.csv\n"}
    assert left_out(files, "notebooks/a.ipynb")
    assert left_out(files, "a.csv")
    assert not left_out(files, "keep.csv")
    assert not left_out(files, "Notebooks/a.ipynb")  # Docker tells them apart
    assert not left_out(files, "dags/a.py")
    assert not left_out({}, "anything")


def test_a_dockerfiles_own_dockerignore_counts_before_the_contexts() -> None:
    files = {"docker/Dockerfile.dockerignore": b"a", ".dockerignore": b"b"}
    assert left_out(files, "a")
    assert not left_out(files, "b")


def test_paths_are_those_of_the_context() -> None:
    assert left_out({"team/.dockerignore": b"data"}, "team/data/x", "team")


def test_a_failed_step_is_told_with_its_last_lines() -> None:
    said = [
        "DEPRECATED: The legacy builder",
        "Step 2/3 : RUN pip install nothing-such",
        "ERROR: No matching distribution",
        "The command '/bin/sh -c pip install nothing-such' returned a non-zero code: 1",
    ]
    error = failed("Dockerfile", "RUN pip install nothing-such", said, LOG)
    assert error.cause is CauseCode.DOCKERFILE_FAILED
    assert error.message == (
        "Dockerfile can't be built at `RUN pip install nothing-such`: ERROR: No matching distribution"
    )
    assert error.evidence == tuple(said[1:])


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("Temporary failure in name resolution", CauseCode.SOURCE_UNREACHABLE),
        ("SSLError: CERTIFICATE_VERIFY_FAILED certificate verify failed", CauseCode.SOURCE_UNREACHABLE),
        ("write /x: no space left on device", CauseCode.DISK_FULL),
    ],
)
def test_what_is_no_fault_of_the_file_is_told_as_such(line: str, cause: CauseCode) -> None:
    assert failed("Dockerfile", "RUN x", ["Step", line], LOG).cause is cause
