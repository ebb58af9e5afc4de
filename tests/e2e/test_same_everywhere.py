"""The image of one commit from two clones that differ in all that must not count: the same digests."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Cluster
from scratch import Scratch

from harness.cluster.api import KubernetesApi
from harness.cluster.services import services
from harness.host import cache, process

SCRIPT = Path(__file__).with_name("image_made.py")
HERE = {"TZ": "UTC", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
ELSEWHERE = {
    "TZ": "Asia/Kolkata",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C",
    "PYTHONHASHSEED": "7",
    "HOME": "/nonexistent",
}


def made(
    repository: Path, caches: Path, umask: str, variables: dict[str, str], log: Path, base: str
) -> dict[str, Any]:
    """What the image of the repository's HEAD is made of; `base` is the published image under it, if one is."""
    environment = {**variables, cache.ROOT_VARIABLE: str(caches), "LOG": str(log), "BASE": base}
    done = process.run([sys.executable, SCRIPT, umask], cwd=repository, env=environment, timeout_s=900)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cloned(pipeline: Scratch, place: Path) -> Path:
    """Another clone, at another path, with files of other times."""
    place.parent.mkdir(parents=True)
    process.run(["git", "clone", "--quiet", "--no-hardlinks", pipeline.root, place])
    return place


def only(kind: str, image: dict[str, Any]) -> list[str]:
    """The digests of the layers of one kind."""
    return [layer["digest"] for layer in image["layers"] if layer["kind"] == kind]


@pytest.fixture(scope="module")
def base(cluster: Cluster) -> str:
    """The published image that the cluster's versions stand on; empty where it is made of packages."""
    return services.recorded(KubernetesApi(cluster.kubeconfig)).get("base", "")


@pytest.fixture(scope="module")
def here(
    cluster: Cluster, pipeline: Scratch, tmp_path_factory: pytest.TempPathFactory, base: str
) -> dict[str, Any]:
    """The image as it is made here, with what `up` has built."""
    log = tmp_path_factory.mktemp("here") / "log"
    return made(pipeline.root, cache.root(), "022", HERE, log, base)


def without_code(caches: Path, here: dict[str, Any]) -> Path:
    """A cache with this machine's base and dependency layer, and no code layer."""
    (caches / "layers/made-from").mkdir(parents=True)
    for name in ("rootfs", "published", "python-of", "dependencies"):
        if (cache.root() / name).exists():
            (caches / name).symlink_to(cache.root() / name)
    (dependencies,) = only("dependencies", here)
    for digest in (dependencies, *only("base", here)):
        name = f"{digest.removeprefix('sha256:')}.tar"
        if (cache.root() / "layers" / name).exists():  # that of a base made of packages lies with it
            (caches / "layers" / name).symlink_to(cache.root() / "layers" / name)
    for record in (cache.root() / "layers/made-from").iterdir():
        if dependencies in record.read_text(encoding="utf-8"):
            (caches / "layers/made-from" / record.name).symlink_to(record)
    return caches


def test_code_is_packed_the_same_in_another_clone(
    here: dict[str, Any], pipeline: Scratch, tmp_path: Path, base: str
) -> None:
    clone = cloned(pipeline, tmp_path / "some where" / "élse")
    there = made(clone, without_code(tmp_path / "cache", here), "077", ELSEWHERE, tmp_path / "log", base)
    assert {**there, "name": ""} == {**here, "name": ""}  # the name has the directory's
    assert len(only("code", there)) > 1
    assert list((tmp_path / "cache/layers").glob("[0-9a-f]*.tar")), "nothing was packed there"


def test_another_commit_has_another_digest(
    here: dict[str, Any], pipeline: Scratch, tmp_path: Path, base: str
) -> None:
    clone = Scratch(cloned(pipeline, tmp_path / "other" / "clone"))
    clone.write("dags/breast_cancer_pipeline/__init__.py", "# changed\n")
    clone.commit("changed")
    there = made(clone.root, without_code(tmp_path / "cache", here), "022", HERE, tmp_path / "log", base)
    assert there["digest"] != here["digest"]
    assert only("base", there) == only("base", here)
    assert only("dependencies", there) == only("dependencies", here)
    assert len(set(only("code", there)) - set(only("code", here))) == 1


@pytest.mark.slow
def test_everything_is_made_the_same_from_empty_caches(
    here: dict[str, Any], pipeline: Scratch, tmp_path: Path, base: str
) -> None:
    """Base and dependencies too; where Debian's mirror moved meanwhile, the lists tell by which packages."""
    clone = cloned(pipeline, tmp_path / "other" / "clone")
    there = made(clone, tmp_path / "cache", "077", ELSEWHERE, tmp_path / "log", base)
    moved = set(there["base_packages"].items()) ^ set(here["base_packages"].items())
    assert (only("base", there) == only("base", here)) == (not moved), f"the base differs by {moved}"
    assert only("dependencies", there) == only("dependencies", here)
    assert only("code", there) == only("code", here)
    assert there["lock"] == here["lock"]
    if not moved:
        assert there["digest"] == here["digest"]
