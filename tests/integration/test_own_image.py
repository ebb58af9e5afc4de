"""Images of a team's own: built by Docker at the commit's files, read, and put under packages and code."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from git_repository import git, make, write

from harness import versions
from harness.errors import CauseCode, HarnessError
from harness.host import cache, process
from harness.image import build
from harness.image.base.debian import in_docker, package_base
from harness.image.own import docker_image
from harness.image.own.own import OwnImage, own_image
from harness.project.commit import Repository
from harness.project.image_settings import ImageSettings

LOG = "build.log"
AS_IS = ImageSettings(dockerfile="Dockerfile", as_is=True)
PROVIDED = ("apache_airflow_core-3.2.2", "apache_airflow_providers_cncf_kubernetes-10.0.0", "asyncpg-0.31.0",
            "psycopg2_binary-2.9.11")  # fmt: skip
# Not Airflow itself: that an image has a package is what its records say.
STANDS_FOR_AIRFLOW = " && ".join(
    f"mkdir -p $SITE/{name}.dist-info && printf 'Metadata-Version: 2.1\\nName: {name.rpartition('-')[0]}\\n"
    f"Version: {name.rpartition('-')[2]}\\n' > $SITE/{name}.dist-info/METADATA"
    for name in PROVIDED
)
DOCKERFILE = """
ARG BASE
FROM ${BASE}
ENV AIRFLOW_HOME=/srv/airflow TEAM=ml
RUN SITE=/usr/local/lib/python3.11/dist-packages && %s
COPY . /srv/airflow
RUN rm /srv/airflow/remove-me
USER 1234
ENTRYPOINT ["/bin/sh", "-c", "exec \\"$@\\"", "--"]
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name under which Docker has Debian's Python, as harness makes it."""
    if process.run(["docker", "version"], check=False).returncode != 0:
        pytest.skip("Docker does not answer")
    log = tmp_path_factory.mktemp("base") / LOG
    return in_docker(package_base(versions.DEBIAN_PYTHON, on_line=lambda _: None, log=log))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for these tests, which begins empty; what Docker built for them goes with it."""
    folder = tmp_path_factory.mktemp("cache")
    yield folder
    for built in (folder / "dockerfiles").glob("*/image.json"):
        name = f"harness.local/dockerfile:{built.parent.name[:12]}"
        process.run(["docker", "image", "rm", name], check=False)


@pytest.fixture
def repository(
    tmp_path: Path, git_settings: Path, monkeypatch: pytest.MonkeyPatch, base: str, kept: Path
) -> Path:
    """A team's repository with a Dockerfile."""
    monkeypatch.setenv(cache.ROOT_VARIABLE, str(kept))
    root = make(
        tmp_path / "repository",
        {
            "Dockerfile": (DOCKERFILE % STANDS_FOR_AIRFLOW).replace("ARG BASE", f"ARG BASE={base}"),
            ".dockerignore": "data\n",
            ".gitignore": "secret.env\n",
            "dags/a.py": "A = 1\n",
            "data/large.csv": "1\n",
            "remove-me": "x\n",
            "run.sh": "#!/bin/sh\n",
        },
    )
    (root / "run.sh").chmod(0o755)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def made(root: Path, settings: ImageSettings = AS_IS, ref: str | None = "HEAD") -> tuple[OwnImage, list[str]]:
    """The image of a commit, and what was said while it was made."""
    said: list[str] = []
    with Repository.find(root).commit(ref, paths=(settings.context,)) as commit:
        found = own_image(commit, settings, on_line=said.append, log=root.parent / LOG)
    return found, said


def files(own: OwnImage) -> dict[str, tarfile.TarInfo]:
    """What lies in Airflow's home, by the image's layers."""
    found: dict[str, tarfile.TarInfo] = {}
    for layer in own.base.layers:
        with tarfile.open(layer.path) as archive:
            for member in archive:
                name = member.name.lstrip("./")
                if name.startswith("srv/airflow/.wh."):
                    found.pop(name.replace(".wh.", "", 1), None)
                elif name.startswith("srv/airflow/") and member.isreg():
                    found[name] = member
    return found


def test_a_dockerfile_gets_the_commits_files_and_says_what_it_makes(repository: Path) -> None:
    write(repository, {"secret.env": "TOKEN=1\n", "dags/b.py": "B = 1\n", "dags/a.py": "A = 2\n"})
    own, said = made(repository)
    assert sorted(files(own)) == [
        "srv/airflow/.dockerignore", "srv/airflow/.gitignore", "srv/airflow/Dockerfile", "srv/airflow/dags/a.py",
        "srv/airflow/run.sh",
    ]  # fmt: skip
    assert {member.mtime for member in files(own).values()} == {315532800}
    assert files(own)["srv/airflow/run.sh"].mode & 0o777 == 0o755
    assert files(own)["srv/airflow/dags/a.py"].size == len("A = 1\n")
    assert (own.contents.airflow, own.contents.python, own.contents.user_id) == ("3.2.2", "3.11", 1234)
    assert own.contents.at_home == (".dockerignore", ".gitignore", "Dockerfile", "dags", "run.sh")
    assert own.base.env["TEAM"] == "ml"
    assert own.base.entrypoint[0] == "/bin/sh"
    assert any("RUN rm /srv/airflow/remove-me" in line for line in said)
    settled = own.settled(AS_IS)
    assert (settled.python, settled.airflow, settled.root) == ("3.11", "3.2.2", "/srv/airflow")

    again, said = made(repository)  # neither built nor asked again
    assert said == []
    assert again == own
    working_tree, _ = made(repository, ref=None)  # what is not ignored counts, as everywhere
    assert "srv/airflow/dags/b.py" in files(working_tree)
    assert "srv/airflow/secret.env" not in files(working_tree)


def test_its_name_gives_the_same_image_to_the_byte(repository: Path) -> None:
    own, _ = made(repository)
    named = ImageSettings(base=own.known.identity.removeprefix("sha256:"), as_is=True, code=("dags",))
    by_name, _ = made(repository, named)
    assert by_name.base == own.base
    with Repository.find(repository).commit("HEAD") as commit:
        digests = set()
        for settings in (named, AS_IS):
            foundation = build.build_foundation(
                commit, settings, project="p", on_line=lambda _: None, log=repository.parent / LOG
            )
            assert foundation.lock is None
            image = build.image_of(commit, own.settled(settings), foundation, project="p")
            digests.add(image.digest)
            assert b'"User":"1234:0"' in image.config
            assert b'"WorkingDir":"/srv/airflow"' in image.config
    assert len(digests) == 1


def test_a_build_that_fails_names_its_step(repository: Path) -> None:
    write(
        repository,
        {"Dockerfile": (repository / "Dockerfile").read_text() + "USER root\nRUN echo lost >&2 && false\n"},
    )
    git(repository, "commit", "--quiet", "--all", "--message", "broken")
    with pytest.raises(HarnessError) as caught:
        made(repository)
    error = caught.value
    assert error.cause is CauseCode.DOCKERFILE_FAILED
    assert "at `RUN echo lost >&2 && false`" in error.message
    assert any("lost" in line for line in error.evidence)


def test_what_it_lacks_is_told_with_what_adds_it(repository: Path) -> None:
    text = (repository / "Dockerfile").read_text().replace("cncf_kubernetes", "cncf_other")
    write(repository, {"Dockerfile": text})
    git(repository, "commit", "--quiet", "--all", "--message", "without the provider")
    with pytest.raises(HarnessError) as caught:
        made(repository)
    assert caught.value.cause is CauseCode.IMAGE_UNFIT
    assert "it lacks apache-airflow-providers-cncf-kubernetes" in caught.value.message
    assert "add to Dockerfile: RUN pip install" in caught.value.hint


def test_an_image_without_python_is_told(repository: Path) -> None:
    write(repository, {"Dockerfile": "FROM scratch\nCOPY run.sh /run.sh\n"})
    git(repository, "commit", "--quiet", "--all", "--message", "empty")
    with pytest.raises(HarnessError) as caught:
        made(repository)
    assert caught.value.cause is CauseCode.IMAGE_UNFIT
    assert "no program `python`" in caught.value.message


def test_an_image_that_is_nowhere_is_a_missing_prerequisite(repository: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        made(repository, ImageSettings(base="127.0.0.1:1/team/airflow:1", as_is=True))
    assert caught.value.exit_code == 3
    assert "127.0.0.1:1/team/airflow:1" in caught.value.message


def test_layers_that_were_removed_are_taken_out_of_docker_again(repository: Path) -> None:
    own, _ = made(repository)
    own.base.layers[-1].path.unlink()
    again, said = made(repository)
    assert again.base == own.base
    assert any("taken out of Docker" in line for line in said)
    assert docker_image.known(own.known.identity) is not None
